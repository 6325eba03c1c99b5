//! Runs that die, and what the journal makes of it: the next run continues, or a rollback leads back to where the
//! first of them began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Request, Settings, Stop, Undoing};
use mcm::model::*;
use mcm::store::{self, Loaded, Medium, Store};

use super::fake::{Fake, Fault, SOFT, THING, catalogue};
use super::{link, resource, stack};

/// Files in memory; the process dies at a chosen write.
#[derive(Debug, Default)]
struct Memory {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// So many writes succeed; the next one never returns. `after` says whether it is done nevertheless.
    dies: Mutex<Option<(usize, bool)>>,
}

impl Memory {
    /// Whether this write happens; never returns where the process dies.
    async fn write(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        let fate = {
            let mut dies = self.dies.lock().unwrap();
            match dies.as_mut() {
                None => None,
                Some((0, after)) => Some(*after),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
            }
        };
        if fate != Some(false) {
            act(&mut self.files.lock().unwrap());
        }
        if fate.is_some() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Medium for Memory {
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn read(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(name).cloned())
    }

    async fn append(&self, name: &str, content: &[u8]) -> std::io::Result<()> {
        self.write(|files| files.entry(name.to_owned()).or_default().extend_from_slice(content)).await;
        Ok(())
    }

    async fn replace(&self, name: &str, content: &[u8]) -> std::io::Result<()> {
        self.write(|files| drop(files.insert(name.to_owned(), content.to_vec()))).await;
        Ok(())
    }

    async fn remove(&self, name: &str) -> std::io::Result<()> {
        self.write(|files| drop(files.remove(name))).await;
        Ok(())
    }
}

/// A cloud, and what a stack's runs left on a disk.
#[derive(Default)]
struct Life {
    cloud: Fake,
    disk: Arc<Memory>,
}

impl Life {
    async fn known(&self) -> Loaded {
        store::load(&*self.disk, Some("test")).await.unwrap()
    }

    /// One process: everything it knows it reads from the disk. `None` where it died.
    async fn apply(&self, stack: &Stack) -> Option<Outcome> {
        let run = async {
            let mut known = self.known().await;
            let inventory =
                engine::observe(stack, &known.state, &known.journal, &catalogue(), Mode::Apply, &self.cloud)
                    .await
                    .unwrap();
            let request = Request {
                mode: Mode::Apply,
                targets: Vec::new(),
                excludes: Vec::new(),
                allow_recreate: true,
                now: Timestamp::UNIX_EPOCH,
            };
            let plan = engine::plan(stack, &known.state, &catalogue(), &inventory, &request).unwrap();
            let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
            let mut store = Store::unguarded(self.disk.clone(), "test", &known);
            let mut books = Books::new(&mut known.state, &mut known.journal, &mut store);
            let settings = Settings { parallelism: 4, rollback: true, now: Timestamp::UNIX_EPOCH };
            let (cloud, stop) = (&self.cloud, Stop::default());
            engine::apply(plan, stack, &inventory, &catalogue(), &mut books, cloud, settings, &stop, &|_| ())
                .await
                .unwrap()
        };
        self.process(run).await
    }

    async fn rollback(&self) -> Option<Outcome> {
        let run = async {
            let mut known = self.known().await;
            let mut store = Store::unguarded(self.disk.clone(), "test", &known);
            let mut books = Books::new(&mut known.state, &mut known.journal, &mut store);
            let (stop, catalogue) = (Stop::default(), catalogue());
            let undoing = Undoing { stack: "test", catalogue: &catalogue, stop: &stop };
            engine::rollback(undoing, &mut books, &self.cloud, &|_| ()).await.unwrap()
        };
        self.process(run).await
    }

    async fn process(&self, run: impl Future<Output = Outcome>) -> Option<Outcome> {
        // Time stands still unless everything waits: a process that waits for an hour is dead.
        let ended = tokio::time::timeout(Duration::from_hours(1), run).await.ok();
        *self.disk.dies.lock().unwrap() = None;
        ended
    }

    fn dies(&self, writes: usize, after: bool) {
        *self.disk.dies.lock().unwrap() = Some((writes, after));
    }

    /// Usable objects: name -> properties.
    fn image(&self) -> BTreeMap<String, Map> {
        let objects = self.cloud.objects.lock().unwrap();
        let usable = objects.values().filter(|live| live.condition == Condition::Ready);
        usable.map(|live| (live.id.0.clone(), live.properties.clone())).collect()
    }

    async fn owns(&self) -> Vec<String> {
        self.known().await.state.resources.values().map(|owned| owned.id.0.clone()).collect()
    }
}

/// What is there, and what is wanted instead: an update, a creation, one undeleted, and one that is let go of.
fn before() -> Stack {
    stack(vec![
        resource(&THING, "a", &[("Size", 1.into())]),
        resource(&THING, "b", &[link("a", "Serial")]),
        resource(&THING, "gone", &[]),
    ])
}

fn after() -> Stack {
    stack(vec![
        resource(&THING, "a", &[("Size", 2.into())]),
        resource(&THING, "b", &[link("a", "Serial"), ("Size", 5.into())]),
        resource(&SOFT, "c", &[link("b", "Serial")]),
        resource(&THING, "d", &[link("c", "Url")]),
    ])
}

/// Every write of the run, and death before and after each of them.
async fn deaths() -> Vec<(Life, usize, bool)> {
    let mut lives = Vec::new();
    for after_write in [false, true] {
        for writes in 0.. {
            let life = Life::default();
            life.apply(&before()).await.unwrap();
            life.dies(writes, after_write);
            if life.apply(&after()).await.is_some() {
                break;
            }
            lives.push((life, writes, after_write));
        }
    }
    assert!(lives.len() > 20, "{}", lives.len());
    lives
}

#[tokio::test(start_paused = true)]
async fn a_run_that_died_anywhere_is_continued_by_the_next() {
    for (life, writes, after_write) in deaths().await {
        let told = format!("dead at write {writes}, done: {after_write}");
        let outcome = life.apply(&after()).await.unwrap();
        assert!(matches!(outcome, Outcome::Applied { .. }), "{told}: {outcome:?}");
        assert_eq!(life.cloud.names(), ["a", "b", "c", "d"], "{told}");
        assert_eq!(life.owns().await, ["a", "b", "c", "d"], "{told}");
        assert!(!life.known().await.journal.is_open(), "{told}");
        let sent = life.cloud.sent();
        assert!(
            matches!(life.apply(&after()).await, Some(Outcome::Applied { steps: 0 })),
            "{told}: {sent:?}"
        );
        assert!(life.cloud.sent().is_empty(), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_died_before_its_pivot_is_undone() {
    let mut undone = 0;
    for (life, writes, after_write) in deaths().await {
        let told = format!("dead at write {writes}, done: {after_write}");
        if life.known().await.journal.past_pivot().is_some() {
            continue;
        }
        let outcome = life.rollback().await.unwrap();
        if life.cloud.names().contains(&"gone".to_owned()) {
            assert!(matches!(outcome, Outcome::RolledBack { .. }), "{told}: {outcome:?}");
            let fresh = Life::default();
            fresh.apply(&before()).await.unwrap();
            assert_eq!(life.image(), fresh.image(), "{told}");
            assert_eq!(life.owns().await, ["a", "b", "gone"], "{told}");
            undone += 1;
        }
        assert!(!life.known().await.journal.is_open(), "{told}");
    }
    assert!(undone > 10, "{undone}");
}

#[tokio::test(start_paused = true)]
async fn undoing_that_died_anywhere_is_continued() {
    for writes in 0.. {
        let life = Life::default();
        life.apply(&before()).await.unwrap();
        let image = life.image();
        life.cloud.fail("create d", Fault::Refuse(ErrorKind::Denied));
        life.dies(writes, writes % 2 == 0);
        match life.apply(&after()).await {
            Some(Outcome::RolledBack { .. }) => {
                assert!(writes > 12, "{writes}");
                break;
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        if writes % 3 == 0 {
            // The undoing dies once more, at its first write.
            life.dies(0, true);
            life.rollback().await;
        }
        let outcome = life.rollback().await.unwrap();
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "{writes}: {outcome:?}");
        assert_eq!(life.image(), image, "{writes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_continued_run_that_fails_undoes_both() {
    let life = Life::default();
    life.apply(&before()).await.unwrap();
    let image = life.image();
    life.dies(5, false);
    assert!(life.apply(&after()).await.is_none());
    assert_ne!(life.image(), image, "something was done before it died");
    life.cloud.fail("create d", Fault::Refuse(ErrorKind::Invalid));
    let outcome = life.apply(&after()).await.unwrap();
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(life.image(), image);
    assert_eq!(life.owns().await, ["a", "b", "gone"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_after_a_death_is_kept_and_said() {
    let life = Life::default();
    life.apply(&before()).await.unwrap();
    life.dies(7, false);
    assert!(life.apply(&after()).await.is_none());
    life.cloud.edit("a", "Size", 77.into());
    let Some(Outcome::Stuck { kept, .. }) = life.rollback().await else { panic!("it is kept") };
    assert_eq!(kept.len(), 1);
    assert!(kept[0].why.contains("somebody changed `Size`"), "{}", kept[0].why);
    assert_eq!(life.image()["a"]["Size"], 77.into());
    assert!(life.known().await.journal.is_open(), "it can be tried again");
    life.cloud.edit("a", "Size", 2.into());
    assert!(matches!(life.rollback().await, Some(Outcome::RolledBack { .. })));
    assert_eq!(life.image()["a"]["Size"], 1.into());
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_in_no_file_and_what_needs_it_is_kept() {
    let secret = |text: &str| ("Link", Value::Secret(Secret::new(text)));
    let one = stack(vec![resource(&THING, "a", &[secret("canary-one")]), resource(&THING, "b", &[])]);
    let other = stack(vec![
        resource(&THING, "a", &[secret("canary-two")]),
        resource(&THING, "c", &[link("a", "Serial")]),
    ]);
    let life = Life::default();
    life.apply(&one).await.unwrap();
    life.dies(5, true);
    assert!(life.apply(&other).await.is_none());
    let files = life.disk.files.lock().unwrap().clone();
    assert!(files.contains_key("journal.jsonl"));
    for (name, content) in &files {
        let text = String::from_utf8_lossy(content);
        assert!(!text.contains("canary"), "{name}: {text}");
    }
    let Some(Outcome::Stuck { kept, .. }) = life.rollback().await else { panic!("it is kept") };
    assert!(kept.iter().any(|kept| kept.why.contains("sensitive")), "{kept:?}");
}
