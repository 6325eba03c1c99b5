//! What browsers meet: HTTP APIs, uploads by form, buckets for pages of other origins, and distributions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::{ACCOUNT, Scene, eventually};
use crate::support::sign::{Reply, Signer, send};

/// Lets a service call a function.
pub(super) async fn allow(aws: &Signer, function: &str, id: &str, principal: &str, source: &str) {
    let body = json!({
        "StatementId": id, "Action": "lambda:InvokeFunction", "Principal": principal, "SourceArn": source,
    });
    aws.lambda("POST", &format!("/2015-03-31/functions/{function}/policy"), &body).await.good();
}

/// An HTTP API with routes to functions; returns its id.
pub(super) async fn api(aws: &Signer, cors: Option<Json>, routes: &[(&str, &str)]) -> String {
    let call = async |path: String, body: Json| {
        let kind = [("content-type", "application/json")];
        aws.send("apigateway", "POST", &path, &kind, body.to_string()).await.good()
    };
    let mut wanted = json!({ "name": "api", "protocolType": "HTTP" });
    if let Some(cors) = cors {
        wanted["corsConfiguration"] = cors;
    }
    let id = call("/v2/apis".to_owned(), wanted).await["apiId"].as_str().unwrap().to_owned();
    for (function, route) in routes {
        let integration = json!({
            "integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
            "integrationUri": format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}"),
        });
        let made = call(format!("/v2/apis/{id}/integrations"), integration).await;
        let target = format!("integrations/{}", made["integrationId"].as_str().unwrap());
        call(format!("/v2/apis/{id}/routes"), json!({ "routeKey": route, "target": target })).await;
    }
    call(format!("/v2/apis/{id}/stages"), json!({ "stageName": "$default", "autoDeploy": true })).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_api_leads_to_its_function() {
    let scene = Scene::new().await;
    scene.function("web", &json!({})).await;
    let cors = json!({ "allowOrigins": ["http://page"], "allowMethods": ["GET", "POST"], "allowHeaders": ["content-type"], "maxAge": 60 });
    let routes = [("web", "GET /things/{id}"), ("web", "ANY /all/{rest+}"), ("web", "POST /things")];
    let id = api(&scene.aws, Some(cors), &routes).await;
    let host = format!("{id}.execute-api.us-east-1.localhost");
    let endpoint = scene.session.endpoints.aws.clone();
    let ask = async |method: &str, target: &str, fields: &[(&str, &str)], body: &str| {
        let mut all = vec![("host", host.as_str())];
        all.extend(fields);
        send(&endpoint, method, target, &all, body).await
    };
    let reply = ask("GET", "/things/1", &[], "").await;
    assert_eq!(
        (reply.status, reply.text()),
        (500, json!({ "message": "Internal Server Error" }).to_string()),
        "no permission yet"
    );
    let source = format!("arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*/*");
    allow(&scene.aws, "web", "api", "apigateway.amazonaws.com", &source).await;

    let reply =
        ask("GET", "/things/a%20b?q=1&q=2&r=%C3%BC", &[("cookie", "x=1; y=2"), ("x-own", "1")], "").await;
    let event = &reply.good()["event"];
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /things/{id}");
    assert_eq!(event["rawPath"], "/things/a%20b");
    assert_eq!(event["pathParameters"], json!({ "id": "a b" }));
    assert_eq!(event["queryStringParameters"], json!({ "q": "1,2", "r": "ü" }));
    assert_eq!(event["cookies"], json!(["x=1", "y=2"]));
    assert_eq!((&event["headers"]["x-own"], &event["headers"]["cookie"]), (&json!("1"), &Json::Null));
    assert_eq!(event["requestContext"]["http"]["method"], "GET");
    assert_eq!((&event["isBase64Encoded"], &event["body"]), (&json!(false), &Json::Null));
    let reply = ask("POST", "/all/x/y", &[("content-type", "image/png")], "bytes").await.good();
    assert_eq!(reply["event"]["pathParameters"]["rest"], "x/y");
    assert_eq!(
        (&reply["event"]["body"], &reply["event"]["isBase64Encoded"]),
        (&json!(STANDARD.encode("bytes")), &json!(true))
    );

    let reply = ask("POST", "/things", &[("origin", "http://page")], "").await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://page"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let reply = ask("GET", "/nothing", &[("origin", "http://other")], "").await;
    assert_eq!((reply.status, reply.json()), (404, json!({ "message": "Not Found" })));
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let before = [("origin", "http://page"), ("access-control-request-method", "POST")];
    let reply = ask("OPTIONS", "/things", &before, "").await;
    assert_eq!((reply.status, reply.header("access-control-allow-methods")), (204, Some("GET,POST")));
    assert_eq!(reply.header("access-control-max-age"), Some("60"));
    let absent = [("host", "abcdefghij.execute-api.us-east-1.localhost")];
    assert_eq!(send(&endpoint, "GET", "/", &absent, "").await.status, 404);
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_functions_own_answer_is_passed_on_and_its_failure_is_not() {
    let scene = Scene::new().await;
    scene.function("answers", &json!({ "Timeout": 1 })).await;
    let id = api(&scene.aws, None, &[("answers", "$default")]).await;
    let source = format!("arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*");
    allow(&scene.aws, "answers", "api", "apigateway.amazonaws.com", &source).await;
    let host = format!("{id}.execute-api.us-east-1.localhost");
    let endpoint = scene.session.endpoints.aws.clone();
    let ask =
        async |what: &str| send(&endpoint, "GET", &format!("/{what}"), &[("host", host.as_str())], "").await;
    for (what, status) in [("fail", 500), ("sleep", 500)] {
        let settings = json!({ "Environment": { "Variables": { "ALWAYS": what } } });
        scene.aws.lambda("PUT", "/2015-03-31/functions/answers/configuration", &settings).await.good();
        super::ready(&scene.aws, "answers").await;
        let reply = ask(what).await;
        assert_eq!(
            (reply.status, reply.json()),
            (status, json!({ "message": "Internal Server Error" })),
            "{what}"
        );
    }
    let settings = json!({ "Environment": { "Variables": { "ALWAYS": "web" } } });
    scene.aws.lambda("PUT", "/2015-03-31/functions/answers/configuration", &settings).await.good();
    super::ready(&scene.aws, "answers").await;
    let reply = ask("anything").await;
    assert_eq!((reply.status, reply.text().as_str(), reply.header("x-own")), (201, "hi", Some("1")));
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("http://own"),
        "without rules of the API's own"
    );
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_tells_a_function_that_it_may_call() {
    let scene = Scene::new().await;
    scene.function("told", &json!({ "Environment": { "Variables": { "ALWAYS": "tell" } } })).await;
    scene.aws.send("s3", "PUT", "/pictures", &[], "").await.good();
    let arn = format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:told");
    let rule = |name: &str, value: &str| {
        format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
    };
    let configuration = format!(
        "<NotificationConfiguration><CloudFunctionConfiguration><CloudFunction>{arn}</CloudFunction><Event>s3:ObjectCreated:*</Event>\
         <Filter><S3Key>{}{}</S3Key></Filter></CloudFunctionConfiguration></NotificationConfiguration>",
        rule("prefix", "up/"),
        rule("suffix", ".png")
    );
    let put = async || scene.aws.send("s3", "PUT", "/pictures?notification=", &[], &configuration).await;
    let refused = put().await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("Unable to validate the following destination configurations"),
        "{}",
        refused.text()
    );
    allow(&scene.aws, "told", "other", "s3.amazonaws.com", "arn:aws:s3:::another").await;
    assert_eq!(put().await.status, 400, "the permission is another bucket's");
    allow(&scene.aws, "told", "bucket", "s3.amazonaws.com", "arn:aws:s3:::pictures").await;
    assert_eq!(put().await.status, 200);
    for (wrong, code) in [
        (configuration.replace("s3:ObjectCreated:*", "s3:ObjectCreated:Puts"), "InvalidArgument"),
        (configuration.replace("<Event>s3:ObjectCreated:*</Event>", ""), "MalformedXML"),
    ] {
        let told = scene.aws.send("s3", "PUT", "/pictures?notification=", &[], wrong).await;
        assert!(told.status == 400 && told.text().contains(code), "{}", told.text());
    }
    for key in ["up/a%20b.png", "down/c.png", "up/d.gif"] {
        scene
            .aws
            .send(
                "s3",
                "PUT",
                &format!("/pictures/{key}"),
                &[("x-amz-acl", "bucket-owner-full-control")],
                "12345",
            )
            .await
            .good();
    }
    let group = json!({ "logGroupName": "/aws/lambda/told" });
    let logged = async |key: &str| {
        eventually(async || {
            let found = scene.logs("FilterLogEvents", &group).await.json();
            let lines = found["events"].as_array().into_iter().flatten();
            let log = lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect::<String>();
            (log.contains(&format!("\"key\":\"{key}\"")) && log.contains("REPORT")).then_some(log)
        })
        .await
    };
    logged("up/a+b.png").await;
    // What was told before has been delivered by the time that a later event has run.
    scene.aws.send("s3", "PUT", "/pictures/up/last.png", &[], "12345").await.good();
    let log = logged("up/last.png").await;
    assert_eq!(log.matches("REPORT").count(), 2, "two of four keys are meant: {log}");
    scene.session.close().await;
}

/// A form's fields, signed by a key for five minutes.
fn signed_form(aws: &Signer, key: &str, conditions: &[Json], expiration: &str) -> Vec<(String, String)> {
    signed_form_at(aws, key, conditions, expiration, jiff::Timestamp::now())
}

/// The same, signed at some other time.
fn signed_form_at(
    aws: &Signer,
    key: &str,
    conditions: &[Json],
    expiration: &str,
    at: jiff::Timestamp,
) -> Vec<(String, String)> {
    let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let credential = format!("{}/{}/us-east-1/s3/aws4_request", aws.id, &time[..8]);
    let mut fields = vec![
        ("key".to_owned(), key.to_owned()),
        ("Content-Type".to_owned(), "image/png".to_owned()),
        ("success_action_status".to_owned(), "201".to_owned()),
        ("x-amz-algorithm".to_owned(), "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential".to_owned(), credential),
        ("x-amz-date".to_owned(), time.clone()),
    ];
    let mut all = conditions.to_vec();
    all.extend(fields[1..].iter().map(|(name, value)| json!({ name.as_str(): value })));
    let policy = STANDARD.encode(json!({ "expiration": expiration, "conditions": all }).to_string());
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let mut signing = format!("AWS4{}", aws.secret).into_bytes();
    for part in [&time[..8], "us-east-1", "s3", "aws4_request"] {
        signing = mac(&signing, part);
    }
    fields.push(("x-amz-signature".to_owned(), hex::encode(mac(&signing, &policy))));
    fields.push(("policy".to_owned(), policy));
    fields
}

pub(super) async fn post(url: &str, fields: &[(String, String)], file: &[u8], origin: &str) -> Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(
        b"--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.png\"\r\n\r\n",
    );
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--frontier--\r\n");
    let kind = [("content-type", "multipart/form-data; boundary=frontier"), ("origin", origin)];
    send(url, "POST", "", &kind, body).await
}

/// A bucket that pages of one origin may post to; returns its address.
async fn open_forms(scene: &Scene) -> String {
    scene.aws.send("s3", "PUT", "/forms", &[], "").await.good();
    let cors = "<CORSConfiguration><CORSRule><AllowedMethod>POST</AllowedMethod><AllowedOrigin>http://page</AllowedOrigin>\
                <AllowedHeader>content-*</AllowedHeader></CORSRule></CORSConfiguration>";
    let checksum = {
        use md5::Digest as _;
        STANDARD.encode(md5::Md5::digest(cors))
    };
    scene.aws.send("s3", "PUT", "/forms?cors=", &[("content-md5", &checksum)], cors).await.good();
    format!("{}/forms", scene.aws.endpoint)
}

/// Status, code and message of a refusal.
fn refusal(reply: &Reply) -> (u16, String, String) {
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let text = reply.text();
    let part = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    (reply.status, part("Code"), part("Message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_says_beforehand_which_pages_it_serves() {
    let scene = Scene::new().await;
    let url = open_forms(&scene).await;
    let ask = async |origin: &str, headers: &str| {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", headers),
        ];
        send(&url, "OPTIONS", "", &fields, "").await
    };
    let allowed = ask("http://page", "content-type").await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-headers")), (200, Some("content-type")));
    assert_eq!(ask("http://page", "x-own").await.status, 403);
    assert_eq!(ask("http://other", "content-type").await.status, 403);
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_by_form_is_held_to_its_policy() {
    let scene = Scene::new().await;
    let url = open_forms(&scene).await;
    let conditions = [
        json!({ "bucket": "forms" }),
        json!(["starts-with", "$key", "up/"]),
        json!(["content-length-range", 1, 10]),
    ];
    let later = "2099-01-01T00:00:00Z";
    let good = signed_form(&scene.aws, "up/${filename}", &conditions, later);
    let reply = post(&url, &good, b"12345", "http://page").await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert!(reply.text().contains("<Key>up/f.png</Key>"), "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://page"));
    // A key is for a day, and good for a week.
    let days = |days: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    for (at, status) in [(days(6), 201), (days(8), 403), (days(-1), 403)] {
        let form = signed_form_at(&scene.aws, "up/aged", &conditions, later, at);
        assert_eq!(post(&url, &form, b"12345", "http://page").await.status, status, "{at}");
    }
    for time in ["nonsense", "20190101T000000Z"] {
        let undated = good.iter().map(|(name, value)| {
            let value = if name == "x-amz-date" { time } else { value };
            (name.clone(), value.to_owned())
        });
        let told = post(&url, &undated.collect::<Vec<_>>(), b"12345", "http://page").await;
        assert!(told.status == 403 && told.text().contains("must be of the day"), "{}", told.text());
    }
    let stored = scene.aws.send("s3", "GET", "/forms/up/f.png", &[], "").await;
    assert_eq!((stored.text().as_str(), stored.header("content-type")), ("12345", Some("image/png")));

    let refused = async |fields: &[(String, String)], file: &[u8]| {
        refusal(&post(&url, fields, file, "http://other").await)
    };
    let told = |status: u16, code: &str, message: &str| (status, code.to_owned(), message.to_owned());
    let large = refused(&good, b"12345678901").await;
    assert_eq!(large, told(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"));
    assert_eq!(refused(&good, b"").await.1, "EntityTooSmall");
    let away = signed_form(&scene.aws, "down/f", &conditions, later);
    let message =
        "Invalid according to Policy: Policy Condition failed: [\"starts-with\", \"$key\", \"up/\"]";
    let (status, code, said) = refused(&away, b"1").await;
    assert_eq!(
        (status, code.as_str(), said.replace("&quot;", "\"").as_str()),
        (403, "AccessDenied", message)
    );
    let old = signed_form(&scene.aws, "up/f", &conditions, "2020-01-01T00:00:00Z");
    assert_eq!(
        refused(&old, b"1").await,
        told(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    );
    let mut more = good.clone();
    more.insert(0, ("x-amz-meta-own".to_owned(), "1".to_owned()));
    let message = "Invalid according to Policy: Extra input fields: x-amz-meta-own";
    assert_eq!(refused(&more, b"1").await, told(403, "AccessDenied", message));
    let mut changed = good.clone();
    for (name, value) in &mut changed {
        if name == "x-amz-signature" {
            value.replace_range(..2, "zz");
        }
    }
    assert_eq!(refused(&changed, b"1").await.1, "SignatureDoesNotMatch");
    assert_eq!(refused(&[("key".to_owned(), "up/f".to_owned())], b"1").await.1, "AccessDenied");

    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distribution_shows_a_closed_bucket_and_keeps_what_it_has_seen() {
    let scene = Scene::new().await;
    let aws = &scene.aws;
    aws.send("s3", "PUT", "/site", &[], "").await.good();
    let put = async |key: &str, text: &str| {
        let fields = [("cache-control", "max-age=600"), ("content-type", "text/html")];
        aws.send("s3", "PUT", &format!("/site/{key}"), &fields, text).await.good()
    };
    put("index.html", "one").await;
    put("error.html", "lost").await;
    let xml = async |path: &str, body: String| aws.send("cloudfront", "POST", path, &[], body).await;
    let value = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    let control = "<OriginAccessControlConfig><Name>site</Name><SigningProtocol>sigv4</SigningProtocol>\
                   <SigningBehavior>always</SigningBehavior><OriginAccessControlOriginType>s3</OriginAccessControlOriginType>\
                   </OriginAccessControlConfig>";
    let control = xml("/2020-05-31/origin-access-control", control.to_owned()).await.text();
    let config = format!(
        "<DistributionConfig><CallerReference>1</CallerReference><Comment/><Enabled>true</Enabled>\
         <DefaultRootObject>index.html</DefaultRootObject><Origins><Quantity>1</Quantity><Items><Origin><Id>b</Id>\
         <DomainName>site.s3.us-east-1.amazonaws.com</DomainName><OriginAccessControlId>{}</OriginAccessControlId>\
         <S3OriginConfig><OriginAccessIdentity/></S3OriginConfig></Origin></Items></Origins><DefaultCacheBehavior>\
         <TargetOriginId>b</TargetOriginId><ViewerProtocolPolicy>redirect-to-https</ViewerProtocolPolicy>\
         <CachePolicyId>658327ea-f89d-4fab-a63d-7e88639e58f6</CachePolicyId></DefaultCacheBehavior><CustomErrorResponses>\
         <Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCode>403</ErrorCode><ResponsePagePath>/error.html\
         </ResponsePagePath><ResponseCode>404</ResponseCode><ErrorCachingMinTTL>0</ErrorCachingMinTTL>\
         </CustomErrorResponse></Items></CustomErrorResponses></DistributionConfig>",
        value(&control, "Id")
    );
    let made = xml("/2020-05-31/distribution", config).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (id, domain) = (value(&made.text(), "Id"), value(&made.text(), "DomainName"));
    let host = domain.replace("cloudfront.net", "cloudfront.localhost");
    let get = async |path: &str| {
        let reply = send(&aws.endpoint, "GET", path, &[("host", &host)], "").await;
        let told = reply.header("x-cache").unwrap().split(' ').next().unwrap().to_owned();
        (reply.status, reply.text(), told)
    };
    let (status, _, told) = get("/").await;
    assert_eq!((status, told.as_str()), (403, "Error"), "the bucket is closed to it");
    let policy = |distribution: &str| {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "cloudfront.amazonaws.com" }, "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::site/*",
            "Condition": { "StringEquals": { "AWS:SourceArn": format!("arn:aws:cloudfront::{ACCOUNT}:distribution/{distribution}") } },
        }] })
        .to_string()
    };
    let open = async |text: String| {
        use md5::Digest as _;
        let checksum = STANDARD.encode(md5::Md5::digest(&text));
        aws.send("s3", "PUT", "/site?policy=", &[("content-md5", &checksum)], text).await.good();
    };
    open(policy("EOTHER")).await;
    assert_eq!(get("/").await.0, 403, "the policy is another distribution's");
    open(policy(&id)).await;
    let shown = |status: u16, text: &str, told: &str| (status, text.to_owned(), told.to_owned());
    assert_eq!(get("/").await, shown(200, "one", "Miss"));
    assert_eq!(get("/nothing").await, shown(404, "lost", "Error"));
    put("index.html", "two").await;
    assert_eq!(get("/").await, shown(200, "one", "Hit"));
    let batch = "<InvalidationBatch><Paths><Quantity>1</Quantity><Items><Path>/*</Path></Items></Paths>\
                 <CallerReference>r</CallerReference></InvalidationBatch>";
    xml(&format!("/2020-05-31/distribution/{id}/invalidation"), batch.to_owned()).await.good();
    assert_eq!(get("/").await, shown(200, "two", "Miss"));
    let reply = send(&aws.endpoint, "POST", "/", &[("host", &host)], "").await;
    assert_eq!(reply.status, 403, "the behaviour takes no POST");
    assert_eq!(
        send(&aws.endpoint, "GET", "/site/index.html", &[], "").await.status,
        403,
        "the bucket itself stays closed"
    );
    scene.session.close().await;
}
