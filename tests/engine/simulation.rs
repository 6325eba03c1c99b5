//! Random stacks, random changes to them, and one random fault in each run: whatever happens, a run either does all
//! of it or leaves the cloud as it was, and one more run converges. A failure prints the seed that replays it
//! (`MCM_SEED`); `MCM_SEEDS` makes it longer.

use std::collections::BTreeMap;

use mcm::model::*;

use super::fake::{Fault, SOFT, THING};
use super::{World, resource, stack};
use crate::support::{Random, number};

/// Up to eight resources; each may refer to an earlier one.
fn random_stack(random: &mut Random) -> Stack {
    let count = random.below(8);
    let mut resources: Vec<Resource> = Vec::new();
    for index in 0..count {
        if random.below(4) == 0 {
            continue;
        }
        let size = i64::try_from(random.below(3)).unwrap();
        let schema = if index % 3 == 2 { &SOFT } else { &THING };
        let mut made = resource(schema, &format!("r{index}"), &[("Size", size.into())]);
        if !resources.is_empty() && random.below(2) == 0 {
            let position = random.index(resources.len());
            let target = resources[position].address.clone();
            let attribute = if random.below(2) == 0 { "Serial" } else { "Url" };
            let template = Template::reference(target, &[attribute]);
            made.properties.insert("Link".to_owned(), Value::Unknown(template));
        }
        resources.push(made);
    }
    stack(resources)
}

/// What counts in a comparison: usable objects and their properties. Serials differ when something was remade.
fn image(world: &World) -> BTreeMap<String, Map> {
    let objects = world.cloud.objects.lock().unwrap();
    let usable = objects.values().filter(|live| live.condition == Condition::Ready);
    usable.map(|live| (live.id.0.clone(), live.properties.clone())).collect()
}

async fn one_life(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::default();
    for _ in 0..4 {
        let stack = random_stack(&mut random);
        let before = image(&world);
        let (plan, _) = world.plan_with(&stack, Mode::Apply, true).await.unwrap();
        if let Some(step) = plan.steps.get(usize::try_from(random.below(8)).unwrap()) {
            let verb = match step.op {
                Op::Create => "create",
                Op::Update | Op::Adopt => "update",
                Op::Restore => "restore",
                Op::Delete | Op::DeleteFormer | Op::DeleteFirst | Op::Forget => "delete",
            };
            let fault = match random.below(3) {
                0 => Fault::Refuse(ErrorKind::Invalid),
                1 => Fault::ReplyLost,
                _ => Fault::RequestLost,
            };
            world.cloud.fail(&format!("{verb} {}", step.address.name()), fault);
        }
        let forward_only = plan.pivot == 0;
        match world.apply(&stack).await {
            Outcome::Applied { .. } => {}
            Outcome::RolledBack { failures, .. } => {
                assert_eq!(image(&world), before, "seed {seed}: {failures:?}");
            }
            Outcome::Stuck { failures, kept, .. } => {
                let deleting = failures.iter().all(|failure| failure.op == Op::Delete);
                assert!(deleting || forward_only, "seed {seed}: {failures:?} {kept:?}");
            }
            Outcome::Interrupted { .. } => panic!("seed {seed}: nobody interrupted it"),
        }
        world.cloud.faults.lock().unwrap().clear();
        let outcome = world.apply(&stack).await;
        assert!(matches!(outcome, Outcome::Applied { .. }), "seed {seed}: {outcome:?}");
        let (plan, _) = world.plan_with(&stack, Mode::Apply, true).await.unwrap();
        assert!(plan.is_empty(), "seed {seed}: {:?}", plan.changes);
        let owned: Vec<_> = world.state.resources.values().map(|owned| owned.id.0.clone()).collect();
        assert_eq!(owned, world.cloud.names(), "seed {seed}: state and cloud");
    }
}

#[tokio::test(start_paused = true)]
async fn any_life_with_a_fault_in_each_run_converges() {
    let from = number("MCM_SEED");
    let count = number("MCM_SEEDS").unwrap_or(1_000);
    match from {
        Some(seed) => one_life(seed).await,
        None => {
            for seed in 0..count {
                one_life(seed).await;
            }
        }
    }
}
