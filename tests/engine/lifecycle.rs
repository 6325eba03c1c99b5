//! What an entry says of its life: protected, retained, adopted; and what cannot be changed in place.

use mcm::model::*;

use super::fake::{Fault, SOFT, THING};
use super::{World, applied, at, resource, rolled_back, somebody, stack, three};

fn of(schema: &'static Schema, kind: &str) -> Stack {
    stack(vec![resource(schema, "a", &[("Kind", kind.into())])])
}

async fn refused(world: &World, stack: &Stack, allow_recreate: bool) -> String {
    world.plan_with(stack, Mode::Apply, allow_recreate).await.unwrap_err().to_string()
}

fn condition(world: &World, condition: Condition) {
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().condition = condition;
}

#[tokio::test(start_paused = true)]
async fn what_is_retained_stays() {
    for destroyed in [false, true] {
        let mut world = World::default();
        let mut kept = three();
        kept.resources[0].lifecycle.on_delete = OnDelete::Retain;
        world.apply(&kept).await;
        let outcome = if destroyed {
            world.run(&kept, Mode::Destroy).await
        } else {
            // The state remembers it, though the line is gone with its entry.
            let mut without = three();
            without.resources.remove(0);
            world.apply(&without).await
        };
        applied(&outcome);
        assert!(world.cloud.names().contains(&"c".to_owned()));
        assert!(!world.state.resources.contains_key(&at("c")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_protected_is_not_replaced() {
    let mut world = World::default();
    let mut protected = of(&THING, "x");
    protected.resources[0].lifecycle.protect = Some(true);
    world.apply(&protected).await;
    // The state remembers it.
    let told = refused(&world, &of(&THING, "y"), true).await;
    assert!(told.contains("is protected and would be replaced: `Kind` cannot be changed"), "{told}");
    let mut renamed = of(&THING, "x");
    renamed.resources[0].properties.insert("Name".to_owned(), "a~2".into());
    let told = refused(&world, &renamed, true).await;
    assert!(told.contains("is protected and would be replaced: its identity changes"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_protected_replacement_is_not_taken_back() {
    let mut world = World::default();
    world.apply(&of(&THING, "x")).await;
    let mut renamed = of(&THING, "x");
    renamed.resources[0].properties.insert("Name".to_owned(), "a~2".into());
    world.cloud.fail("delete a", Fault::Refuse(ErrorKind::NotEmpty));
    world.apply(&renamed).await;
    let mut back = of(&THING, "x");
    back.resources[0].lifecycle.protect = Some(true);
    let told = refused(&world, &back, false).await;
    assert!(told.contains("would be deleted: its identity was changed back"), "{told}");
    back.resources[0].lifecycle.protect = Some(false);
    back.resources[0].lifecycle.on_delete = OnDelete::Retain;
    applied(&world.apply(&back).await);
    assert_eq!(world.cloud.names(), ["a", "a~2"]);
    assert!(world.plan(&back, Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_stays_held_is_not_made_anew() {
    let mut world = World::default();
    world.apply(&of(&SOFT, "x")).await;
    let told = refused(&world, &of(&SOFT, "y"), true).await;
    assert!(told.contains("its name stays held for 2 days after it is deleted"), "{told}");
    condition(&world, Condition::SoftDeleted { until: None });
    let told = refused(&world, &of(&SOFT, "y"), true).await;
    assert!(told.contains("held by a deleted one that differs in `Kind`"), "{told}");
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().owner = Some(somebody());
    let told = refused(&world, &of(&SOFT, "x"), true).await;
    assert!(told.contains("does not own it"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_ended_in_a_failed_state_is_made_anew_where_that_is_allowed() {
    let mut world = World::default();
    world.apply(&of(&THING, "x")).await;
    condition(&world, Condition::Failed("CREATE_FAILED".to_owned()));
    let told = refused(&world, &of(&THING, "x"), false).await;
    assert!(told.contains("it ended in a failed state"), "{told}");
    world.cloud.sent();
    applied(&world.apply(&of(&THING, "x")).await);
    assert_eq!(world.cloud.sent(), ["delete a", "create a"]);
}

#[tokio::test(start_paused = true)]
async fn what_differs_for_good_is_not_adopted() {
    let mut other = World::default();
    other.apply(&of(&THING, "x")).await;
    let world = World { cloud: other.cloud, ..World::default() };
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().owner = None;
    let mut adopting = of(&THING, "y");
    adopting.resources[0].lifecycle.adopt = true;
    let told = refused(&world, &adopting, true).await;
    assert!(told.contains("cannot be taken over as it is: `Kind` cannot be changed"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn another_operation_in_the_way_is_waited_for() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut changed = three();
    changed.resources[2].properties.insert("Size".to_owned(), 9.into());
    changed.resources.remove(0);
    for call in ["update a", "delete c"] {
        world.cloud.fail(call, Fault::Refuse(ErrorKind::Conflict));
    }
    applied(&world.apply(&changed).await);
    assert_eq!(world.cloud.names(), ["a", "b"]);
    assert!(world.plan(&changed, Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_for_is_sent_three_times() {
    for call in ["create b", "update a"] {
        let mut world = World::default();
        let mut changed = three();
        if call == "update a" {
            applied(&world.apply(&three()).await);
            changed.resources[2].properties.insert("Size".to_owned(), 9.into());
        }
        for _ in 0..3 {
            world.cloud.fail(call, Fault::RequestLost);
        }
        world.cloud.sent();
        rolled_back(&world.apply(&changed).await);
        assert_eq!(world.cloud.sent().iter().filter(|sent| *sent == call).count(), 3, "{call}");
        applied(&world.apply(&changed).await);
        assert!(world.plan(&changed, Mode::Apply).await.unwrap().0.is_empty(), "{call}");
    }
}
