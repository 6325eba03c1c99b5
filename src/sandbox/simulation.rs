//! The three clouds in memory, reached over connections within the process: for simulation.
//!
//! The same adapters, transport and faults as behind the sandbox's sockets, on the runtime's clock: where that is
//! paused, waiting costs no time. Everything happens on the runtime's threads; on a single one in one order.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::faults::Wire;
use super::transport::{self, Open, Shared};
use super::{Accounts, Clock, World};
use crate::model::Cloud;

/// So much fits into a connection that nobody reads.
const BUFFER: usize = 64 * 1024;

/// Three clouds in memory. Must be used within the runtime that it was made in.
#[derive(Debug)]
pub struct Simulation {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl Simulation {
    /// Empty clouds, whose every answer takes `latency`. The same seed gives the same ids.
    pub fn new(seed: u64, accounts: Accounts, latency: Duration) -> Self {
        Self::of(World::new(Clock::Runtime(Timestamp::now(), Instant::now()), seed, accounts), latency)
    }

    /// A copy that goes its own way from here on, in this runtime.
    #[must_use]
    pub fn fork(&self, latency: Duration) -> Self {
        Self::of(self.world(|world| world.copy()), latency)
    }

    fn of(mut world: World, latency: Duration) -> Self {
        world.set_clock(Clock::Runtime(world.now(), Instant::now()));
        let shared = Shared::new(Open { world, log: None }, latency, "simulation".to_owned());
        Self { shared: Arc::new(shared), stop: watch::Sender::new(false) }
    }

    /// Opens connections to a cloud.
    pub fn dial(&self, cloud: Cloud) -> impl Fn() -> DuplexStream + Send + Sync + 'static {
        let (shared, stopped) = (Arc::clone(&self.shared), self.stop.subscribe());
        move || {
            let (near, far) = tokio::io::duplex(BUFFER);
            tokio::spawn(transport::connection(far, cloud, Arc::clone(&shared), stopped.clone()));
            near
        }
    }

    /// Faults, and the record of requests.
    pub fn wire(&self) -> &Wire {
        &self.shared.wire
    }

    /// Looks into the clouds, or changes them behind everyone's back; what is changed is as if long committed.
    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        self.shared.world(look)
    }
}

impl Shared {
    /// The world, with what `look` changes in it committed.
    fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guard.get_or_insert_with(|| unreachable!("a simulation is never closed"));
        let seen = look(&mut open.world);
        let committed = open.world.commit(|_, _| Ok(()));
        debug_assert!(committed.is_ok(), "memory does not fail");
        seen
    }
}
