//! A disk in memory that fails on demand, under the store.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcm::store::Medium;
use tokio::sync::watch;

use super::mutants::Mutant;

/// What happens to one operation of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The process dies before it.
    DeathBefore,
    /// The process dies after it.
    DeathAfter,
    /// There is no room for it.
    NoSpace,
    /// It fails once.
    Broken,
    /// It fails, and so does everything after it.
    BrokenForEver,
    /// Half of it is written, and the process dies.
    Torn,
    /// It is said to have survived, and the power fails after the next change to the clouds.
    Lied,
}

/// Files in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    files: BTreeMap<String, Vec<u8>>,
    /// What a power failure leaves, once something was said to have survived that had not.
    surviving: Option<BTreeMap<String, Vec<u8>>>,
    /// Every operation since the last [`Disk::begin`].
    trace: Vec<String>,
    damage: Option<(usize, Damage)>,
    /// The process dies once this text is written.
    fatal: Option<&'static str>,
    broken: bool,
    /// Whether the store does not wait until what it writes has survived.
    unsynced: bool,
    /// Whether it writes over a file instead of renaming a new one into its place.
    in_place: bool,
    dying: watch::Sender<bool>,
}

impl Disk {
    /// A copy of what is on it; nothing is damaged there.
    pub fn fork(&self) -> Self {
        let content = self.0.lock().unwrap();
        let (files, unsynced, in_place) = (content.files.clone(), content.unsynced, content.in_place);
        Self(Arc::new(Mutex::new(Content { files, unsynced, in_place, ..Content::default() })))
    }

    /// From now on its writer makes this mistake.
    pub fn make(&self, mutant: Option<Mutant>) {
        let mut content = self.0.lock().unwrap();
        content.unsynced = mutant == Some(Mutant::NothingSynced);
        content.in_place = mutant == Some(Mutant::ReplacedInPlace);
    }

    /// A new process: the trace begins, and the operation at this index is damaged.
    pub fn begin(&self, damage: Option<(usize, Damage)>) {
        let mut content = self.0.lock().unwrap();
        content.trace.clear();
        content.broken = false;
        content.damage = damage;
        content.fatal = None;
        content.dying.send_replace(false);
    }

    /// The process dies once this text is written.
    pub fn die_with(&self, text: &'static str) {
        self.0.lock().unwrap().fatal = Some(text);
    }

    /// What happened since.
    pub fn trace(&self) -> Vec<String> {
        self.0.lock().unwrap().trace.clone()
    }

    /// Tells when the process has to die.
    pub fn dying(&self) -> watch::Receiver<bool> {
        self.0.lock().unwrap().dying.subscribe()
    }

    /// Whether something was said to have survived that had not.
    pub fn has_lied(&self) -> bool {
        self.0.lock().unwrap().surviving.is_some()
    }

    /// The power fails: what was only said to have survived is gone. Whether there was any.
    pub fn power_failure(&self) -> bool {
        let mut content = self.0.lock().unwrap();
        let surviving = content.surviving.take();
        let lost = surviving.is_some();
        if let Some(surviving) = surviving {
            content.files = surviving;
        }
        lost
    }

    /// Takes a file away, as a person would.
    pub fn lose(&self, name: &str) {
        self.0.lock().unwrap().files.remove(name);
    }

    /// Everything that is written.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().files.values().flatten().copied().collect()
    }

    /// One operation: `write` gets the files and how much of the content to write.
    async fn operate(
        &self,
        what: String,
        written: &[u8],
        write: impl Fn(&mut BTreeMap<String, Vec<u8>>, bool),
    ) -> io::Result<()> {
        let dies = {
            let mut content = self.0.lock().unwrap();
            let index = content.trace.len();
            content.trace.push(what);
            let damage = content.damage.filter(|(at, _)| *at == index).map(|(_, damage)| damage);
            let fatal = content.fatal.is_some_and(|text| String::from_utf8_lossy(written).contains(text));
            let damage = damage.or(fatal.then_some(Damage::DeathAfter));
            if content.broken {
                return Err(io::Error::other("the disk does not answer"));
            }
            if content.unsynced {
                content.surviving = Some(content.files.clone());
            }
            match damage {
                None | Some(Damage::DeathAfter) => write(&mut content.files, true),
                Some(Damage::DeathBefore) => {}
                Some(Damage::NoSpace) => return Err(io::ErrorKind::StorageFull.into()),
                Some(Damage::Broken) => return Err(io::Error::other("the disk failed")),
                Some(Damage::BrokenForEver) => {
                    content.broken = true;
                    return Err(io::Error::other("the disk failed"));
                }
                Some(Damage::Torn) => write(&mut content.files, false),
                Some(Damage::Lied) => {
                    content.surviving = Some(content.files.clone());
                    write(&mut content.files, true);
                }
            }
            let dies = matches!(damage, Some(Damage::DeathBefore | Damage::DeathAfter | Damage::Torn));
            if dies {
                content.dying.send_replace(true);
            }
            dies
        };
        if dies {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Medium for Disk {
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().files.get(name).cloned())
    }

    async fn append(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.operate(format!("append {name}"), content, |files, whole| {
            let written = if whole { content } else { &content[..content.len() / 2] };
            files.entry(name.to_owned()).or_default().extend_from_slice(written);
        })
        .await
    }

    async fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let in_place = self.0.lock().unwrap().in_place;
        self.operate(format!("replace {name}"), content, |files, whole| {
            // Replacing is a rename: torn, it is the old content.
            if whole {
                files.insert(name.to_owned(), content.to_vec());
            } else if in_place {
                files.insert(name.to_owned(), content[..content.len() / 2].to_vec());
            }
        })
        .await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(format!("remove {name}"), &[], |files, whole| {
            if whole {
                files.remove(name);
            }
        })
        .await
    }
}
