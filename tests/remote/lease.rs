//! The remote lock: who gets it, how long it holds, and by whose clock.

use std::time::Duration;

use mcm::store::{Lasting, LockError};
use tokio::time::{Instant, sleep};

use super::shelf::{Cheat, Fault, Shelf};
use super::{TroubleKind, began, kind, lock, open, record};

const MINUTE: Duration = Duration::from_mins(1);

/// Who holds it, as the loser is told.
#[track_caller]
fn held(taken: Result<mcm::store::Lock, LockError>) -> (mcm::store::Holder, Lasting) {
    match taken {
        Err(LockError::Held { by: Some(by), lease: Some(lease), .. }) => (by, lease),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_that_race_one_wins_and_the_others_are_told_whose_it_is() {
    for calls in 0..12 {
        let shelf = Shelf::new();
        // One of them is slow somewhere, so that the schedules differ.
        shelf.trap(calls, Fault::Parked);
        let places: Vec<_> = (0..5).map(|_| shelf.place()).collect();
        let taking = futures::future::join_all(places.iter().map(lock));
        tokio::pin!(taking);
        let taken = tokio::select! {
            taken = &mut taking => taken,
            () = shelf.sprung() => {
                let others = tokio::time::timeout(Duration::from_millis(10), &mut taking);
                assert!(others.await.is_err(), "one of them waits");
                shelf.resume();
                taking.await
            }
        };
        let (won, lost): (Vec<_>, Vec<_>) = taken.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 4), "{calls}");
        let id = shelf.lock_id().await.unwrap();
        for loser in lost {
            let (by, lease) = held(loser);
            assert_eq!((by.pid, by.command.as_str()), (std::process::id(), "apply"));
            assert_eq!(lease.id, id);
        }
        // Nothing else is left there, and nothing of a stack.
        let names = shelf.names().await;
        assert_eq!(names, ["lock.json"], "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_holders_lease_ends_by_the_servers_clock() {
    // This machine's clock is right, an hour behind the server's, an hour before it.
    for skew_s in [0, 3600, -3600] {
        let shelf = Shelf::with(skew_s, None);
        drop(lock(&shelf.place()).await.unwrap());
        let (_, lease) = held(lock(&shelf.place()).await);
        sleep(MINUTE.saturating_sub(Duration::from_secs(3))).await;
        let (_, still) = held(lock(&shelf.place()).await);
        assert_eq!(still, lease, "nobody renews it");
        sleep(Duration::from_secs(5)).await;
        let taken = lock(&shelf.place()).await.unwrap();
        assert_ne!(shelf.lock_id().await.unwrap(), lease.id);
        taken.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_living_holder_keeps_it_for_as_long_as_it_lives() {
    for skew_s in [0, 3600, -3600] {
        let shelf = Shelf::with(skew_s, None);
        let place = shelf.place();
        let mine = lock(&place).await.unwrap();
        let (mut store, _) = open(&place, &mine).await;
        let mut ends = Vec::new();
        for serial in 1..20 {
            sleep(Duration::from_secs(31)).await;
            ends.push(held(lock(&shelf.place()).await).1.until);
            record(&mut store, &[], serial).await.unwrap();
        }
        assert!(ends.windows(2).all(|two| two[0] < two[1]), "{ends:?}");
        mine.release().await;
        lock(&shelf.place()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_given_back_is_free_at_once() {
    let shelf = Shelf::new();
    for _ in 0..3 {
        lock(&shelf.place()).await.unwrap().release().await;
        assert_eq!(shelf.lock_id().await, None, "a tombstone names nobody");
    }
    let mine = lock(&shelf.place()).await.unwrap();
    let place = shelf.place();
    let waiting = place.lock("destroy", MINUTE);
    let giving = async {
        sleep(Duration::from_secs(30)).await;
        mine.release().await;
    };
    let began = Instant::now();
    let (taken, ()) = tokio::join!(waiting, giving);
    taken.unwrap().release().await;
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
    // Patience has an end.
    let _mine = lock(&shelf.place()).await.unwrap();
    let began = Instant::now();
    held(shelf.place().lock("destroy", Duration::from_secs(10)).await);
    assert!((10..15).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_taken_away_by_its_id_alone() {
    let shelf = Shelf::new();
    let place = shelf.place();
    assert_eq!(place.unlock("0123456789abcdef").await.unwrap(), Some(false), "there is none");
    let mine = lock(&place).await.unwrap();
    let id = shelf.lock_id().await.unwrap();
    assert_eq!(place.unlock("0123456789abcdef").await.unwrap(), Some(false));
    assert_eq!(shelf.lock_id().await.as_ref(), Some(&id));
    assert_eq!(shelf.place().unlock(&id).await.unwrap(), Some(true));
    assert_eq!(shelf.place().unlock(&id).await.unwrap(), Some(false), "it is gone already");
    let others = lock(&shelf.place()).await.unwrap();
    // The former holder finds out when it renews, at the latest; then it writes nothing more, and takes nothing away.
    let (mut store, _) = open(&place, &mine).await;
    sleep(Duration::from_secs(21)).await;
    let error = record(&mut store, &[began("late")], 1).await.unwrap_err();
    assert_eq!(kind(&error.source), Some(TroubleKind::Lost), "{error}");
    mine.release().await;
    assert!(shelf.lock_id().await.is_some(), "the lock is another's by now");
    assert_eq!(shelf.names().await, ["lock.json"]);
    others.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_stops_before_another_may_begin() {
    let shelf = Shelf::new();
    let place = shelf.place();
    let mine = lock(&place).await.unwrap();
    let (mut store, _) = open(&place, &mine).await;
    shelf.block(Some("lock.json"));
    sleep(Duration::from_secs(40)).await;
    record(&mut store, &[began("one")], 1).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let error = record(&mut store, &[began("two")], 2).await.unwrap_err();
    assert_eq!(kind(&error.source), Some(TroubleKind::Lost), "{error}");
    shelf.block(None);
    held(lock(&shelf.place()).await);
    drop(mine);
    sleep(MINUTE + Duration::from_secs(2)).await;
    lock(&shelf.place()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_in_time() {
    let shelf = Shelf::new();
    let place = shelf.place();
    let mine = lock(&place).await.unwrap();
    let (mut store, _) = open(&place, &mine).await;
    for serial in 1..8 {
        shelf.block(Some("lock.json"));
        sleep(Duration::from_secs(38)).await;
        shelf.block(None);
        sleep(Duration::from_secs(6)).await;
        record(&mut store, &[], serial).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_ends_with_the_lease() {
    let shelf = Shelf::new();
    let place = shelf.place();
    let mine = lock(&place).await.unwrap();
    let (mut store, _) = open(&place, &mine).await;
    let began_at = Instant::now();
    shelf.trap(0, Fault::Parked);
    shelf.block(Some("lock.json"));
    let error = record(&mut store, &[began("one")], 1).await.unwrap_err();
    assert_eq!(kind(&error.source), Some(TroubleKind::Lost), "{error}");
    assert!(began_at.elapsed() <= MINUTE, "{:?}", began_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_lost_loses_no_lock() {
    // Taking it: the probe's calls, the look, the write.
    for calls in 0..10 {
        let shelf = Shelf::new();
        shelf.trap(calls, Fault::ReplyLost);
        match lock(&shelf.place()).await {
            Ok(mine) => mine.release().await,
            // The only answer that nothing can make up for is a reading's.
            Err(LockError::Io { source, .. }) => {
                assert_eq!(kind(&source), Some(TroubleKind::Unclear), "{calls}: {source}");
            }
            Err(error) => panic!("{calls}: {error:?}"),
        }
        assert_eq!(shelf.lock_id().await, None, "{calls}");
    }
    // Renewing it, and giving it back.
    let shelf = Shelf::new();
    let place = shelf.place();
    let mine = lock(&place).await.unwrap();
    let (mut store, _) = open(&place, &mine).await;
    for serial in 1..5 {
        shelf.trap(0, Fault::ReplyLost);
        sleep(Duration::from_secs(21)).await;
        assert!(!shelf.disarm(), "it was renewed");
        record(&mut store, &[], serial).await.unwrap();
    }
    shelf.trap(0, Fault::ReplyLost);
    mine.release().await;
    assert_eq!(shelf.lock_id().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_no_conditions_is_refused() {
    for cheat in [Cheat::IgnoresNew, Cheat::IgnoresVersion] {
        let shelf = Shelf::with(0, Some(cheat));
        match lock(&shelf.place()).await {
            Err(LockError::Io { source, .. }) => {
                assert_eq!(kind(&source), Some(TroubleKind::Unconditional), "{source}");
                assert!(source.to_string().contains("cannot hold a lock"), "{source}");
            }
            other => panic!("{cheat:?}: {other:?}"),
        }
        assert_eq!(shelf.names().await, Vec::<String>::new(), "nothing is left there");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_lock_is_told_and_stays() {
    let shelf = Shelf::new();
    shelf.plant("lock.json", b"{}".to_vec()).await;
    match lock(&shelf.place()).await {
        Err(LockError::Io { source, .. }) => assert!(source.to_string().contains("it is no lock of mcm")),
        other => panic!("{other:?}"),
    }
    assert_eq!(shelf.content("lock.json").await.unwrap(), b"{}");
}
