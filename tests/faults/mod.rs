//! Every fault at every point: what a run of a stack of twenty resources sends and writes is traced, and each point
//! of the trace is met with each fault that applies to it, in clouds and on a disk within this process. Afterwards
//! the invariants must hold, and one plain `apply` must converge.
//!
//! `cargo test` tries every point of every scenario once, with a fault that changes from point to point; with
//! `MCM_FAULTS=all` every fault at every point (in a release build: `cargo test --release --test suite faults::`).

mod blows;
mod disk;
mod image;
mod life;
mod scenarios;
mod sweep;

use std::sync::atomic::Ordering;

use sweep::{Mishap, Tally};

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// What is tried of a scenario: everything, or each point once.
fn chosen(scenario: &sweep::Scenario) -> Vec<Mishap> {
    let all = scenario.mishaps();
    if let Some(stride) = number("MCM_STRIDE") {
        return all.into_iter().skip(number("MCM_FROM").unwrap_or(0)).step_by(stride).collect();
    }
    if std::env::var("MCM_FAULTS").is_ok_and(|value| value == "all") {
        return all;
    }
    let mut points: std::collections::BTreeMap<(bool, usize), Vec<Mishap>> =
        std::collections::BTreeMap::new();
    for mishap in all {
        let point = match &mishap {
            Mishap::Request(at, _) => (false, *at),
            Mishap::Disk(at, _) => (true, *at),
        };
        points.entry(point).or_default().push(mishap);
    }
    points.into_iter().map(|((_, at), mishaps)| mishaps[at * 7 % mishaps.len()].clone()).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn every_fault_at_every_point() {
    let only = std::env::var("MCM_SCENARIO").ok();
    let tally = Tally::default();
    let (mut traced, began) = (0, std::time::Instant::now());
    for (name, build) in scenarios::ALL {
        if only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let scenario = sweep::simulated(build());
        let mishaps = chosen(&scenario);
        traced += scenario.points.len() + scenario.writes.len();
        println!(
            "{name}: {} requests and {} writes traced, {} faults",
            scenario.points.len(),
            scenario.writes.len(),
            mishaps.len()
        );
        sweep::sweep(&scenario, &mishaps, &tally);
    }
    let tries = tally.tries.load(Ordering::Relaxed);
    println!("{traced} points, {tries} tries in {:?}", began.elapsed());
    println!("ends: {:?}", tally.ends.lock().unwrap());
    for (kept, count) in tally.kept.lock().unwrap().iter() {
        println!("kept {count} times: {kept}");
    }
    let missed = tally.missed.lock().unwrap();
    println!("{} faults not met", missed.len());
    for missed in missed.iter().take(20) {
        println!("  {missed}");
    }
    let summary = sweep::summary(&tally);
    println!("{summary}");
    assert!(missed.is_empty(), "{} faults were not met", missed.len());
    assert!(summary.is_empty(), "invariants are broken");
}
