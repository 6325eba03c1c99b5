//! What is sensitive stays so when a plan is refused and when a cloud refuses.

use mcm::engine::{self, Answer};
use mcm::model::*;

use super::fake::{Fault, THING, catalogue};
use super::{World, applied, link, resource, stack};

#[tokio::test(start_paused = true)]
async fn a_stale_plan_tells_nothing_sensitive_and_notices_that_it_changed() {
    let secret = stack(vec![resource(&THING, "a", &[("Link", Value::Secret(Secret::new("canary-one")))])]);
    let mut world = World::default();
    applied(&world.apply(&secret).await);
    let (plan, _) = world.plan(&secret, Mode::Apply).await.unwrap();
    let saved: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    let refused = async |plan: &Plan, world: &World| {
        let (_, now) = world.plan(&secret, Mode::Apply).await.unwrap();
        let refusal = engine::approve(plan.clone(), &now, &catalogue(), Answer::Automatic).unwrap_err();
        let engine::Refusal::Stale { moved, .. } = refusal else { panic!("{refusal}") };
        let told = format!("{moved:?} {}", json_of(&moved));
        assert!(!told.contains("canary"), "{told}");
        moved.into_iter().map(|(path, ..)| path).collect::<Vec<_>>()
    };
    // Beside the secret something else moved: it alone is told.
    world.cloud.edit("a", "Size", 4.into());
    assert_eq!(refused(&plan, &world).await, ["Size"]);
    assert_eq!(refused(&saved, &world).await, ["Size"]);
    // The secret itself: only who knows what it was can name it.
    world.cloud.edit("a", "Size", 1.into());
    world.cloud.edit("a", "Link", "canary-two".into());
    assert_eq!(refused(&plan, &world).await, ["Link"]);
    assert_eq!(refused(&saved, &world).await, Vec::<String>::new());
    // No digest is over a secret: of two that are not the desired one, nothing tells which it is.
    let (one, _) = world.plan(&secret, Mode::Apply).await.unwrap();
    world.cloud.edit("a", "Link", "canary-three".into());
    let (other, _) = world.plan(&secret, Mode::Apply).await.unwrap();
    assert_eq!(one.live_digests, other.live_digests);
    assert_ne!(one.live_digests, plan.live_digests);
}

/// As a person is shown it.
fn json_of(moved: &[(String, Option<Value>, Option<Value>)]) -> String {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_json);
    format!("{:?}", moved.iter().map(|(_, then, now)| (json(then), json(now))).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn what_a_cloud_says_repeats_no_secret() {
    let secret = |text: &str| ("Link", Value::Secret(Secret::new(text)));
    let of = |text: &str| stack(vec![resource(&THING, "a", &[secret(text)])]);
    let mut world = World::default();
    applied(&world.apply(&of("canary-one")).await);
    // One is written in the stack, the other is another object's, known only once that is made.
    let other = stack(vec![
        resource(&THING, "a", &[secret("canary-two")]),
        resource(&THING, "b", &[]),
        resource(&THING, "c", &[link("b", "Key")]),
    ]);
    for call in ["update a", "create c"] {
        world.cloud.fail(call, Fault::Refuse(ErrorKind::Denied));
        let outcome = world.apply(&other).await;
        let told = format!("{outcome:?}");
        assert!(told.contains("Value '(sensitive)' at 'link'"), "{told}");
        let written = serde_json::to_string(&world.book.1).unwrap();
        for secret in ["canary", "key-"] {
            assert!(!told.contains(secret) && !written.contains(secret), "{told}\n{written}");
        }
        assert!(written.contains("Value '(sensitive)' at 'link'"), "{written}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_secret_any_more_was_one() {
    let of = |link: Value| stack(vec![resource(&THING, "a", &[("Link", link)])]);
    let mut world = World::default();
    applied(&world.apply(&of(Value::Secret(Secret::new("canary")))).await);
    let (plan, _) = world.plan(&of("open".into()), Mode::Apply).await.unwrap();
    let shown = serde_json::to_string(&plan).unwrap();
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(plan.changes[0].edits[0].after, Some("open".into()));
    // A run that fails forgets nothing of that.
    world.cloud.fail("update a", Fault::Refuse(ErrorKind::Denied));
    world.apply(&of("open".into())).await;
    let (plan, _) = world.plan(&of("open".into()), Mode::Apply).await.unwrap();
    assert!(!serde_json::to_string(&plan).unwrap().contains("canary"), "{plan:?}");
    applied(&world.apply(&of("open".into())).await);
    assert!(!serde_json::to_string(&world.book.1).unwrap().contains("canary"), "{:?}", world.book.1);
    assert!(world.plan(&of("open".into()), Mode::Apply).await.unwrap().0.is_empty());
    // From then on it is as open as the stack says.
    world.cloud.edit("a", "Link", "else".into());
    let (plan, _) = world.plan(&of("open".into()), Mode::Apply).await.unwrap();
    assert_eq!(plan.changes[0].edits[0].before, Some("else".into()));
}
