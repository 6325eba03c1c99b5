//! `AWS::CloudFront::Distribution` and `::OriginAccessControl`.

use serde_json::{Value as Json, json};

use super::super::super::cloudfront::change;
use super::super::super::cloudfront::distribution::{AccessControl, Distribution};
use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape, TAGS};
use super::super::parameter::scalar;
use super::text;

const COOKIES: &[Property] = &[
    Property::new("Forward", Shape::Text).required(),
    Property::new("WhitelistedNames", Shape::List(&Shape::Text)),
];
const FORWARDED: &[Property] = &[
    Property::new("Cookies", Shape::Map(COOKIES)),
    Property::new("Headers", Shape::List(&Shape::Text)),
    Property::new("QueryString", Shape::Bool).required(),
    Property::new("QueryStringCacheKeys", Shape::List(&Shape::Text)),
];
/// A cache behaviour; the default one has no pattern.
const BEHAVIOUR: &[Property] = &[
    Property::new("AllowedMethods", Shape::List(&Shape::Text)),
    Property::new("CachePolicyId", Shape::Text),
    Property::new("CachedMethods", Shape::List(&Shape::Text)),
    Property::new("Compress", Shape::Bool),
    Property::new("DefaultTTL", Shape::Number),
    Property::new("ForwardedValues", Shape::Map(FORWARDED)),
    Property::new("MaxTTL", Shape::Number),
    Property::new("MinTTL", Shape::Number),
    Property::new("OriginRequestPolicyId", Shape::Text),
    Property::new("PathPattern", Shape::Text),
    Property::new("ResponseHeadersPolicyId", Shape::Text),
    Property::new("TargetOriginId", Shape::Text).required(),
    Property::new("ViewerProtocolPolicy", Shape::Text).required(),
];
const CUSTOM_ORIGIN: &[Property] = &[
    Property::new("HTTPPort", Shape::Number),
    Property::new("HTTPSPort", Shape::Number),
    Property::new("OriginKeepaliveTimeout", Shape::Number),
    Property::new("OriginProtocolPolicy", Shape::Text).required(),
    Property::new("OriginReadTimeout", Shape::Number),
    Property::new("OriginSSLProtocols", Shape::List(&Shape::Text)),
];
const HEADER: &[Property] = &[
    Property::new("HeaderName", Shape::Text).required(),
    Property::new("HeaderValue", Shape::Text).required(),
];
const ORIGIN: &[Property] = &[
    Property::new("ConnectionAttempts", Shape::Number),
    Property::new("ConnectionTimeout", Shape::Number),
    Property::new("CustomOriginConfig", Shape::Map(CUSTOM_ORIGIN)),
    Property::new("DomainName", Shape::Text).required(),
    Property::new("Id", Shape::Text).required(),
    Property::new("OriginAccessControlId", Shape::Text),
    Property::new("OriginCustomHeaders", Shape::List(&Shape::Map(HEADER))),
    Property::new("OriginPath", Shape::Text),
    Property::new("S3OriginConfig", Shape::Map(&[Property::new("OriginAccessIdentity", Shape::Text)])),
];
const ERROR_RESPONSE: &[Property] = &[
    Property::new("ErrorCachingMinTTL", Shape::Number),
    Property::new("ErrorCode", Shape::Number).required(),
    Property::new("ResponseCode", Shape::Number),
    Property::new("ResponsePagePath", Shape::Text),
];
const CERTIFICATE: &[Property] = &[
    Property::new("AcmCertificateArn", Shape::Text),
    Property::new("CloudFrontDefaultCertificate", Shape::Bool),
    Property::new("MinimumProtocolVersion", Shape::Text),
    Property::new("SslSupportMethod", Shape::Text),
];
const GEO: &[Property] = &[
    Property::new("Locations", Shape::List(&Shape::Text)),
    Property::new("RestrictionType", Shape::Text).required(),
];
const CONFIG: &[Property] = &[
    Property::new("Aliases", Shape::List(&Shape::Text)),
    Property::new("CacheBehaviors", Shape::List(&Shape::Map(BEHAVIOUR))),
    Property::new("Comment", Shape::Text),
    Property::new("CustomErrorResponses", Shape::List(&Shape::Map(ERROR_RESPONSE))),
    Property::new("DefaultCacheBehavior", Shape::Map(BEHAVIOUR)).required(),
    Property::new("DefaultRootObject", Shape::Text),
    Property::new("Enabled", Shape::Bool).required(),
    Property::new("HttpVersion", Shape::Text),
    Property::new("IPV6Enabled", Shape::Bool),
    Property::new("Origins", Shape::List(&Shape::Map(ORIGIN))),
    Property::new("PriceClass", Shape::Text),
    Property::new("Restrictions", Shape::Map(&[Property::new("GeoRestriction", Shape::Map(GEO)).required()])),
    Property::new("ViewerCertificate", Shape::Map(CERTIFICATE)),
    Property::new("WebACLId", Shape::Text),
];

pub(super) const DISTRIBUTION: Kind = Kind {
    name: "AWS::CloudFront::Distribution",
    properties: &[Property::new("DistributionConfig", Shape::Map(CONFIG)).required(), TAGS],
    attributes: &["DomainName", "Id"],
    create: create_distribution,
    update: update_distribution,
    delete: delete_distribution,
};

const CONTROL: &[Property] = &[
    Property::new("Description", Shape::Text),
    Property::new("Name", Shape::Text).required(),
    Property::new("OriginAccessControlOriginType", Shape::Text).required(),
    Property::new("SigningBehavior", Shape::Text).required(),
    Property::new("SigningProtocol", Shape::Text).required(),
];

pub(super) const ACCESS_CONTROL: Kind = Kind {
    name: "AWS::CloudFront::OriginAccessControl",
    properties: &[Property::new("OriginAccessControlConfig", Shape::Map(CONTROL)).required()],
    attributes: &["Id"],
    create: |place, properties| put_access_control(place, "", properties),
    update: |place, physical, _, after| put_access_control(place, physical, after),
    delete: |place, physical, _| {
        let found = place.world.get::<AccessControl>(physical);
        let found = found.filter(|found| found.account == place.site.account);
        match found {
            Some(found) => change::delete_access_control(place.world, &found).map_err(failed),
            None => Ok(()),
        }
    },
};

fn failed(error: Error) -> Failure {
    Failure::of("CloudFront", error)
}

fn put_access_control(place: &mut Place<'_>, id: &str, properties: &Json) -> Result<Made, Failure> {
    let config = &properties["OriginAccessControlConfig"];
    let control = AccessControl {
        id: id.to_owned(),
        account: place.site.account.clone(),
        etag: String::new(),
        name: text(config, "Name").unwrap_or_default(),
        description: text(config, "Description").unwrap_or_default(),
        signing: text(config, "SigningBehavior").unwrap_or_default(),
        origin_type: text(config, "OriginAccessControlOriginType").unwrap_or_default(),
    };
    let made = change::put_access_control(place.world, control).map_err(failed)?;
    Ok(Made::new(&made.id, &[("Id", &made.id)]))
}

fn create_distribution(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let reference = place.world.uuid();
    let document = document(&properties["DistributionConfig"], &reference);
    let tags = place.tags(&properties["Tags"]);
    let made = change::create(place.world, &place.site.account, document, tags).map_err(failed)?;
    Ok(settled(place, made))
}

fn update_distribution(
    place: &mut Place<'_>,
    physical: &str,
    _before: &Json,
    after: &Json,
) -> Result<Made, Failure> {
    let mut found = find(place, physical)?;
    let document = document(&after["DistributionConfig"], &found.config.caller_reference);
    found.tags = place.tags(&after["Tags"]);
    change::update(place.world, &mut found, document).map_err(failed)?;
    Ok(settled(place, found))
}

/// The stack disables what it deletes.
fn delete_distribution(place: &mut Place<'_>, physical: &str, _properties: &Json) -> Result<(), Failure> {
    let mut found = find(place, physical)?;
    found.config.enabled = false;
    found.looks = u32::MAX;
    change::delete(place.world, &found).map_err(failed)
}

fn find(place: &Place<'_>, id: &str) -> Result<Distribution, Failure> {
    let found = place.world.get::<Distribution>(id).filter(|found| found.account == place.site.account);
    found.ok_or_else(|| Failure {
        code: "NotFound",
        message: "The specified distribution does not exist.".to_owned(),
    })
}

/// The stack waits until the change is deployed.
fn settled(place: &mut Place<'_>, mut made: Distribution) -> Made {
    made.looks = u32::MAX;
    made.save(place.world);
    Made::new(&made.id, &[("Id", &made.id), ("DomainName", &made.domain)])
}

/// The configuration as CloudFront's own calls have it.
fn document(config: &Json, reference: &str) -> Element {
    let mut config = config.clone();
    config["CallerReference"] = json!(reference);
    if config.get("Comment").is_none() {
        config["Comment"] = json!("");
    }
    element("DistributionConfig", &config)
}

fn element(name: &str, json: &Json) -> Element {
    match json {
        Json::Object(map) => {
            let mut element = Element::new(name);
            for (key, value) in map {
                match key.as_str() {
                    // Stands within the methods allowed.
                    "CachedMethods" => {}
                    "IPV6Enabled" => element.children.push(self::element("IsIPV6Enabled", value)),
                    "OriginCustomHeaders" => element.children.push(list("CustomHeaders", value)),
                    "OriginSSLProtocols" => element.children.push(list("OriginSslProtocols", value)),
                    _ if value.is_array() => element.children.push(list(key, value)),
                    _ => element.children.push(self::element(key, value)),
                }
            }
            if let Some(cached) = map.get("CachedMethods")
                && let Some(allowed) =
                    element.children.iter_mut().find(|child| child.name == "AllowedMethods")
            {
                allowed.children.push(list("CachedMethods", cached));
            }
            if name == "GeoRestriction"
                && let Some(locations) = element.child("Locations").cloned()
            {
                // Its items stand in itself.
                element.children.retain(|child| child.name != "Locations");
                element.children.extend(locations.children);
            } else if name == "GeoRestriction" {
                element.children.push(Element::leaf("Quantity", "0"));
            }
            element
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Element::leaf(name, scalar(json).unwrap_or_default())
        }
    }
}

/// `{Quantity, Items/…}`.
fn list(name: &str, json: &Json) -> Element {
    let of = match name {
        "Aliases" => "CNAME",
        "Origins" => "Origin",
        "CacheBehaviors" => "CacheBehavior",
        "CustomErrorResponses" => "CustomErrorResponse",
        "AllowedMethods" | "CachedMethods" => "Method",
        "CustomHeaders" => "OriginCustomHeader",
        "OriginSslProtocols" => "SslProtocol",
        "Locations" => "Location",
        _ => "Name",
    };
    let items = json.as_array().map(Vec::as_slice).unwrap_or_default();
    let list = Element::new(name).text("Quantity", items.len().to_string());
    if items.is_empty() {
        return list;
    }
    list.with(Element::new("Items").with_all(items.iter().map(|item| element(of, item))))
}
