//! Events that nobody waits for: each is run until it succeeds, three times at most.
//!
//! They are records of the world: an event whose run a killed server did not finish is run again by the next, as Lambda
//! too delivers at least once. The real one waits a minute before the second try and two before the third; here it is
//! a second and two.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::function;
use super::invoke::{Invocation, Then, prepare};
use crate::sandbox::{Record, World};

/// A failed event is tried again so often.
const RETRIES: u32 = 2;
/// After this time, and the second time after twice this.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// An event is as old at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

/// An event, under `TIME-ID`, so that the oldest comes first.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Queued {
    /// The function, as it was called.
    arn: String,
    /// The event, in Base64.
    payload: String,
    /// The request's id: the same at every try.
    request_id: String,
    since: Timestamp,
    /// How often it failed.
    failures: u32,
    /// Not to be tried before.
    after: Timestamp,
}

impl Record for Queued {
    const TABLE: &'static str = "aws.lambda.queue";
}

/// Queues an event for a function.
pub(in crate::sandbox::aws) fn add(world: &mut World, arn: &str, payload: &Bytes) {
    let now = world.now();
    let request_id = world.uuid();
    let key = format!("{:020}-{request_id}", now.as_microsecond());
    let queued = Queued {
        arn: arn.to_owned(),
        payload: STANDARD.encode(payload),
        request_id,
        since: now,
        failures: 0,
        after: now,
    };
    world.put(&key, &queued);
    world.wake();
}

/// The events that are due, less those that `busy` holds already, as invocations, `most` of them; and when the next is due.
/// Those for which there is no place now wait without being touched.
pub fn due(
    world: &mut World,
    most: usize,
    busy: &dyn Fn(&str) -> bool,
) -> (Vec<Invocation>, Option<Timestamp>) {
    let now = world.now();
    let mut next: Option<Timestamp> = None;
    let mut found = Vec::new();
    for (key, queued) in world.list::<Queued>("") {
        if busy(&key) {
            continue;
        }
        if now.duration_since(queued.since) > LONGEST {
            world.remove::<Queued>(&key);
            continue;
        }
        if queued.after > now {
            next = Some(next.map_or(queued.after, |next| next.min(queued.after)));
            continue;
        }
        if found.len() >= most {
            // A place that is given free is told; this is for one that is taken and given free by others.
            next = Some(now + PAUSE);
            break;
        }
        let payload = Bytes::from(STANDARD.decode(&queued.payload).unwrap_or_default());
        let invocation = function::by_arn(world, &queued.arn).and_then(|(function, qualifier)| {
            prepare(world, &function, &qualifier, payload, Then::Queue(key.clone())).ok()
        });
        if let Some(invocation) = invocation {
            found.push(Invocation { request_id: queued.request_id.clone(), ..invocation });
        } else {
            // A function that is not there, or cannot be called, fails like one that was run.
            done(world, &key, false);
        }
    }
    (found, next)
}

/// Ends a try of an event.
pub(super) fn done(world: &mut World, key: &str, succeeded: bool) {
    let Some(mut queued) = world.get::<Queued>(key) else { return };
    let now = world.now();
    queued.failures += 1;
    if succeeded || queued.failures > RETRIES || now.duration_since(queued.since) > LONGEST {
        world.remove::<Queued>(key);
        return;
    }
    let pause = PAUSE.saturating_mul(i32::try_from(queued.failures).unwrap_or(1).max(1));
    queued.after = now.saturating_add(pause).unwrap_or(now);
    world.put(key, &queued);
    world.wake();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Accounts, Clock};

    #[test]
    fn what_has_no_place_waits_without_being_written_anew() {
        let mut world = World::new(Clock::Fixed(Timestamp::UNIX_EPOCH), 1, Accounts::default());
        add(&mut world, "arn:aws:lambda:us-east-1:123456789012:function:f", &Bytes::from_static(b"{}"));
        world.commit(|_, _| Ok(())).unwrap();
        let (found, next) = due(&mut world, 0, &|_| false);
        assert!(found.is_empty() && next.is_some());
        world.commit(|_, _| panic!("nothing is to be written")).unwrap();
        world.set_clock(Clock::Fixed(Timestamp::from_second(7 * 3600).unwrap()));
        due(&mut world, 0, &|_| false);
        assert!(world.list::<Queued>("").is_empty(), "it is too old");
    }
}
