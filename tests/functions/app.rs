//! The reference stack's functions, run: a picture is uploaded with a form, its bucket tells `analyze-image`, which asks
//! the vision service and, as the Google service account that its AWS role may become, writes a document; the HTTP API
//! answers it. With another role in the binding that stops, with Google's own words.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value as Json, json};

use super::{ACCOUNT, archive, edge, eventually, form, function, logs, ready};
use crate::support::sign::{Reply, Signer, send};
use crate::support::{functions_target, reference, three_clouds};

const PROJECT: &str = "image-recognition-demo";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// The stack, applied, with its functions and their HTTP API.
struct App {
    session: Session,
    aws: Signer,
    /// The API's host.
    host: String,
    _folder: tempfile::TempDir,
}

impl App {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        three_clouds(&home);
        let data = home.join(".mcm/sandbox");
        let options = Options { data, port: None, latency: Duration::ZERO, accounts: Accounts::default() };
        let session = Session::open(options).await.unwrap();
        let applied = tokio::task::spawn_blocking(move || {
            let mcm = |arguments: &[&str]| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_mcm"));
                command.current_dir(&home).args(arguments).arg("--sandbox");
                for name in ["MCM_SANDBOX", "AWS_ENDPOINT_URL"] {
                    command.env_remove(name);
                }
                let done = command.output().unwrap();
                assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
                done.stdout
            };
            mcm(&["apply", "--auto-approve"]);
            let outputs: Json = serde_json::from_slice(&mcm(&["output", "--json"])).unwrap();
            (outputs, build())
        });
        let (outputs, bin) = applied.await.unwrap();
        let aws = Signer::of(&session, ACCOUNT);
        let variables = variables(&session, &outputs).await;
        for name in ["analyze-image", "get-analysis", "uploads"] {
            let program = std::fs::read(bin.join(name)).unwrap();
            let settings = json!({
                "Role": format!("arn:aws:iam::{ACCOUNT}:role/image-recognition-demo"), "MemorySize": 256, "Timeout": 30,
                "Environment": { "Variables": variables },
            });
            function(&aws, name, &archive(&program, 0o755), &settings).await;
        }
        let bucket = text(&outputs, "files-bucket");
        let host = wire(&aws, &bucket).await;
        Self { session, aws, host, _folder: folder }
    }

    async fn api(&self, method: &str, path: &str, body: &str) -> Reply {
        let fields = [("host", self.host.as_str()), ("content-type", "application/json")];
        send(&self.aws.endpoint, method, path, &fields, body).await
    }

    /// Uploads a picture as the page does; returns its name.
    async fn upload(&self, picture: &[u8]) -> String {
        let (ticket, fields) = self.ticket(picture.len()).await;
        let stored = edge::post(ticket["url"].as_str().unwrap(), &fields, picture, "http://page").await;
        assert_eq!(stored.status, 201, "{}", stored.text());
        ticket["id"].as_str().unwrap().to_owned()
    }

    /// A form to upload so many bytes with.
    async fn ticket(&self, bytes: usize) -> (Json, Vec<(String, String)>) {
        let wish = json!({ "contentType": "image/png", "bytes": bytes }).to_string();
        let ticket = self.api("POST", "/uploads", &wish).await;
        assert_eq!(ticket.status, 201, "{}", ticket.text());
        let ticket = ticket.json();
        let fields = ticket["fields"].as_object().unwrap().iter();
        let fields = fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        (ticket, fields)
    }

    async fn log(&self, name: &str) -> String {
        let group = json!({ "logGroupName": format!("/aws/lambda/{name}") });
        let found = logs(&self.aws, "FilterLogEvents", &group).await.json();
        let found = found["events"].as_array().cloned().unwrap_or_default();
        found.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Calls Google Cloud as the project's owner.
    async fn google(&self, path: &str, body: &Json) -> Json {
        let token = format!("Bearer {}", self.session.credentials.gcp_token());
        let fields = [("authorization", token.as_str()), ("content-type", "application/json")];
        send(&self.session.endpoints.gcp, "POST", path, &fields, body.to_string()).await.good()
    }
}

fn text(outputs: &Json, name: &str) -> String {
    let output = &outputs[name];
    output
        .as_str()
        .or(output["value"].as_str())
        .unwrap_or_else(|| panic!("no output {name}: {outputs}"))
        .to_owned()
}

/// Builds the functions as mcm does, and returns where cargo leaves them.
fn build() -> PathBuf {
    let target = functions_target();
    let done = Command::new(env!("CARGO_BIN_EXE_mcm"))
        .current_dir(reference("app"))
        .args(["functions", "build", "--sandbox"])
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    target.join("debug")
}

/// What the functions are told: what the stack puts out, in the clouds' own names.
async fn variables(session: &Session, outputs: &Json) -> Json {
    let keys = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/image-recognition-demo/providers/Microsoft.CognitiveServices/accounts/\
         image-recognition-demo/listKeys?api-version=2023-05-01"
    );
    let token = format!("Bearer {}", session.credentials.azure_token());
    let keys = send(&session.endpoints.azure, "POST", &keys, &[("authorization", &token)], "").await.good();
    let configuration = &outputs["google-credential-configuration"];
    let configuration = configuration.get("value").unwrap_or(configuration);
    let configuration = configuration.as_str().map_or_else(|| configuration.to_string(), str::to_owned);
    json!({
        "UPLOAD_BUCKET": text(outputs, "files-bucket"),
        "AZURE_VISION_ENDPOINT": text(outputs, "vision-endpoint"),
        "AZURE_VISION_KEY": keys["key1"],
        "FIRESTORE_PROJECT": PROJECT,
        "FIRESTORE_DATABASE": "image-recognition-demo",
        "GOOGLE_CREDENTIAL_CONFIGURATION": configuration,
    })
}

/// The bucket tells the one function, the HTTP API calls the others; returns the API's host.
async fn wire(aws: &Signer, bucket: &str) -> String {
    edge::allow(aws, "analyze-image", "bucket", "s3.amazonaws.com", &format!("arn:aws:s3:::{bucket}")).await;
    let notification = format!(
        "<NotificationConfiguration><CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:us-east-1:{ACCOUNT}:function:\
         analyze-image</CloudFunction><Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration></NotificationConfiguration>"
    );
    aws.send("s3", "PUT", &format!("/{bucket}?notification="), &[], notification).await.good();
    let routes = [("get-analysis", "GET /analysis/{id}"), ("uploads", "POST /uploads")];
    let id = edge::api(aws, None, &routes).await;
    let source = format!("arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*/*");
    for (function, _) in routes {
        edge::allow(aws, function, "api", "apigateway.amazonaws.com", &source).await;
    }
    format!("{id}.execute-api.us-east-1.localhost")
}

/// A picture of one colour.
fn picture(red: u8, green: u8, blue: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_pixel(120, 80, image::Rgb([red, green, blue]));
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_read_over_three_clouds_without_a_key() {
    let app = App::new().await;
    let id = app.upload(&picture(200, 20, 30)).await;
    let path = format!("/analysis/{id}");
    let mut last = String::new();
    let seen = eventually(async || {
        let reply = app.api("GET", &path, "").await;
        last = reply.text();
        assert!(
            matches!(reply.status, 200 | 404),
            "{} {last}\n{}",
            reply.status,
            app.log("get-analysis").await
        );
        (reply.status == 200).then(|| reply.json())
    })
    .await;
    assert_eq!((&seen["status"], &seen["id"]), (&json!("done"), &json!(id)));
    let analysis = seen["analysis"].to_string();
    assert!(analysis.contains("\"width\":120") && analysis.contains("Red"), "{analysis}");
    // The document is in Firestore, where the project's owner reads it.
    let name = format!("projects/{PROJECT}/databases/image-recognition-demo/documents/analyses/{id}");
    let found = app
        .google(
            &format!("/v1/projects/{PROJECT}/databases/image-recognition-demo/documents:batchGet"),
            &json!({ "documents": [name] }),
        )
        .await;
    assert_eq!(found[0]["found"]["name"], json!(name), "{found}");
    let blue = app.upload(b"no picture at all, but long enough to be looked at").await;
    let failed = eventually(async || {
        let reply = app.api("GET", &format!("/analysis/{blue}"), "").await;
        (reply.status == 422).then(|| reply.json())
    })
    .await;
    assert_eq!(failed["status"], "failed", "{failed}");

    stops_without_its_policies(&app).await;
    stops_with_another_role(&app).await;
    app.session.close().await;
}

/// The role's own policies taken away: the form that it signs stores nothing, what is stored is not read, and nothing
/// is logged.
async fn stops_without_its_policies(app: &App) {
    let role = ("RoleName", "image-recognition-demo");
    let call = async |action: &str, more: &[(&str, &str)]| {
        let fields = [&[("Action", action), ("Version", "2010-05-08"), role], more].concat();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        app.aws.send("iam", "POST", "/", &kind, form(&fields)).await.good();
    };
    let name = ("PolicyName", "files");
    call("DeleteRolePolicy", &[name]).await;
    let (ticket, fields) = app.ticket(9).await;
    let stored = edge::post(ticket["url"].as_str().unwrap(), &fields, b"a picture", "http://page").await;
    assert_eq!(stored.status, 403, "{}", stored.text());
    assert!(
        stored.text().contains("no identity-based policy allows the s3:PutObject action"),
        "{}",
        stored.text()
    );
    // It may write again, and not read.
    let write = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::image-recognition-files-*/*",
    } });
    call("PutRolePolicy", &[name, ("PolicyDocument", &write.to_string())]).await;
    let id = app.upload(&picture(1, 2, 3)).await;
    eventually(async || app.log("analyze-image").await.contains("could not be read").then_some(())).await;
    assert_ne!(app.api("GET", &format!("/analysis/{id}"), "").await.status, 200);
    let all = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "Resource": "*",
    } });
    call("PutRolePolicy", &[name, ("PolicyDocument", &all.to_string())]).await;
}

/// Another role's name in the binding: the exchange goes on, the service account is out of reach.
async fn stops_with_another_role(app: &App) {
    let email = "firestore-writer-demo@image-recognition-demo.iam.gserviceaccount.com";
    let account = format!("/v1/projects/{PROJECT}/serviceAccounts/{email}");
    let mut policy = app.google(&format!("{account}:getIamPolicy"), &json!({})).await;
    let good = policy.clone();
    let member = policy["bindings"][0]["members"][0].as_str().unwrap().to_owned();
    assert!(member.ends_with("/image-recognition-demo"), "{member}");
    policy["bindings"][0]["members"][0] = json!(format!("{member}-other"));
    app.google(&format!("{account}:setIamPolicy"), &json!({ "policy": policy })).await;
    // A running process has a token yet, good for an hour: a new one gets none.
    renew(app, "get-analysis", "1").await;
    let reply = app.api("GET", "/analysis/0b7e1d36-4a0e-4f5e-9a55-3a0a1a2a3a4a", "").await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let log = app.log("get-analysis").await;
    assert!(log.contains("Permission 'iam.serviceAccounts.getAccessToken' denied"), "{log}");
    // Put right, it goes on.
    let now = app.google(&format!("{account}:getIamPolicy"), &json!({})).await;
    let again = json!({ "policy": { "bindings": good["bindings"], "etag": now["etag"] } });
    app.google(&format!("{account}:setIamPolicy"), &again).await;
    renew(app, "get-analysis", "2").await;
    let reply = app.api("GET", "/analysis/0b7e1d36-4a0e-4f5e-9a55-3a0a1a2a3a4a", "").await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    // A role that Lambda may not assume any more: the API has nothing to call.
    let trust = super::trust("ec2.amazonaws.com");
    let update = form(&[
        ("Action", "UpdateAssumeRolePolicy"),
        ("Version", "2010-05-08"),
        ("RoleName", "image-recognition-demo"),
        ("PolicyDocument", &trust),
    ]);
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    app.aws.send("iam", "POST", "/", &kind, update).await.good();
    assert_eq!(app.api("GET", "/analysis/x", "").await.status, 500);
}

/// A change of settings, which ends the running process.
async fn renew(app: &App, name: &str, description: &str) {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    app.aws.lambda("PUT", &path, &json!({ "Description": description })).await.good();
    ready(&app.aws, name).await;
}
