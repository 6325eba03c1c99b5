//! What a distribution keeps of its origins' answers, and for how long.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::distribution::{Behaviour, Distribution};
use super::policies;
use crate::sandbox::{Record, Request, Response, World};

/// A distribution keeps so many answers; the oldest goes.
const MOST: usize = 1000;
/// An answer that is kept, under `DISTRIBUTION/PATTERN PATH?QUERY FIELDS`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) stored: Timestamp,
    until: Timestamp,
    pub(super) path: String,
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    blob: String,
}

impl Record for Kept {
    const TABLE: &'static str = "aws.cloudfront.kept";
}

impl Kept {
    pub(super) fn new(now: Timestamp, seconds: u64, path: &str, response: &Response) -> Self {
        let lasts = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Self {
            stored: now,
            until: now.saturating_add(lasts).unwrap_or(now),
            path: path.to_owned(),
            status: response.status().as_u16(),
            headers: headers.collect(),
            blob: String::new(),
        }
    }

    /// The answer as it was.
    pub(super) fn response(&self, world: &World) -> Response {
        let mut response = Response::new(world.blob(&self.blob).unwrap_or_default());
        *response.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or_default();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// Where an answer is kept: whatever counts for the policy has answers of its own.
pub(super) fn key(
    distribution: &Distribution,
    behaviour: &Behaviour,
    path: &str,
    request: &Request,
) -> String {
    let counts = policies::kept(behaviour).1;
    let query = request.uri().query().filter(|_| counts).unwrap_or_default();
    let fields = policies::counted(behaviour, request.headers());
    format!("{}/{} {path}?{query}{fields}", distribution.id, behaviour.pattern)
}

/// What is kept, if it is still good.
pub(super) fn find(world: &World, key: &str) -> Option<Kept> {
    world.get::<Kept>(key).filter(|kept| kept.until > world.now())
}

/// Keeps an answer.
pub(super) fn put(world: &mut World, key: &str, mut kept: Kept, body: &Bytes) {
    kept.blob = world.put_blob(body);
    world.put(key, &kept);
    let distribution = key.split('/').next().unwrap_or_default();
    let all = world.list::<Kept>(&format!("{distribution}/"));
    if all.len() > MOST
        && let Some((oldest, _)) = all.iter().min_by_key(|(_, kept)| kept.stored)
    {
        world.remove::<Kept>(oldest);
    }
}

/// Forgets what was kept of these paths.
pub(super) fn forget(world: &mut World, distribution: &str, paths: &[String]) {
    for (key, kept) in world.list::<Kept>(&format!("{distribution}/")) {
        if paths.iter().any(|path| is_like(path, &kept.path)) {
            world.remove::<Kept>(&key);
        }
    }
}

/// How long an answer is kept: what it says itself, within the policy's bounds.
pub(super) fn seconds(behaviour: &Behaviour, headers: &HeaderMap) -> u64 {
    let (least, usual, most) = policies::kept(behaviour).0;
    match said(headers) {
        Said::Nothing => usual.clamp(least, most.max(least)),
        Said::Never => least,
        Said::Age(seconds) => seconds.clamp(least, most.max(least)),
    }
}

/// How long an error is kept, whose rule says `least`. Facts: "How CloudFront processes HTTP 4xx and 5xx status codes from
/// your origin", which lists the codes, and "Control how long CloudFront caches errors", which names 410 as well.
pub(super) fn error_seconds(behaviour: &Behaviour, status: u16, headers: &HeaderMap, least: u64) -> u64 {
    if policies::is_disabled(behaviour) {
        return 0;
    }
    let said = said(headers);
    let keeps = match status {
        404 | 410 | 414 | 501 => said != Said::Never,
        // Whatever the origin says.
        500 | 502 | 503 | 504 => true,
        // Only where the origin says so.
        400 | 403 | 405 | 412 | 415 => matches!(said, Said::Age(_)),
        _ => false,
    };
    let most = policies::kept(behaviour).0.2;
    match said {
        _ if !keeps => 0,
        Said::Age(seconds) => least.max(seconds.min(most)),
        Said::Nothing | Said::Never => least,
    }
}

/// What an answer says of its being kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Never,
    Age(u64),
}

fn said(headers: &HeaderMap) -> Said {
    let said =
        headers.get(http::header::CACHE_CONTROL).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let directives = said.split(',').map(|part| part.trim().to_ascii_lowercase()).collect::<Vec<_>>();
    let age = |name: &str| directives.iter().find_map(|part| part.strip_prefix(name)?.parse::<u64>().ok());
    if directives.iter().any(|part| matches!(part.as_str(), "no-store" | "no-cache" | "private")) {
        return Said::Never;
    }
    age("s-maxage=").or_else(|| age("max-age=")).map_or(Said::Nothing, Said::Age)
}

/// Whether a path fits a pattern with `*` and `?`; a pattern may leave its first slash out.
pub(super) fn is_like(pattern: &str, path: &str) -> bool {
    let pattern = if pattern.starts_with(['/', '*']) { pattern.to_owned() } else { format!("/{pattern}") };
    super::super::policy::is_like(&pattern, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_long_it_is_good() {
        let told = |behaviour: &Behaviour, said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", HeaderValue::from_str(said).unwrap());
            seconds(behaviour, &headers)
        };
        let optimized = Behaviour::default();
        assert_eq!(told(&optimized, "public, max-age=300"), 300);
        assert_eq!(told(&optimized, "max-age=300, s-maxage=60"), 60);
        assert_eq!(told(&optimized, "no-store"), 1);
        assert_eq!(told(&optimized, ""), 86_400);
        let disabled = Behaviour {
            cache_policy: Some("4135ea2d-6df8-44a3-9df3-4b5a84be39ad".to_owned()),
            ..Behaviour::default()
        };
        assert_eq!(told(&disabled, "max-age=300"), 0);
    }

    #[test]
    fn an_error_is_kept_as_its_code_and_its_origin_say() {
        let disabled = Behaviour {
            cache_policy: Some("4135ea2d-6df8-44a3-9df3-4b5a84be39ad".to_owned()),
            ..Behaviour::default()
        };
        let kept = |behaviour: &Behaviour, status: u16, said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", HeaderValue::from_str(said).unwrap());
            error_seconds(behaviour, status, &headers, 10)
        };
        let optimized = Behaviour::default();
        for (status, plain, forbidden, brief, long) in [
            (404, 10, 0, 10, 60),
            (410, 10, 0, 10, 60),
            (501, 10, 0, 10, 60),
            (500, 10, 10, 10, 60),
            (503, 10, 10, 10, 60),
            (400, 0, 0, 10, 60),
            (403, 0, 0, 10, 60),
            (405, 0, 0, 10, 60),
            (401, 0, 0, 0, 0),
            (409, 0, 0, 0, 0),
            (416, 0, 0, 0, 0),
            (422, 0, 0, 0, 0),
            (429, 0, 0, 0, 0),
        ] {
            let told = ["", "no-store", "max-age=1", "max-age=60"].map(|said| kept(&optimized, status, said));
            assert_eq!(told, [plain, forbidden, brief, long], "{status}");
            assert_eq!(kept(&disabled, status, "max-age=60"), 0, "{status}");
        }
        assert_eq!(error_seconds(&optimized, 503, &HeaderMap::new(), 0), 0);
    }
}
