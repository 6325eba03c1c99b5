//! State files and locks: durable, private, never overwritten when not understood.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use mcm::model::{
    Address, CloudId, Ledger as _, LedgerError, Map, Nonce, Owned, ResourceType, Standing, State,
};
use mcm::store::{self, Folder, Loaded, Lock, LockError, Medium as _, Place, Store, StoreError};

use super::binary::{SMALL, run};

fn state(serial: u64) -> State {
    let owned = Owned {
        ty: ResourceType::new("AWS::IAM::Role"),
        id: CloudId("role".to_owned()),
        nonce: Nonce("0123456789abcdef01234567".to_owned()),
        incarnation: None,
        standing: Standing::Ready,
        dependencies: [Address::resource("files")].into(),
        protect: false,
        retain: false,
        sensitive: Map::new(),
    };
    State { resources: [(Address::resource("worker"), owned)].into(), serial, ..State::default() }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn load(folder: &Folder) -> Result<Loaded, StoreError> {
    block_on(store::load(folder, Some("small")))
}

fn record(store: &mut Store, state: &State) -> Result<(), LedgerError> {
    block_on(store.record(&[], state))
}

/// Takes the lock of a folder.
fn lock(folder: &Folder, command: &str, patience: Duration) -> Result<Lock, LockError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(Place::Folder(folder.clone()).lock(command, patience))
}

fn open(folder: &Folder) -> Store {
    Store::unguarded(Arc::new(folder.clone()), "small", &Loaded::default())
}

#[test]
fn what_is_written_is_read_and_private() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new(home.path().join("a/.mcm"));
    assert_eq!(load(&folder).unwrap().state, State::default());
    assert!(!home.path().join("a").exists(), "reading makes nothing");
    let _lock = lock(&folder, "apply", Duration::ZERO).unwrap();
    let mut store = open(&folder);
    record(&mut store, &state(1)).unwrap();
    record(&mut store, &state(2)).unwrap();
    assert_eq!(load(&folder).unwrap().state, state(2));
    assert_eq!(mode(&home.path().join("a/.mcm")), 0o700);
    assert_eq!(mode(Path::new(&folder.place("state.json"))), 0o600);
    assert_eq!(mode(&home.path().join("a/.mcm/lock.json")), 0o600);
    assert!(record(&mut store, &state(1)).is_err(), "an older state never replaces a newer one");
    assert_eq!(load(&folder).unwrap().state, state(2));
    let left = fs::read_dir(home.path().join("a/.mcm")).unwrap().count();
    assert_eq!(left, 2, "no temporary file is left");
}

#[test]
fn what_is_not_understood_is_an_error_and_stays() {
    type Expected = fn(&StoreError) -> bool;
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new(home.path());
    let cases: [(&str, Expected); 7] = [
        ("", |error| matches!(error, StoreError::Corrupt { .. })),
        ("{", |error| matches!(error, StoreError::Corrupt { .. })),
        ("[]", |error| matches!(error, StoreError::Corrupt { .. })),
        (r#"{"format":"terraform","version":1}"#, |error| matches!(error, StoreError::Corrupt { .. })),
        (r#"{"format":"mcm-state","version":2,"new":0}"#, |error| {
            matches!(error, StoreError::Newer { found: 2, .. })
        }),
        (r#"{"format":"mcm-state","version":1,"stack":"small"}"#, |error| {
            matches!(error, StoreError::Corrupt { .. })
        }),
        (r#"{"format":"mcm-state","version":1,"stack":"other","resources":{},"serial":3}"#, |error| {
            matches!(error, StoreError::OtherStack { .. })
        }),
    ];
    for (content, expected) in cases {
        fs::write(Path::new(&folder.place("state.json")), content).unwrap();
        let error = load(&folder).unwrap_err();
        assert!(expected(&error), "{content}: {error}");
        assert_eq!(fs::read_to_string(Path::new(&folder.place("state.json"))).unwrap(), content);
    }
}

#[test]
fn a_state_that_is_not_understood_stops_every_command() {
    let home = super::binary::folder(SMALL);
    let state = home.path().join(".mcm/sandbox/state");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("state.json"), r#"{"format":"mcm-state","version":99}"#).unwrap();
    for command in ["plan", "apply", "destroy"] {
        let mut arguments = vec![command, "--sandbox"];
        if command != "plan" {
            arguments.push("--auto-approve");
        }
        let ran = run(home.path(), &arguments).exits(3);
        assert!(ran.err.contains("written by a newer mcm (format 99"), "{}", ran.err);
    }
    let kept = fs::read_to_string(state.join("state.json")).unwrap();
    assert_eq!(kept, r#"{"format":"mcm-state","version":99}"#);
}

#[test]
fn no_symbolic_link_is_followed() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = home.path().join("elsewhere.json");
    fs::write(&elsewhere, "precious").unwrap();
    let folder = Folder::new(home.path().join("state"));
    fs::create_dir(home.path().join("state")).unwrap();
    symlink(&elsewhere, Path::new(&folder.place("state.json"))).unwrap();
    assert!(load(&folder).is_err());
    let _lock = lock(&folder, "apply", Duration::ZERO).unwrap();
    assert!(record(&mut open(&folder), &state(1)).is_err());
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");

    let linked = home.path().join("linked");
    symlink(home.path().join("state"), &linked).unwrap();
    assert!(lock(&Folder::new(&linked), "apply", Duration::ZERO).is_err());
    assert!(load(&Folder::new(&linked)).is_err());
}

#[test]
fn a_lock_names_its_holder_and_ends_with_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new(home.path());
    let held = lock(&folder, "apply", Duration::ZERO).unwrap();
    let start = Instant::now();
    match lock(&folder, "destroy", Duration::from_millis(250)) {
        Err(LockError::Held { by: Some(by), .. }) => {
            assert_eq!((by.pid, by.command.as_str()), (std::process::id(), "apply"));
        }
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() >= Duration::from_millis(250));
    drop(held);
    lock(&folder, "destroy", Duration::ZERO).unwrap();
}

#[test]
fn a_held_lock_is_exit_7_and_a_free_one_is_waited_for() {
    let home = super::binary::folder(SMALL);
    let folder = Folder::new(home.path().join(".mcm/sandbox/state"));
    let held = lock(&folder, "apply", Duration::ZERO).unwrap();
    let ran = run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(7);
    assert!(ran.err.contains(&format!("process {}", std::process::id())), "{}", ran.err);
    assert!(ran.err.contains("--lock-timeout"), "{}", ran.err);
    let waiting = std::thread::spawn({
        let path = home.path().to_owned();
        move || run(&path, &["apply", "--sandbox", "--auto-approve", "--lock-timeout", "60s"])
    });
    std::thread::sleep(Duration::from_millis(500));
    drop(held);
    waiting.join().unwrap().exits(0);
}
