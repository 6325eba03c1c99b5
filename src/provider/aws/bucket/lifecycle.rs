//! Lifecycle rules. CloudFormation writes a rule's filter flat; S3 wants it nested, and differently for one
//! condition than for several.

use aws_sdk_s3::error::BuildError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter, NoncurrentVersionExpiration,
    NoncurrentVersionTransition, Transition, TransitionStorageClass,
};

use super::shape;
use super::wire::{tag, tag_read};

/// How small objects are treated where nothing is said.
pub(super) const MINIMUM_SIZE: &str = "all_storage_classes_128K";

pub(super) fn write(desired: &shape::Lifecycle) -> Result<BucketLifecycleConfiguration, BuildError> {
    let rules = desired.rules.iter().map(rule).collect::<Result<_, _>>()?;
    BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build()
}

fn rule(rule: &shape::LifecycleRule) -> Result<LifecycleRule, BuildError> {
    // S3 refuses the marker beside a time, even a marker that says no.
    let marker = rule.expired_object_delete_marker.filter(|&marker| marker);
    let expiration = (rule.expiration_in_days.is_some()
        || rule.expiration_date.is_some()
        || marker.is_some())
    .then(|| {
        LifecycleExpiration::builder()
            .set_days(rule.expiration_in_days)
            .set_date(rule.expiration_date.as_deref().and_then(date))
            .set_expired_object_delete_marker(marker)
            .build()
    });
    let noncurrent = rule.noncurrent_version_expiration.as_ref().map(|expiration| {
        NoncurrentVersionExpiration::builder()
            .set_noncurrent_days(expiration.noncurrent_days)
            .set_newer_noncurrent_versions(expiration.newer_noncurrent_versions)
            .build()
    });
    let transitions = rule.transitions.iter().map(|transition| {
        Transition::builder()
            .storage_class(TransitionStorageClass::from(transition.storage_class.as_str()))
            .set_days(transition.transition_in_days)
            .set_date(transition.transition_date.as_deref().and_then(date))
            .build()
    });
    let noncurrent_transitions = rule.noncurrent_version_transitions.iter().map(|transition| {
        NoncurrentVersionTransition::builder()
            .storage_class(TransitionStorageClass::from(transition.storage_class.as_str()))
            .set_noncurrent_days(transition.transition_in_days)
            .set_newer_noncurrent_versions(transition.newer_noncurrent_versions)
            .build()
    });
    let abort = rule.abort_incomplete_multipart_upload.as_ref().map(|abort| {
        AbortIncompleteMultipartUpload::builder()
            .set_days_after_initiation(abort.days_after_initiation)
            .build()
    });
    LifecycleRule::builder()
        .set_id(rule.id.clone())
        .status(ExpirationStatus::from(rule.status.as_str()))
        .filter(filter(rule)?)
        .set_expiration(expiration)
        .set_noncurrent_version_expiration(noncurrent)
        .set_transitions(some(transitions.collect()))
        .set_noncurrent_version_transitions(some(noncurrent_transitions.collect()))
        .set_abort_incomplete_multipart_upload(abort)
        .build()
}

/// One condition stands alone, several stand under `And`; none is an empty prefix: every object.
fn filter(rule: &shape::LifecycleRule) -> Result<LifecycleRuleFilter, BuildError> {
    let tags = rule.tag_filters.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    let size = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
    let (more, less) = (size(&rule.object_size_greater_than), size(&rule.object_size_less_than));
    let prefix = rule.prefix.clone().filter(|prefix| !prefix.is_empty());
    let conditions = tags.len()
        + usize::from(more.is_some())
        + usize::from(less.is_some())
        + usize::from(prefix.is_some());
    let filter = LifecycleRuleFilter::builder();
    Ok(match conditions {
        0 => filter.prefix("").build(),
        1 => filter
            .set_prefix(prefix)
            .set_tag(tags.into_iter().next())
            .set_object_size_greater_than(more)
            .set_object_size_less_than(less)
            .build(),
        _ => filter
            .and(
                LifecycleRuleAndOperator::builder()
                    .set_prefix(prefix)
                    .set_tags(some(tags))
                    .set_object_size_greater_than(more)
                    .set_object_size_less_than(less)
                    .build(),
            )
            .build(),
    })
}

pub(super) fn read(rules: &[LifecycleRule], minimum_size: Option<&str>) -> shape::Lifecycle {
    shape::Lifecycle {
        rules: rules.iter().map(rule_read).collect(),
        transition_default_minimum_object_size: Some(minimum_size.unwrap_or(MINIMUM_SIZE).to_owned()),
    }
}

fn rule_read(rule: &LifecycleRule) -> shape::LifecycleRule {
    let filter = rule.filter();
    let and = filter.and_then(LifecycleRuleFilter::and);
    // Rules made long ago have their prefix outside of the filter.
    #[expect(deprecated, reason = "S3 still answers it for rules that were written so")]
    let prefix = [and.and_then(|and| and.prefix()), filter.and_then(|filter| filter.prefix()), rule.prefix()];
    let more = filter.and_then(LifecycleRuleFilter::object_size_greater_than);
    let less = filter.and_then(LifecycleRuleFilter::object_size_less_than);
    let tags = and
        .map(LifecycleRuleAndOperator::tags)
        .unwrap_or_default()
        .iter()
        .chain(filter.and_then(LifecycleRuleFilter::tag));
    let expiration = rule.expiration();
    shape::LifecycleRule {
        id: rule.id().map(str::to_owned),
        status: rule.status().as_str().to_owned(),
        prefix: prefix.into_iter().flatten().find(|prefix| !prefix.is_empty()).map(str::to_owned),
        tag_filters: tags.map(tag_read).collect(),
        // Among several conditions S3 answers a zero that no one has set.
        object_size_greater_than: and
            .and_then(LifecycleRuleAndOperator::object_size_greater_than)
            .filter(|&size| size != 0)
            .or(more)
            .map(|n| n.to_string()),
        object_size_less_than: and
            .and_then(LifecycleRuleAndOperator::object_size_less_than)
            .or(less)
            .map(|n| n.to_string()),
        expiration_in_days: expiration.and_then(LifecycleExpiration::days),
        expiration_date: expiration.and_then(|expiration| text(expiration.date())),
        expired_object_delete_marker: expiration
            .and_then(LifecycleExpiration::expired_object_delete_marker)
            .filter(|&marker| marker),
        noncurrent_version_expiration: rule.noncurrent_version_expiration().map(|expiration| {
            shape::NoncurrentExpiration {
                noncurrent_days: expiration.noncurrent_days(),
                newer_noncurrent_versions: expiration.newer_noncurrent_versions(),
            }
        }),
        noncurrent_version_transitions: rule
            .noncurrent_version_transitions()
            .iter()
            .map(|transition| shape::NoncurrentTransition {
                storage_class: class(transition.storage_class()),
                transition_in_days: transition.noncurrent_days(),
                newer_noncurrent_versions: transition.newer_noncurrent_versions(),
            })
            .collect(),
        transitions: rule
            .transitions()
            .iter()
            .map(|transition| shape::Transition {
                storage_class: class(transition.storage_class()),
                transition_in_days: transition.days(),
                transition_date: text(transition.date()),
            })
            .collect(),
        abort_incomplete_multipart_upload: rule
            .abort_incomplete_multipart_upload()
            .map(|abort| shape::AbortUpload { days_after_initiation: abort.days_after_initiation() }),
    }
}

fn class(class: Option<&TransitionStorageClass>) -> String {
    class.map(|class| class.as_str().to_owned()).unwrap_or_default()
}

fn date(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, DateTimeFormat::DateTime).ok()
}

fn text(date: Option<&DateTime>) -> Option<String> {
    date?.fmt(DateTimeFormat::DateTime).ok()
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
