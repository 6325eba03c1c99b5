//! The runtime, and what a stop signal means: the first asks, the second leaves at once.

use tokio::runtime;
use tokio::sync::watch;

use super::exit::Exit;
use super::failure::{Ending, Failure};

/// Tells when someone wants the program to stop.
#[derive(Clone, Debug)]
pub(super) struct Signals(watch::Receiver<bool>);

impl Signals {
    /// Ends when the first signal comes.
    pub(super) async fn came(&mut self) {
        if self.0.wait_for(|&came| came).await.is_err() {
            // No one listens any more: no signal will ever come.
            std::future::pending::<()>().await;
        }
    }

    /// Does something that changes nothing; a signal ends it.
    pub(super) async fn or<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.came() => Err(Failure::interrupted()),
            done = work => done,
        }
    }
}

/// Runs a command that changes nothing: the first signal ends it.
pub(super) fn run_readonly(main: impl Future<Output = Ending>) -> Ending {
    run_readonly_for(main)
}

/// Does something that changes nothing and gives a result: the first signal ends it.
pub(super) fn run_readonly_for<T>(main: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run(async |mut signals| signals.or(main).await)
}

/// Runs a command on a runtime of its own.
pub(super) fn run<T>(main: impl AsyncFnOnce(Signals) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("no threads could be started", &error))?;
    let ending = runtime.block_on(async {
        let signals = listen().map_err(|error| Failure::io("signals cannot be listened to", &error))?;
        main(signals).await
    });
    // A thread may still wait at the terminal for an answer that no one wants any more.
    runtime.shutdown_background();
    ending
}

#[cfg(unix)]
fn listen() -> std::io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if sender.send_replace(true) {
                leave();
            }
        }
    });
    Ok(Signals(receiver))
}

#[cfg(not(unix))]
fn listen() -> std::io::Result<Signals> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.send_replace(true) {
                leave();
            }
        }
    });
    Ok(Signals(receiver))
}

/// The second signal: what was intended is recorded, which is all that the next run needs.
fn leave() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}
