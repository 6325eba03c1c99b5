//! State and journal as objects.

use mcm::model::Entry;

use super::shelf::{Fault, Shelf};
use super::{TroubleKind, began, kind, load, lock, open, record};

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_told_and_nothing_is_overwritten() {
    for known in [false, true] {
        let shelf = Shelf::new();
        let (one, other) = (shelf.place().medium(), shelf.place().medium());
        if known {
            one.replace("state.json", b"zero").await.unwrap();
        }
        for medium in [&one, &other] {
            medium.read("state.json").await.unwrap();
        }
        one.replace("state.json", b"first").await.unwrap();
        let error = other.replace("state.json", b"second").await.unwrap_err();
        assert_eq!(kind(&error), Some(TroubleKind::Lost), "{error}");
        assert!(error.to_string().contains("somebody else has written it"), "{error}");
        assert_eq!(shelf.content("state.json").await.unwrap(), b"first");
        // Whoever has seen it may go on; whoever wrote it too.
        other.read("state.json").await.unwrap();
        other.replace("state.json", b"third").await.unwrap();
        assert_eq!(kind(&one.replace("state.json", b"fourth").await.unwrap_err()), Some(TroubleKind::Lost));
        assert_eq!(shelf.content("state.json").await.unwrap(), b"third");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_reply_is_lost_is_found() {
    let shelf = Shelf::new();
    let medium = shelf.place().medium();
    // From now on it knows the number of the next object, so that the next call is a write.
    assert_eq!(medium.read("journal.jsonl").await.unwrap(), None);
    for content in ["one", "two"] {
        shelf.trap(0, Fault::ReplyLost);
        medium.replace("state.json", content.as_bytes()).await.unwrap();
        shelf.trap(0, Fault::ReplyLost);
        medium.append("journal.jsonl", content.as_bytes()).await.unwrap();
    }
    assert_eq!(medium.read("journal.jsonl").await.unwrap().unwrap(), b"onetwo");
    shelf.trap(0, Fault::Error);
    let error = medium.replace("state.json", b"three").await.unwrap_err();
    assert_eq!(kind(&error), Some(TroubleKind::Unclear), "{error}");
    assert_eq!(shelf.content("state.json").await.unwrap(), b"two");
    // What met another write in flight, which then came to nothing, is sent again.
    shelf.trap(0, Fault::Conflict);
    medium.append("journal.jsonl", b"three").await.unwrap();
    assert_eq!(medium.read("journal.jsonl").await.unwrap().unwrap(), b"onetwothree");
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_a_row_of_numbered_objects() {
    let shelf = Shelf::new();
    let mut expected = Vec::new();
    for round in 0..3 {
        // Another process each round, which has read it or not.
        let medium = shelf.place().medium();
        if round == 1 {
            assert_eq!(medium.read("journal.jsonl").await.unwrap().unwrap(), expected);
        }
        for line in 0..40 {
            let line = format!("{round}-{line}\n");
            expected.extend_from_slice(line.as_bytes());
            medium.append("journal.jsonl", line.as_bytes()).await.unwrap();
        }
    }
    assert_eq!(shelf.place().medium().read("journal.jsonl").await.unwrap().unwrap(), expected);
    let names = shelf.names().await;
    assert_eq!(names.len(), 120);
    assert_eq!(
        (names[0].as_str(), names[119].as_str()),
        ("journal.jsonl/00000000", "journal.jsonl/00000119")
    );
    // Two that both think they are the next.
    let (one, other) = (shelf.place().medium(), shelf.place().medium());
    for medium in [&one, &other] {
        medium.read("journal.jsonl").await.unwrap();
    }
    one.append("journal.jsonl", b"one\n").await.unwrap();
    assert_eq!(kind(&other.append("journal.jsonl", b"other\n").await.unwrap_err()), Some(TroubleKind::Lost));
    shelf.place().medium().remove("journal.jsonl").await.unwrap();
    assert_eq!(shelf.names().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_journal_is_replayed_and_taken_away_when_it_is_over() {
    let shelf = Shelf::new();
    let place = shelf.place();
    let held = lock(&place).await.unwrap();
    let (mut store, _) = open(&place, &held).await;
    record(&mut store, &[began("one")], 1).await.unwrap();
    record(&mut store, &[began("two")], 2).await.unwrap();
    let known = load(&shelf.place()).await.unwrap();
    assert_eq!((known.journal.runs.len(), known.state.serial), (2, 2));
    record(&mut store, &[Entry::Ended], 3).await.unwrap();
    assert_eq!(shelf.names().await, ["lock.json", "state.json"]);
    let known = load(&shelf.place()).await.unwrap();
    assert_eq!((known.journal.is_open(), known.state.serial), (false, 3));
    // The next one begins anew.
    record(&mut store, &[began("three")], 4).await.unwrap();
    assert!(shelf.content("journal.jsonl/00000000").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_half_written_object_at_the_end_is_passed_over_and_mended() {
    let shelf = Shelf::new();
    let place = shelf.place();
    let held = lock(&place).await.unwrap();
    let (mut store, _) = open(&place, &held).await;
    record(&mut store, &[began("one")], 1).await.unwrap();
    shelf.trap(0, Fault::Torn);
    let two = [began("two")];
    tokio::select! {
        _ = record(&mut store, &two, 2) => panic!("it dies"),
        () = shelf.sprung() => {}
    }
    assert!(shelf.content("journal.jsonl/00000001").await.is_some());
    let (mut store, known) = open(&shelf.place(), &held).await;
    assert_eq!(known.journal.runs.len(), 1, "the half is nothing");
    record(&mut store, &[began("three")], 2).await.unwrap();
    let known = load(&shelf.place()).await.unwrap();
    let ids: Vec<&str> = known.journal.runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["one", "three"]);
    // A half in the midst is damage, and told.
    let half = shelf.content("journal.jsonl/00000000").await.unwrap();
    shelf.plant("journal.jsonl/00000000", half[..half.len() / 2].to_vec()).await;
    let error = load(&shelf.place()).await.unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_half_taken_away_is_over() {
    for left in 0..6 {
        for fault in [Fault::DiesBefore, Fault::DiesAfter, Fault::Error, Fault::ReplyLost] {
            let shelf = Shelf::new();
            let place = shelf.place();
            let held = lock(&place).await.unwrap();
            let (mut store, _) = open(&place, &held).await;
            for serial in 1..=4 {
                record(&mut store, &[began(&serial.to_string())], serial).await.unwrap();
            }
            // The line, the state, the listing; then five deletions.
            shelf.trap(2 + left, fault);
            let end = [Entry::Ended];
            tokio::select! {
                done = record(&mut store, &end, 5) => done.unwrap(),
                () = shelf.sprung() => {}
            }
            assert!(!shelf.disarm(), "{left} {fault:?}");
            let (mut store, known) = open(&shelf.place(), &held).await;
            assert!(!known.journal.is_open(), "{left} {fault:?}: {:?}", shelf.names().await);
            assert_eq!(known.state.serial, 5);
            record(&mut store, &[began("next")], 6).await.unwrap();
            let known = load(&shelf.place()).await.unwrap();
            assert_eq!(known.journal.runs.len(), 1, "{left} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_without_its_lock_still_adds_is_passed_over() {
    let shelf = Shelf::new();
    let (slow, quick) = (shelf.place(), shelf.place());
    let held = lock(&slow).await.unwrap();
    let (mut store, _) = open(&slow, &held).await;
    record(&mut store, &[began("slow")], 1).await.unwrap();
    let id = shelf.lock_id().await.unwrap();
    assert_eq!(quick.unlock(&id).await.unwrap(), Some(true));
    let other = lock(&quick).await.unwrap();
    let (mut others, known) = open(&quick, &other).await;
    assert_eq!(known.journal.runs.len(), 1);
    record(&mut others, &[Entry::Ended], 2).await.unwrap();
    // The slow one does not know yet. Its line gets in, its state does not, so that nothing is sent on the strength of it.
    let error = record(&mut store, &[began("ghost")], 2).await.unwrap_err();
    assert_eq!(kind(&error.source), Some(TroubleKind::Lost), "{error}");
    assert!(shelf.content("journal.jsonl/00000001").await.is_some());
    let known = load(&shelf.place()).await.unwrap();
    assert!(!known.journal.is_open(), "{:?}", known.journal);
    let state = shelf.content("state.json").await.unwrap();
    record(&mut others, &[], 3).await.unwrap();
    assert_ne!(shelf.content("state.json").await.unwrap(), state);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_goes_while_it_is_read_is_read_again() {
    let shelf = Shelf::new();
    let medium = shelf.place().medium();
    for line in ["a", "b", "c"] {
        medium.append("journal.jsonl", line.as_bytes()).await.unwrap();
    }
    // Listed; then the first object is asked for, and waits while all of them go.
    shelf.trap(1, Fault::Parked);
    let reader = shelf.place().medium();
    let read = reader.read("journal.jsonl");
    tokio::pin!(read);
    tokio::select! {
        _ = &mut read => panic!("it waits"),
        () = shelf.sprung() => {}
    }
    medium.remove("journal.jsonl").await.unwrap();
    shelf.resume();
    assert_eq!(read.await.unwrap(), None);
}
