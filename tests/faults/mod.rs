//! Every fault at every point: what a run of a stack of twenty resources sends and writes is traced, and each point
//! of the trace is met with each fault that applies to it, in clouds and on a disk within this process. Afterwards
//! the invariants must hold, and one plain `apply` must converge.
//!
//! `cargo test` tries one fault in sixty-seven. Five of six, two faults in a row, the races, the mutants and the naive
//! control: `cargo test --profile sweep --test suite faults:: -- --include-ignored --nocapture`; with `MCM_LONG=1` the
//! sixth of them, too. A try that breaks an invariant is named; `MCM_TRY=NAME` tries that one again, and says what the
//! run said.

mod blows;
mod check;
mod disk;
mod fidelity;
mod image;
mod life;
mod mutants;
mod pairs;
mod races;
mod scenarios;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use life::End;
use mcm::model::Outcome;
use mutants::Mutant;
use sweep::{Mishap, Scenario, Tally};

/// A prime, so that the points that are tried have all kinds of faults among them.
const STRIDE: usize = 67;

/// The short form of the whole sweep leaves out one fault in so many.
const SPARED: usize = 6;

/// A naive engine has to fail in so many tries at least.
const ENOUGH: usize = 2_000;

/// All scenarios, traced; or the one that `MCM_SCENARIO` names.
fn scenarios() -> Vec<Arc<Scenario>> {
    let only = std::env::var("MCM_SCENARIO").ok();
    let wanted = scenarios::ALL.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    wanted.map(|(_, build)| sweep::simulated(build())).collect()
}

/// What was tried.
struct Tried {
    points: usize,
    struck: usize,
    faults: usize,
}

/// Tries them all, and tells what came out.
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn report(scenarios: &[Arc<Scenario>], choose: impl Fn(&Scenario) -> Vec<Mishap>) -> Tried {
    let (tally, began) = (Tally::default(), Instant::now());
    let (mut points, mut injected) = (0, BTreeSet::new());
    for scenario in scenarios {
        let mishaps = choose(scenario);
        let (requests, writes) = (scenario.points.len(), scenario.writes.len());
        println!(
            "{:<20}{requests:>4} requests {writes:>3} writes {:>6} faults",
            scenario.name,
            mishaps.len()
        );
        points += requests + writes;
        injected.extend(mishaps.iter().map(|mishap| (scenario.name, mishap.point())));
        let tries: Vec<_> = mishaps.into_iter().map(|mishap| (scenario.as_ref(), mishap)).collect();
        sweep::sweep(&tries, None, &tally, usize::MAX);
    }
    let missed = tally.missed.lock().unwrap();
    let tries = tally.tries.load(Ordering::Relaxed);
    println!(
        "points traced {points}, injected {}, faults tried {tries}, not met {}",
        injected.len(),
        missed.len()
    );
    println!("ends {:?}", tally.ends.lock().unwrap());
    for (kept, count) in tally.kept.lock().unwrap().iter() {
        println!("kept by a rollback {count} times: {kept}");
    }
    let summary = sweep::summary(&tally);
    println!("invariants broken {}, in {:?}\n{summary}", tally.broken.lock().unwrap().len(), began.elapsed());
    assert!(missed.is_empty(), "faults that were not met: {missed:#?}");
    assert!(summary.is_empty(), "invariants are broken");
    Tried { points, struck: injected.len(), faults: tries }
}

#[test]
fn a_fault_at_many_a_point() {
    if let Ok(name) = std::env::var("MCM_TRY") {
        return one(&name);
    }
    report(&scenarios(), |scenario| scenario.mishaps().into_iter().step_by(STRIDE).collect());
}

#[test]
fn several_at_once() {
    races::report(41);
}

#[test]
#[ignore = "with `--profile sweep` it takes minutes"]
fn several_at_once_in_every_order() {
    races::report(1);
    races::control(7);
}

#[test]
fn two_faults_in_a_row() {
    pairs::report(&scenarios(), 16);
}

#[test]
#[ignore = "with `--profile sweep` it takes minutes"]
fn two_faults_in_a_row_a_thousand_times() {
    pairs::report(&scenarios(), 1_000);
}

#[test]
#[ignore = "with `--profile sweep` it takes minutes"]
fn every_fault_at_every_point() {
    let scenarios = scenarios();
    // The short form leaves out one fault in so many, and no point.
    let spared = |index: usize| !sweep::is_long() && index.is_multiple_of(SPARED);
    let tried = report(&scenarios, |scenario| {
        let all = scenario.mishaps().into_iter().enumerate();
        all.filter(|(index, _)| !spared(*index)).map(|(_, mishap)| mishap).collect()
    });
    assert_eq!(tried.points, tried.struck, "points that no fault was tried at");
    let whole = std::env::var_os("MCM_SCENARIO").is_none();
    assert!(!whole || tried.faults >= 10_000, "these are too few: {}", tried.faults);
}

/// Tries one thing again, and tells everything.
#[expect(clippy::print_stdout, reason = "it is asked for")]
fn one(name: &str) {
    for scenario in scenarios() {
        for mishap in scenario.mishaps() {
            if scenario.describe(&mishap) == name {
                let tally = Tally::default();
                let told = sweep::simulated(scenario.attempt(&mishap, None, true, &tally));
                let summary = sweep::summary(&tally);
                println!("{told}\n{summary}");
                assert!(summary.is_empty(), "invariants are broken");
                return;
            }
        }
    }
    panic!("there is no try of the name `{name}`");
}

/// The tries of all scenarios, in an order that takes something of everything early on.
fn mixed(scenarios: &[Arc<Scenario>]) -> Vec<(&Scenario, Mishap)> {
    let every = scenarios
        .iter()
        .map(|scenario| scenario.mishaps().into_iter().map(move |mishap| (scenario.as_ref(), mishap)));
    let all: Vec<_> = every.flatten().collect();
    (0..STRIDE).flat_map(|from| all.iter().skip(from).step_by(STRIDE).cloned()).collect()
}

/// Whether one of so many tries finds a mutant; where none does, it is alive.
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn dies(mutant: Mutant, tries: &[(&Scenario, Mishap)]) -> bool {
    let (tally, began) = (Tally::default(), Instant::now());
    sweep::sweep(tries, Some(mutant), &tally, 1);
    let broken = tally.broken.lock().unwrap();
    let tried = tally.tries.load(Ordering::Relaxed);
    match broken.first() {
        Some((name, broken)) => println!("{mutant:?} dies at try {tried}: {} ({name})", broken.invariant),
        None => println!("{mutant:?} is alive after {tried} tries, in {:?}", began.elapsed()),
    }
    !broken.is_empty()
}

/// `MCM_MUTANT=NAME` tries one of them, `MCM_TRIES=N` at most so many times each.
#[test]
#[ignore = "with `--profile sweep` it takes minutes"]
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn every_mutant_dies() {
    let scenarios = scenarios();
    let tries = mixed(&scenarios);
    let most = std::env::var("MCM_TRIES").map_or(tries.len(), |most| most.parse().unwrap());
    let tries = &tries[..most.min(tries.len())];
    let only = std::env::var("MCM_MUTANT").ok();
    let wanted = |mutant: &&Mutant| only.as_ref().is_none_or(|only| *only == format!("{mutant:?}"));
    let all: Vec<_> = mutants::ALL.iter().filter(wanted).collect();
    let alive: Vec<_> = all.iter().filter(|mutant| !dies(***mutant, tries)).collect();
    println!("{} mutants, {} alive: {alive:?}", all.len(), alive.len());
    assert!(alive.is_empty(), "mutants are alive: {alive:?}");
    assert!(only.is_some() || all.len() >= 40, "there are mutants");
}

#[test]
#[ignore = "with `--profile sweep` it takes minutes"]
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn a_naive_engine_fails_in_the_thousands() {
    // What begins with a journal is nothing for an engine that has none.
    let (tally, mut scenarios) = (Tally::default(), scenarios());
    scenarios.retain(|scenario| scenario.begins_afresh());
    for scenario in &scenarios {
        // It is no straw man: where nothing goes wrong, it does what it should.
        sweep::simulated(async {
            let mut life = scenario.start.fork();
            life.mutant = Some(Mutant::Naive);
            let ran = life.run(scenario.job()).await;
            assert!(
                matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))),
                "{}: {:?}",
                scenario.name,
                ran.end
            );
        });
    }
    sweep::sweep(&mixed(&scenarios), Some(Mutant::Naive), &tally, usize::MAX);
    let broken = tally.broken.lock().unwrap();
    let failed: BTreeSet<&String> = broken.iter().map(|(name, _)| name).collect();
    let tries = tally.tries.load(Ordering::Relaxed);
    println!("naive: {} of {tries} tries broke an invariant", failed.len());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    broken.iter().for_each(|(_, broken)| *kinds.entry(broken.invariant).or_default() += 1);
    println!("{kinds:?}");
    assert!(failed.len() >= ENOUGH, "a naive engine passes");
}
