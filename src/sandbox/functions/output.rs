//! What a process prints.
//!
//! It comes through a pipe: what was printed before an answer is in it when the answer is, and whoever prints more than is
//! kept fills neither a disk nor the memory.

use std::io::{self, PipeWriter};

/// So much of what is printed during one event is kept, in bytes.
const MOST_KEPT: usize = 1024 * 1024;
/// And so much is read at its end: more than any pipe holds.
const MOST_LEFT: usize = 2 * 1024 * 1024;
/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// The near end of the pipe.
#[derive(Debug)]
pub(super) struct Output {
    #[cfg(unix)]
    pipe: tokio::net::unix::pipe::Receiver,
    /// The same, past what the runtime knows of it: whether there is something is asked of the system itself.
    #[cfg(unix)]
    direct: io::PipeReader,
    kept: Vec<u8>,
}

impl Output {
    /// Opens the pipe; the far end is the process's.
    #[cfg(unix)]
    pub(super) fn open() -> io::Result<(Self, PipeWriter)> {
        let (direct, writer) = io::pipe()?;
        // Neither of them waits in a read from now on.
        let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(direct.try_clone()?.into())?;
        Ok((Self { pipe, direct, kept: Vec::new() }, writer))
    }

    /// Reads what is printed, for as long as this is waited for.
    #[cfg(unix)]
    pub(super) async fn keep(&mut self) -> std::convert::Infallible {
        let mut piece = vec![0; PIECE];
        loop {
            if self.pipe.readable().await.is_err() {
                return std::future::pending().await;
            }
            match self.pipe.try_read(&mut piece) {
                // It has closed its end: nothing more will come.
                Ok(0) => return std::future::pending().await,
                Ok(length) => absorb(&mut self.kept, &piece[..length]),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// The lines that came since this was last asked.
    #[cfg(unix)]
    pub(super) fn take(&mut self) -> Vec<String> {
        use std::io::Read as _;
        let mut piece = vec![0; PIECE];
        let mut left = MOST_LEFT;
        while left > 0 {
            match self.direct.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    absorb(&mut self.kept, &piece[..length]);
                    left = left.saturating_sub(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let kept = std::mem::take(&mut self.kept);
        String::from_utf8_lossy(&kept).lines().map(str::to_owned).collect()
    }

    /// Functions need pipes, signals and groups of processes as Unix has them.
    #[cfg(not(unix))]
    pub(super) fn open() -> io::Result<(Self, PipeWriter)> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "functions run on Unix systems alone"))
    }

    #[cfg(not(unix))]
    pub(super) async fn keep(&mut self) -> std::convert::Infallible {
        std::future::pending().await
    }

    #[cfg(not(unix))]
    pub(super) fn take(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn absorb(kept: &mut Vec<u8>, piece: &[u8]) {
    let room = MOST_KEPT - kept.len();
    kept.extend_from_slice(&piece[..piece.len().min(room)]);
}
