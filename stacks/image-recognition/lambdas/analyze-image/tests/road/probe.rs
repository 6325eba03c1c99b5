//! The event that a new version is released with.

use serde_json::json;
use shared::stub::Fault;

use super::Road;

#[tokio::test]
async fn the_probe_asks_every_cloud_and_writes_nothing() {
    let road = Road::new(|_| {}).await;
    let probe = async |road: &Road| road.invoke("r", json!({ "probe": true })).await;
    assert_eq!(probe(&road).await.unwrap(), json!({ "ok": true }));
    for part in ["/pictures/", "/v1/token", ":generateAccessToken", "/documents/", "/vision/"] {
        assert!(!road.stub.seen(part).is_empty(), "{part} was not asked");
    }
    assert!(road.stub.world(|world| world.documents.is_empty()));

    let spoilt: [(&str, Fault, &str); 4] = [
        ("/pictures/", Fault::Status(403, None), "S3 refused: 403"),
        (":generateAccessToken", Fault::Status(403, None), "Google's IAM Credentials refused: 403"),
        ("/documents/", Fault::Status(403, None), "Firestore refused: 403"),
        ("/vision/", Fault::Status(404, None), "Computer Vision refused: 404"),
    ];
    for (part, fault, told) in spoilt {
        let road = Road::new(|_| {}).await;
        road.stub.fault(part, fault);
        let error = probe(&road).await.unwrap_err().to_string();
        assert!(error.starts_with("not ready: ") && error.contains(told), "{part}: {error}");
    }
    // All at once.
    road.stub.world(|world| (world.vision_key, world.no_database) = ("another".to_owned(), true));
    let error = probe(&road).await.unwrap_err().to_string();
    assert!(error.contains("does not exist") && error.contains("Computer Vision refused: 401"), "{error}");
}

#[tokio::test]
async fn a_quota_that_is_used_up_does_not_stop_a_release() {
    let road = Road::new(|_| {}).await;
    let says = |status: u16, message: &str| {
        let body = json!({ "error": { "code": status.to_string(), "message": message } });
        road.stub.world(|world| (world.vision_refuses_all, world.vision) = (true, (status, body)));
    };
    says(403, "Out of call volume quota. Quota will be replenished in 12.03:04:05.");
    road.invoke("r", json!({ "probe": true })).await.unwrap();
    says(403, "Public access is disabled. Please configure private endpoint.");
    let error = road.invoke("r", json!({ "probe": true })).await.unwrap_err().to_string();
    assert!(error.contains("Public access is disabled"), "{error}");
}
