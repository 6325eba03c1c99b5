//! That the vision service is asked once for a picture, however many events come, and whoever dies over it.

use analyze_image::AnalyzeError;
use serde_json::json;
use shared::stub::Fault;

use super::{ID, Road, event, png};

#[tokio::test]
async fn of_many_at_once_one_asks_the_service() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    for outcome in futures_util::future::join_all((0..30).map(|_| road.arrive("e1", "01"))).await {
        outcome.unwrap();
    }
    assert_eq!(road.stub.seen("/vision/").len(), 1, "more than one was paid for");
    assert_eq!(road.field("/status/stringValue"), "done");
    assert_eq!(road.stub.world(|world| world.documents[ID].1), 2, "a claim and an outcome");
}

#[tokio::test]
async fn a_claim_outlives_its_invocation_until_it_is_repeated_or_lapses() {
    for repeated in [true, false] {
        let road = Road::new(|_| {}).await;
        road.store("e1", png(64, 64));
        let event = || event(&format!("uploads/{ID}"), "e1", "01");
        road.stub.fault("/vision/", Fault::Hang);
        let dies = road.invoke("first", event());
        let seen = async {
            while road.stub.seen("/vision/").is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = dies => panic!("{ended:?}"),
            () = seen => {}
        }
        assert_eq!(road.field("/status/stringValue"), "looking");
        // Another event finds somebody at it, and is done.
        road.invoke("second", event()).await.unwrap();
        assert_eq!(road.field("/by/stringValue"), "first");
        let by = if repeated {
            "first"
        } else {
            road.stub.world(|world| {
                let (claim, _) = world.documents.get_mut(ID).unwrap();
                claim["lapsesAt"]["timestampValue"] = json!("2026-01-01T00:00:00Z");
            });
            "third"
        };
        road.invoke(by, event()).await.unwrap();
        assert_eq!(road.field("/status/stringValue"), "done", "{by}");
        assert_eq!(
            (road.field("/looks/integerValue"), road.field("/tries/integerValue")),
            (json!("1"), json!("2"))
        );
        assert_eq!(road.stub.seen("/vision/").len(), 2, "{by}");
    }
}

#[tokio::test]
async fn a_result_is_kept_though_its_claim_was_taken_over() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    let event = || event(&format!("uploads/{ID}"), "e1", "01");
    // The first is slow, not dead, when its claim lapses; whoever takes it over is slower.
    road.stub.fault("/vision/", Fault::Hang);
    road.stub.fault("/vision/", Fault::Status(429, Some(1)));
    let first = async {
        road.invoke("first", event()).await.unwrap();
        assert_eq!(road.field("/status/stringValue"), "done", "it was paid for, and nobody is told");
    };
    let second = async {
        while road.stub.seen("/vision/").is_empty() {
            tokio::task::yield_now().await;
        }
        road.stub.world(|world| {
            let (claim, _) = world.documents.get_mut(ID).unwrap();
            claim["lapsesAt"]["timestampValue"] = json!("2026-01-01T00:00:00Z");
        });
        road.invoke("second", event()).await.unwrap();
    };
    tokio::join!(first, second);
    assert_eq!(road.stub.world(|world| world.documents[ID].1), 3, "two claims and one outcome");
}

#[tokio::test]
async fn a_picture_that_the_service_gives_nothing_for_is_tried_so_often_at_most() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    road.stub.world(|world| world.vision = (404, json!({ "error": { "code": "404", "message": "x" } })));
    for _ in 0..4 {
        let all = futures_util::future::join_all((0..8).map(|_| road.arrive("e1", "01"))).await;
        assert!(all.iter().all(|one| matches!(one, Ok(()) | Err(AnalyzeError::Vision { .. }))), "{all:?}");
    }
    assert_eq!(road.stub.seen("/vision/").len(), 3);
    assert_eq!(road.code(), "unavailable");
}

#[tokio::test]
async fn a_form_that_is_used_again_and_again_does_not_use_up_the_service() {
    let road = Road::new(|_| {}).await;
    for number in 1..=9 {
        let etag = format!("e{number}");
        road.store(&etag, png(64, 64));
        road.arrive(&etag, &format!("0{number}")).await.unwrap();
    }
    assert_eq!(road.stub.seen("/vision/").len(), 3);
    assert_eq!(road.field("/etag/stringValue"), "e3");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    for fault in [Fault::AppliedThen(500), Fault::Truncated] {
        for (fine, methods) in [
            // The claim's answer is lost, then the outcome's.
            (1, ["GET", "PATCH", "PATCH", "GET", "PATCH"]),
            (2, ["GET", "PATCH", "PATCH", "PATCH", "GET"]),
        ] {
            let road = Road::new(|_| {}).await;
            road.store("e1", png(64, 64));
            for _ in 0..fine {
                road.stub.fault("/documents/", Fault::None);
            }
            road.stub.fault("/documents/", fault.clone());
            road.arrive("e1", "01").await.unwrap();
            assert_eq!(road.stub.world(|world| world.documents[ID].1), 2, "{fault:?}");
            let seen: Vec<String> =
                road.stub.seen("/documents/").into_iter().map(|seen| seen.method).collect();
            assert_eq!(seen, methods, "{fault:?}");
            assert_eq!(road.field("/status/stringValue"), "done");
            assert_eq!(road.stub.seen("/vision/").len(), 1);
        }
    }
}
