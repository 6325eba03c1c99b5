//! Other people's AWS: the same stacks, applied where someone else wrote the cloud. Our sandbox is our reading of
//! AWS; these check that reading, and the sandbox is held to the same tests.

mod reference;
mod road;
mod servers;
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
}

/// Our own sandbox, for the same tests.
async fn sandbox() -> (Session, tempfile::TempDir, (String, Secret)) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { aws: [road::ACCOUNT.to_owned()].into(), ..Accounts::default() };
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    let (id, secret) = mcm::sandbox::aws_keys(road::ACCOUNT);
    (Session::open(options).await.unwrap(), folder, (id, Secret::new(secret)))
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
async fn moto_agrees() {
    every_case(Emulator::moto(), MOTO).await;
}

#[tokio::test]
async fn ministack_agrees() {
    every_case(Emulator::ministack(), MINISTACK).await;
}
