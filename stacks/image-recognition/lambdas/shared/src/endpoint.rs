//! Where a service is: HTTPS, or plain HTTP on this machine alone.

use std::net::IpAddr;

use reqwest::Url;
use thiserror::Error;

/// The base address of a service, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// Why an address is none that a function will talk to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Not an address at all.
    #[error("`{0}` is not a web address")]
    Malformed(String),
    /// Plain HTTP to another machine, or another protocol.
    #[error("`{0}` is neither HTTPS nor plain HTTP on this machine")]
    Insecure(String),
    /// It carries what does not belong there.
    #[error("`{0}` carries a user name, a password or a fragment")]
    Decorated(String),
}

impl Endpoint {
    /// Plain HTTP is accepted for loopback addresses alone: that is where the sandbox and the tests are.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::Malformed(text.to_owned()))?;
        // A password in an address would be repeated in messages: it is not even quoted.
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            let shown = url.host_str().unwrap_or_default().to_owned();
            return Err(EndpointError::Decorated(shown));
        }
        let secure = match url.scheme() {
            "https" => url.host_str().is_some(),
            "http" => url.host_str().is_some_and(is_loopback),
            _ => false,
        };
        if secure {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(EndpointError::Insecure(text.to_owned()))
        }
    }

    /// The address as it was given, less trailing slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path and query at another service: `https://sts.googleapis.com/v1/token` at
    /// `http://127.0.0.1:4000` is `http://127.0.0.1:4000/v1/token`.
    #[must_use]
    pub fn moved_to(&self, other: &Self) -> Self {
        let after_scheme = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let path = after_scheme.find(['/', '?']).map_or("", |at| &after_scheme[at..]);
        Self(format!("{}{path}", other.0))
    }
}

fn is_loopback(host: &str) -> bool {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || plain.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in ["https://a.example/", "http://127.0.0.1:4000", "http://localhost:1", "http://[::1]:5/x"]
        {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        let bad = [
            "http://a.example",
            "http://127.0.0.1.a.example",
            "http://localhost.a.example/",
            "http://169.254.169.254/latest",
            "http://0.0.0.0:80",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "https://user:pass@a.example",
            "https://a.example/#x",
            "127.0.0.1:4000",
            "",
        ];
        for text in bad {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = Endpoint::parse("https://me:hunter2@a.example").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_path_moves_to_another_service() {
        let token = Endpoint::parse("https://sts.googleapis.com/v1/token").unwrap();
        let here = Endpoint::parse("http://127.0.0.1:4000/").unwrap();
        assert_eq!(token.moved_to(&here).as_str(), "http://127.0.0.1:4000/v1/token");
        let bare = Endpoint::parse("https://sts.amazonaws.com?Action=X").unwrap();
        assert_eq!(bare.moved_to(&here).as_str(), "http://127.0.0.1:4000?Action=X");
    }
}
