//! The transport, the waiting for operations and the classification of refusals, over answers that are played back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::headers::{HeaderName, HeaderValue, Headers};
use azure_core::{HttpClient, Method, Request, Response, StatusCode, Url};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::arm::{Arm, Ask};
use super::wire::Transport;
use super::{Azure, AzureAccess, AzurePlace, Clients, OnceLock, credentials, errors, kind, names};
use crate::model::{CloudError, CloudId, ErrorKind, Read, ResourceType, Secret, Value};

/// An answer to be played back: status, headers, body; status 0 breaks the connection.
type Scene = (u16, Vec<(&'static str, String)>, Json);

/// Plays answers back in order, the last one for ever, and remembers what it was sent.
#[derive(Debug, Default)]
struct Script {
    scenes: Mutex<VecDeque<Scene>>,
    sent: Mutex<Vec<String>>,
}

#[async_trait]
impl HttpClient for Script {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<Response> {
        let line = format!("{} {}", request.method(), request.url());
        self.sent.lock().unwrap().push(line);
        let mut scenes = self.scenes.lock().unwrap();
        let (status, headers, body) =
            if scenes.len() > 1 { scenes.pop_front() } else { scenes.front().cloned() }.unwrap();
        let Ok(status) = StatusCode::try_from(status) else {
            return Err(azure_core::Error::message(azure_core::error::ErrorKind::Io, "connection reset"));
        };
        let headers =
            headers.into_iter().map(|(name, value)| (HeaderName::from(name), HeaderValue::from(value)));
        let headers = Headers::from(headers.collect::<std::collections::HashMap<_, _>>());
        let bytes = bytes::Bytes::from(body.to_string());
        Ok(Response::new(status, headers, Box::pin(futures::stream::once(async move { Ok(bytes) }))))
    }
}

/// A client over a script.
struct Stage {
    arm: Arm,
    script: Arc<Script>,
}

const HOST: &str = "https://management.azure.com";
const PATH: &str = "/subscriptions/s/resourceGroups/g";

fn stage(scenes: impl IntoIterator<Item = Scene>) -> Stage {
    let script =
        Arc::new(Script { scenes: Mutex::new(scenes.into_iter().collect()), sent: Mutex::default() });
    let wire: Arc<dyn HttpClient> = Arc::<Script>::clone(&script);
    let credential = credentials::credential(Some(&Secret::new("t")), &wire).unwrap();
    let transport: Arc<dyn HttpClient> = Arc::new(Transport(wire));
    Stage { arm: Arm::new(Url::parse(HOST).unwrap(), &transport, credential), script }
}

impl Stage {
    fn sent(&self) -> Vec<String> {
        let sent = self.script.sent.lock().unwrap();
        sent.iter().map(|line| line.replace(HOST, "").replace("?api-version=v", "")).collect()
    }

    async fn send(&self, method: Method) -> Result<u16, CloudError> {
        let ask = Ask { method, body: Some(json!({})), ..Ask::get("call", PATH, "v") };
        self.arm.send(&ask).await.map(|response| u16::from(*response.status()))
    }

    /// A change and the wait for its end.
    async fn run(&self) -> Result<(), CloudError> {
        let ask = Ask { method: Method::Put, body: Some(json!({})), ..Ask::get("call", PATH, "v") };
        let begun = self.arm.send(&ask).await?;
        self.arm.settle("call", &begun, PATH, "v").await
    }
}

fn plain(status: u16) -> Scene {
    (status, Vec::new(), json!({}))
}

fn refusal(status: u16, code: &str) -> Scene {
    (status, Vec::new(), json!({ "error": { "code": code, "message": "no" } }))
}

fn operation(status: &str) -> Scene {
    (200, Vec::new(), json!({ "status": status, "error": { "code": "Bad", "message": "went wrong" } }))
}

fn begun(header: &'static str, url: &str) -> Scene {
    (202, vec![(header, url.to_owned())], json!({}))
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_waited_out_as_long_as_the_cloud_asks() {
    let stage = stage([(429, vec![("retry-after", "17".to_owned())], json!({})), plain(200)]);
    let start = Instant::now();
    assert_eq!(stage.send(Method::Put).await, Ok(200));
    assert_eq!(stage.sent().len(), 2);
    assert!(start.elapsed() >= Duration::from_secs(17));
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_and_a_change_is_not() {
    for broken in [500, 503, 0] {
        let reading = stage([plain(broken), plain(broken), plain(200)]);
        assert_eq!(reading.send(Method::Get).await, Ok(200));
        assert_eq!(reading.sent().len(), 3);
        let changing = stage([plain(broken), plain(200)]);
        assert_eq!(changing.send(Method::Put).await.unwrap_err().kind, ErrorKind::Unknown);
        assert_eq!(changing.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_host_that_takes_no_connection_is_unreachable() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wire = super::wire::network(true).unwrap();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let error = Transport(wire).execute_request(&Request::new(url, Method::Put)).await.unwrap_err();
    let error = super::wire::convert("call", &error);
    assert_eq!((error.kind, error.call.as_str()), (ErrorKind::Unreachable, "call"));
    assert!(error.hint.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_followed_by_its_status() {
    let url = format!("{HOST}/operations/1?api-version=v");
    let good = stage([begun("azure-asyncoperation", &url), operation("Running"), operation("succeeded")]);
    assert_eq!(good.run().await, Ok(()));
    assert_eq!(good.sent(), [&format!("PUT {PATH}"), "GET /operations/1", "GET /operations/1"]);

    for end in ["Failed", "Canceled"] {
        let bad = stage([begun("azure-asyncoperation", &url), operation("InProgress"), operation(end)]);
        let error = bad.run().await.unwrap_err();
        // Something was begun: what is left of it has to be read.
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unknown, "Bad"));
        assert!(error.message.contains("went wrong"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_followed_by_its_place_or_by_the_object_itself() {
    let url = format!("{HOST}/results/1?api-version=v");
    let placed = stage([begun("location", &url), plain(202), plain(202), plain(204)]);
    assert_eq!(placed.run().await, Ok(()));
    assert_eq!(placed.sent().len(), 4);

    let state = |state: &str| (200, Vec::new(), json!({ "properties": { "provisioningState": state } }));
    let watched = stage([state("Accepted"), state("ResolvingDNS"), state("Succeeded")]);
    assert_eq!(watched.run().await, Ok(()));
    assert_eq!(watched.sent(), [format!("PUT {PATH}"), format!("GET {PATH}"), format!("GET {PATH}")]);

    // No state at all is the final one, and nothing is asked again.
    let done = stage([plain(200)]);
    assert_eq!(done.run().await, Ok(()));
    assert_eq!(done.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_never_ends_is_given_up() {
    let url = format!("{HOST}/operations/1?api-version=v");
    let endless = stage([begun("azure-asyncoperation", &url), operation("InProgress")]);
    let start = Instant::now();
    assert_eq!(endless.run().await.unwrap_err().kind, ErrorKind::Unknown);
    assert!(start.elapsed() <= Duration::from_mins(15));
    assert!(endless.sent().len() < 220, "{}", endless.sent().len());
}

#[tokio::test(start_paused = true)]
async fn the_token_goes_nowhere_else() {
    for foreign in
        ["https://evil.example/1", "http://management.azure.com/1", "https://evilmanagement.azure.com/1"]
    {
        let lured = stage([begun("azure-asyncoperation", foreign), operation("Succeeded")]);
        assert_eq!(lured.run().await.unwrap_err().kind, ErrorKind::Unknown);
        assert_eq!(lured.sent().len(), 1, "{foreign}");
    }
    let regional = "https://eastus.management.azure.com/operations/1?api-version=v";
    let near = stage([begun("azure-asyncoperation", regional), operation("Succeeded")]);
    assert_eq!(near.run().await, Ok(()));
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let page = |next: Json| (200, Vec::new(), json!({ "value": [1], "nextLink": next }));
    let next = json!(format!("{HOST}/next?api-version=v&page=2"));
    let pages = stage([page(next.clone()), page(next.clone()), page(Json::Null)]);
    assert_eq!(pages.arm.list("call", "/things", "v").await.unwrap().len(), 3);
    // A server that goes round in circles is left.
    let circle = stage([page(next)]);
    assert!(circle.arm.list("call", "/things", "v").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn refusals_mean_what_the_engine_has_to_know() {
    let cases = [
        (400, "InvalidRequestContent", ErrorKind::Invalid, false),
        (400, "CanNotCreateMultipleFreeAccounts", ErrorKind::Invalid, true),
        (401, "ExpiredAuthenticationToken", ErrorKind::Credentials, true),
        (401, "InvalidAuthenticationTokenTenant", ErrorKind::WrongAccount, true),
        (403, "AuthorizationFailed", ErrorKind::Denied, true),
        (404, "ResourceNotFound", ErrorKind::NotFound, false),
        (404, "ResourceGroupNotFound", ErrorKind::NotFound, true),
        (404, "SubscriptionNotFound", ErrorKind::WrongAccount, true),
        (409, "FlagMustBeSetForRestore", ErrorKind::AlreadyExists, true),
        (409, "CustomDomainInUse", ErrorKind::Invalid, true),
        (409, "ResourceGroupBeingDeleted", ErrorKind::Conflict, false),
        (409, "AccountProvisioningStateInvalid", ErrorKind::Conflict, false),
        (409, "InvalidResourceGroupLocation", ErrorKind::AlreadyExists, false),
        (412, "PreconditionFailed", ErrorKind::Conflict, false),
        (429, "TooManyRequests", ErrorKind::Throttled, false),
        (500, "InternalServerError", ErrorKind::Unknown, false),
    ];
    for (status, code, kind, helped) in cases {
        let error = stage([refusal(status, code)]).send(Method::Put).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str(), error.message.as_str()), (kind, code, "no"), "{code}");
        assert_eq!(error.hint.is_some(), helped, "{code}");
        assert_eq!(error.call, "call");
    }
}

#[test]
fn the_directorys_own_words_are_told() {
    let body = json!({ "error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: x" });
    let body = bytes::Bytes::from(body.to_string());
    let response = azure_core::CollectedResponse::new(StatusCode::Unauthorized, Headers::new(), body);
    assert_eq!(errors::refused(&response).message, "AADSTS7000215: Invalid client secret.");
}

#[test]
fn ids_are_read_in_any_case_and_never_trusted() {
    let parse = |id: &str| names::parse_id("call", &CloudId(id.to_owned()), "sub");
    let good = "/SUBSCRIPTIONS/SUB/resourcegroups/My-Group/providers/microsoft.cognitiveservices/ACCOUNTS/v";
    assert_eq!(parse(good).unwrap(), ("My-Group".to_owned(), Some("v".to_owned())));
    assert_eq!(parse("/subscriptions/sub/resourceGroups/g").unwrap(), ("g".to_owned(), None));
    for bad in [
        "",
        "vision",
        "/subscriptions/sub/resourceGroups/..",
        "/subscriptions/sub/resourceGroups/a?b",
        "/subscriptions/sub/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/",
        "/subscriptions/sub/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a#b",
        "/subscriptions/sub/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v",
        "/subscriptions/sub/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a/projects/p",
    ] {
        assert_eq!(parse(bad).unwrap_err().kind, ErrorKind::Invalid, "{bad}");
    }
    assert_eq!(parse("/subscriptions/other/resourceGroups/g").unwrap_err().kind, ErrorKind::WrongAccount);
}

/// A deletion that ends between the look at the live accounts and the one at the deleted ones is not missed.
#[tokio::test]
async fn an_account_on_its_way_to_the_deleted_ones_is_found() {
    const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
    let id = names::account_id(SUBSCRIPTION, "g", "n");
    let deleted = json!({ "id": id, "name": "n", "location": "westeurope", "kind": "ComputerVision", "properties": {} });
    for (third, found) in [((200, Vec::new(), deleted), true), (refusal(404, "ResourceNotFound"), false)] {
        let both = refusal(404, "ResourceNotFound");
        let stage = stage([both.clone(), both, third]);
        let place = AzurePlace {
            subscription: SUBSCRIPTION.to_owned(),
            resource_group: "g".to_owned(),
            location: "westeurope".to_owned(),
            endpoint: None,
        };
        let network: Arc<dyn HttpClient> = Arc::<Script>::clone(&stage.script);
        let clients = Clients::over(Url::parse(HOST).unwrap(), network, Some(&Secret::new("t")));
        let azure = Azure { place, access: AzureAccess::default(), clients: OnceLock::from(clients) };
        let desired = [("location".to_owned(), Value::from("westeurope"))].into_iter().collect();
        let (ty, id) = (ResourceType::new("Microsoft.CognitiveServices/accounts"), CloudId(id.clone()));
        let read = Read { ty: &ty, id: &id, desired: Some(&desired), secrets: false };
        let live = kind(&ty).unwrap().read(&azure, read).await.unwrap();
        assert_eq!(live.is_some(), found);
        assert_eq!(stage.sent().len(), 3, "{:?}", stage.sent());
    }
}

/// What an environment leads to: nothing, a credential, or an explanation.
#[test]
fn an_environment_is_used_whole_or_explained() {
    let stage = stage([plain(200)]);
    let wire: Arc<dyn HttpClient> = stage.script;
    let look = |set: &[(&str, &str)]| {
        let find =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        match credentials::from_environment(&wire, &find) {
            Ok(None) => "none".to_owned(),
            Ok(Some(_)) => "some".to_owned(),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Credentials);
                assert!(error.hint.is_some());
                error.message
            }
        }
    };
    let (tenant, client) = (("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"));
    let secret = ("AZURE_CLIENT_SECRET", "s");
    assert_eq!(look(&[]), "none");
    // An identity without a proof is no credential: a managed identity can have these set too.
    assert_eq!(look(&[tenant, client]), "none");
    assert_eq!(look(&[tenant, client, secret]), "some");
    assert!(look(&[tenant, secret]).contains("AZURE_CLIENT_ID"));
    assert!(
        look(&[tenant, client, secret, ("AZURE_AUTHORITY_HOST", "http://login.example")]).contains("https")
    );
    assert!(
        look(&[tenant, client, ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token")]).contains("/nowhere/token")
    );
}
