//! What a function finds in its environment: what Lambda says, what its maker has set, and where the sandbox's clouds
//! are, in the names that official clients know.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use sha2::{Digest as _, Sha256};

use super::Variables;
use crate::sandbox::aws::{Invocation, Keys};
use crate::sandbox::server::Endpoints;

/// Hosts of clouds that a maker's variable may name. They are read as a resolver would have them that knows the
/// sandbox: the same name leads to the same service, here.
static HOSTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let azure = r"[A-Za-z0-9-]+\.(?:cognitiveservices\.azure|api\.cognitive\.microsoft)\.com";
    Regex::new(&format!(r"https://(?:(?P<azure>{azure})|[a-z0-9-]+\.googleapis\.com)\b")).ok()
});

/// All variables of a process.
pub(super) fn variables(
    invocation: &Invocation,
    keys: &Keys,
    endpoints: &Endpoints,
    root: &Path,
) -> Variables {
    let Invocation { region, name, version, memory_mb, log_group, handler, .. } = invocation;
    let root = root.to_string_lossy();
    let mut all: Variables =
        [("AWS_ENDPOINT_URL", endpoints.aws.as_str()), ("GOOGLE_ENDPOINT_URL", &endpoints.gcp)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    let own = invocation.environment.iter();
    all.extend(own.map(|(name, value)| (name.clone(), resolved(value, endpoints))));
    let platform = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("LAMBDA_TASK_ROOT", &root),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("_HANDLER", handler),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", version),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &stream(version, &invocation.request_id)),
        ("AWS_ACCESS_KEY_ID", &keys.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key),
        ("AWS_SESSION_TOKEN", &keys.session_token),
    ];
    for (name, value) in platform {
        // A maker may replace the general ones: Lambda refuses the others when they are set.
        all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    all
}

/// A variable's value, with the hosts of clouds in it as they are reached here.
fn resolved(value: &str, endpoints: &Endpoints) -> String {
    let Some(hosts) = HOSTS.as_ref() else { return value.to_owned() };
    let here = |found: &Captures<'_>| match found.name("azure") {
        Some(host) => format!("{}/{}", endpoints.azure, host.as_str()),
        None => endpoints.gcp.clone(),
    };
    hosts.replace_all(value, here).into_owned()
}

/// The name of the stream of the process that an invocation starts: `2026/11/28/[$LATEST]…`.
pub(super) fn stream(version: &str, request_id: &str) -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d");
    let digest = hex::encode(Sha256::digest(request_id));
    format!("{day}/[{version}]{}", &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_clouds_lead_here_and_no_others() {
        let endpoints = Endpoints {
            aws: "http://127.0.0.1:1".to_owned(),
            gcp: "http://127.0.0.1:2".to_owned(),
            azure: "http://127.0.0.1:3".to_owned(),
        };
        let cases = [
            (
                "https://mine.cognitiveservices.azure.com/",
                "http://127.0.0.1:3/mine.cognitiveservices.azure.com/",
            ),
            (
                r#"{"token_url":"https://sts.googleapis.com/v1/token"}"#,
                r#"{"token_url":"http://127.0.0.1:2/v1/token"}"#,
            ),
            ("https://example.com/", "https://example.com/"),
            ("//iam.googleapis.com/projects/1", "//iam.googleapis.com/projects/1"),
            ("https://sts.googleapis.community/", "https://sts.googleapis.community/"),
            ("https://sts.{region}.amazonaws.com", "https://sts.{region}.amazonaws.com"),
        ];
        for (given, wanted) in cases {
            assert_eq!(resolved(given, &endpoints), wanted);
        }
    }
}
