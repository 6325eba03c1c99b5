//! A bucket as the origin of a distribution: an object, for a service that asks in the distribution's name.

use bytes::Bytes;
use http::Method;

use super::super::error::Error;
use super::super::policy::{Ask, Facts, Service, evaluate, is_public};
use super::answer::failure;
use super::record::{Bucket, Content, Version};
use super::{Call, NOWHERE, object, website};
use crate::sandbox::{Request, Response, World};

/// The object under a key, if the bucket's policy lets the service have it; without a service, if it is everybody's.
pub(in super::super) fn get(
    world: &mut World,
    bucket: &str,
    key: &str,
    service: Option<Service<'_>>,
) -> Response {
    let id = world.word(16, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    let host_id = format!("{}=", world.hex(75));
    let request = Request::new(Bytes::new());
    let call = Call {
        world,
        request: &request,
        caller: None,
        region: NOWHERE.to_owned(),
        secure: true,
        query: Vec::new(),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        body: Bytes::new(),
        trailers: Vec::new(),
    };
    let shown =
        find(&call, service).and_then(|(version, content)| website::shown(&call, &version, &content, 200));
    shown.unwrap_or_else(|error| failure(&error, &Method::GET, &format!("/{key}"), &id, &host_id))
}

fn find(call: &Call<'_>, service: Option<Service<'_>>) -> Result<(Version, Content), Error> {
    let absent = || Error::new(404, "NoSuchBucket", "The specified bucket does not exist");
    let bucket: Bucket = call.world.get(&call.bucket).ok_or_else(absent)?;
    let document =
        bucket.policy.as_ref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let hidden = service.is_none() && bucket.blocks("RestrictPublicBuckets") && is_public(&document);
    let facts =
        Facts::new(call.world, &bucket.region, &bucket.account).with("s3:ResourceAccount", &bucket.account);
    let may = |action: &str, resource: &str| {
        let ask = Ask { caller: None, action, resource, service, facts: &facts };
        !hidden && evaluate(&document, ask).allows()
    };
    let denied = || Error::new(403, "AccessDenied", "Access Denied");
    if !may("s3:GetObject", &format!("{}/{}", bucket.arn(), call.key)) {
        return Err(denied());
    }
    // Who may not list learns nothing of what is not there.
    object::find(call).map_err(|error| if may("s3:ListBucket", &bucket.arn()) { error } else { denied() })
}
