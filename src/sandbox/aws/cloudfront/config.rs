//! The configuration of a distribution: read from its document, checked, and filled with what CloudFront gives.

use super::super::error::Error;
use super::super::xml::Element;
use super::distribution::{AccessControl, Behaviour, Config, ErrorResponse, Legacy, Origin};
use super::policies;
use crate::sandbox::World;

/// Reads a document; fills it with defaults.
pub(super) fn accept(world: &World, account: &str, document: &mut Element) -> Result<Config, Error> {
    for name in ["CallerReference", "Origins", "DefaultCacheBehavior", "Comment", "Enabled"] {
        if document.child(name).is_none() {
            return Err(invalid(&format!("The parameter {name} is required.")));
        }
    }
    fill(document);
    let text = |name: &str| document.value(name).unwrap_or_default().to_owned();
    let config = Config {
        caller_reference: text("CallerReference"),
        comment: text("Comment"),
        enabled: text("Enabled") == "true",
        default_root_object: text("DefaultRootObject"),
        aliases: items(document, "Aliases").map(|item| item.text.clone()).collect(),
        origins: items(document, "Origins").map(origin).collect(),
        default_behaviour: document.child("DefaultCacheBehavior").map(behaviour).unwrap_or_default(),
        behaviours: items(document, "CacheBehaviors").map(behaviour).collect(),
        error_responses: items(document, "CustomErrorResponses").map(error_response).collect(),
    };
    check(world, account, &config)?;
    check_certificate(document, &config)?;
    for origin in items(document, "Origins") {
        check_kind(origin)?;
    }
    Ok(config)
}

/// The items of a list: `{Quantity, Items/…}`.
fn items<'a>(element: &'a Element, list: &str) -> impl Iterator<Item = &'a Element> {
    let list = element.child(list).and_then(|list| list.child("Items"));
    list.into_iter().flat_map(|items| items.children.iter())
}

fn texts(element: &Element, list: &str) -> Vec<String> {
    items(element, list).map(|item| item.text.clone()).collect()
}

fn origin(element: &Element) -> Origin {
    let text = |name: &str| element.value(name).unwrap_or_default().to_owned();
    let header = |header: &Element| {
        let part = |name: &str| header.value(name).unwrap_or_default().to_owned();
        (part("HeaderName"), part("HeaderValue"))
    };
    Origin {
        id: text("Id"),
        domain: text("DomainName"),
        path: text("OriginPath"),
        access_control: Some(text("OriginAccessControlId")).filter(|id| !id.is_empty()),
        is_s3: element.child("S3OriginConfig").is_some(),
        headers: items(element, "CustomHeaders").map(header).collect(),
    }
}

fn behaviour(element: &Element) -> Behaviour {
    let text = |name: &str| element.value(name).map(str::to_owned).filter(|text| !text.is_empty());
    let seconds = |name: &str, usual: u64| text(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let cache_policy = text("CachePolicyId");
    let ttl_s = cache_policy
        .is_none()
        .then(|| (seconds("MinTTL", 0), seconds("DefaultTTL", 86_400), seconds("MaxTTL", 31_536_000)));
    Behaviour {
        pattern: text("PathPattern").unwrap_or_else(|| "*".to_owned()),
        origin: text("TargetOriginId").unwrap_or_default(),
        viewer_protocol: text("ViewerProtocolPolicy").unwrap_or_default(),
        methods: texts(element, "AllowedMethods"),
        cached_methods: element
            .child("AllowedMethods")
            .map(|of| texts(of, "CachedMethods"))
            .unwrap_or_default(),
        compress: text("Compress").as_deref() == Some("true"),
        cache_policy,
        request_policy: text("OriginRequestPolicyId"),
        response_policy: text("ResponseHeadersPolicyId"),
        ttl_s,
        legacy: element.child("ForwardedValues").map(legacy),
    }
}

fn legacy(element: &Element) -> Legacy {
    let cookies = element.child("Cookies").and_then(|cookies| cookies.value("Forward"));
    Legacy {
        query: element.value("QueryString") == Some("true"),
        cookies: cookies.is_some_and(|forward| forward != "none"),
        headers: texts(element, "Headers"),
    }
}

fn error_response(element: &Element) -> ErrorResponse {
    let number = |name: &str| element.value(name).and_then(|text| text.parse::<u16>().ok());
    let page = element.value("ResponsePagePath").filter(|page| !page.is_empty());
    let ttl = element.value("ErrorCachingMinTTL").and_then(|text| text.parse().ok());
    let code = number("ErrorCode").unwrap_or_default();
    ErrorResponse {
        code,
        page: page.map(|page| (page.to_owned(), number("ResponseCode").unwrap_or(code))),
        ttl_s: ttl.unwrap_or(10),
    }
}

fn check(world: &World, account: &str, config: &Config) -> Result<(), Error> {
    if config.comment.chars().count() > 128 {
        return Err(invalid("The comment is too long: it may have at most 128 characters."));
    }
    if config.default_root_object.starts_with('/') {
        return Err(Error::new(
            400,
            "InvalidDefaultRootObject",
            "The default root object file name is too big or contains an invalid character.",
        ));
    }
    if config.origins.is_empty() {
        return Err(invalid("The parameter Origins is required: there must be one at least."));
    }
    for (index, origin) in config.origins.iter().enumerate() {
        if config.origins[..index].iter().any(|other| other.id == origin.id) {
            return Err(invalid(&format!("The origin id {} is not unique.", origin.id)));
        }
        check_origin(world, account, origin)?;
    }
    for behaviour in std::iter::once(&config.default_behaviour).chain(&config.behaviours) {
        if !config.origins.iter().any(|origin| origin.id == behaviour.origin) {
            let message = "One or more of your origins or origin groups do not exist.";
            return Err(Error::new(404, "NoSuchOrigin", message));
        }
        if !matches!(behaviour.viewer_protocol.as_str(), "allow-all" | "redirect-to-https" | "https-only") {
            return Err(invalid(
                "The parameter ViewerProtocolPolicy is required: allow-all, redirect-to-https or https-only.",
            ));
        }
        check_policies(behaviour)?;
        let mut methods = behaviour.methods.iter().map(String::as_str).collect::<Vec<_>>();
        methods.sort_unstable();
        let sets: [&[&str]; 3] = [
            &["GET", "HEAD"],
            &["GET", "HEAD", "OPTIONS"],
            &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
        ];
        if !sets.contains(&methods.as_slice()) {
            return Err(invalid(
                "The parameter AllowedMethods is not valid: it is one of three sets of methods.",
            ));
        }
    }
    Ok(())
}

/// Policies must exist, and say what was once said by `ForwardedValues`.
fn check_policies(behaviour: &Behaviour) -> Result<(), Error> {
    let Behaviour { cache_policy, request_policy, response_policy, legacy, .. } = behaviour;
    match (cache_policy, legacy) {
        (None, None) => return Err(invalid("The parameter ForwardedValues is required.")),
        (Some(_), Some(_)) => {
            return Err(invalid(
                "The parameter ForwardedValues cannot be used when a cache policy is associated to the cache behavior.",
            ));
        }
        (None, Some(_)) if request_policy.is_some() => {
            return Err(invalid(
                "The parameter OriginRequestPolicyId cannot be used without a cache policy.",
            ));
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    let unknown = |id: &Option<String>, is: fn(&str) -> bool| id.as_ref().is_some_and(|id| !is(id));
    let absent = |code: &'static str, what: &str| {
        Err(Error::new(404, code, format!("The {what} policy does not exist.")))
    };
    if unknown(cache_policy, policies::is_cache) {
        return absent("NoSuchCachePolicy", "cache");
    }
    if unknown(request_policy, policies::is_request) {
        return absent("NoSuchOriginRequestPolicy", "origin request");
    }
    if unknown(response_policy, policies::is_response) {
        return absent("NoSuchResponseHeadersPolicy", "response headers");
    }
    Ok(())
}

/// A name of one's own needs a certificate for it.
fn check_certificate(document: &Element, config: &Config) -> Result<(), Error> {
    let certificate = document.child("ViewerCertificate");
    let named = |name: &str| certificate.and_then(|certificate| certificate.value(name));
    let own = ["ACMCertificateArn", "IAMCertificateId"].iter().any(|name| named(name).is_some());
    if own || config.aliases.is_empty() {
        return Ok(());
    }
    let message = "To add an alternate domain name (CNAME) to a CloudFront distribution, you must attach a trusted \
                   certificate that validates your authorization to use the domain name.";
    Err(Error::new(400, "InvalidViewerCertificate", message))
}

/// An origin is a bucket, or any server.
fn check_kind(origin: &Element) -> Result<(), Error> {
    if origin.child("S3OriginConfig").is_some() == origin.child("CustomOriginConfig").is_some() {
        return Err(invalid(
            "Exactly one of CustomOriginConfig, VpcOriginConfig and S3OriginConfig must be specified",
        ));
    }
    Ok(())
}

fn check_origin(world: &World, account: &str, origin: &Origin) -> Result<(), Error> {
    let invalid_origin = |message: &str| Err(Error::new(400, "InvalidOrigin", message));
    let is_host =
        !origin.domain.is_empty() && !origin.domain.contains(['/', ':', ' ']) && origin.domain.contains('.');
    if !is_host {
        return invalid_origin("The specified origin server does not exist or is not valid.");
    }
    if !origin.path.is_empty() && (!origin.path.starts_with('/') || origin.path.ends_with('/')) {
        return Err(invalid("The parameter OriginPath must begin with / and not end with it."));
    }
    let s3 = origin.domain.ends_with(".amazonaws.com")
        && origin.domain.contains(".s3")
        && !origin.domain.contains("s3-website");
    if origin.is_s3 && !s3 {
        return invalid_origin("The parameter Origin DomainName does not refer to a valid S3 bucket.");
    }
    if let Some(id) = &origin.access_control {
        let control = world.get::<AccessControl>(id).filter(|control| control.account == account);
        let control = control.ok_or_else(|| {
            Error::new(
                404,
                "NoSuchOriginAccessControl",
                "The specified origin access control does not exist.",
            )
        })?;
        if control.origin_type == "s3" && !origin.is_s3 {
            let message =
                "An origin cannot contain both an origin access control of type s3 and a custom origin.";
            return Err(Error::new(400, "IllegalOriginAccessConfiguration", message));
        }
    }
    Ok(())
}

fn invalid(message: &str) -> Error {
    Error::new(400, "InvalidArgument", message)
}

/// Adds what CloudFront itself sets where nothing is said.
fn fill(document: &mut Element) {
    let list = |name: &str| Element::new(name).text("Quantity", "0");
    for (name, default) in [
        ("DefaultRootObject", ""),
        ("PriceClass", "PriceClass_All"),
        ("WebACLId", ""),
        ("HttpVersion", "http2"),
        ("IsIPV6Enabled", "false"),
        ("ContinuousDeploymentPolicyId", ""),
        ("Staging", "false"),
    ] {
        absent(document, name, || Element::leaf(name, default));
    }
    for name in ["Aliases", "OriginGroups", "CacheBehaviors", "CustomErrorResponses"] {
        absent(document, name, || list(name));
    }
    absent(document, "Logging", || {
        let logging = Element::new("Logging").text("Enabled", "false").text("IncludeCookies", "false");
        logging.text("Bucket", "").text("Prefix", "")
    });
    absent(document, "ViewerCertificate", || {
        Element::new("ViewerCertificate")
            .text("CloudFrontDefaultCertificate", "true")
            .text("MinimumProtocolVersion", "TLSv1")
            .text("CertificateSource", "cloudfront")
    });
    absent(document, "Restrictions", || {
        let geo = Element::new("GeoRestriction").text("RestrictionType", "none").text("Quantity", "0");
        Element::new("Restrictions").with(geo)
    });
    for child in &mut document.children {
        match child.name.as_str() {
            "DefaultCacheBehavior" => fill_behaviour(child),
            "CacheBehaviors" | "Origins" => {
                for item in child
                    .children
                    .iter_mut()
                    .filter(|child| child.name == "Items")
                    .flat_map(|items| &mut items.children)
                {
                    if item.name == "Origin" { fill_origin(item) } else { fill_behaviour(item) }
                }
            }
            _ => {}
        }
    }
}

fn absent(element: &mut Element, name: &str, default: impl FnOnce() -> Element) {
    if element.child(name).is_none() {
        element.children.push(default());
    }
}

fn fill_origin(origin: &mut Element) {
    for (name, default) in [
        ("OriginPath", ""),
        ("ConnectionAttempts", "3"),
        ("ConnectionTimeout", "10"),
        ("OriginAccessControlId", ""),
    ] {
        absent(origin, name, || Element::leaf(name, default));
    }
    for child in &mut origin.children {
        match child.name.as_str() {
            "S3OriginConfig" => {
                absent(child, "OriginAccessIdentity", || Element::leaf("OriginAccessIdentity", ""));
            }
            "CustomOriginConfig" => fill_custom_origin(child),
            _ => {}
        }
    }
    absent(origin, "CustomHeaders", || Element::new("CustomHeaders").text("Quantity", "0"));
    absent(origin, "OriginShield", || Element::new("OriginShield").text("Enabled", "false"));
}

fn fill_custom_origin(config: &mut Element) {
    for (name, default) in [
        ("HTTPPort", "80"),
        ("HTTPSPort", "443"),
        ("OriginReadTimeout", "30"),
        ("OriginKeepaliveTimeout", "5"),
    ] {
        absent(config, name, || Element::leaf(name, default));
    }
    absent(config, "OriginSslProtocols", || {
        let items = Element::new("Items").text("SslProtocol", "TLSv1.2");
        Element::new("OriginSslProtocols").text("Quantity", "1").with(items)
    });
}

fn fill_behaviour(behaviour: &mut Element) {
    for (name, default) in
        [("SmoothStreaming", "false"), ("Compress", "false"), ("FieldLevelEncryptionId", "")]
    {
        absent(behaviour, name, || Element::leaf(name, default));
    }
    for name in ["TrustedSigners", "TrustedKeyGroups"] {
        absent(behaviour, name, || Element::new(name).text("Enabled", "false").text("Quantity", "0"));
    }
    for name in ["LambdaFunctionAssociations", "FunctionAssociations"] {
        absent(behaviour, name, || Element::new(name).text("Quantity", "0"));
    }
    let usual = || methods("AllowedMethods", &["HEAD", "GET"]);
    absent(behaviour, "AllowedMethods", usual);
    for child in behaviour.children.iter_mut().filter(|child| child.name == "AllowedMethods") {
        absent(child, "CachedMethods", || methods("CachedMethods", &["HEAD", "GET"]));
    }
}

fn methods(name: &str, methods: &[&str]) -> Element {
    let items = methods.iter().map(|method| Element::leaf("Method", *method));
    Element::new(name).text("Quantity", methods.len().to_string()).with(Element::new("Items").with_all(items))
}
