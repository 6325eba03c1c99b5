//! The world outlasts its process: whole requests, in order, whatever moment it dies.

use jiff::Timestamp;
use mcm::sandbox::{Accounts, Clock, Log, Record, World};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    value: String,
}

impl Record for Thing {
    const TABLE: &'static str = "test.thing";
}

fn world() -> World {
    World::new(Clock::Fixed(Timestamp::UNIX_EPOCH), 7, Accounts::default())
}

/// Writes `requests` requests of two changes each, and returns the log's bytes.
fn written(folder: &std::path::Path, requests: usize) -> Vec<u8> {
    let mut world = world();
    let mut log = Log::open(folder, &mut world).unwrap();
    for number in 0..requests {
        let value = world.hex(8);
        world.put(&format!("{number}/a"), &Thing { value: value.clone() });
        world.put(&format!("{number}/b"), &Thing { value });
        world.commit(|random, changes| log.append(random, changes)).unwrap();
    }
    std::fs::read(folder.join("world.jsonl")).unwrap()
}

#[test]
fn a_log_cut_anywhere_holds_a_prefix_of_whole_requests() {
    let folder = tempfile::tempdir().unwrap();
    let text = written(folder.path(), 4);
    let mut seen = 0;
    for length in 0..=text.len() {
        std::fs::write(folder.path().join("world.jsonl"), &text[..length]).unwrap();
        let mut world = world();
        let mut log = Log::open(folder.path(), &mut world).unwrap();
        let keys = world.list::<Thing>("").into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let whole = String::from_utf8_lossy(&text[..length]).matches('\n').count();
        let expected = (0..whole).flat_map(|n| [format!("{n}/a"), format!("{n}/b")]).collect::<Vec<_>>();
        assert_eq!(keys, expected, "cut at {length}");
        seen = seen.max(whole);
        // And it can be written to again.
        world.put("z", &Thing { value: String::new() });
        world.commit(|random, changes| log.append(random, changes)).unwrap();
        let mut again = self::world();
        Log::open(folder.path(), &mut again).unwrap();
        assert!(again.has::<Thing>("z"), "cut at {length}");
        assert_eq!(again.list::<Thing>("").len(), expected.len() + 1);
    }
    assert_eq!(seen, 4);
}

#[test]
fn randomness_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 2);
    let mut unbroken = world();
    let first = [unbroken.hex(8), unbroken.hex(8)];
    let mut reopened = world();
    Log::open(folder.path(), &mut reopened).unwrap();
    let next = reopened.hex(8);
    assert_eq!(next, unbroken.hex(8));
    assert!(!first.contains(&next));
}

#[test]
fn a_change_that_cannot_be_written_did_not_happen() {
    let mut world = world();
    let thing = |value: &str| Thing { value: value.to_owned() };
    world.put("kept", &thing("old"));
    world.put("gone", &thing("old"));
    world.commit(|_, _| Ok(())).unwrap();
    world.put("kept", &thing("new"));
    world.put("kept", &thing("newer"));
    world.put("fresh", &thing("new"));
    world.remove::<Thing>("gone");
    world.commit(|_, _| Err(std::io::ErrorKind::StorageFull.into())).unwrap_err();
    assert_eq!(world.get::<Thing>("kept"), Some(thing("old")));
    assert_eq!(world.get::<Thing>("gone"), Some(thing("old")));
    assert!(!world.has::<Thing>("fresh"));
    world.commit(|_, changes| panic!("{changes:?}")).unwrap();
}

#[test]
fn a_long_history_is_rewritten_and_unused_content_swept() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world();
    let mut log = Log::open(folder.path(), &mut world).unwrap();
    let mut kept = String::new();
    for number in 0..100_u32 {
        kept = world.put_blob(&number.to_string().into_bytes().into());
        world.put("one", &Thing { value: kept.clone() });
        world.put("pad", &Thing { value: "x".repeat(4096) });
        world.commit(|random, changes| log.append(random, changes)).unwrap();
    }
    let blobs = || std::fs::read_dir(folder.path().join("blobs")).unwrap().count();
    let size = || std::fs::metadata(folder.path().join("world.jsonl")).unwrap().len();
    assert_eq!((blobs(), size() > 400_000), (100, true));
    drop(log);
    let mut reopened = self::world();
    Log::open(folder.path(), &mut reopened).unwrap();
    assert_eq!((blobs(), size() < 10_000), (1, true));
    assert_eq!(reopened.get::<Thing>("one"), world.get::<Thing>("one"));
    assert_eq!(reopened.blob(&kept).as_deref(), Some(b"99".as_slice()));
    assert_eq!(reopened.random_state(), world.random_state());
}
