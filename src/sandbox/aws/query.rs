//! The Query protocol of IAM, STS and CloudFormation: a form in, XML out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::SignedDuration;
use regex::Regex;

use super::error::Error;
use super::identity::{self, Wish};
use super::policy::Facts;
use super::xml::Element;
use super::{Caller, authenticate, iso_seconds, sigv4};
use crate::sandbox::{Request, Response, World};

/// A request's time may be off by this much; older ones are replays.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A service that speaks the protocol.
pub(super) struct Service {
    /// The signature's scope must name it.
    pub(super) name: &'static str,
    /// The version of its API.
    pub(super) version: &'static str,
    /// The region that its requests are signed for, if it is global.
    pub(super) region: Option<&'static str>,
    /// Actions whose result is declared, and empty.
    pub(super) empty_results: &'static [&'static str],
    /// The namespace of its answers.
    pub(super) namespace: &'static str,
    /// What an action is done to, for those that need permission.
    pub(super) resource: fn(&str, &Call<'_>) -> Option<String>,
    /// Adds what conditions of the service's own may be about.
    pub(super) facts: fn(&str, &Call<'_>, Facts) -> Facts,
    /// Runs an action. `None` if it has no action of that name.
    pub(super) run: fn(&str, &mut Call<'_>) -> Option<Answer>,
}

/// What an action answers: the elements of its result.
pub(super) type Answer = Result<Vec<Element>, Error>;

/// One request, authenticated.
pub(super) struct Call<'a> {
    /// The world, to be changed.
    pub(super) world: &'a mut World,
    /// Who calls.
    pub(super) caller: Caller,
    /// The region that the signature is for.
    pub(super) region: String,
    /// What is asked.
    pub(super) form: Form,
}

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request, service: &Service) -> Response {
    let id = world.uuid();
    let answered = answer(world, request, service);
    let (status, document) = match answered {
        Ok((action, result)) => (200, success(service, &action, result, &id)),
        Err(error) => (error.status, failure(service.namespace, &error, &id)),
    };
    respond(status, &document, &id)
}

/// Refuses a service that the sandbox does not play.
pub(super) fn no_such_service(world: &mut World, name: &str) -> Response {
    let id = world.uuid();
    let error = Error::new(400, "InvalidAction", format!("The sandbox does not play the service {name}"));
    respond(400, &failure("", &error, &id), &id)
}

fn answer(world: &mut World, request: &Request, service: &Service) -> Result<(String, Vec<Element>), Error> {
    let mut form = Form::new(parameters(request));
    let action = form.take("Action").ok_or_else(|| {
        Error::new(400, "MissingAction", "The request is missing an action or a required parameter")
    })?;
    let (caller, region) = signed_by(world, request, service)?;
    let version = form.take("Version");
    let unknown = || {
        let version = version.as_deref().unwrap_or("NO_VERSION_SPECIFIED");
        Error::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
    };
    if version.as_deref().is_some_and(|version| version != service.version) {
        return Err(unknown());
    }
    let mut call = Call { world, caller, region, form };
    if let Some(resource) = (service.resource)(&action, &call) {
        let facts = (service.facts)(&action, &call, call.facts());
        let owner = &call.caller.account;
        let wished = format!("{}:{action}", service.name);
        call.permit(Wish { action: &wished, resource: &resource, owner, policy: None, facts: &facts })?;
    }
    let result = (service.run)(&action, &mut call).ok_or_else(unknown)??;
    Ok((action, result))
}

impl Call<'_> {
    /// What is known of every call.
    fn facts(&self) -> Facts {
        Facts::new(self.world, &self.region, &self.caller.account)
    }

    /// Refuses a caller that may not let a service act as a role.
    pub(super) fn may_pass(&self, role: &str, service: &str) -> Result<(), Error> {
        let facts = self.facts().with("iam:PassedToService", service);
        self.permit(Wish::passing(role, &self.caller.account, &facts))
    }

    fn permit(&self, wish: Wish<'_>) -> Result<(), Error> {
        identity::permit(self.world, &self.caller, wish)
            .map_err(|message| Error::new(403, "AccessDenied", message))
    }
}

fn signed_by(world: &World, request: &Request, service: &Service) -> Result<(Caller, String), Error> {
    let (caller, signed) = authenticate(world, request, SKEW).map_err(refused)?.ok_or_else(|| {
        Error::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    })?;
    if signed.service != service.name {
        let message = format!("Credential should be scoped to correct service: '{}'. ", service.name);
        return Err(Error::new(403, "SignatureDoesNotMatch", message));
    }
    if service.region.is_some_and(|region| region != signed.region) {
        let message = format!("Credential should be scoped to a valid region, not '{}'. ", signed.region);
        return Err(Error::new(403, "SignatureDoesNotMatch", message));
    }
    Ok((caller, signed.region))
}

fn invalid_token() -> Error {
    Error::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

fn refused(refused: sigv4::Refused) -> Error {
    let compact = |time: jiff::Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mismatch = |message: String| Error::new(403, "SignatureDoesNotMatch", message);
    match refused {
        sigv4::Refused::Malformed(message) => Error::new(400, "IncompleteSignature", message),
        sigv4::Refused::Scope(message) => mismatch(message),
        sigv4::Refused::UnknownKey(_) | sigv4::Refused::InvalidToken => invalid_token(),
        sigv4::Refused::ExpiredToken => {
            Error::new(403, "ExpiredToken", "The security token included in the request is expired")
        }
        sigv4::Refused::Mismatch { .. } => mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details."
                .to_owned(),
        ),
        sigv4::Refused::Skewed { signed, now } if signed < now => mismatch(format!(
            "Signature expired: {} is now earlier than {} ({} - 5 min.)",
            compact(signed),
            compact(now.saturating_sub(SKEW).unwrap_or(now)),
            compact(now)
        )),
        sigv4::Refused::Skewed { signed, now } => mismatch(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            compact(signed),
            compact(now.saturating_add(SKEW).unwrap_or(now)),
            compact(now)
        )),
        sigv4::Refused::Expired { until, now } => {
            mismatch(format!("Signature expired: {} is now earlier than {}", compact(until), compact(now)))
        }
        sigv4::Refused::HeadersNotSigned(names) => {
            mismatch(format!("'{}' must be a 'SignedHeader' in the AWS Authorization.", names.join("', '")))
        }
    }
}

fn success(service: &Service, action: &str, result: Vec<Element>, id: &str) -> Element {
    let mut response = Element::new(&format!("{action}Response")).attribute("xmlns", service.namespace);
    if !result.is_empty() || service.empty_results.contains(&action) {
        response = response.with(Element::new(&format!("{action}Result")).with_all(result));
    }
    response.with(Element::new("ResponseMetadata").text("RequestId", id))
}

fn failure(namespace: &str, error: &Error, id: &str) -> Element {
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let described = Element::new("Error")
        .text("Type", kind)
        .text("Code", error.code.as_ref())
        .text("Message", &error.message);
    Element::new("ErrorResponse").attribute("xmlns", namespace).with(described).text("RequestId", id)
}

fn respond(status: u16, document: &Element, id: &str) -> Response {
    let response = http::Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .header("x-amzn-requestid", id)
        .body(Bytes::from(document.render()));
    response.unwrap_or_default()
}

/// The parameters, from the query and the body's form.
pub(super) fn parameters(request: &Request) -> Vec<(String, String)> {
    let form = request
        .headers()
        .get(http::header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let body: &[u8] = if form { request.body() } else { &[] };
    query
        .filter(|(name, _)| !name.starts_with("X-Amz-"))
        .chain(form_urlencoded::parse(body))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The parameters of a call, each taken out once; what is wrong with them is gathered.
pub(super) struct Form {
    parameters: Vec<(String, String)>,
    problems: Vec<String>,
}

impl Form {
    fn new(parameters: Vec<(String, String)>) -> Self {
        Self { parameters, problems: Vec::new() }
    }

    /// Looks at a parameter.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Takes a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.parameters.iter().position(|(key, _)| key == name)?;
        Some(self.parameters.swap_remove(index).1)
    }

    /// Takes a parameter that must be there.
    pub(super) fn need(&mut self, name: &str) -> String {
        self.take(name).unwrap_or_else(|| {
            self.problem("null", name, "Member must not be null");
            String::new()
        })
    }

    /// Takes a parameter that must be there, of this length and matching this pattern.
    pub(super) fn need_text(
        &mut self,
        name: &str,
        length: std::ops::RangeInclusive<usize>,
        pattern: &str,
    ) -> String {
        if self.parameters.iter().all(|(key, _)| key != name) {
            return self.need(name);
        }
        self.text(name, length, pattern).unwrap_or_default()
    }

    /// Takes a parameter of this length and matching this pattern, if it is there.
    pub(super) fn text(
        &mut self,
        name: &str,
        length: std::ops::RangeInclusive<usize>,
        pattern: &str,
    ) -> Option<String> {
        let value = self.take(name)?;
        self.check(name, &value, length, pattern);
        Some(value)
    }

    /// Notes what is wrong with a value.
    pub(super) fn check(
        &mut self,
        name: &str,
        value: &str,
        length: std::ops::RangeInclusive<usize>,
        pattern: &str,
    ) {
        let count = value.chars().count();
        let quoted = format!("'{value}'");
        if count < *length.start() {
            let rule = format!("Member must have length greater than or equal to {}", length.start());
            self.problem(&quoted, name, &rule);
        }
        if count > *length.end() {
            let rule = format!("Member must have length less than or equal to {}", length.end());
            self.problem(&quoted, name, &rule);
        }
        if !matches(pattern, value) {
            self.problem(
                &quoted,
                name,
                &format!("Member must satisfy regular expression pattern: {pattern}"),
            );
        }
    }

    /// Takes a whole number within bounds, if it is there.
    pub(super) fn number(&mut self, name: &str, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(name)?;
        let Ok(number) = value.parse::<u32>() else {
            self.problem(&format!("'{value}'"), name, "Member must be a number");
            return None;
        };
        if number < *bounds.start() {
            let rule = format!("Member must have value greater than or equal to {}", bounds.start());
            self.problem(&format!("'{value}'"), name, &rule);
        }
        if number > *bounds.end() {
            let rule = format!("Member must have value less than or equal to {}", bounds.end());
            self.problem(&format!("'{value}'"), name, &rule);
        }
        Some(number)
    }

    /// Takes a list of structures: `Tags.member.1.Key`, `Tags.member.1.Value`.
    pub(super) fn structures<const N: usize>(
        &mut self,
        name: &str,
        fields: [&str; N],
    ) -> Vec<[Option<String>; N]> {
        let mut found = Vec::new();
        for number in 1..=1000 {
            let item = fields.map(|field| self.take(&format!("{name}.member.{number}.{field}")));
            if item.iter().all(Option::is_none) {
                break;
            }
            found.push(item);
        }
        found
    }

    /// Takes a list: `TagKeys.member.1`.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        (1..=1000).map_while(|number| self.take(&format!("{name}.member.{number}"))).collect()
    }

    /// Notes a violated rule: the value as shown, the parameter and the rule.
    pub(super) fn problem(&mut self, value: &str, name: &str, rule: &str) {
        let mut name = name.to_owned();
        if let Some(first) = name.get(..1) {
            // AWS names members as its models do: in lower camel case.
            name.replace_range(..1, &first.to_ascii_lowercase());
        }
        self.problems.push(format!("Value {value} at '{name}' failed to satisfy constraint: {rule}"));
    }

    /// Ends the reading: everything was right, and nothing was left that nobody knows.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        // Stated so by every client of an empty list.
        let emptied = |name: &str, value: &str| value.is_empty() && !name.contains('.');
        let left = self.parameters.iter().filter(|(name, value)| !emptied(name, value));
        let left = left.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
        if let Some(name) = left.first() {
            return Err(Error::new(400, "MalformedInput", format!("Unexpected parameter: {name}")));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        let (count, plural) = (self.problems.len(), if self.problems.len() == 1 { "" } else { "s" });
        let message = format!("{count} validation error{plural} detected: {}", self.problems.join("; "));
        Err(Error::new(400, "ValidationError", message))
    }
}

/// Whether all of the text matches one of AWS's patterns. Compiled ones are kept: there are few.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if !compiled.contains_key(pattern) {
        // AWS's `\w` is ASCII.
        let Ok(regex) = Regex::new(&format!("^(?:{})$", pattern.replace(r"\w", "A-Za-z0-9_"))) else {
            return false;
        };
        compiled.insert(pattern.to_owned(), regex);
    }
    compiled.get(pattern).is_some_and(|regex| regex.is_match(text))
}

/// A page of a list: `MaxItems` and `Marker` in, `IsTruncated` and `Marker` out.
pub(super) struct Page {
    size: usize,
    after: Option<String>,
}

impl Page {
    /// Takes what the call says about it.
    pub(super) fn take(form: &mut Form) -> Self {
        use base64::Engine as _;
        let size = form.number("MaxItems", 1..=1000).unwrap_or(100) as usize;
        let marker = form.take("Marker");
        let after = marker.as_ref().and_then(|marker| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(marker).ok()?;
            String::from_utf8(bytes).ok()
        });
        if let (Some(marker), None) = (&marker, &after) {
            form.problem(&format!("'{marker}'"), "Marker", "Member must be a marker of an earlier answer");
        }
        Self { size, after }
    }

    /// Cuts the page out of a sorted list of keys and elements.
    pub(super) fn cut(self, list: &str, items: impl IntoIterator<Item = (String, Element)>) -> Vec<Element> {
        use base64::Engine as _;
        let after = self.after;
        let mut rest =
            items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).peekable();
        let mut page = Element::new(list);
        let mut last = String::new();
        while page.children.len() < self.size {
            let Some((key, element)) = rest.next() else { break };
            last = key;
            page.children.push(Element { name: "member".to_owned(), ..element });
        }
        let truncated = rest.peek().is_some();
        let mut result = vec![Element::leaf("IsTruncated", truncated.to_string()), page];
        if truncated {
            let marker = base64::engine::general_purpose::STANDARD.encode(last);
            result.push(Element::leaf("Marker", marker));
        }
        result
    }
}

/// `2013-05-24T00:00:00Z`, as an element.
pub(super) fn date(name: &str, time: jiff::Timestamp) -> Element {
    Element::leaf(name, iso_seconds(time))
}
