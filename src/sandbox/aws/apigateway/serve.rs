//! HTTP APIs as their clients meet them: `http://ID.execute-api.REGION.localhost:PORT/…`, or any other domain after the
//! region. A request finds its route, becomes an event in the payload format 2.0, and waits for the function.
//!
//! Absences: HTTP integrations, the payload format 1.0, throttling, access logs, domain names of one's own.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use jiff::SignedDuration;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json, json};

use super::super::identity::{self, Wish};
use super::super::lambda::invoke::{self, Then};
use super::super::lambda::{function, permission};
use super::super::policy::Facts;
use super::super::{authenticate, cloudfront};
use super::answer::{self, Waiting};
use super::api::{self, Api, Route, Stage};
use super::change::function_of;
use crate::sandbox::{Request, Response, World};

/// A body is no larger, in bytes.
const MOST_BODY: usize = 10 * 1024 * 1024;

/// The API that a request's host names.
pub(in super::super) fn host(request: &Request) -> Option<String> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let (id, rest) = host.split_once(".execute-api.")?;
    (!rest.is_empty()).then(|| id.to_owned())
}

/// Answers a client, at once or by a function. `edge` is what a distribution in front of the API does afterwards.
pub(in super::super) fn handle(
    world: &mut World,
    request: &Request,
    id: &str,
    edge: Option<cloudfront::Passing>,
) -> Response {
    let origin = text(request.headers(), "origin");
    let found = api::find(world, id).filter(|api| !api.endpoint_disabled || edge.is_some());
    let found = found.and_then(|api| {
        let stage = stage(&api, request.uri().path())?.0.name.clone();
        api.served(&stage)
    });
    let cors = found.as_ref().and_then(|api| api.cors.clone());
    let waiting = Waiting { cors, origin, method: request.method().to_string(), edge };
    let Some(api) = found else { return answer::refuse(world, &waiting, 404, "Not Found") };
    if waiting.is_preflight(request.headers()) {
        return answer::preflight(world, &waiting);
    }
    match route(&api, request.method(), request.uri().path()) {
        Some(matched) => call(world, request, &api, &matched, &waiting),
        None => answer::refuse(world, &waiting, 404, "Not Found"),
    }
}

/// A route that takes a request.
struct Matched<'a> {
    stage: &'a Stage,
    /// The path behind the stage's name.
    path: String,
    route: &'a Route,
    parameters: BTreeMap<String, String>,
}

/// The stage that a path leads to, and what of the path is behind it.
fn stage<'a>(api: &'a Api, path: &str) -> Option<(&'a Stage, String)> {
    let whole = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = whole.split_once('/').unwrap_or((whole, ""));
    match api.stages.get(first).filter(|_| first != "$default") {
        Some(stage) => Some((stage, format!("/{rest}"))),
        None => Some((api.stages.get("$default")?, path.to_owned())),
    }
}

/// The most specific route: a full match before one with parts left open, a method before `ANY`, `$default` last.
fn route<'a>(api: &'a Api, method: &Method, path: &str) -> Option<Matched<'a>> {
    let (stage, path) = stage(api, path)?;
    let mut best: Option<(Rank, &Route, BTreeMap<String, String>)> = None;
    for route in api.routes.values() {
        let Some((wanted, pattern)) = route.key.split_once(' ') else { continue };
        if wanted != "ANY" && wanted != method.as_str() {
            continue;
        }
        let Some((mut rank, parameters)) = fit(pattern, &path) else { continue };
        rank.any = wanted == "ANY";
        if best.as_ref().is_none_or(|(other, _, _)| rank < *other) {
            best = Some((rank, route, parameters));
        }
    }
    let default = || api.routes.values().find(|route| route.key == "$default");
    let (route, parameters) = match best {
        Some((_, route, parameters)) => (route, parameters),
        None => (default()?, BTreeMap::new()),
    };
    Some(Matched { stage, path, route, parameters })
}

/// How specific a match is; less is more.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    greedy: bool,
    open: usize,
    any: bool,
}

fn fit(pattern: &str, path: &str) -> Option<(Rank, BTreeMap<String, String>)> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let mut rank = Rank { greedy: false, open: 0, any: false };
    let mut parameters = BTreeMap::new();
    let mut parts = path.trim_start_matches('/').split('/');
    for wanted in pattern.trim_start_matches('/').split('/') {
        let name = wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        match name.map(|name| (name, name.strip_suffix('+'))) {
            Some((_, Some(greedy))) => {
                let rest = parts.by_ref().collect::<Vec<_>>().join("/");
                if rest.is_empty() {
                    return None;
                }
                parameters.insert(greedy.to_owned(), decode(&rest));
                rank.greedy = true;
            }
            Some((name, None)) => {
                let part = parts.next().filter(|part| !part.is_empty())?;
                parameters.insert(name.to_owned(), decode(part));
                rank.open += 1;
            }
            None => {
                parts.next().filter(|part| *part == wanted)?;
            }
        }
    }
    parts.next().is_none().then_some((rank, parameters))
}

fn call(
    world: &mut World,
    request: &Request,
    api: &Api,
    matched: &Matched<'_>,
    waiting: &Waiting,
) -> Response {
    if matched.route.authorization == "AWS_IAM" {
        let signed = authenticate(world, request, SignedDuration::from_mins(5));
        let Api { id, region, account, .. } = api;
        let (stage, method, path) = (&matched.stage.name, request.method(), &matched.path);
        let resource = format!("arn:aws:execute-api:{region}:{account}:{id}/{stage}/{method}{path}");
        let facts = Facts::new(world, region, account);
        let wish = Wish {
            action: "execute-api:Invoke",
            resource: &resource,
            owner: &api.account,
            policy: None,
            facts: &facts,
        };
        let judged = match &signed {
            Ok(Some((caller, signed))) if signed.service == "execute-api" => {
                identity::judge(world, caller, wish).map_err(|why| why.remark())
            }
            Ok(_) | Err(_) => Err(String::new()),
        };
        if let Err(remark) = judged {
            return answer::refuse(world, waiting, 403, &format!("Forbidden{remark}"));
        }
    }
    if request.body().len() > MOST_BODY {
        return answer::refuse(world, waiting, 413, "Request Entity Too Large");
    }
    let integration = api
        .integration(matched.route)
        .filter(|found| found.kind == "AWS_PROXY" && found.payload_format == "2.0");
    let function = integration.and_then(|found| function::by_arn(world, function_of(&found.uri)?));
    let arn = source_arn(api, matched, request.method());
    let callable = function.filter(|(function, qualifier)| {
        permission::lets(world, function, qualifier, "apigateway.amazonaws.com", &arn, &api.account)
    });
    let invocation = callable.and_then(|(function, qualifier)| {
        let event = event(world, request, api, matched);
        let then = Then::Web(Box::new(waiting.clone()));
        invoke::prepare(world, &function, &qualifier, Bytes::from(event.to_string()), then).ok()
    });
    match invocation {
        Some(mut invocation) => {
            // The client is not kept waiting longer than the integration's time.
            let most_ms = integration.map_or(30_000, |found| found.timeout_ms);
            invocation.answer_within_ms = Some(most_ms);
            invoke::deferred(invocation)
        }
        None => answer::refuse(world, waiting, 500, "Internal Server Error"),
    }
}

/// What a function's permission names: `arn:aws:execute-api:REGION:ACCOUNT:ID/STAGE/METHOD/path/of/the/route`.
fn source_arn(api: &Api, matched: &Matched<'_>, method: &Method) -> String {
    let Api { id, region, account, .. } = api;
    let stage = &matched.stage.name;
    let resource = match matched.route.key.split_once(' ') {
        Some((_, path)) => format!("{method}{path}"),
        None => "$default".to_owned(),
    };
    format!("arn:aws:execute-api:{region}:{account}:{id}/{stage}/{resource}")
}

fn event(world: &mut World, request: &Request, api: &Api, matched: &Matched<'_>) -> Json {
    let Matched { stage, path, route, parameters } = matched;
    let headers = request.headers();
    let now = world.now();
    let host = text(headers, "host").unwrap_or_default();
    let (body, encoded) = body(request);
    let raw_path = if stage.name == "$default" { path.clone() } else { format!("/{}{path}", stage.name) };
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": raw_path,
        "rawQueryString": request.uri().query().unwrap_or_default(),
        "headers": fields(headers),
        "requestContext": {
            "accountId": api.account,
            "apiId": api.id,
            "domainName": host,
            "domainPrefix": api.id,
            "http": {
                "method": request.method().as_str(),
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": text(headers, "user-agent").unwrap_or_default(),
            },
            "requestId": format!("{}=", world.word(15, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")),
            "routeKey": route.key,
            "stage": stage.name,
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": encoded,
    });
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(|line| line.split(';')).map(str::trim).collect::<Vec<_>>();
    let query = query(request.uri().query().unwrap_or_default());
    let optional = [
        ("cookies", json!(cookies), cookies.is_empty()),
        ("queryStringParameters", json!(query), query.is_empty()),
        ("pathParameters", json!(parameters), parameters.is_empty()),
        ("stageVariables", json!(stage.variables), stage.variables.is_empty()),
        ("body", json!(body), body.is_none()),
    ];
    for (name, value, absent) in optional {
        if !absent {
            event[name] = value;
        }
    }
    event
}

/// Names in lower case, repeated fields joined. Cookies are told apart.
fn fields(headers: &HeaderMap) -> Map<String, Json> {
    let mut fields = Map::new();
    for name in headers.keys().filter(|name| *name != header::COOKIE) {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        fields.insert(name.as_str().to_owned(), json!(values.collect::<Vec<_>>().join(",")));
    }
    fields
}

/// Repeated parameters are joined.
fn query(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::<String, String>::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// The body, and whether it is in Base64: text is not.
fn body(request: &Request) -> (Option<String>, bool) {
    let body = request.body();
    if body.is_empty() {
        return (None, false);
    }
    let kind = text(request.headers(), "content-type").unwrap_or_default().to_ascii_lowercase();
    let is_text =
        kind.starts_with("text/") || ["json", "xml", "javascript"].iter().any(|word| kind.contains(word));
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (Some(text.to_owned()), false),
        Ok(_) | Err(_) => (Some(STANDARD.encode(body)), true),
    }
}

/// A header field as text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_route_is_taken() {
        let told = |pattern: &str, path: &str| {
            fit(pattern, path).map(|(_, parameters)| json!(parameters).to_string())
        };
        assert_eq!(told("/", "/").as_deref(), Some("{}"));
        assert_eq!(told("/a/{id}", "/a/b%20c").as_deref(), Some(r#"{"id":"b c"}"#));
        assert_eq!(told("/a/{id}", "/a/"), None);
        assert_eq!(told("/a/{id}", "/a/b/c"), None);
        assert_eq!(told("/a/{rest+}", "/a/b/c").as_deref(), Some(r#"{"rest":"b/c"}"#));
        assert_eq!(told("/a/{rest+}", "/a"), None);
        let rank = |pattern: &str| fit(pattern, "/a/b").map(|(rank, _)| rank).unwrap();
        assert!(rank("/a/b") < rank("/a/{x}") && rank("/a/{x}") < rank("/{y}/{x}"));
        assert!(rank("/{y}/{x}") < rank("/a/{rest+}"));
    }
}
