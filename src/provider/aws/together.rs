//! Changes sent side by side: each is awaited to its end, whatever becomes of the others. A request that is dropped on
//! its way may still be carried out, after everything that is read next.

use std::future::Future;

use futures::future::join_all;

use crate::model::{CloudError, ErrorKind};

/// Awaits all of them; what went wrong as [`worst`] has it.
pub(super) async fn all<F>(works: impl IntoIterator<Item = F>) -> Result<(), CloudError>
where
    F: Future<Output = Result<(), CloudError>>,
{
    worst(join_all(works).await)
}

/// Of several ends the one that counts: a change that may have happened before one that did not, else the first.
pub(super) fn worst(ends: impl IntoIterator<Item = Result<(), CloudError>>) -> Result<(), CloudError> {
    let errors = ends.into_iter().filter_map(Result::err);
    errors.min_by_key(|error| error.kind != ErrorKind::Unknown).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::error::refusal;
    use super::*;

    #[tokio::test]
    async fn what_is_under_way_is_awaited_though_another_failed() {
        let done = AtomicUsize::new(0);
        let work = |pauses: usize, kind: Option<ErrorKind>| {
            let done = &done;
            async move {
                for _ in 0..pauses {
                    tokio::task::yield_now().await;
                }
                done.fetch_add(1, Ordering::Relaxed);
                kind.map_or(Ok(()), |kind| Err(refusal("x:Call", kind, "as the test wants it")))
            }
        };
        let works = [(0, Some(ErrorKind::Denied)), (3, None), (2, Some(ErrorKind::Unknown)), (9, None)];
        let ended = all(works.map(|(pauses, kind)| work(pauses, kind))).await;
        assert_eq!((done.into_inner(), ended.unwrap_err().kind), (4, ErrorKind::Unknown));
    }
}
