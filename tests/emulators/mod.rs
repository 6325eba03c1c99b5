//! Other people's AWS: the same stacks, applied where someone else wrote the cloud. Our sandbox is our reading of
//! AWS; these check that reading, and the sandbox is held to the same tests.

mod reference;
mod road;
mod servers;
mod turns;

use road::Road;
use servers::Emulator;

async fn every_case(emulator: Option<Emulator>, exceptions: &[turns::Exception]) {
    let Some(emulator) = emulator else { return };
    for case in turns::cases() {
        let mut road = Road::new(&emulator.endpoint, "us-east-1", None);
        turns::drive(&mut road, emulator.name, &case, exceptions).await;
    }
}

const MOTO: &[turns::Exception] = &[];

const MINISTACK: &[turns::Exception] = &[(
    "AWS::IAM::Role",
    "Description -> null",
    "drops parameters with an empty value, so that UpdateRole cannot empty a description; IAM's model allows a \
     description of length 0 there",
)];

#[tokio::test]
async fn moto_agrees() {
    every_case(Emulator::moto(), MOTO).await;
}

#[tokio::test]
async fn ministack_agrees() {
    every_case(Emulator::ministack(), MINISTACK).await;
}
