//! CloudFront's managed policies, by their ids: what counts for the cache, and what an origin is told of a request.
//!
//! Facts: "Use managed cache policies", "Use managed origin request policies" and "Request and response behavior for
//! custom origins". Absences: the fields that CloudFront itself adds, such as the viewer's country.

use http::{HeaderMap, Method, header};

use super::distribution::{Behaviour, Legacy};

/// A cache policy.
struct Cache {
    id: &'static str,
    /// Seconds: least, usual and most.
    ttl_s: (u64, u64, u64),
    query: bool,
    cookies: bool,
    headers: &'static [&'static str],
}

const NO_HEADERS: &[&str] = &[];
const OF_ORIGINS: &[&str] =
    &["host", "origin", "x-http-method-override", "x-http-method", "x-method-override"];

const YEAR: u64 = 31_536_000;
const CACHE: [Cache; 7] = [
    // CachingOptimized
    cache("658327ea-f89d-4fab-a63d-7e88639e58f6", (1, 86_400, YEAR), false, false, NO_HEADERS),
    // CachingDisabled
    cache("4135ea2d-6df8-44a3-9df3-4b5a84be39ad", (0, 0, 0), false, false, NO_HEADERS),
    // CachingOptimizedForUncompressedObjects
    cache("b2884449-e4de-46a7-ac36-70bc7f1ddd6d", (1, 86_400, YEAR), false, false, NO_HEADERS),
    // UseOriginCacheControlHeaders
    cache("83da9c7e-98b4-4e11-a168-04f0df8e2c65", (0, 0, YEAR), false, true, OF_ORIGINS),
    // UseOriginCacheControlHeaders-QueryStrings
    cache("4cc15a8a-d715-48a4-82b8-cc0b614638fe", (0, 0, YEAR), true, true, OF_ORIGINS),
    // Amplify
    cache("2e54312d-136d-493c-8eb9-b001f22f67d2", (2, 2, 600), true, true, &["authorization", "host"]),
    // Elemental-MediaPackage
    cache("08627262-05a9-4f76-9ded-b50ca2e3a84f", (0, 86_400, YEAR), true, false, &["origin"]),
];

/// Origin request policies: id, query, cookies, and header fields; `*` is all, `-host` all but that.
const REQUEST: [(&str, bool, bool, &[&str]); 8] = [
    // AllViewer
    ("216adef6-5c7f-47e4-b989-5492eafa07d3", true, true, &["*"]),
    // AllViewerAndCloudFrontHeaders-2022-06
    ("33f36d7e-f396-46d9-90e0-52428a34d9dc", true, true, &["*"]),
    // AllViewerExceptHostHeader
    ("b689b0a8-53d0-40ab-baf2-68738e2966ac", true, true, &["-host"]),
    // CORS-CustomOrigin
    ("59781a5b-3903-41f3-afcb-af62929ccde1", false, false, &["origin"]),
    // CORS-S3Origin
    (
        "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf",
        false,
        false,
        &["origin", "access-control-request-headers", "access-control-request-method"],
    ),
    // Elemental-MediaTailor-PersonalizedManifests
    (
        "775133bc-15f2-49f9-abea-afb2e0bf67d2",
        true,
        false,
        &[
            "origin",
            "access-control-request-headers",
            "access-control-request-method",
            "user-agent",
            "x-forwarded-for",
        ],
    ),
    // HostHeaderOnly
    ("bf0718e1-ba1e-49d1-88b1-f726733018ae", false, false, &["host"]),
    // UserAgentRefererHeaders
    ("acba4595-bd28-49b8-b9fe-13317c0390fa", false, false, &["user-agent", "referer"]),
];

/// Response headers policies.
const RESPONSE: [&str; 5] = [
    "67f7725c-6f97-4210-82d7-5512b31e9d03",
    "60669652-455b-4ae9-85a4-c4c02393f86c",
    "5cc3b908-e619-4b99-88e5-2cf7f45965bd",
    "e61eb60c-9c35-4d20-a928-2b84e02af89c",
    "eaab4381-ed33-4a86-88ca-d9558dc6cd63",
];

/// What every origin is told, whatever the policies say: of the body, of conditions and ranges, of the way here.
const ALWAYS: [&str; 16] = [
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "from",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "origin",
    "pragma",
    "range",
    "via",
    "warning",
];

/// What a distribution answers itself when it is read: what it keeps is whole.
const OWN: [&str; 4] = ["if-modified-since", "if-none-match", "if-range", "range"];

const fn cache(
    id: &'static str,
    ttl_s: (u64, u64, u64),
    query: bool,
    cookies: bool,
    headers: &'static [&'static str],
) -> Cache {
    Cache { id, ttl_s, query, cookies, headers }
}

/// Whether there is a cache policy of that id.
pub(super) fn is_cache(id: &str) -> bool {
    CACHE.iter().any(|policy| policy.id == id)
}

/// Whether there is an origin request policy of that id.
pub(super) fn is_request(id: &str) -> bool {
    REQUEST.iter().any(|(known, ..)| *known == id)
}

/// Whether there is a response headers policy of that id.
pub(super) fn is_response(id: &str) -> bool {
    RESPONSE.contains(&id)
}

/// Seconds that answers are kept, least, usual and most; and whether each query has an answer of its own.
pub(super) fn kept(behaviour: &Behaviour) -> ((u64, u64, u64), bool) {
    if behaviour.legacy.as_ref().is_some_and(|legacy| legacy.headers.iter().any(|name| name == "*")) {
        // Where everything counts, nothing is kept.
        return ((0, 0, 0), true);
    }
    if let Some(ttl_s) = behaviour.ttl_s {
        return (ttl_s, behaviour.legacy.as_ref().is_some_and(|legacy| legacy.query));
    }
    let policy = policy(behaviour);
    (policy.ttl_s, policy.query)
}

/// Whether a behaviour has a cache policy that keeps nothing, errors neither: "Note: If you're using the CachingDisabled
/// managed cache policy, CloudFront won't cache these status codes or custom error pages."
pub(super) fn is_disabled(behaviour: &Behaviour) -> bool {
    behaviour.cache_policy.is_some() && kept(behaviour).0.2 == 0
}

/// The cookies and header fields that count for the cache, as one text; empty where none does.
pub(super) fn counted(behaviour: &Behaviour, fields: &HeaderMap) -> String {
    let mut told = Told { query: false, cookies: false, headers: Vec::new() };
    if let Some(legacy) = &behaviour.legacy {
        (told.cookies, told.headers) = (legacy.cookies, legacy.headers.clone());
    } else {
        let policy = policy(behaviour);
        told.cookies = policy.cookies;
        told.headers.extend(policy.headers.iter().map(|name| (*name).to_owned()));
    }
    let counts = |name: &str| if name == "cookie" { told.cookies } else { told.names(name) };
    fields.iter().filter(|(name, _)| counts(name.as_str())).fold(String::new(), |text, (name, value)| {
        text + " " + name.as_str() + "=" + &String::from_utf8_lossy(value.as_bytes())
    })
}

fn policy(behaviour: &Behaviour) -> &'static Cache {
    let named = behaviour.cache_policy.as_deref();
    CACHE.iter().find(|policy| Some(policy.id) == named).unwrap_or(&CACHE[0])
}

/// What an origin is told of requests.
pub(super) struct Told {
    pub(super) query: bool,
    cookies: bool,
    headers: Vec<String>,
}

impl Told {
    pub(super) fn of(behaviour: &Behaviour) -> Self {
        if let Some(Legacy { query, cookies, headers }) = &behaviour.legacy {
            return Self { query: *query, cookies: *cookies, headers: headers.clone() };
        }
        let cached = policy(behaviour);
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut told = Self { query: cached.query, cookies: cached.cookies, headers: texts(cached.headers) };
        let named = behaviour.request_policy.as_deref();
        if let Some((_, query, cookies, headers)) = REQUEST.iter().find(|(id, ..)| Some(*id) == named) {
            told.query |= query;
            told.cookies |= cookies;
            told.headers.extend(texts(headers));
        }
        told
    }

    /// Whether the origin is told the name that the viewer asked for, instead of its own.
    pub(super) fn host(&self) -> bool {
        self.names("host")
    }

    fn names(&self, name: &str) -> bool {
        let named = |wanted: &String| match wanted.as_str() {
            "*" => true,
            "-host" => name != "host",
            wanted => name.eq_ignore_ascii_case(wanted),
        };
        self.headers.iter().any(named)
    }

    /// The fields of a request that an origin is told.
    pub(super) fn fields(&self, method: &Method, fields: &HeaderMap) -> HeaderMap {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let mut told = HeaderMap::new();
        for (name, value) in fields {
            let kept = match name.as_str() {
                "cookie" => self.cookies,
                "authorization" => !reads || self.names("authorization"),
                name if reads && OWN.contains(&name) => false,
                name => ALWAYS.contains(&name) || self.names(name),
            };
            if kept {
                told.append(name, value.clone());
            }
        }
        if !self.names("user-agent") {
            told.insert(header::USER_AGENT, http::HeaderValue::from_static("Amazon CloudFront"));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_told_what_the_policies_allow() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("host", "d1.cloudfront.net"),
            ("cookie", "a=1"),
            ("authorization", "x"),
            ("x-own", "1"),
            ("user-agent", "me"),
            ("content-type", "text/plain"),
        ] {
            fields.insert(http::HeaderName::from_static(name), value.parse().unwrap());
        }
        let told = |cache: &str, request: Option<&str>, method: Method| {
            let behaviour = Behaviour {
                cache_policy: Some(cache.to_owned()),
                request_policy: request.map(str::to_owned),
                ..Behaviour::default()
            };
            let told = Told::of(&behaviour);
            let kept = told.fields(&method, &fields);
            let mut names = kept.keys().map(http::HeaderName::as_str).collect::<Vec<_>>();
            names.sort_unstable();
            (told.query, names.join(" "), kept["user-agent"].to_str().unwrap().to_owned())
        };
        let disabled = CACHE[1].id;
        let (amazon, me) = ("Amazon CloudFront".to_owned(), "me".to_owned());
        assert_eq!(
            told(disabled, None, Method::GET),
            (false, "content-type user-agent".to_owned(), amazon.clone())
        );
        assert_eq!(
            told(disabled, None, Method::POST),
            (false, "authorization content-type user-agent".to_owned(), amazon)
        );
        let all = "authorization content-type cookie user-agent x-own".to_owned();
        assert_eq!(told(disabled, Some(REQUEST[2].0), Method::GET), (true, all, me.clone()));
        let counted = |cache: &str| {
            counted(&Behaviour { cache_policy: Some(cache.to_owned()), ..Behaviour::default() }, &fields)
        };
        assert_eq!(counted(disabled), "");
        // Two visitors with cookies of their own have answers of their own.
        assert_eq!(counted(CACHE[3].id), " host=d1.cloudfront.net cookie=a=1");
        let whole = "authorization content-type cookie host user-agent x-own".to_owned();
        assert_eq!(told(disabled, Some(REQUEST[0].0), Method::GET), (true, whole, me));
    }
}
