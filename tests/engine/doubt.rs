//! What is in doubt is looked at again, and is kept rather than lost.

use std::time::Duration;

use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Settings, Stop, Undoing};
use mcm::model::*;

use super::fake::{FACT, Fault, PLAIN, SOFT, THING, catalogue};
use super::{World, applied, at, link, renamed, resource, rolled_back, somebody, stack, three};

impl World {
    /// An apply in the midst of which somebody does something.
    async fn apply_amid(&mut self, stack: &Stack, meddle: &(dyn Fn(&super::Fake, &Event) + Sync)) -> Outcome {
        let (plan, inventory) = self.plan_with(stack, Mode::Apply, true).await.unwrap();
        let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
        let settings = Settings { parallelism: 1, rollback: true, now: Timestamp::UNIX_EPOCH };
        let mut books = Books::new(&mut self.state, &mut self.journal, &mut self.book);
        let (cloud, stop) = (&self.cloud, Stop::default());
        let events = |event: Event| meddle(cloud, &event);
        engine::apply(plan, stack, &inventory, &catalogue(), &mut books, cloud, settings, &stop, &events)
            .await
            .unwrap()
    }

    async fn rollback(&mut self) -> Outcome {
        let mut books = Books::new(&mut self.state, &mut self.journal, &mut self.book);
        let (stop, catalogue) = (Stop::default(), catalogue());
        let undoing = Undoing { stack: "test", catalogue: &catalogue, stop: &stop };
        engine::rollback(undoing, &mut books, &self.cloud, &|_| ()).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_in_a_failed_state_is_not_gone() {
    for lost in [1, 3] {
        let mut world = World::default();
        world.apply(&three()).await;
        let failed = Condition::Failed("DELETE_FAILED".to_owned());
        world.cloud.objects.lock().unwrap().get_mut("c").unwrap().condition = failed;
        for _ in 0..lost {
            world.cloud.fail("delete c", Fault::RequestLost);
        }
        let outcome = world.run(&three(), Mode::Destroy).await;
        assert_eq!(matches!(outcome, Outcome::Applied { .. }), lost == 1, "{outcome:?}");
        let left = world.cloud.objects.lock().unwrap().contains_key("c");
        assert_eq!((left, world.state.resources.contains_key(&at("c"))), (lost == 3, lost == 3));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_on_its_way_is_not_let_go_of() {
    let mut world = World::default();
    world.apply(&three()).await;
    let made = world.cloud.objects.lock().unwrap().remove("c").unwrap();
    world.state.resources.get_mut(&at("c")).unwrap().standing = Standing::Creating;
    let appears = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.cloud.objects.lock().unwrap().insert("c".to_owned(), made.clone());
    };
    let all = three();
    let (planned, ()) = tokio::join!(world.plan(&all, Mode::Destroy), appears);
    assert_eq!(planned.unwrap().0.change(&at("c")).unwrap().action, Action::Delete);
    // Likewise where its entry has left the stack.
    world.cloud.objects.lock().unwrap().remove("c");
    let mut without = three();
    without.resources.remove(0);
    let appears = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.cloud.objects.lock().unwrap().insert("c".to_owned(), made.clone());
    };
    let (planned, ()) = tokio::join!(world.plan(&without, Mode::Apply), appears);
    assert_eq!(planned.unwrap().0.change(&at("c")).unwrap().action, Action::Delete);
}

#[tokio::test(start_paused = true)]
async fn a_namesake_that_somebody_made_in_the_place_of_a_deleted_one_is_not_ours() {
    let of = |kind: &str| stack(vec![resource(&THING, "a", &[("Kind", kind.into())])]);
    let mut world = World::default();
    world.apply(&of("x")).await;
    let mut remade = world.cloud.objects.lock().unwrap()["a"].clone();
    world.cloud.fail("create a", Fault::Refuse(ErrorKind::Throttled));
    assert!(matches!(world.apply(&of("y")).await, Outcome::Stuck { .. }));
    remade.owner = None;
    remade.attributes.insert("Serial".to_owned(), "s99".into());
    world.cloud.objects.lock().unwrap().insert("a".to_owned(), remade);
    let Outcome::Stuck { kept, .. } = world.rollback().await else { panic!("it is kept") };
    assert!(kept[0].why.contains("somebody made another one in its place"), "{}", kept[0].why);
    let refused = world.plan(&of("x"), Mode::Apply).await.unwrap_err();
    assert!(refused.to_string().contains("does not own it"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_stopped_in_the_midst_is_put_together_again() {
    let of = |kind: &str| stack(vec![resource(&THING, "a", &[("Kind", kind.into()), ("Link", "l".into())])]);
    let mut world = World::default();
    world.apply(&of("x")).await;
    let whole = world.cloud.objects.lock().unwrap()["a"].clone();
    world.cloud.fail("delete a", Fault::Refuse(ErrorKind::Denied));
    let torn = |cloud: &super::Fake, event: &Event| {
        if let Event::Failed { .. } = event {
            cloud.objects.lock().unwrap().get_mut("a").unwrap().properties.remove("Link");
        }
    };
    rolled_back(&world.apply_amid(&of("y"), &torn).await);
    assert_eq!(world.cloud.objects.lock().unwrap()["a"], whole);
}

#[tokio::test(start_paused = true)]
async fn what_is_replaced_is_not_deleted_where_another_entry_wants_it() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut handed_over = renamed();
    let mut old = resource(&THING, "old", &[("Name", "a".into())]);
    old.lifecycle.adopt = true;
    handed_over.resources.push(old);
    let refused = world.plan(&handed_over, Mode::Apply).await.unwrap_err().to_string();
    assert!(refused.contains("resources.a would be deleted, and resources.old wants the same"), "{refused}");
    // As the hint says.
    world.state.resources.remove(&at("a"));
    applied(&world.apply(&handed_over).await);
    assert_eq!(world.cloud.names(), ["a", "a~2", "b", "c"]);
    assert_eq!(world.state.resources[&at("old")].id.0, "a");
    assert!(world.plan(&handed_over, Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rename_is_taken_back_while_both_objects_stand() {
    let mut world = World::default();
    world.apply(&three()).await;
    world.cloud.fail("delete a", Fault::Refuse(ErrorKind::NotEmpty));
    assert!(matches!(world.apply(&renamed()).await, Outcome::Stuck { .. }));
    assert_eq!(world.cloud.names(), ["a", "a~2", "b", "c"]);
    let (plan, _) = world.plan(&three(), Mode::Apply).await.unwrap();
    let change = plan.change(&at("a")).unwrap();
    assert_eq!((change.action, change.former_id.as_ref().unwrap().0.as_str()), (Action::Adopt, "a~2"));
    applied(&world.apply(&three()).await);
    assert_eq!(world.cloud.names(), ["a", "b", "c"]);
    assert!(world.state.replaced.is_empty());
    assert!(world.plan(&three(), Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_retained_when_it_is_renamed_is_let_go_of_at_once() {
    let mut world = World::default();
    let mut kept = three();
    kept.resources[2].lifecycle.on_delete = OnDelete::Retain;
    world.apply(&kept).await;
    let mut renamed = renamed();
    renamed.resources[2].lifecycle.on_delete = OnDelete::Retain;
    applied(&world.apply(&renamed).await);
    assert_eq!(world.cloud.names(), ["a", "a~2", "b", "c"]);
    assert!(world.state.replaced.is_empty());
    assert!(world.plan(&renamed, Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_ready_whatever_an_interrupted_run_wrote() {
    let mut world = World::default();
    world.apply(&three()).await;
    let before = world.state.clone();
    let owned = world.state.resources.get_mut(&at("a")).unwrap();
    (owned.standing, owned.incarnation) = (Standing::Creating, None);
    applied(&world.apply(&three()).await);
    assert_eq!(world.state.resources, before.resources);
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_of_is_not_destroyed() {
    let mut world = World::default();
    world.apply(&three()).await;
    let gone = world.state.resources.remove(&at("c")).unwrap();
    world.state.let_go.insert(gone.nonce);
    let (plan, _) = world.plan(&three(), Mode::Destroy).await.unwrap();
    assert!(plan.change(&at("c")).is_none());
    let [warning] = plan.warnings.as_slice() else { panic!("{:?}", plan.warnings) };
    assert!(warning.summary.contains("resources.c: `c` stays"), "{warning:?}");
    applied(&world.run(&three(), Mode::Destroy).await);
    assert_eq!(world.cloud.names(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn an_adoption_that_is_undone_leaves_the_mark_that_was_there() {
    let mut other = World::default();
    other.apply(&stack(vec![resource(&THING, "a", &[("Size", 5.into())])])).await;
    let mut world = World { cloud: other.cloud, ..World::default() };
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().owner = Some(somebody());
    let before = world.cloud.objects.lock().unwrap().clone();
    let mut adopting = three();
    adopting.resources[2].lifecycle.adopt = true;
    world.cloud.fail("create b", Fault::Refuse(ErrorKind::Invalid));
    rolled_back(&world.apply(&adopting).await);
    assert_eq!(*world.cloud.objects.lock().unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_lost_is_not_sent_again_over_somebody_elses() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut changed = three();
    changed.resources[2].properties.insert("Size".to_owned(), 9.into());
    world.cloud.fail("update a", Fault::RequestLost);
    let meddle = |cloud: &super::Fake, event: &Event| {
        if matches!(event, Event::Started { op: Op::Update, phase: Phase::Apply, .. }) {
            cloud.edit("a", "Size", 50.into());
        }
    };
    let outcome = world.apply_amid(&changed, &meddle).await;
    assert!(matches!(outcome, Outcome::Stuck { .. }), "{outcome:?}");
    assert_eq!(world.cloud.objects.lock().unwrap()["a"].properties["Size"], 50.into());
}

#[tokio::test(start_paused = true)]
async fn what_a_kept_change_has_come_to_need_is_kept_too() {
    let mut world = World::default();
    world.apply(&stack(vec![resource(&THING, "p", &[])])).await;
    let wanted = stack(vec![
        resource(&THING, "r", &[]),
        resource(&THING, "p", &[link("r", "Url")]),
        resource(&THING, "z", &[link("p", "Url")]),
    ]);
    world.cloud.fail("create z", Fault::Refuse(ErrorKind::Invalid));
    let meddle = |cloud: &super::Fake, event: &Event| {
        if let Event::Failed { phase: Phase::Apply, .. } = event {
            cloud.edit("p", "Size", 50.into());
        }
    };
    let Outcome::Stuck { kept, .. } = world.apply_amid(&wanted, &meddle).await else { panic!("kept") };
    let kept: Vec<&str> = kept.iter().map(|kept| kept.address.name()).collect();
    assert_eq!(kept, ["p", "r"]);
    assert_eq!(world.cloud.names(), ["p", "r"]);
}

#[tokio::test(start_paused = true)]
async fn undoing_loses_no_data_and_a_plan_does_what_it_says() {
    for filled in [false, true] {
        let mut world = World::default();
        let wanted = stack(vec![resource(&PLAIN, "p", &[]), resource(&THING, "z", &[link("p", "Serial")])]);
        world.cloud.fail("create z", Fault::Refuse(ErrorKind::Invalid));
        let fill = |cloud: &super::Fake, event: &Event| {
            if let (true, Event::Failed { phase: Phase::Apply, .. }) = (filled, event) {
                let mut objects = cloud.objects.lock().unwrap();
                objects.get_mut("p").unwrap().attributes.insert("Data".to_owned(), "some".into());
            }
        };
        let outcome = world.apply_amid(&wanted, &fill).await;
        if !filled {
            rolled_back(&outcome);
            assert!(world.cloud.names().is_empty());
            continue;
        }
        let Outcome::Stuck { kept, .. } = outcome else { panic!("{outcome:?}") };
        assert!(kept[0].why.contains("it holds something by now"), "{}", kept[0].why);
        applied(&world.apply(&wanted).await);
        applied(&world.run(&wanted, Mode::Destroy).await);
        assert!(world.cloud.names().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_stack_has_marked_since_is_its_own() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut changed = three();
    changed.resources[2].properties.insert("Size".to_owned(), 9.into());
    changed.resources.push(resource(&THING, "d", &[link("a", "Url")]));
    world.cloud.fail("create d", Fault::Refuse(ErrorKind::Throttled));
    assert!(matches!(world.apply(&changed).await, Outcome::Stuck { .. }));
    // The same object, as its serial says.
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().owner = Some(somebody());
    let Outcome::Stuck { kept, .. } = world.rollback().await else { panic!("it is kept") };
    assert!(kept[0].why.contains("another mark"), "{}", kept[0].why);
    assert_eq!(world.cloud.objects.lock().unwrap()["a"].owner, Some(somebody()));
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_was_let_go_of_says_nothing() {
    let mut other = World::default();
    other.apply(&stack(vec![resource(&THING, "a", &[("Size", 5.into())])])).await;
    let mut world = World { cloud: other.cloud, ..World::default() };
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().owner = None;
    let mut adopting = three();
    adopting.resources[2].lifecycle.adopt = true;
    world.cloud.fail("create b", Fault::Refuse(ErrorKind::Invalid));
    rolled_back(&world.apply(&adopting).await);
    // Undone, with the mark on it. It is not taken over without being asked for, nor destroyed.
    let refused = world.plan(&three(), Mode::Apply).await.unwrap_err();
    assert!(refused.to_string().contains("does not own it"), "{refused}");
    assert!(world.plan(&three(), Mode::Destroy).await.unwrap().0.is_empty());
    applied(&world.apply(&adopting).await);
    assert!(world.state.let_go.is_empty());
    assert!(world.plan(&three(), Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_being_restored_is_not_gone() {
    let soft = stack(vec![resource(&SOFT, "s", &[])]);
    let mut world = World::default();
    world.apply(&soft).await;
    let condition = |world: &World, to: Condition| {
        world.cloud.objects.lock().unwrap().get_mut("s").unwrap().condition = to;
    };
    condition(&world, Condition::SoftDeleted { until: None });
    world.state.resources.get_mut(&at("s")).unwrap().standing = Standing::Creating;
    let restored = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        condition(&world, Condition::Ready);
    };
    let (planned, ()) = tokio::join!(world.plan(&soft, Mode::Destroy), restored);
    assert_eq!(planned.unwrap().0.change(&at("s")).unwrap().action, Action::Delete);
}

#[tokio::test(start_paused = true)]
async fn a_target_does_not_hide_who_wants_an_object() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut handed_over = renamed();
    handed_over.resources.push(resource(&THING, "old", &[("Name", "a".into())]));
    let journal = Journal::default();
    let (catalogue, state) = (catalogue(), &world.state);
    let observed = engine::observe(&handed_over, state, &journal, &catalogue, Mode::Apply, &world.cloud);
    let request = engine::Request {
        mode: Mode::Apply,
        targets: vec![at("a")],
        excludes: Vec::new(),
        allow_recreate: false,
        now: Timestamp::UNIX_EPOCH,
    };
    let inventory = observed.await.unwrap();
    let refused = engine::plan(&handed_over, state, &catalogue, &inventory, &request).unwrap_err();
    assert!(refused.to_string().contains("resources.old wants the same object"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_nobody_answered_for_is_sent_again() {
    let of = |text: &str| {
        let secret = ("Link", Value::Secret(Secret::new(text)));
        stack(vec![resource(&THING, "a", &[secret])])
    };
    let mut world = World::default();
    world.apply(&of("one")).await;
    world.cloud.fail("update a", Fault::RequestLost);
    applied(&world.apply(&of("two")).await);
    assert_eq!(world.cloud.objects.lock().unwrap()["a"].properties["Link"], "two".into());
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_not_told_as_left_in_part() {
    let mut world = World::default();
    let fact = stack(vec![resource(&FACT, "f", &[])]);
    world.apply(&fact).await;
    world.cloud.fail("delete f", Fault::Refuse(ErrorKind::Denied));
    let Outcome::Stuck { kept, .. } = world.run(&fact, Mode::Destroy).await else { panic!("refused") };
    assert!(kept.is_empty(), "{kept:?}");
    assert!(!world.journal.is_open());
}

/// Its lock is lost while the first request is on its way.
#[derive(Default)]
struct Fragile(super::Book);

impl Ledger for Fragile {
    async fn record(&mut self, entries: &[Entry], state: &State) -> Result<(), LedgerError> {
        self.0.record(entries, state).await
    }

    async fn lost(&self) -> LedgerError {
        tokio::time::sleep(Duration::from_millis(5)).await;
        LedgerError { what: "writing the state failed".to_owned(), source: std::io::Error::other("lost") }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_without_the_lock() {
    let mut world = World::default();
    let (plan, inventory) = world.plan(&three(), Mode::Apply).await.unwrap();
    let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
    let settings = Settings { parallelism: 8, rollback: true, now: Timestamp::UNIX_EPOCH };
    let mut ledger = Fragile::default();
    let mut books = Books::new(&mut world.state, &mut world.journal, &mut ledger);
    let (cloud, stack, catalogue, stop) = (&world.cloud, three(), catalogue(), Stop::default());
    let ended =
        engine::apply(plan, &stack, &inventory, &catalogue, &mut books, cloud, settings, &stop, &|_| ());
    assert_eq!(ended.await.unwrap_err().source.to_string(), "lost");
    assert!(cloud.sent().is_empty());
    assert!(world.journal.is_open(), "the intent is in the books");
}
