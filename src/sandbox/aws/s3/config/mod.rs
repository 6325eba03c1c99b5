//! The configurations of a bucket: its sub-resources, one file each where there is something to check.
//!
//! A configuration is kept as the document that is shown. Putting one replaces it whole.

mod cors;
mod encryption;
mod lifecycle;
mod notification;
mod ownership;
mod public_access;
pub(super) mod tags;
mod versioning;
mod website;

use super::super::error::Error;
use super::super::xml::{self, Element};
use super::answer::{document, empty, with};
use super::bucket::Config;
use super::record::Bucket;
use super::{Call, access, checksum, not_implemented};
use crate::sandbox::{Response, World};

pub(super) use ownership::is_ownership;

/// A sub-resource of a bucket.
pub(super) struct Resource {
    /// The query's parameter.
    name: &'static str,
    /// The document's root.
    root: &'static str,
    /// The permission's name: `s3:Get…`, `s3:Put…`.
    permission: &'static str,
    /// How what is put is checked. `None` where nothing can be put.
    check: Option<Checked>,
    /// What reading says where there is nothing.
    absent: Absent,
    /// What deleting leaves behind.
    deleted: Deleted,
    /// The status of a successful put.
    put_status: u16,
    /// A header field that goes with it, and the words it takes; the first is the default. It is kept under its name.
    header: Option<(&'static str, &'static [&'static str])>,
}

/// Checks what is put, and makes of it what is shown.
type Checked = fn(&mut Check<'_>) -> Result<Element, Error>;

/// What a check may look at.
pub(super) struct Check<'a> {
    world: &'a mut World,
    bucket: &'a Bucket,
    document: &'a Element,
}

enum Absent {
    /// The root, with nothing in it.
    Empty,
    /// The root with this text in this element.
    Leaf(&'static str, &'static str),
    /// A refusal: code and message.
    Error(&'static str, &'static str),
}

enum Deleted {
    /// Nothing.
    Nothing,
    /// What a new bucket has.
    Default(fn() -> Element),
    /// It cannot be deleted.
    Refused,
}

static RESOURCES: [Resource; 15] = [
    Resource {
        name: "versioning",
        root: "VersioningConfiguration",
        permission: "BucketVersioning",
        check: Some(versioning::check),
        absent: Absent::Empty,
        deleted: Deleted::Refused,
        put_status: 200,
        header: None,
    },
    Resource {
        name: "encryption",
        root: "ServerSideEncryptionConfiguration",
        permission: "EncryptionConfiguration",
        check: Some(encryption::check),
        absent: Absent::Error(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        ),
        deleted: Deleted::Default(encryption::default),
        put_status: 200,
        header: None,
    },
    Resource {
        name: "publicAccessBlock",
        root: "PublicAccessBlockConfiguration",
        permission: "BucketPublicAccessBlock",
        check: Some(public_access::check),
        absent: Absent::Error(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        ),
        deleted: Deleted::Nothing,
        put_status: 200,
        header: None,
    },
    Resource {
        name: "ownershipControls",
        root: "OwnershipControls",
        permission: "BucketOwnershipControls",
        check: Some(ownership::check),
        absent: Absent::Error(
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
        ),
        deleted: Deleted::Nothing,
        put_status: 200,
        header: None,
    },
    Resource {
        name: "cors",
        root: "CORSConfiguration",
        permission: "BucketCORS",
        check: Some(cors::check),
        absent: Absent::Error("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
        deleted: Deleted::Nothing,
        put_status: 200,
        header: None,
    },
    Resource {
        name: "website",
        root: "WebsiteConfiguration",
        permission: "BucketWebsite",
        check: Some(website::check),
        absent: Absent::Error(
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
        ),
        deleted: Deleted::Nothing,
        put_status: 200,
        header: None,
    },
    Resource {
        name: "lifecycle",
        root: "LifecycleConfiguration",
        permission: "LifecycleConfiguration",
        check: Some(lifecycle::check),
        absent: Absent::Error("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
        deleted: Deleted::Nothing,
        put_status: 200,
        header: Some((
            "x-amz-transition-default-minimum-object-size",
            &["all_storage_classes_128K", "varies_by_storage_class"],
        )),
    },
    Resource {
        name: "tagging",
        root: "Tagging",
        permission: "BucketTagging",
        check: Some(tags::check),
        absent: Absent::Error("NoSuchTagSet", "The TagSet does not exist"),
        deleted: Deleted::Nothing,
        put_status: 204,
        header: None,
    },
    Resource {
        name: "notification",
        root: "NotificationConfiguration",
        permission: "BucketNotification",
        check: Some(notification::check),
        absent: Absent::Empty,
        deleted: Deleted::Refused,
        put_status: 200,
        header: None,
    },
    fixed("logging", "BucketLoggingStatus", "BucketLogging", Absent::Empty),
    fixed("accelerate", "AccelerateConfiguration", "AccelerateConfiguration", Absent::Empty),
    fixed(
        "requestPayment",
        "RequestPaymentConfiguration",
        "BucketRequestPayment",
        Absent::Leaf("Payer", "BucketOwner"),
    ),
    fixed(
        "replication",
        "ReplicationConfiguration",
        "ReplicationConfiguration",
        Absent::Error("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    ),
    fixed(
        "object-lock",
        "ObjectLockConfiguration",
        "BucketObjectLockConfiguration",
        Absent::Error(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ),
    ),
    fixed("analytics", "ListBucketAnalyticsConfigurationsResult", "AnalyticsConfiguration", Absent::Empty),
];

/// A sub-resource that can be read, and is always as on a new bucket.
const fn fixed(name: &'static str, root: &'static str, permission: &'static str, absent: Absent) -> Resource {
    Resource {
        name,
        root,
        permission,
        check: None,
        absent,
        deleted: Deleted::Refused,
        put_status: 200,
        header: None,
    }
}

/// What a new bucket has.
pub(super) fn of_new_bucket(ownership: &str) -> Config {
    [
        ("encryption", encryption::default()),
        ("publicAccessBlock", public_access::default()),
        ("ownershipControls", ownership::of(ownership)),
    ]
    .into_iter()
    .map(|(name, document)| (name.to_owned(), document))
    .collect()
}

/// The sub-resource that a call is about, if any.
pub(super) fn find(call: &Call<'_>) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| call.has(resource.name))
}

pub(super) fn get(call: &mut Call<'_>, resource: &Resource) -> Result<Response, Error> {
    let bucket = access::bucket(call, &format!("s3:Get{}", resource.permission))?;
    let shown = match (bucket.config.get(resource.name), &resource.absent) {
        (Some(shown), _) => shown.clone(),
        (None, Absent::Empty) => Element::new(resource.root),
        (None, Absent::Leaf(name, text)) => Element::new(resource.root).text(name, *text),
        (None, Absent::Error(code, message)) => {
            return Err(Error::new(404, *code, *message).detail("BucketName", &bucket.name));
        }
    };
    let response = document(shown);
    Ok(match resource.header {
        Some((name, words)) => {
            let kept = bucket.config.get(name).map(|kept| kept.text.as_str());
            with(response, name, kept.or(words.first().copied()).unwrap_or_default())
        }
        None => response,
    })
}

pub(super) fn put(call: &mut Call<'_>, resource: &Resource) -> Result<Response, Error> {
    let mut bucket = access::bucket(call, &format!("s3:Put{}", resource.permission))?;
    if resource.check.is_none() {
        return Err(not_implemented());
    }
    if resource.name != "notification" {
        checksum::require(call)?;
    }
    let document = xml::parse(&call.body).map_err(|_| malformed())?;
    set(call, &mut bucket, resource.name, &document)?;
    if let Some((name, words)) = resource.header {
        let word = call.header(name).or(words.first().copied()).unwrap_or_default().to_owned();
        if !words.contains(&word.as_str()) {
            return Err(invalid(format!("Invalid {name}: {word}")));
        }
        bucket.config.insert(name.to_owned(), Element::leaf(name, word));
    }
    bucket.save(call.world);
    Ok(empty(resource.put_status))
}

pub(super) fn delete(call: &mut Call<'_>, resource: &Resource) -> Result<Response, Error> {
    // Deleting is permitted by the same permission as putting, but for policies and websites.
    let verb = if resource.name == "website" { "Delete" } else { "Put" };
    let mut bucket = access::bucket(call, &format!("s3:{verb}{}", resource.permission))?;
    match resource.deleted {
        Deleted::Refused => return Err(super::not_allowed()),
        Deleted::Nothing => bucket.config.remove(resource.name),
        Deleted::Default(default) => bucket.config.insert(resource.name.to_owned(), default()),
    };
    if let Some((name, _)) = resource.header {
        bucket.config.remove(name);
    }
    bucket.save(call.world);
    Ok(empty(204))
}

/// Checks a document, and makes it the bucket's; keeping the bucket is the caller's affair.
pub(super) fn set(
    call: &mut Call<'_>,
    bucket: &mut Bucket,
    name: &str,
    document: &Element,
) -> Result<(), Error> {
    let resource = RESOURCES.iter().find(|resource| resource.name == name).ok_or_else(not_implemented)?;
    if document.name != resource.root {
        return Err(malformed());
    }
    let check = resource.check.ok_or_else(not_implemented)?;
    let shown = check(&mut Check { world: call.world, bucket, document })?;
    if shown.children.is_empty() && matches!(resource.absent, Absent::Empty) {
        bucket.config.remove(name);
    } else {
        bucket.config.insert(name.to_owned(), shown);
    }
    Ok(())
}

/// The document does not have the shape it must have.
pub(super) fn malformed() -> Error {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    Error::new(400, "MalformedXML", message)
}

/// Refuses elements of other names, and text beside elements.
pub(super) fn only(element: &Element, names: &[&str]) -> Result<(), Error> {
    let known = element.children.iter().all(|child| names.contains(&child.name.as_str()));
    if known && element.text.trim().is_empty() { Ok(()) } else { Err(malformed()) }
}

/// The text of an element that may be there once.
fn optional<'a>(element: &'a Element, name: &'a str) -> Result<Option<&'a str>, Error> {
    let mut found = element.all(name);
    let first = found.next();
    if found.next().is_some() || first.is_some_and(|first| !first.children.is_empty()) {
        return Err(malformed());
    }
    Ok(first.map(|first| first.text.as_str()))
}

/// The text of an element that must be there once.
fn required<'a>(element: &'a Element, name: &'a str) -> Result<&'a str, Error> {
    optional(element, name)?.ok_or_else(malformed)
}

/// The element that may be there once.
fn optional_element<'a>(element: &'a Element, name: &'a str) -> Result<Option<&'a Element>, Error> {
    let mut found = element.all(name);
    let first = found.next();
    if found.next().is_some() { Err(malformed()) } else { Ok(first) }
}

/// A text that is one of these.
fn one_of<'a>(text: &'a str, allowed: &[&str]) -> Result<&'a str, Error> {
    if allowed.contains(&text) { Ok(text) } else { Err(malformed()) }
}

/// The document without attributes, and without the white space around elements.
fn plain(element: &Element) -> Element {
    Element {
        name: element.name.clone(),
        attributes: Vec::new(),
        text: element.text.clone(),
        children: element.children.iter().map(plain).collect(),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(400, "InvalidArgument", message)
}

fn invalid_request(message: impl Into<String>) -> Error {
    Error::new(400, "InvalidRequest", message)
}
