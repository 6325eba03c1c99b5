//! The distribution before a bucket: made to forget what has changed.

use std::time::Duration;

use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep};

use super::super::Aws;
use super::super::error::refusal;
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
    // The objects are written: whatever goes wrong from here on, the bucket is no longer what it was.
    invalidate(aws, distribution, paths).await.map_err(|error| CloudError {
        hint: error
            .hint
            .or_else(|| Some("the objects are written; visitors may see older ones for a while".to_owned())),
        kind: ErrorKind::Unknown,
        ..error
    })
}

async fn invalidate(aws: &Aws, distribution: &str, paths: Vec<String>) -> Result<(), CloudError> {
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
    let id = made.invalidation().map(|made| made.id().to_owned()).unwrap_or_default();
    let (began, mut pause) = (Instant::now(), SHORTEST);
    loop {
        let send = || cloudfront.get_invalidation().distribution_id(distribution).id(&id).send();
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
            return vec!["/*".to_owned()];
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
