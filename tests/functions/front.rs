//! A distribution in front of an HTTP API: what its function is told, and which of its answers are kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value as Json, json};

use super::{ACCOUNT, Scene, edge};
use crate::support::sign::{Reply, send};

const OPTIMIZED: &str = "<CachePolicyId>658327ea-f89d-4fab-a63d-7e88639e58f6</CachePolicyId>";
const DISABLED: &str = "<CachePolicyId>4135ea2d-6df8-44a3-9df3-4b5a84be39ad</CachePolicyId>";
const ALL_BUT_HOST: &str =
    "<OriginRequestPolicyId>b689b0a8-53d0-40ab-baf2-68738e2966ac</OriginRequestPolicyId>";
const ALL: &str = "<OriginRequestPolicyId>216adef6-5c7f-47e4-b989-5492eafa07d3</OriginRequestPolicyId>";

/// Makes a distribution in front of a host.
async fn distribution(scene: &Scene, host: &str, behaviour: &str, more: &str) -> Reply {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let reference = NEXT.fetch_add(1, Ordering::Relaxed);
    let config = format!(
        "<DistributionConfig><CallerReference>{reference}</CallerReference><Comment/><Enabled>true</Enabled>{more}\
         <Origins><Quantity>1</Quantity><Items><Origin><Id>a</Id><DomainName>{host}</DomainName><OriginPath></OriginPath>\
         <CustomOriginConfig><HTTPPort>80</HTTPPort><HTTPSPort>443</HTTPSPort><OriginProtocolPolicy>https-only\
         </OriginProtocolPolicy></CustomOriginConfig></Origin></Items></Origins><DefaultCacheBehavior><TargetOriginId>a\
         </TargetOriginId><ViewerProtocolPolicy>https-only</ViewerProtocolPolicy>{behaviour}</DefaultCacheBehavior>\
         </DistributionConfig>",
    );
    scene.aws.send("cloudfront", "POST", "/2020-05-31/distribution", &[], config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distribution_tells_an_api_what_its_policies_say() {
    let scene = Scene::new().await;
    scene.function("web", &json!({})).await;
    let id = edge::api(&scene.aws, None, &[("web", "GET /things/{id}")]).await;
    let source = format!("arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*/*");
    edge::allow(&scene.aws, "web", "api", "apigateway.amazonaws.com", &source).await;
    let host = format!("{id}.execute-api.us-east-1.amazonaws.com");
    let front = async |behaviour: &str| {
        let made = distribution(&scene, &host, behaviour, "").await;
        assert_eq!(made.status, 201, "{}", made.text());
        let text = made.text();
        let (_, rest) = text.split_once("<DomainName>").unwrap();
        rest.split_once(".cloudfront.net").unwrap().0.to_owned() + ".cloudfront.localhost"
    };
    let ask = async |host: &str, path: &str| {
        let fields = [("host", host), ("cookie", "x=1"), ("x-own", "1")];
        let reply = send(&scene.aws.endpoint, "GET", path, &fields, "").await;
        (reply.header("x-cache").unwrap().split(' ').next().unwrap().to_owned(), reply)
    };
    let event = |reply: &Reply| reply.good()["event"].clone();

    // Nothing is said, nothing is told.
    let bare = front(DISABLED).await;
    let (_, reply) = ask(&bare, "/things/1?q=1").await;
    let told = event(&reply);
    assert_eq!(
        (&told["rawQueryString"], &told["cookies"], &told["headers"]["x-own"]),
        (&json!(""), &Json::Null, &Json::Null)
    );
    assert_eq!(told["headers"]["user-agent"], "Amazon CloudFront");
    let whole = front(&format!("{DISABLED}{ALL_BUT_HOST}")).await;
    let told = event(&ask(&whole, "/things/1?q=1").await.1);
    assert_eq!(
        (&told["rawQueryString"], &told["cookies"], &told["headers"]["x-own"]),
        (&json!("q=1"), &json!(["x=1"]), &json!("1"))
    );
    // By the distribution's name no API is found.
    let named = front(&format!("{DISABLED}{ALL}")).await;
    let (_, reply) = ask(&named, "/things/1").await;
    assert_eq!((reply.status, reply.text().as_str()), (403, r#"{"message":"Forbidden"}"#));

    // What a function answers is kept as anything else, whatever the query says.
    let kept = front(OPTIMIZED).await;
    let (first, one) = ask(&kept, "/things/1?q=1").await;
    let (second, two) = ask(&kept, "/things/1?q=2").await;
    assert_eq!((first.as_str(), second.as_str()), ("Miss", "Hit"));
    assert_eq!(one.text(), two.text());
    assert_eq!(ask(&bare, "/things/1").await.0, "Miss");
    Box::pin(errors(&scene)).await;

    // What there is not is refused.
    let nothing = "00000000-dead-0000-0000-000000000000";
    let other = |policy: &str, kind: &str| format!("{policy}<{kind}PolicyId>{nothing}</{kind}PolicyId>");
    let alias = "<Aliases><Quantity>1</Quantity><Items><CNAME>www.example.com</CNAME></Items></Aliases>";
    for (behaviour, more, code) in [
        (other("", "Cache"), "", "NoSuchCachePolicy"),
        (other(DISABLED, "OriginRequest"), "", "NoSuchOriginRequestPolicy"),
        (other(DISABLED, "ResponseHeaders"), "", "NoSuchResponseHeadersPolicy"),
        (String::new(), "", "InvalidArgument"),
        (DISABLED.to_owned(), alias, "InvalidViewerCertificate"),
    ] {
        let told = distribution(&scene, &host, &behaviour, more).await;
        assert!(
            told.status >= 400 && told.text().contains(&format!("<Code>{code}</Code>")),
            "{}",
            told.text()
        );
    }
    scene.session.close().await;
}

/// What a function says not to keep is kept where CloudFront does so all the same, and nowhere else.
async fn errors(scene: &Scene) {
    scene.function("status", &json!({ "Environment": { "Variables": { "ALWAYS": "status" } } })).await;
    let id = edge::api(&scene.aws, None, &[("status", "GET /things/{id}")]).await;
    let source = format!("arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*/*");
    edge::allow(&scene.aws, "status", "api", "apigateway.amazonaws.com", &source).await;
    let host = format!("{id}.execute-api.us-east-1.amazonaws.com");
    let brief = "<CustomErrorResponses><Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCode>503</ErrorCode>\
                 <ErrorCachingMinTTL>0</ErrorCachingMinTTL></CustomErrorResponse></Items></CustomErrorResponses>";
    for (behaviour, more, kept) in
        [(OPTIMIZED, "", &[503, 500][..]), (OPTIMIZED, brief, &[500][..]), (DISABLED, "", &[][..])]
    {
        let made = distribution(scene, &host, behaviour, more).await.text();
        let (_, rest) = made.split_once("<DomainName>").unwrap();
        let edge = rest.split_once(".cloudfront.net").unwrap().0.to_owned() + ".cloudfront.localhost";
        for status in [404, 422, 429, 500, 503] {
            let ask = async || {
                let path = format!("/things/{status}");
                let reply = send(&scene.aws.endpoint, "GET", &path, &[("host", edge.as_str())], "").await;
                assert_eq!((reply.status, reply.header("x-cache")), (status, Some("Error from cloudfront")));
                reply.text()
            };
            let (first, second) = (ask().await, ask().await);
            assert_eq!(first == second, kept.contains(&status), "{status} {behaviour} {more}");
        }
    }
}
