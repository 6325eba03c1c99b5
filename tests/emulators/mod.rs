//! Other people's AWS: the same stacks, applied where someone else wrote the cloud. Our sandbox is our reading of
//! AWS; these check that reading, and the sandbox is held to the same tests.

mod contents;
mod functions;
mod reference;
mod refusals;
mod road;
pub mod servers;
mod turns;

use std::time::Duration;

use mcm::model::Secret;
use mcm::sandbox::{Accounts, Options, Session};

use road::Road;
use servers::Emulator;

async fn every_case(emulator: Option<Emulator>, exceptions: &[turns::Exception]) {
    let Some(emulator) = emulator else { return };
    for case in turns::cases() {
        let mut road = Road::new(&emulator.endpoint, "us-east-1", None);
        turns::drive(&mut road, emulator.name, &case, exceptions).await;
    }
    let mut road = Road::new(&emulator.endpoint, "us-east-1", None);
    assert!(road.router.guard().await.is_empty(), "{}", emulator.name);
    refusals::agreed(&road, emulator.name).await;
    for versioned in [false, true] {
        contents::among_strangers(&mut road, emulator.name, None, versioned).await;
    }
    contents::rolled_back(&mut road, emulator.name, None).await;
}

/// Our own sandbox, for the same tests.
async fn sandbox() -> (Session, tempfile::TempDir, (String, Secret)) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { aws: [road::ACCOUNT.to_owned()].into(), ..Accounts::default() };
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    let session = Session::open(options).await.unwrap();
    let (id, secret) = session.credentials.aws_keys(road::ACCOUNT);
    (session, folder, (id, Secret::new(secret)))
}

const MOTO: &[turns::Exception] = &[(
    "AWS::S3::Bucket",
    "LifecycleConfiguration -> ObjectSize",
    "forgets the sizes of a filter and NewerNoncurrentVersions; S3's model has both",
)];

const MINISTACK: &[turns::Exception] = &[(
    "AWS::IAM::Role",
    "Description -> null",
    "drops parameters with an empty value, so that UpdateRole cannot empty a description; IAM's model allows a \
     description of length 0 there",
)];

#[tokio::test]
async fn the_sandbox_agrees() {
    let (session, _folder, keys) = sandbox().await;
    for (case, region) in turns::cases().into_iter().zip(["us-east-1", "eu-central-1"].into_iter().cycle()) {
        let mut road = Road::new(&session.endpoints.aws, region, Some(keys.clone()));
        turns::drive(&mut road, "sandbox", &case, &[]).await;
    }
}

#[tokio::test]
async fn the_sandbox_refuses_alike_and_more() {
    let (session, _folder, keys) = sandbox().await;
    let endpoint = session.endpoints.aws.as_str();
    let road = Road::new(endpoint, "us-east-1", Some(keys.clone()));
    refusals::agreed(&road, "sandbox").await;
    let (id, secret) = session.credentials.aws_keys("999999999999");
    let other = Road::new(endpoint, "us-east-1", Some((id, Secret::new(secret))));
    let wrong = Road::new(endpoint, "us-east-1", Some((keys.0, Secret::new("wrong"))));
    refusals::strictly(&road, &other, &wrong).await;
}

#[tokio::test]
async fn strangers_objects_are_safe() {
    let (session, _folder, keys) = sandbox().await;
    let mut road = Road::new(&session.endpoints.aws, "eu-west-1", Some(keys.clone()));
    for versioned in [false, true] {
        contents::among_strangers(&mut road, "sandbox", Some(&keys), versioned).await;
    }
    contents::rolled_back(&mut road, "sandbox", Some(&keys)).await;
}

#[tokio::test]
async fn endpoints_that_do_not_answer() {
    refusals::unreachable().await;
}

#[tokio::test]
async fn moto_agrees() {
    Box::pin(every_case(Emulator::moto(), MOTO)).await;
}

#[tokio::test]
async fn ministack_agrees() {
    Box::pin(every_case(Emulator::ministack(), MINISTACK)).await;
}
