//! The distribution before a bucket: made to forget what has changed.

use std::time::Duration;

use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep};

use super::super::Aws;
use super::super::error::{optional, refusal};
use crate::model::{CloudError, ErrorKind};

/// More paths than these cost more than forgetting everything does: the first thousand of a month are free.
const PATHS: usize = 30;
/// What a path is written with; `/` parts it.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The page that stands for its folder.
const INDEX: &str = "index.html";
/// All edges have done it within a minute or two.
const PATIENCE: Duration = Duration::from_mins(15);
/// The first pause between two looks; each further one is longer, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

const CREATE: &str = "cloudfront:CreateInvalidation";
const READ: &str = "cloudfront:GetInvalidation";

/// Everything.
const ALL: &str = "/*";

/// Has a distribution forget what it keeps of these objects, and waits until it has.
pub(super) async fn forget<'k>(
    aws: &Aws,
    distribution: &str,
    keys: impl Iterator<Item = &'k String>,
) -> Result<(), CloudError> {
    let paths = paths(keys);
    if paths.is_empty() {
        return Ok(());
    }
    let done = match invalidate(aws, distribution, paths).await {
        Ok(id) => completed(aws, distribution, &id).await,
        Err(error) => Err(error),
    };
    // The objects are written: whatever goes wrong from here on, the bucket is no longer what it was.
    done.map_err(|error| stale(aws, error))
}

/// Has a distribution forget everything, and waits until it has.
pub(super) async fn forget_all(aws: &Aws, distribution: &str) -> Result<(), CloudError> {
    let id = invalidate(aws, distribution, vec![ALL.to_owned()]).await?;
    completed(aws, distribution, &id).await
}

/// Has a distribution forget everything after a deletion. That it will is enough: nobody waits for what is gone. One that
/// is gone itself has forgotten everything.
pub(super) async fn let_go(aws: &Aws, distribution: &str) -> Result<(), CloudError> {
    match optional(invalidate(aws, distribution, vec![ALL.to_owned()]).await) {
        Ok(_) => Ok(()),
        Err(error) => Err(stale(aws, error)),
    }
}

/// A bucket is changed, and the edges do not know. Whoever looks at the bucket finds nothing amiss: it is told as well.
fn stale(aws: &Aws, error: CloudError) -> CloudError {
    aws.tell(&format!("visitors may see older files for a while: {error}"));
    CloudError {
        hint: error
            .hint
            .or_else(|| Some("the bucket is changed; visitors may see older files for a while".to_owned())),
        kind: ErrorKind::Unknown,
        ..error
    }
}

/// Begins an invalidation; its id.
async fn invalidate(aws: &Aws, distribution: &str, paths: Vec<String>) -> Result<String, CloudError> {
    let cloudfront = aws.cloudfront().await?;
    let wrong =
        |error: aws_sdk_cloudfront::error::BuildError| refusal(CREATE, ErrorKind::Invalid, error.to_string());
    let count = i32::try_from(paths.len()).unwrap_or(i32::MAX);
    let paths = Paths::builder().quantity(count).set_items(Some(paths)).build().map_err(wrong)?;
    // The same reference invalidates once, however often it is sent.
    let mut reference = [0; 16];
    getrandom::fill(&mut reference)
        .map_err(|why| refusal(CREATE, ErrorKind::Invalid, format!("no random numbers: {why}")))?;
    let batch =
        InvalidationBatch::builder().paths(paths).caller_reference(format!("mcm-{}", hex::encode(reference)));
    let batch = batch.build().map_err(wrong)?;
    let send = || {
        cloudfront
            .create_invalidation()
            .distribution_id(distribution)
            .invalidation_batch(batch.clone())
            .send()
    };
    let made = aws.put(CREATE, send).await?;
    Ok(made.invalidation().map(|made| made.id().to_owned()).unwrap_or_default())
}

/// Waits until all edges have done it.
async fn completed(aws: &Aws, distribution: &str, id: &str) -> Result<(), CloudError> {
    let cloudfront = aws.cloudfront().await?;
    let (began, mut pause) = (Instant::now(), SHORTEST);
    loop {
        let send = || cloudfront.get_invalidation().distribution_id(distribution).id(id).send();
        let answer = aws.read(READ, send).await?;
        if answer.invalidation().is_none_or(|found| found.status() == "Completed") {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let message =
                format!("the invalidation {id} of the distribution {distribution} does not come to its end");
            return Err(refusal(READ, ErrorKind::Unknown, message));
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST);
    }
}

/// The paths under which objects are served: an index stands for its folder, too.
fn paths<'k>(keys: impl Iterator<Item = &'k String>) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for key in keys {
        let path = format!("/{}", utf8_percent_encode(key, PLAIN));
        if let Some(folder) = path.strip_suffix(INDEX).filter(|folder| folder.ends_with('/')) {
            paths.push(folder.to_owned());
        }
        paths.push(path);
        if paths.len() > PATHS {
            return vec![ALL.to_owned()];
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn an_index_stands_for_its_folder_and_many_files_for_all() {
        let keys = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let few = keys(&["index.html", "a/index.html", "my index.html", "é.css"]);
        assert_eq!(
            paths(few.iter()),
            ["/", "/index.html", "/a/", "/a/index.html", "/my%20index.html", "/%C3%A9.css"]
        );
        assert!(paths([].iter()).is_empty());
        let many: Vec<String> = (0..31).map(|at| format!("{at}.html")).collect();
        assert_eq!(paths(many.iter()), ["/*"]);
    }
}
