//! The engine over a made-up cloud: what is planned, what is sent, what is left after a failure.

mod doubt;
pub mod fake;
mod journal;
mod lifecycle;
mod replacing;
mod secrets;
mod simulation;

use std::collections::{BTreeMap, BTreeSet};

use fake::{Book, FACT, Fake, Fault, PLAIN, SOFT, THING, catalogue};
use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Request, Settings, Stop};
use mcm::model::*;

pub fn resource(schema: &'static Schema, name: &str, properties: &[(&str, Value)]) -> Resource {
    let mut map = Map::from([("Name".to_owned(), Value::text(name))]);
    map.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Resource {
        address: Address::resource(name.split('~').next().unwrap()),
        ty: ResourceType::new(schema.ty),
        schema,
        properties: map,
        depends_on: BTreeSet::new(),
        lifecycle: Lifecycle::default(),
        location: None,
        property_locations: BTreeMap::new(),
    }
}

pub fn link(to: &str, attribute: &str) -> (&'static str, Value) {
    ("Link", Value::Unknown(Template::reference(Address::resource(to), &[attribute])))
}

pub fn stack(resources: Vec<Resource>) -> Stack {
    Stack {
        name: "test".to_owned(),
        description: None,
        folder: ".".into(),
        clouds: Clouds::default(),
        backend: None,
        resources,
        functions: Vec::new(),
        outputs: Vec::new(),
        variables: Map::new(),
        digest: Digest::default(),
    }
}

/// A cloud and what a stack owns in it.
#[derive(Default)]
struct World {
    cloud: Fake,
    state: State,
    journal: Journal,
    book: Book,
}

impl World {
    async fn plan(&self, stack: &Stack, mode: Mode) -> Result<(Plan, Inventory), Diagnostics> {
        self.plan_with(stack, mode, false).await
    }

    async fn plan_with(
        &self,
        stack: &Stack,
        mode: Mode,
        allow_recreate: bool,
    ) -> Result<(Plan, Inventory), Diagnostics> {
        let inventory =
            engine::observe(stack, &self.state, &Journal::default(), &catalogue(), mode, &self.cloud)
                .await
                .unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let request = Request { mode, targets: Vec::new(), excludes: Vec::new(), allow_recreate, now };
        let plan = engine::plan(stack, &self.state, &catalogue(), &inventory, &request)?;
        Ok((plan, inventory))
    }

    async fn run(&mut self, stack: &Stack, mode: Mode) -> Outcome {
        let (plan, inventory) = self.plan_with(stack, mode, true).await.unwrap();
        let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
        let settings = Settings { parallelism: 8, rollback: true, now: Timestamp::UNIX_EPOCH };
        let mut books = Books::new(&mut self.state, &mut self.journal, &mut self.book);
        let stop = Stop::default();
        engine::apply(
            plan,
            stack,
            &inventory,
            &catalogue(),
            &mut books,
            &self.cloud,
            settings,
            &stop,
            &|_| (),
        )
        .await
        .unwrap()
    }

    async fn apply(&mut self, stack: &Stack) -> Outcome {
        self.run(stack, Mode::Apply).await
    }

    /// The plan as `symbol address` lines, no-ops left out.
    async fn summary(&self, stack: &Stack) -> Vec<String> {
        let (plan, _) = self.plan_with(stack, Mode::Apply, true).await.unwrap();
        let told = plan.changes.iter().filter(|change| change.action != Action::NoOp);
        told.map(|change| format!("{} {}", change.action.symbol(), change.address.name())).collect()
    }
}

fn applied(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
}

fn rolled_back(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
}

/// b needs a's serial, known only once a is made; c needs its URL, which follows from its name.
fn three() -> Stack {
    stack(vec![
        resource(&THING, "c", &[link("a", "Url")]),
        resource(&THING, "b", &[link("a", "Serial")]),
        resource(&THING, "a", &[]),
    ])
}

/// The same, with another name for a's object.
fn renamed() -> Stack {
    let mut renamed = three();
    renamed.resources[2].properties.insert("Name".to_owned(), "a~2".into());
    renamed
}

/// The mark of another stack.
fn somebody() -> Owner {
    let nonce = Nonce("0123456789abcdef01234567".to_owned());
    Owner { stack: "other".to_owned(), address: at("x"), nonce }
}

fn at(name: &str) -> Address {
    Address::resource(name)
}

#[tokio::test(start_paused = true)]
async fn apply_then_nothing_to_do_then_destroy() {
    let mut world = World::default();
    applied(&world.apply(&three()).await);
    assert_eq!(world.cloud.names(), ["a", "b", "c"]);
    assert_eq!(world.cloud.objects.lock().unwrap()["b"].properties["Link"], "s1".into());
    let (plan, inventory) = world.plan(&three(), Mode::Apply).await.unwrap();
    assert!(plan.is_empty(), "{:?}", plan.changes);
    assert_eq!(inventory.waves, 1);
    world.cloud.sent();
    applied(&world.run(&three(), Mode::Destroy).await);
    let sent = world.cloud.sent();
    assert_eq!(sent.last().unwrap(), "delete a");
    assert!(world.cloud.names().is_empty() && world.state.resources.is_empty());
}

#[tokio::test(start_paused = true)]
async fn steps_run_side_by_side_as_far_as_dependencies_allow() {
    let mut world = World::default();
    let things = (0..20).map(|index| resource(&THING, &format!("t{index}"), &[])).collect();
    applied(&world.apply(&stack(things)).await);
    assert_eq!(world.cloud.together.lock().unwrap().1, 8);
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_someone_else_is_exactly_that_diff_and_is_put_back() {
    let mut world = World::default();
    world.apply(&three()).await;
    world.cloud.edit("b", "Size", 7.into());
    let (plan, _) = world.plan(&three(), Mode::Apply).await.unwrap();
    let change = plan.change(&Address::resource("b")).unwrap();
    assert_eq!(change.action, Action::Update);
    assert_eq!(change.edits.len(), 1);
    assert_eq!((&change.edits[0].before, &change.edits[0].after), (&Some(7.into()), &Some(1.into())));
    applied(&world.apply(&three()).await);
    assert!(world.plan(&three(), Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_name_makes_the_new_one_first_and_deletes_the_old_one_last() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut renamed = three();
    renamed.resources[2].properties.insert("Name".to_owned(), "a~2".into());
    assert_eq!(world.summary(&renamed).await, ["~ c", "~ b", "-/+ a"]);
    world.cloud.sent();
    applied(&world.apply(&renamed).await);
    let sent = world.cloud.sent();
    assert_eq!((sent.first().unwrap().as_str(), sent.last().unwrap().as_str()), ("create a~2", "delete a"));
    assert!(world.state.replaced.is_empty());
    assert!(world.plan(&renamed, Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_same_name_is_recreated_only_when_allowed() {
    let mut world = World::default();
    let of = |kind: &str| stack(vec![resource(&THING, "a", &[("Kind", kind.into())])]);
    world.apply(&of("x")).await;
    let refused = world.plan(&of("y"), Mode::Apply).await.unwrap_err();
    assert!(refused.to_string().contains("`Kind` cannot be changed in place"), "{refused}");
    world.cloud.sent();
    applied(&world.apply(&of("y")).await);
    assert_eq!(world.cloud.sent(), ["delete a", "create a"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_undoes_what_was_done() {
    for failing in ["create b", "create c"] {
        let mut world = World::default();
        world.cloud.fail(failing, Fault::Refuse(ErrorKind::Denied));
        rolled_back(&world.apply(&three()).await);
        assert!(world.cloud.names().is_empty(), "{failing}: {:?}", world.cloud.names());
        assert!(world.state.resources.is_empty(), "{failing}: {:?}", world.state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_or_dead_credentials_undo_nothing() {
    for kind in [ErrorKind::Throttled, ErrorKind::Credentials] {
        let mut world = World::default();
        world.cloud.fail("create b", Fault::Refuse(kind));
        let outcome = world.apply(&three()).await;
        assert!(matches!(outcome, Outcome::Stuck { undone: 0, .. }), "{outcome:?}");
        assert_eq!(world.cloud.names(), ["a", "c"]);
        applied(&world.apply(&three()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_change_is_undone_to_what_was_there() {
    let mut world = World::default();
    world.apply(&three()).await;
    let before = world.cloud.objects.lock().unwrap().clone();
    let mut changed = three();
    changed.resources[2].properties.insert("Size".to_owned(), 9.into());
    changed.resources[0].properties.insert("Size".to_owned(), 9.into());
    changed.resources.push(resource(&THING, "d", &[link("c", "Url")]));
    world.cloud.fail("create d", Fault::Refuse(ErrorKind::Invalid));
    rolled_back(&world.apply(&changed).await);
    assert_eq!(*world.cloud.objects.lock().unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn what_someone_else_changed_meanwhile_is_kept() {
    let mut world = World::default();
    world.cloud.fail("create b", Fault::Refuse(ErrorKind::Denied));
    let stack = three();
    let (plan, inventory) = world.plan(&stack, Mode::Apply).await.unwrap();
    let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
    let settings = Settings { parallelism: 1, rollback: true, now: Timestamp::UNIX_EPOCH };
    let cloud = &world.cloud;
    let meddle = |event: Event| {
        if let Event::Failed { .. } = event {
            cloud.edit("a", "Size", 50.into());
        }
    };
    let stop = Stop::default();
    let outcome = engine::apply(
        plan,
        &stack,
        &inventory,
        &catalogue(),
        &mut Books::new(&mut world.state, &mut world.journal, &mut world.book),
        cloud,
        settings,
        &stop,
        &meddle,
    )
    .await
    .unwrap();
    let Outcome::Stuck { kept, .. } = outcome else { panic!("{outcome:?}") };
    assert!(kept.iter().any(|kept| kept.why.contains("somebody changed `Size`")), "{kept:?}");
    assert_eq!(world.cloud.names(), ["a"]);
    assert!(world.state.resources.contains_key(&Address::resource("a")));
}

#[tokio::test(start_paused = true)]
async fn an_unclear_answer_is_settled_by_reading() {
    for fault in [Fault::ReplyLost, Fault::RequestLost] {
        for call in ["create a", "create b", "update a", "delete c"] {
            let mut world = World::default();
            let mut changed = three();
            changed.resources[2].properties.insert("Size".to_owned(), 9.into());
            changed.resources.remove(0);
            world.cloud.fail(call, fault);
            applied(&world.apply(&three()).await);
            applied(&world.apply(&changed).await);
            assert_eq!(world.cloud.names(), ["a", "b"], "{call} {fault:?}");
            assert!(world.plan(&changed, Mode::Apply).await.unwrap().0.is_empty(), "{call} {fault:?}");
            let creates = world.cloud.sent().iter().filter(|sent| *sent == call).count();
            assert_eq!(creates, if fault == Fault::ReplyLost { 1 } else { 2 }, "{call} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_usable_yet_is_waited_for_only_where_this_run_made_it() {
    let settling = ErrorKind::Settling { window: std::time::Duration::from_mins(1) };
    let mut world = World::default();
    world.cloud.fail("create b", Fault::Refuse(settling));
    world.cloud.fail("create b", Fault::Refuse(settling));
    applied(&world.apply(&three()).await);
    let mut world = World::default();
    world.cloud.fail("create a", Fault::Refuse(settling));
    rolled_back(&world.apply(&three()).await);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_object_is_never_touched_unless_adopted() {
    let mut other = World::default();
    applied(&other.apply(&stack(vec![resource(&THING, "a", &[("Size", 5.into())])])).await);
    let mut world = World { cloud: other.cloud, ..World::default() };
    for live in world.cloud.objects.lock().unwrap().values_mut() {
        live.owner = None;
    }
    let refused = world.plan(&three(), Mode::Apply).await.unwrap_err();
    assert!(refused.to_string().contains("exists, and this stack does not own it"), "{refused}");
    let mut adopting = three();
    adopting.resources[2].lifecycle.adopt = true;
    assert_eq!(world.summary(&adopting).await, ["+ c", "+ b", "= a"]);
    applied(&world.apply(&adopting).await);
    assert_eq!(world.cloud.objects.lock().unwrap()["a"].properties["Size"], 1.into());
    assert!(world.plan(&three(), Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_namesake_remade_by_someone_else_is_not_ours() {
    let mut world = World::default();
    let plain = stack(vec![resource(&PLAIN, "p", &[])]);
    world.apply(&plain).await;
    let remade = Value::text("s99");
    world.cloud.objects.lock().unwrap().get_mut("p").unwrap().attributes.insert("Serial".to_owned(), remade);
    assert!(world.plan(&plain, Mode::Apply).await.unwrap_err().to_string().contains("does not own it"));
    let (plan, _) = world.plan(&plain, Mode::Destroy).await.unwrap();
    assert_eq!(plan.changes[0].action, Action::Forget);
}

#[tokio::test(start_paused = true)]
async fn a_lost_state_is_found_again_by_the_marks() {
    let mut world = World::default();
    world.apply(&three()).await;
    world.state = State::default();
    assert_eq!(world.summary(&three()).await, ["= c", "= b", "= a"]);
    world.cloud.sent();
    applied(&world.apply(&three()).await);
    assert!(world.cloud.sent().is_empty());
    world.state = State::default();
    applied(&world.run(&three(), Mode::Destroy).await);
    assert!(world.cloud.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_soft_deleted_name_is_restored() {
    let mut world = World::default();
    let soft = stack(vec![resource(&SOFT, "s", &[("Size", 2.into())])]);
    world.apply(&soft).await;
    world.run(&soft, Mode::Destroy).await;
    assert!(world.cloud.names().is_empty());
    assert_eq!(world.summary(&soft).await, ["<- s"]);
    let bigger = stack(vec![resource(&SOFT, "s", &[("Size", 3.into())])]);
    applied(&world.apply(&bigger).await);
    assert_eq!(world.cloud.objects.lock().unwrap()["s"].properties["Size"], 3.into());
    assert!(world.plan(&bigger, Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_was_there_already_is_accepted_and_left() {
    let mut other = World::default();
    let fact = stack(vec![resource(&FACT, "f", &[])]);
    other.apply(&fact).await;
    let mut world = World { cloud: other.cloud, ..World::default() };
    assert!(world.plan(&fact, Mode::Apply).await.unwrap().0.is_empty());
    applied(&world.run(&fact, Mode::Destroy).await);
    assert_eq!(world.cloud.names(), ["f"]);
}

#[tokio::test(start_paused = true)]
async fn protection_outlives_its_line() {
    let mut world = World::default();
    let mut protected = three();
    protected.resources[2].lifecycle.protect = Some(true);
    world.apply(&protected).await;
    let mut without = three();
    without.resources.clear();
    assert!(world.plan(&without, Mode::Apply).await.unwrap_err().to_string().contains("protected"));
    assert!(world.plan(&three(), Mode::Destroy).await.unwrap_err().to_string().contains("protected"));
    let mut lifted = three();
    lifted.resources[2].lifecycle.protect = Some(false);
    applied(&world.apply(&lifted).await);
    applied(&world.run(&three(), Mode::Destroy).await);
}

#[tokio::test(start_paused = true)]
async fn secrets_reach_requests_and_no_plan() {
    let mut world = World::default();
    let secret = stack(vec![resource(&THING, "a", &[]), resource(&THING, "b", &[link("a", "Key")])]);
    world.apply(&stack(vec![resource(&THING, "a", &[])])).await;
    let (plan, _) = world.plan(&secret, Mode::Apply).await.unwrap();
    assert!(!serde_json::to_string(&plan).unwrap().contains("key-1"));
    world.apply(&secret).await;
    assert_eq!(world.cloud.objects.lock().unwrap()["b"].properties["Link"], "key-1".into());
}

#[tokio::test(start_paused = true)]
async fn a_sensitive_value_is_sent_in_clear_and_shown_on_neither_side() {
    let with = |text: &str| stack(vec![resource(&THING, "a", &[("Link", Value::Secret(Secret::new(text)))])]);
    let mut world = World::default();
    applied(&world.apply(&with("canary-one")).await);
    assert_eq!(world.cloud.objects.lock().unwrap()["a"].properties["Link"], "canary-one".into());
    assert!(world.plan(&with("canary-one"), Mode::Apply).await.unwrap().0.is_empty());
    let (plan, _) = world.plan(&with("canary-two"), Mode::Apply).await.unwrap();
    assert_eq!(plan.change(&Address::resource("a")).unwrap().action, Action::Update);
    assert!(!serde_json::to_string(&plan).unwrap().contains("canary"), "{plan:?}");
    assert!(!format!("{plan:?}").contains("canary"), "{plan:?}");
}

#[tokio::test(start_paused = true)]
async fn deletions_only_go_forward() {
    let mut world = World::default();
    world.apply(&three()).await;
    world.cloud.fail("delete b", Fault::Refuse(ErrorKind::NotEmpty));
    let outcome = world.run(&three(), Mode::Destroy).await;
    assert!(matches!(outcome, Outcome::Stuck { .. }), "{outcome:?}");
    assert_eq!(world.cloud.names(), ["a", "b"]);
    applied(&world.run(&three(), Mode::Destroy).await);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_a_run_that_can_be_resumed() {
    let mut world = World::default();
    let stack = three();
    let (plan, inventory) = world.plan(&stack, Mode::Apply).await.unwrap();
    let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
    let settings = Settings { parallelism: 1, rollback: true, now: Timestamp::UNIX_EPOCH };
    let stop = Stop::default();
    let on_first = |event: Event| {
        if let Event::Finished { .. } = event {
            stop.request();
        }
    };
    let outcome = engine::apply(
        plan,
        &stack,
        &inventory,
        &catalogue(),
        &mut Books::new(&mut world.state, &mut world.journal, &mut world.book),
        &world.cloud,
        settings,
        &stop,
        &on_first,
    )
    .await
    .unwrap();
    assert!(matches!(outcome, Outcome::Interrupted { done: 1, left: 2, .. }), "{outcome:?}");
    applied(&world.apply(&stack).await);
    assert_eq!(world.cloud.names(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_record_converges() {
    // Every state that the ledger ever held is what a killed process leaves behind.
    let mut world = World::default();
    world.apply(&three()).await;
    let states = std::mem::take(&mut world.book.0);
    assert!(states.len() >= 3, "intents and outcomes, those that come together in one write");
    for state in states {
        world.state = state;
        applied(&world.apply(&three()).await);
        assert_eq!(world.state.resources.len(), 3);
        assert!(world.plan(&three(), Mode::Apply).await.unwrap().0.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_plan_is_refused_and_names_what_moved() {
    let mut world = World::default();
    world.apply(&three()).await;
    let (plan, _) = world.plan(&three(), Mode::Apply).await.unwrap();
    world.cloud.edit("a", "Size", 4.into());
    let (_, now) = world.plan(&three(), Mode::Apply).await.unwrap();
    let refusal = engine::approve(plan, &now, &catalogue(), Answer::Automatic).unwrap_err();
    let engine::Refusal::Stale { object, moved } = refusal else { panic!("{refusal}") };
    assert_eq!((object.as_str(), moved[0].0.as_str()), ("resources.a", "Size"));
}
