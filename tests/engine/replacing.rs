//! Replacements that died half-way, or met somebody else on the way.

use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Settings, Stop};
use mcm::model::*;

use super::fake::{Fault, catalogue};
use super::{World, applied, renamed, somebody, three};

#[tokio::test(start_paused = true)]
async fn a_rename_that_died_and_was_taken_back_deletes_nothing() {
    let mut world = World::default();
    world.apply(&three()).await;
    world.book.0.clear();
    world.cloud.fail("create a~2", Fault::Refuse(ErrorKind::Throttled));
    world.apply(&renamed()).await;
    // The intent was written; then the process died, and the stack was changed back.
    world.state = world.book.0[0].clone();
    assert!(world.state.replaced.contains_key(&Address::resource("a")));
    world.cloud.sent();
    applied(&world.apply(&three()).await);
    assert!(!world.cloud.sent().iter().any(|sent| sent.starts_with("delete")));
    assert_eq!(world.cloud.names(), ["a", "b", "c"]);
    assert!(world.state.replaced.is_empty());
    assert!(world.plan(&three(), Mode::Apply).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rename_never_deletes_a_former_object_that_is_somebody_elses_now() {
    let mut world = World::default();
    world.apply(&three()).await;
    world.cloud.objects.lock().unwrap().get_mut("a").unwrap().owner = Some(somebody());
    let refused = world.plan(&renamed(), Mode::Apply).await.unwrap_err();
    assert!(refused.to_string().contains("not this stack's any more"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_does_not_overwrite_somebody_elses_edit() {
    let mut world = World::default();
    world.apply(&three()).await;
    let mut changed = three();
    changed.resources[2].properties.insert("Size".to_owned(), 9.into());
    let (plan, inventory) = world.plan(&changed, Mode::Apply).await.unwrap();
    let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
    world.cloud.edit("a", "Size", 50.into());
    world.cloud.fail("update a", Fault::Refuse(ErrorKind::Conflict));
    let settings = Settings { parallelism: 1, rollback: true, now: Timestamp::UNIX_EPOCH };
    let stop = Stop::default();
    let mut books = Books::new(&mut world.state, &mut world.journal, &mut world.book);
    let outcome = engine::apply(
        plan,
        &changed,
        &inventory,
        &catalogue(),
        &mut books,
        &world.cloud,
        settings,
        &stop,
        &|_| (),
    )
    .await
    .unwrap();
    assert!(matches!(outcome, Outcome::Stuck { .. }), "{outcome:?}");
    assert_eq!(world.cloud.objects.lock().unwrap()["a"].properties["Size"], 50.into());
}
