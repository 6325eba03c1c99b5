//! The port under the store: a handful of small files, whose writes have survived a crash when they return.

use std::fmt::Debug;
use std::io;

use async_trait::async_trait;

/// Where a stack's durable files lie: a folder, or a prefix in an object store. Names are plain: `state.json`.
///
/// A failed write may have happened in part: an [`Medium::append`] may have left a beginning of its content at the
/// end, a [`Medium::replace`] the old content or the new one, never a mixture.
#[async_trait]
pub trait Medium: Send + Sync + Debug {
    /// Where, for messages: a path or an address.
    fn place(&self, name: &str) -> String;
    /// A file's content; `None` if it is not there. At most 256 MiB.
    async fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Adds to a file's end; makes the file.
    async fn append(&self, name: &str, content: &[u8]) -> io::Result<()>;
    /// Replaces a file's content; makes the file.
    async fn replace(&self, name: &str, content: &[u8]) -> io::Result<()>;
    /// Takes a file away; one that is not there is gone already.
    async fn remove(&self, name: &str) -> io::Result<()>;
}
