//! One conversation with every store over the wire: our sandbox's S3, ministack's, and azurite's Blob storage.
//!
//! Cloud Storage's backend has met no emulator that honours its conditions, and no real cloud. What is known of two of
//! them: fake-gcs-server answered 200 twice to `ifGenerationMatch=0` over its JSON API, and 404 on the paths of the XML
//! API; gcp-storage-emulator's source shows no handling of generation conditions.

use std::time::Duration;

use mcm::model::{Cloud, Entry, StoreKind};
use mcm::sandbox::{Accounts, Fault, Options, Session, Trouble};
use mcm::store::{Keys, LockError, Place, StoreError};

use super::servers::{ACCOUNT, BUCKET, make_bucket, make_container, place, sandbox_keys};
use super::{TroubleKind, began, kind, load, lock, open, record};
use crate::emulators::servers::Emulator;

/// What every store must do. `at` opens a place: bucket and prefix.
async fn conversation(name: &str, at: impl Fn(&str, &str) -> Place) {
    let here = || at(BUCKET, "team/lab");
    let (one, other) = (here(), here());
    let mine = lock(&one).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let id = match lock(&other).await {
        Err(LockError::Held { by: Some(by), lease: Some(lease), .. }) => {
            assert_eq!(by.pid, std::process::id(), "{name}");
            // The two clocks are one machine's here, so the end can be judged.
            let left = lease.until.duration_since(jiff::Timestamp::now()).as_secs();
            assert!((50..=61).contains(&left), "{name}: {left}");
            lease.id
        }
        answer => panic!("{name}: {answer:?}"),
    };
    let (mut store, known) = open(&one, &mine).await;
    assert_eq!((known.stack, known.state.serial), (None, 0), "{name}");
    record(&mut store, &[began("one")], 1).await.unwrap();
    record(&mut store, &[began("two")], 2).await.unwrap();
    let known = load(&other).await.unwrap();
    assert_eq!((known.journal.runs.len(), known.state.serial), (2, 2), "{name}");

    // Somebody takes it over and ends the run; the first one's next write is told, and changes nothing.
    assert_eq!(other.unlock("0000").await.unwrap(), Some(false), "{name}");
    assert_eq!(other.unlock(&id).await.unwrap(), Some(true), "{name}");
    let theirs = lock(&other).await.unwrap();
    let (mut others, _) = open(&other, &theirs).await;
    record(&mut others, &[Entry::Ended], 3).await.unwrap();
    let error = record(&mut store, &[began("late")], 3).await.unwrap_err();
    assert_eq!(kind(&error.source), Some(TroubleKind::Lost), "{name}: {error:?}");
    let known = load(&here()).await.unwrap();
    assert_eq!((known.journal.is_open(), known.state.serial), (false, 3), "{name}");
    mine.release().await;
    theirs.release().await;
    lock(&here()).await.unwrap().release().await;

    // A longer journal, in its order; and nothing of a neighbour whose name begins alike.
    let (medium, neighbour) = (at(BUCKET, "team/long").medium(), at(BUCKET, "team/longer").medium());
    let lines: Vec<String> = (0..23).map(|line| format!("{line}\n")).collect();
    for line in &lines {
        medium.append("journal.jsonl", line.as_bytes()).await.unwrap();
    }
    let read = neighbour.read("journal.jsonl").await.unwrap();
    assert_eq!(read, None, "{name}");
    let read = at(BUCKET, "team/long").medium().read("journal.jsonl").await.unwrap().unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), lines.concat(), "{name}");
    let late = at(BUCKET, "team/long").medium();
    late.read("journal.jsonl").await.unwrap();
    medium.append("journal.jsonl", b"next").await.unwrap();
    let error = late.append("journal.jsonl", b"too late").await.unwrap_err();
    assert_eq!(kind(&error), Some(TroubleKind::Lost), "{name}: {error}");
    for _ in 0..2 {
        medium.remove("journal.jsonl").await.unwrap();
        assert_eq!(medium.read("journal.jsonl").await.unwrap(), None, "{name}");
        medium.remove("state.json").await.unwrap();
    }

    // What is not there is told as that, by readers too.
    let nowhere = at("mcm-no-such-bucket", "team/lab");
    match lock(&nowhere).await {
        Err(LockError::Io { source, .. }) => {
            assert_eq!(kind(&source), Some(TroubleKind::NoBucket), "{name}: {source:?}");
        }
        answer => panic!("{name}: {answer:?}"),
    }
    match load(&nowhere).await {
        Err(StoreError::Io { source, .. }) => {
            assert_eq!(kind(&source), Some(TroubleKind::NoBucket), "{name}: {source:?}");
        }
        answer => panic!("{name}: {answer:?}"),
    }
}

async fn sandbox() -> (Session, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { aws: [ACCOUNT.to_owned()].into(), ..Accounts::default() };
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    super::servers::give_secret(folder.path());
    let session = Session::open(options).await.unwrap();
    make_bucket(&session.endpoints.aws, super::servers::key()).await;
    (session, folder)
}

#[tokio::test]
async fn the_sandboxes_s3_keeps_a_state() {
    let (session, _folder) = sandbox().await;
    let endpoint = session.endpoints.aws.clone();
    let at =
        |bucket: &str, prefix: &str| place(&format!("s3://{bucket}/{prefix}"), &endpoint, sandbox_keys());
    conversation("sandbox", at).await;
}

#[tokio::test]
async fn ministacks_s3_keeps_a_state() {
    let Some(emulator) = Emulator::ministack() else { return };
    make_bucket(&emulator.endpoint, ("test".to_owned(), "test".to_owned())).await;
    let keys = || Keys::of_emulators(StoreKind::S3);
    let at =
        |bucket: &str, prefix: &str| place(&format!("s3://{bucket}/{prefix}"), &emulator.endpoint, keys());
    conversation("ministack", at).await;
}

#[tokio::test]
async fn azurites_blob_storage_keeps_a_state() {
    let Some(emulator) = Emulator::azurite() else { return };
    make_container(&emulator.endpoint).await;
    let at = |container: &str, prefix: &str| {
        let url = format!("az://devstoreaccount1/{container}/{prefix}");
        place(&url, &emulator.endpoint, Keys::of_emulators(StoreKind::Az))
    };
    conversation("azurite", at).await;
}

#[tokio::test]
async fn troubles_on_the_wire_are_sat_out() {
    let (session, _folder) = sandbox().await;
    let wire = session.wire().unwrap();
    let at = |prefix: &str| place(&format!("s3://{BUCKET}/{prefix}"), &session.endpoints.aws, sandbox_keys());
    let answer = |code: u16, text: &str, applied| Trouble::Status {
        code,
        body: format!(
            "<?xml version=\"1.0\"?><Error><Code>{text}</Code><Message>Try again.</Message></Error>"
        ),
        headers: [].into(),
        applied,
    };
    let troubles = || {
        [
            Trouble::DropBefore,
            Trouble::DropAfter,
            answer(503, "SlowDown", false),
            answer(500, "InternalError", true),
            answer(409, "ConditionalRequestConflict", false),
        ]
    };
    for (number, file) in ["lock.json", "state.json", "journal.jsonl"].into_iter().enumerate() {
        for (index, what) in troubles().into_iter().enumerate() {
            let prefix = format!("t{number}-{index}");
            let told = format!("{file}: {what:?}");
            let fault = |what| Fault {
                target: None,
                cloud: Some(Cloud::Aws),
                contains: format!("PUT /{BUCKET}/{prefix}/{file}"),
                skip: 0,
                times: Some(1),
                what,
            };
            wire.set_faults(vec![fault(what)]);
            let here = at(&prefix);
            let mine = lock(&here).await.unwrap_or_else(|error| panic!("{told}: {error:?}"));
            let (mut store, _) = open(&here, &mine).await;
            record(&mut store, &[began("one")], 1).await.unwrap_or_else(|error| panic!("{told}: {error:?}"));
            record(&mut store, &[Entry::Ended], 2).await.unwrap_or_else(|error| panic!("{told}: {error:?}"));
            mine.release().await;
            assert!(
                wire.traffic().iter().any(|one| one.target.contains(&format!("{prefix}/{file}"))),
                "{told}"
            );
            let known = load(&at(&prefix)).await.unwrap();
            assert_eq!((known.journal.is_open(), known.state.serial), (false, 2), "{told}");
            lock(&at(&prefix)).await.unwrap_or_else(|error| panic!("{told}: {error:?}"));
        }
    }
}
