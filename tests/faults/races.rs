//! Two and three applies at once, each on a machine of its own, over one lock in an object store.
//!
//! A run is traced, and every moment at which it sent or heard something begins two schedules. In the first, others
//! begin at that moment. In the second, the machine of the first run falls asleep then, with its requests on their way:
//! its lease runs out, another one takes over, and the sleeper wakes up in the midst of that one's run or after it,
//! and thinks that it holds the lock. What comes out has to be what some order of whole runs would have given, and a
//! run that lost the lock begins nothing any more.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcm::engine::Stop;
use mcm::model::{Event, Outcome, Stack};
use mcm::store::LockError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::blows::changes;
use super::image::{Image, difference, image};
use super::life::{End, Life, PLAIN, stack};
use super::sweep::simulated;
use crate::remote::shelf::Shelf;

/// Every answer of the store takes this long.
const LATENCY: Duration = Duration::from_millis(4);
/// So long someone waits who wants to run in any case.
const PATIENT: Duration = Duration::from_mins(10);
/// When a lease has run out, and more.
const OVER: Duration = Duration::from_mins(5);

/// One try.
#[derive(Clone, Copy, Debug)]
enum Schedule {
    /// So many others begin at this moment, and wait for the lock or do not.
    Beside { others: usize, at: Duration, patience: Duration },
    /// The machine sleeps from this moment, until so long after another one has taken over.
    Asleep { others: usize, at: Duration, woken: Duration },
}

/// Clouds, and a store for what is known.
struct World {
    life: Life,
    shelf: Shelf,
    /// When the clouds' record of requests begins.
    born: Instant,
    /// Whether runs take the lock; those of the control do not.
    locks: bool,
}

/// A machine that can be put to sleep.
struct Machine {
    asleep: watch::Sender<bool>,
    /// What its run began, and when.
    began: Mutex<Vec<(Instant, String)>>,
}

impl Machine {
    fn new() -> Self {
        Self { asleep: watch::Sender::new(false), began: Mutex::default() }
    }

    /// Goes on with a process only while it is awake.
    async fn run<T>(&self, process: impl Future<Output = T>) -> T {
        let mut process = pin!(process);
        let mut asleep = self.asleep.subscribe();
        loop {
            let _ = asleep.wait_for(|asleep| !asleep).await;
            tokio::select! {
                biased;
                _ = asleep.wait_for(|asleep| *asleep) => {}
                ended = &mut process => return ended,
            }
        }
    }
}

impl World {
    /// The stack as it was before, with its books in the store.
    async fn begun(before: &Stack, locks: bool) -> Self {
        let born = Instant::now();
        let world = Self { life: Life::new(11), shelf: Shelf::new(), born, locks };
        let ended = world.apply(&Machine::new(), before, Duration::ZERO).await;
        assert!(matches!(ended, End::Ran(Some(Outcome::Applied { .. }))), "{ended:?}");
        world.life.clouds.wire().forget_traffic();
        world
    }

    /// One whole apply, from taking the lock to letting it go.
    async fn apply(&self, machine: &Machine, stack: &Stack, patience: Duration) -> End {
        let shelf = self.shelf.seen_by(machine.asleep.subscribe(), LATENCY);
        let tell = |event: Event| {
            if let Event::Started { address, op, .. } = event {
                let what = format!("{address} {op:?}");
                machine.began.lock().unwrap().push((Instant::now(), what));
            }
        };
        let process = async {
            let place = shelf.place();
            let (medium, stop) = (place.medium(), Stop::default());
            if !self.locks {
                return Box::pin(self.life.apply_over(medium, None, stack, PLAIN, &stop, &tell)).await;
            }
            let lock = match place.lock("apply", patience).await {
                Ok(lock) => lock,
                Err(LockError::Held { .. }) => return End::Refused("locked".to_owned()),
                Err(error) => return End::Refused(error.to_string()),
            };
            let running = self.life.apply_over(medium, Some(&lock), stack, PLAIN, &stop, &tell);
            let end = Box::pin(running).await;
            lock.release().await;
            end
        };
        machine.run(process).await
    }

    fn image(&self) -> Image {
        self.life.clouds.world(|world| image(world))
    }

    fn changes(&self) -> usize {
        let traffic = self.life.clouds.wire().traffic();
        traffic.iter().filter(|sent| changes(sent.cloud, &sent.target)).count()
    }
}

/// What is applied: first, by whom the race is about, and by the others.
struct Cast {
    before: Stack,
    first: Stack,
    other: Stack,
    /// What serial orders lead to: the first alone, the other alone, and one after the other.
    finals: BTreeMap<&'static str, Image>,
    /// When the first run, alone, sends or hears something.
    moments: Vec<Duration>,
    /// How long the other takes.
    takes: Duration,
}

impl Cast {
    async fn new(first: Stack, other: Stack) -> Self {
        let before = stack("whole.yaml", "one", "first");
        let mut finals = BTreeMap::new();
        let world = World::begun(&before, true).await;
        let began = Instant::now();
        world.apply(&Machine::new(), &first, Duration::ZERO).await;
        let length = began.elapsed();
        let traffic = world.life.clouds.wire().traffic();
        let times = traffic.iter().flat_map(|sent| [sent.start_ms, sent.end_ms]);
        let moment = |ms: f64| (world.born + Duration::from_secs_f64(ms / 1000.0)).duration_since(began);
        let mut moments: BTreeSet<Duration> = times.map(moment).collect();
        // The store's answers lie between them.
        moments.extend((0..).map(|turn| LATENCY * turn).take_while(|moment| *moment < length));
        finals.insert("first", world.image());
        world.apply(&Machine::new(), &other, Duration::ZERO).await;
        finals.insert("first, other", world.image());
        let world = World::begun(&before, true).await;
        let began = Instant::now();
        world.apply(&Machine::new(), &other, Duration::ZERO).await;
        let takes = began.elapsed();
        finals.insert("other", world.image());
        world.apply(&Machine::new(), &first, Duration::ZERO).await;
        finals.insert("other, first", world.image());
        Self { before, first, other, finals, moments: moments.into_iter().collect(), takes }
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut all = Vec::new();
        for &at in &self.moments {
            for others in [1, 2] {
                for patience in [Duration::ZERO, PATIENT] {
                    all.push(Schedule::Beside { others, at, patience });
                }
                for woken in [Duration::ZERO, self.takes / 4, self.takes / 2, OVER] {
                    all.push(Schedule::Asleep { others, at, woken });
                }
            }
        }
        all
    }

    /// Tries one schedule. What is wrong with what came out.
    async fn attempt(&self, schedule: Schedule, locks: bool) -> Vec<String> {
        let world = World::begun(&self.before, locks).await;
        let mut wrong = match schedule {
            Schedule::Beside { others, at, patience } => self.beside(&world, others, at, patience).await,
            Schedule::Asleep { others, at, woken } => self.asleep(&world, others, at, woken).await,
        };
        // One more run makes of it what is wanted, from whatever is known.
        let ended = world.apply(&Machine::new(), &self.other, OVER).await;
        let shall = &self.finals["first, other"];
        let told = difference(shall, &world.image());
        if !matches!(ended, End::Ran(Some(Outcome::Applied { .. }))) || !told.is_empty() {
            wrong.push(format!("afterwards: {ended:?}: {}", told.join("; ")));
        }
        wrong
    }

    /// Whether the clouds are as one of these orders would have left them.
    fn serial(&self, world: &World, orders: &[&str], wrong: &mut Vec<String>) {
        let found = world.image();
        if !orders.iter().any(|order| difference(&self.finals[order], &found).is_empty()) {
            let nearest = orders.iter().map(|order| difference(&self.finals[order], &found));
            let nearest = nearest.min_by_key(Vec::len).unwrap_or_default();
            wrong.push(format!("no order of whole runs leads there: {}", nearest.join("; ")));
        }
    }

    async fn beside(&self, world: &World, others: usize, at: Duration, patience: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let began = Instant::now();
        let machines: Vec<Machine> = (0..=others).map(|_| Machine::new()).collect();
        let runs = machines.iter().enumerate().map(|(number, machine)| async move {
            if number == 0 {
                return world.apply(machine, &self.first, patience).await;
            }
            sleep_until(began + at).await;
            world.apply(machine, &self.other, patience).await
        });
        let ends = futures::future::join_all(runs).await;
        for (end, machine) in ends.iter().zip(&machines) {
            match end {
                End::Ran(Some(Outcome::Applied { .. })) => {}
                End::Refused(why) if why == "locked" && patience.is_zero() => {
                    if !machine.began.lock().unwrap().is_empty() {
                        wrong.push("a loser began something".to_owned());
                    }
                }
                _ => wrong.push(format!("a run ended with {end:?}")),
            }
        }
        let orders: &[&str] = match ends.as_slice() {
            [End::Ran(_), rest @ ..] if rest.iter().all(|end| matches!(end, End::Refused(_))) => &["first"],
            [End::Refused(_), ..] => &["other"],
            _ => &["first, other", "other, first"],
        };
        self.serial(world, orders, &mut wrong);
        wrong
    }

    async fn asleep(&self, world: &World, others: usize, at: Duration, woken: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let (sleeper, began) = (Machine::new(), Instant::now());
        let machines: Vec<Machine> = (0..others).map(|_| Machine::new()).collect();
        let first = world.apply(&sleeper, &self.first, Duration::ZERO);
        let rest = async {
            sleep_until(began + at).await;
            sleeper.asleep.send_replace(true);
            let held = world.shelf.lock_id().await;
            let over = AtomicUsize::new(0);
            let runs = machines.iter().map(|machine| async {
                let end = world.apply(machine, &self.other, PATIENT).await;
                over.fetch_add(1, Ordering::Relaxed);
                end
            });
            let waking = async {
                while over.load(Ordering::Relaxed) == 0 && world.shelf.lock_id().await == held {
                    sleep(LATENCY).await;
                }
                sleep(woken).await;
                let sent = world.changes();
                sleeper.asleep.send_replace(false);
                (Instant::now(), sent)
            };
            futures::join!(futures::future::join_all(runs), waking)
        };
        let (first, (ends, (woke, sent))) = futures::join!(first, rest);
        // A write that the sleeper had under way, and that arrives after all, stops the run that it meets: which says
        // so, and the next one goes on.
        let met = |end: &End| woken != OVER && matches!(end, End::Unrecorded(_));
        for end in &ends {
            if !matches!(end, End::Ran(Some(Outcome::Applied { .. }))) && !met(end) {
                wrong.push(format!("a run ended with {end:?}"));
            }
        }
        match &first {
            End::Ran(Some(Outcome::Applied { .. })) | End::Refused(_) | End::Unrecorded(_) => {}
            other => wrong.push(format!("the sleeper ended with {other:?}")),
        }
        let late: Vec<_> =
            sleeper.began.lock().unwrap().iter().filter(|began| began.0 >= woke).cloned().collect();
        let lost = !matches!(first, End::Ran(_));
        if lost && !late.is_empty() {
            wrong.push(format!("the sleeper, ended with {first:?}, began {late:?}"));
        }
        if lost && woken == OVER && world.changes() != sent {
            wrong.push(format!("the sleeper sent {} changes", world.changes() - sent));
        }
        if !ends.iter().any(met) {
            self.serial(world, &["first, other", "other, first"], &mut wrong);
        }
        wrong
    }
}

/// Tries every schedule, or one of so many, and tells what came out.
pub fn report(stride: usize) {
    assert_eq!(race(stride, true), 0, "races are lost");
}

/// The control: without the lock, the same schedules go wrong.
pub fn control(stride: usize) {
    assert_ne!(race(stride, false), 0, "nothing goes wrong without a lock");
}

#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn race(stride: usize, locks: bool) -> usize {
    let whole = || stack("whole.yaml", "two", "first");
    let casts = [
        ("the same twice", simulated(Cast::new(whole(), whole()))),
        ("a change and what is less", simulated(Cast::new(whole(), stack("less.yaml", "three", "second")))),
    ];
    let (tried, broken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    for (name, cast) in &casts {
        let all = cast.schedules().into_iter().step_by(stride);
        // Who does not lock does not wait for a lock to run out.
        let schedules: Vec<Schedule> =
            all.filter(|schedule| locks || matches!(schedule, Schedule::Beside { .. })).collect();
        println!("{name}: {} moments, {} schedules", cast.moments.len(), schedules.len());
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(&schedule) = schedules.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let wrong = simulated(cast.attempt(schedule, locks));
                        tried.fetch_add(1, Ordering::Relaxed);
                        broken
                            .lock()
                            .unwrap()
                            .extend(wrong.into_iter().map(|wrong| (*name, schedule, wrong)));
                    }
                });
            }
        });
    }
    let broken = broken.into_inner().unwrap();
    println!("races {}, broken {}, locked: {locks}", tried.load(Ordering::Relaxed), broken.len());
    for (name, schedule, wrong) in broken.iter().take(12) {
        let wrong: String = wrong.chars().take(700).collect();
        println!("  {name}: {schedule:?}\n    {wrong}");
    }
    broken.len()
}
