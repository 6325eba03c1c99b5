//! Which requests of web pages are answered: any page may try to reach a server on the machine of whoever looks at it.
//!
//! What the real clouds serve to browsers is served to them here: web sites, HTTP APIs, distributions, and S3, whose own
//! rules decide. All else is for programs, and for pages that come from the very same address. A page elsewhere is told by
//! what every browser says of its requests and no page can take out: `Sec-Fetch-Site` and `Origin`; one whose name was
//! pointed to this machine, by `Host`.

use http::Request;

/// What browsers say of where a request comes from (Fetch Metadata Request Headers, W3C).
const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a request may have been sent by a page elsewhere, or bears the name of one.
pub(super) fn is_strange<B>(request: &Request<B>) -> bool {
    !names_this_machine(request) || is_of_a_page_elsewhere(request)
}

/// Whether the request's host is this machine: an address of the loopback, `localhost`, or a name below it. Others may
/// be those of a web page whose name was pointed here. Programs may leave the host out, browsers cannot.
pub(super) fn names_this_machine<B>(request: &Request<B>) -> bool {
    let Some(host) = field(request, "host") else { return true };
    let name = name(host).to_ascii_lowercase();
    let bare = name.trim_matches(['[', ']']);
    name == "localhost"
        || name.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the host is the loopback's own, and none of the names below `localhost`.
pub(super) fn names_the_loopback<B>(request: &Request<B>) -> bool {
    let host = field(request, "host").unwrap_or_default();
    matches!(name(host), "127.0.0.1" | "localhost" | "[::1]")
}

/// Whether a browser says that a page of another address sends it.
pub(super) fn is_of_a_page_elsewhere<B>(request: &Request<B>) -> bool {
    let site = field(request, FETCH_SITE);
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let host = field(request, "host").unwrap_or_default();
    field(request, "origin").is_some_and(|origin| origin.strip_prefix("http://") != Some(host))
}

/// Whether a browser says that a page sends it, of whatever address: what is served here has pages of its own, and
/// anybody's.
pub(super) fn is_of_a_page<B>(request: &Request<B>) -> bool {
    field(request, "origin").is_some() || field(request, FETCH_SITE).is_some_and(|site| site != "none")
}

fn name(host: &str) -> &str {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    port.map_or(host, |(name, _)| name)
}

fn field<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request<bytes::Bytes> {
        let request =
            fields.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        request.body(bytes::Bytes::new()).unwrap()
    }

    #[test]
    fn pages_elsewhere_are_told() {
        let host = ("host", "127.0.0.1:4566");
        for fields in [
            [host, ("sec-fetch-site", "cross-site")],
            [host, ("sec-fetch-site", "same-site")],
            [host, ("origin", "https://evil.example")],
            [host, ("origin", "null")],
            [host, ("origin", "http://127.0.0.1:3000")],
            [("host", "evil.example:4566"), ("origin", "http://evil.example:4566")],
            [("host", "127.0.0.1.evil.example"), ("accept", "*/*")],
            [("host", "localhost.evil.example:4566"), ("sec-fetch-site", "same-origin")],
            [("host", "\u{fc}"), ("accept", "*/*")],
        ] {
            assert!(is_strange(&request(&fields)), "{fields:?}");
        }
        for fields in [
            [host, ("accept", "*/*")],
            [host, ("sec-fetch-site", "none")],
            [host, ("origin", "http://127.0.0.1:4566")],
            [("host", "[::1]:4566"), ("accept", "*/*")],
            [("host", "localhost"), ("accept", "*/*")],
            [("host", "x.execute-api.us-east-1.localhost:4566"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(!is_strange(&request(&fields)), "{fields:?}");
        }
    }
}
