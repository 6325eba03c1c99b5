//! The versions that are long past, deleted once the run that released a newer one is over: from then on no undoing leads
//! back to them.
//!
//! Only what bears our mark goes: what mcm has published for this very release. Of those that are older than what the
//! alias leads to, the latest stay, for whoever wants to lead back by hand; a version that any alias leads to stays, and
//! so does a newer one, which a later release may be.

use std::collections::BTreeSet;

use super::super::Aws;
use super::super::error::optional;
use super::get;
use super::told::Told;
use crate::model::{CloudError, Owner};

/// So many versions before the released one stay.
const KEPT: usize = 3;
/// More pages than versions and aliases that Lambda lets a function have.
const PAGES: usize = 1000;

/// Deletes them; which.
pub(in super::super) async fn prune(aws: &Aws, function: &str, alias: &str) -> Result<Vec<u64>, CloudError> {
    let Some(found) = get(aws, function, alias).await? else { return Ok(Vec::new()) };
    let released = found.function_version().and_then(|version| version.parse().ok());
    let (Some(owner), Some(released)) = (Told::parse(found.description()).owner, released) else {
        return Ok(Vec::new());
    };
    let ours = ours(aws, function, &owner).await?;
    // Looked at last: what an alias leads to by now is not deleted.
    let past = past(&ours, released, &led_to(aws, function).await?);
    let lambda = aws.lambda().await?;
    for version in &past {
        let send = || lambda.delete_function().function_name(function).qualifier(version.to_string()).send();
        optional(aws.put("lambda:DeleteFunction", send).await)?;
    }
    Ok(past)
}

/// Which of our versions are long past, the oldest first.
fn past(ours: &BTreeSet<u64>, released: u64, led_to: &BTreeSet<u64>) -> Vec<u64> {
    let mut past: Vec<u64> = ours.range(..released).copied().rev().skip(KEPT).collect();
    past.retain(|version| !led_to.contains(version));
    past.reverse();
    past
}

/// The versions that bear our mark.
async fn ours(aws: &Aws, function: &str, owner: &Owner) -> Result<BTreeSet<u64>, CloudError> {
    let (lambda, mark) = (aws.lambda().await?, owner.to_text());
    let (mut ours, mut marker) = (BTreeSet::new(), None::<String>);
    for _ in 0..PAGES {
        let send =
            || lambda.list_versions_by_function().function_name(function).set_marker(marker.clone()).send();
        let page = aws.read("lambda:ListVersionsByFunction", send).await?;
        let marked = page.versions().iter().filter(|one| one.description() == Some(mark.as_str()));
        ours.extend(marked.filter_map(|one| one.version()?.parse::<u64>().ok()));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            break;
        }
    }
    Ok(ours)
}

/// The versions that an alias leads to, be it for some calls only.
async fn led_to(aws: &Aws, function: &str) -> Result<BTreeSet<u64>, CloudError> {
    let lambda = aws.lambda().await?;
    let (mut led_to, mut marker) = (BTreeSet::new(), None::<String>);
    for _ in 0..PAGES {
        let send = || lambda.list_aliases().function_name(function).set_marker(marker.clone()).send();
        let page = aws.read("lambda:ListAliases", send).await?;
        for alias in page.aliases() {
            let some = alias.routing_config().and_then(|routing| routing.additional_version_weights());
            let versions = some.into_iter().flatten().map(|(version, _)| version.as_str());
            led_to.extend(versions.chain(alias.function_version()).filter_map(|one| one.parse::<u64>().ok()));
        }
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            break;
        }
    }
    Ok(led_to)
}

#[cfg(test)]
mod tests {
    use super::past;

    #[test]
    fn the_latest_before_the_released_one_stay_and_what_an_alias_leads_to() {
        let told = |ours: &[u64], released, led_to: &[u64]| -> Vec<u64> {
            past(&ours.iter().copied().collect(), released, &led_to.iter().copied().collect())
        };
        assert_eq!(told(&[2, 3, 4, 5], 5, &[5]), [0; 0]);
        assert_eq!(told(&[2, 3, 4, 5, 6, 7], 6, &[6]), [2]);
        assert_eq!(told(&[1, 2, 3, 4, 5, 6, 7], 7, &[7, 2]), [1, 3]);
        // Somebody else has published the released one, or led the alias back.
        assert_eq!(told(&[1, 2, 3, 4, 5, 6], 9, &[9]), [1, 2, 3]);
        assert_eq!(told(&[1, 2, 3, 4, 5, 6], 2, &[2]), [0; 0]);
    }
}
