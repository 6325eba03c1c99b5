//! Whether a bucket holds something that stays: S3 deletes empty buckets alone, and mcm empties none.

use super::super::Aws;
use super::super::error::optional;
use crate::model::{CloudError, CloudId, ErrorKind};

/// So many pages of a thousand objects are looked through.
const PAGES: usize = 10;

/// An object that does not go with what is `leaving` before the bucket. (Of older versions only S3's own refusal tells.)
pub(super) async fn obstacle(
    aws: &Aws,
    bucket: &str,
    leaving: &[&CloudId],
) -> Result<Option<String>, CloudError> {
    let s3 = aws.s3().await?;
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let send = || s3.list_objects_v2().bucket(bucket).set_continuation_token(token.clone()).send();
        let page = match optional(aws.read("s3:ListObjectsV2", send).await) {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(None),
            // Whoever may not look meets what S3 says.
            Err(error) if error.kind == ErrorKind::Denied => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut keys = page.contents().iter().filter_map(|object| object.key());
        if let Some(key) = keys.find(|key| !leaving.iter().any(|id| goes_with(&id.0, bucket, key))) {
            return Ok(Some(format!("the bucket holds `{key}`, which this stack did not put there")));
        }
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    Ok(None)
}

/// Whether a key is of a folder or a file of these: `s3://BUCKET/PREFIX`.
fn goes_with(id: &str, bucket: &str, key: &str) -> bool {
    let place = id.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    place.is_some_and(|(name, prefix)| name == bucket && key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_folder_holds_goes_with_it() {
        assert!(goes_with("s3://b/", "b", "x") && goes_with("s3://b/site/", "b", "site/index.html"));
        assert!(goes_with("s3://b/functions/f/1.zip", "b", "functions/f/1.zip"));
        assert!(!goes_with("s3://b/site/", "b", "x") && !goes_with("s3://c/", "b", "x"));
        assert!(!goes_with("b", "b", "x"));
    }
}
