//! The scenarios: where a run begins, and what it is to do.

use std::pin::Pin;
use std::sync::Arc;

use mcm::model::Outcome;
use serde_json::json;

use super::image::image;
use super::life::{End, Job, Life, stack};
use super::sweep::{Doing, NO_FAULTS, Scenario, trace};

type Building = Pin<Box<dyn Future<Output = Arc<Scenario>>>>;

/// A name, and how it begins.
type Recipe = (&'static str, fn() -> Building);

/// All of them, by name.
pub const ALL: &[Recipe] = &[
    ("create", || Box::pin(create())),
    ("update", || Box::pin(update())),
    ("replace-and-delete", || Box::pin(replace())),
    ("among-others", || Box::pin(among_others())),
    ("recreate", || Box::pin(recreate())),
    ("rollback", || Box::pin(halfway("rollback", Doing::Rollback))),
    ("recovery", || Box::pin(halfway("recovery", Doing::Apply))),
    ("destroy", || Box::pin(destroy())),
];

async fn applied(edition: &str) -> Life {
    let life = Life::new(7);
    let ran = life.run(Job::Apply(&stack("whole.yaml", edition, "first"))).await;
    assert!(matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))), "{:?}", ran.end);
    life
}

/// Everything is made.
async fn create() -> Arc<Scenario> {
    let life = Life::new(7);
    let before = life.clouds.world(|world| image(world));
    trace("create", life, Doing::Apply, stack("whole.yaml", "one", "first"), before).await
}

/// Much is changed in place.
async fn update() -> Arc<Scenario> {
    let life = applied("one").await;
    let before = life.clouds.world(|world| image(world));
    trace("update", life, Doing::Apply, stack("whole.yaml", "two", "first"), before).await
}

/// Some is renamed, some goes.
async fn replace() -> Arc<Scenario> {
    let life = applied("one").await;
    let before = life.clouds.world(|world| image(world));
    trace("replace-and-delete", life, Doing::Apply, stack("less.yaml", "two", "second"), before).await
}

/// Some can neither be changed in place nor stand beside its successor, so it goes first; a database is among it.
async fn recreate() -> Arc<Scenario> {
    let life = Life::new(7);
    let ran = life.run(Job::Apply(&stack("recreated.yaml", "nam5", "first"))).await;
    assert!(matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))), "{:?}", ran.end);
    let before = life.clouds.world(|world| image(world));
    trace("recreate", life, Doing::Recreate, stack("recreated.yaml", "eur3", "first"), before).await
}

/// Everything goes.
async fn destroy() -> Arc<Scenario> {
    let life = applied("one").await;
    let before = life.clouds.world(|world| image(world));
    trace("destroy", life, Doing::Destroy, stack("whole.yaml", "one", "first"), before).await
}

/// Everything is made among what others made: grants in the same policies, services that are on, a database.
async fn among_others() -> Arc<Scenario> {
    let life = Life::new(7);
    life.clouds.world(|world| {
        let policy = json!({
            "bindings": [
                { "role": "roles/datastore.user", "members": ["user:colleague@example.com"], "condition": null },
                { "role": "roles/owner", "members": ["user:owner@example.com"], "condition": null },
            ],
            "audit_configs": [],
            "etag": "0123456789abcdef",
        });
        world.replay("gcp.policy", "project/lab-project", Some(policy));
    });
    let before = life.clouds.world(|world| image(world));
    trace("among-others", life, Doing::Apply, stack("whole.yaml", "one", "first"), before).await
}

/// A run of updates and creations was killed in its midst.
async fn halfway(name: &'static str, doing: Doing) -> Arc<Scenario> {
    let life = Life::new(7);
    let ran = life.run(Job::Apply(&stack("less.yaml", "one", "first"))).await;
    assert!(matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))), "{:?}", ran.end);
    let before = life.clouds.world(|world| image(world));
    let stack = stack("whole.yaml", "two", "first");
    let rehearsal = life.fork();
    let ran = rehearsal.run(Job::Apply(&stack)).await;
    let points = super::blows::points(&ran.traffic);
    let changes: Vec<_> = points.into_iter().filter(super::blows::Point::changes).collect();
    let (fault, signal) = super::blows::Blow::KilledAfter.at(&changes[changes.len() * 2 / 3]);
    let life = life.fork();
    life.clouds.wire().set_faults(vec![fault]);
    let ran = life.process(Job::Apply(&stack), signal).await;
    assert!(matches!(ran.end, End::Killed), "{:?}", ran.end);
    life.clouds.wire().set_faults(NO_FAULTS);
    trace(name, life, doing, stack, before).await
}
