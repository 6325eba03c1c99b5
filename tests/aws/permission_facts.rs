//! What conditions are about, and whose policies count where one service acts on another.

use serde_json::{Value as Json, json};

use super::permissions::{ACCOUNT, OTHER, POWER, READ_ONLY, Scene, assume, document, iam, zip};
use crate::support::sign::{Reply, Signer};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// A call of STS or CloudFormation.
async fn query(by: &Signer, service: &str, pairs: &[(&str, &str)]) -> Reply {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    by.send(service, "POST", "/", &FORM, form.finish()).await
}

/// A statement that allows all, if.
fn allowed_if(actions: &Json, condition: &Json) -> Json {
    json!({ "Effect": "Allow", "Action": actions, "Resource": "*", "Condition": condition })
}

#[track_caller]
fn refused(reply: &Reply, why: &str) {
    let text = reply.text();
    assert!(reply.status == 403 && text.contains(why), "{} {text}", reply.status);
}

fn function(role: &str, code: &Json) -> Json {
    json!({
        "FunctionName": "made", "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "Code": code,
    })
}

/// Passing a role on and becoming one are asked in a region too; a bucket is made where its body says.
#[tokio::test]
async fn a_rule_for_a_region_counts_everywhere() {
    let scene = Scene::new().await;
    let worker = scene.worker(None).await;
    let region = |name: &str| json!({ "StringEquals": { "aws:RequestedRegion": name, "aws:ResourceAccount": ACCOUNT } });
    let body = function("runner", &json!({ "ZipFile": zip() }));
    scene.put_rule("all", &allowed_if(&json!("*"), &region("eu-west-1"))).await;
    refused(&worker.lambda("POST", "/2015-03-31/functions", &body).await, "lambda:CreateFunction");
    assert!(assume(&worker, "runner", None).await.is_none());
    scene.put_rule("all", &allowed_if(&json!("*"), &region("us-east-1"))).await;
    worker.lambda("POST", "/2015-03-31/functions", &body).await.good();
    assert!(assume(&worker, "runner", None).await.is_some());

    let at = json!({ "StringEquals": { "s3:LocationConstraint": "eu-west-1" } });
    scene.put_rule("all", &allowed_if(&json!("s3:CreateBucket"), &at)).await;
    for (location, status) in [("eu-west-1", 400), ("us-west-2", 403)] {
        let body = format!(
            "<CreateBucketConfiguration><LocationConstraint>{location}</LocationConstraint></CreateBucketConfiguration>"
        );
        // What may be made is refused all the same: this endpoint is another region's.
        let told = worker.send("s3", "PUT", "/elsewhere", &[], body).await;
        assert_eq!(
            (told.status, told.text().contains("incompatible")),
            (status, status == 400),
            "{location}"
        );
    }
    assert_eq!(worker.send("s3", "PUT", "/here", &[], "").await.status, 403);
    scene.session.close().await;
}

/// Who may make and change roles within a boundary, and hand out but some policies.
#[tokio::test]
async fn administration_is_delegated() {
    let scene = Scene::new().await;
    let worker = scene.worker(None).await;
    let within = json!({ "StringEquals": { "iam:PermissionsBoundary": POWER } });
    let actions = ["CreateRole", "PutRolePolicy", "PutRolePermissionsBoundary", "DetachRolePolicy"];
    let actions = actions.map(|action| format!("iam:{action}"));
    scene.put_rule("make", &allowed_if(&json!(actions), &within)).await;
    let some = json!({ "ArnEquals": { "iam:PolicyARN": READ_ONLY } });
    scene.put_rule("give", &allowed_if(&json!("iam:AttachRolePolicy"), &some)).await;
    let trust = document(&json!({
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT },
    }));
    let trusted = ("AssumeRolePolicyDocument", trust.as_str());
    let rule = document(&json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }));
    let inline = [("PolicyName", "p"), ("PolicyDocument", rule.as_str())];
    for (action, role, more, status) in [
        ("CreateRole", "made", vec![trusted], 403),
        ("CreateRole", "made", vec![trusted, ("PermissionsBoundary", READ_ONLY)], 403),
        ("CreateRole", "made", vec![trusted, ("PermissionsBoundary", POWER)], 200),
        ("PutRolePolicy", "made", inline.to_vec(), 200),
        ("PutRolePolicy", "runner", inline.to_vec(), 403),
        ("PutRolePermissionsBoundary", "made", vec![("PermissionsBoundary", READ_ONLY)], 403),
        ("PutRolePermissionsBoundary", "runner", vec![("PermissionsBoundary", POWER)], 200),
        ("AttachRolePolicy", "made", vec![("PolicyArn", POWER)], 403),
        ("AttachRolePolicy", "made", vec![("PolicyArn", READ_ONLY)], 200),
        ("DetachRolePolicy", "made", vec![("PolicyArn", READ_ONLY)], 200),
        ("DetachRolePolicy", "worker", vec![("PolicyArn", READ_ONLY)], 403),
    ] {
        let told = iam(&worker, action, role, &more).await;
        assert_eq!(told.status, status, "{action} {role} {more:?}: {}", told.text());
    }
    scene.session.close().await;
}

/// A third party is told a secret word; and sessions that were opened before a time are shut out, later ones are not.
#[tokio::test]
async fn a_trust_wants_a_word_and_sessions_are_revoked() {
    let scene = Scene::new().await;
    let trust = document(&json!({
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": OTHER },
        "Condition": { "StringEquals": { "sts:ExternalId": "word/1" } },
    }));
    scene.iam("UpdateAssumeRolePolicy", "runner", &[("PolicyDocument", &trust)]).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/runner");
    for (word, status) in
        [(None, 403), (Some("word/2"), 403), (Some("word/1"), 200), (Some("w"), 400), (Some("a b"), 400)]
    {
        let mut pairs = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleSessionName", "test"),
            ("RoleArn", &arn),
        ];
        pairs.extend(word.map(|word| ("ExternalId", word)));
        let told = query(&scene.other, "sts", &pairs).await;
        assert_eq!(told.status, status, "{word:?}: {}", told.text());
    }

    let worker = scene.worker(None).await;
    scene.put_rule("all", &json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" })).await;
    let get = async |by: &Signer| by.send("s3", "GET", "/things/a/1", &[], "").await.status;
    assert_eq!(get(&worker).await, 200);
    let revoke = |time: String| {
        json!({
            "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": { "DateLessThan": { "aws:TokenIssueTime": time } },
        })
    };
    scene.put_rule("revoke", &revoke(jiff::Timestamp::now().to_string())).await;
    let later = scene.worker(None).await;
    assert_eq!((get(&worker).await, get(&later).await), (403, 200));
    let second = json!({
        "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "false" } },
    });
    scene.put_rule("revoke", &second).await;
    assert_eq!(get(&later).await, 403, "nobody has a second factor");
    scene.session.close().await;
}

const TEMPLATE: &str = r#"{"Resources":{"Group":{"Type":"AWS::Logs::LogGroup"}}}"#;

/// A change set stands for its stack, and CloudFormation acts as a role only where that may be passed on.
#[tokio::test]
async fn a_change_set_is_judged_as_its_stack() {
    let scene = Scene::new().await;
    let version = ("Version", "2010-05-15");
    let mut sets = Vec::new();
    for stack in ["mine", "prod"] {
        let told = query(
            &scene.admin,
            "cloudformation",
            &[
                ("Action", "CreateChangeSet"),
                version,
                ("StackName", stack),
                ("ChangeSetName", "c"),
                ("ChangeSetType", "CREATE"),
                ("TemplateBody", TEMPLATE),
            ],
        )
        .await
        .text();
        let rest = told.split_once("<Id>").unwrap_or_else(|| panic!("{told}")).1;
        sets.push(rest.split_once('<').unwrap().0.to_owned());
    }
    let [mine, prod] = sets.as_slice() else { unreachable!() };
    let worker = scene.worker(None).await;
    let own = format!("arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/mine/*");
    scene.put_rule("own", &json!({ "Effect": "Allow", "Action": "cloudformation:*", "Resource": own })).await;
    let describe = [("Action", "DescribeChangeSet"), version];
    let about = async |more: &[(&str, &str)]| {
        query(&worker, "cloudformation", &[&describe, more].concat()).await.status
    };
    assert_eq!(about(&[("ChangeSetName", mine)]).await, 200);
    assert_eq!(about(&[("ChangeSetName", prod)]).await, 403);
    assert_eq!(
        about(&[("StackName", "mine"), ("ChangeSetName", prod)]).await,
        403,
        "the ARN is what is found"
    );
    assert_eq!(about(&[("StackName", "mine"), ("ChangeSetName", "c")]).await, 200);

    let role = format!("arn:aws:iam::{ACCOUNT}:role/runner");
    let update = [
        ("Action", "CreateChangeSet"),
        version,
        ("StackName", "mine"),
        ("ChangeSetName", "d"),
        ("ChangeSetType", "CREATE"),
        ("TemplateBody", TEMPLATE),
        ("RoleARN", &role),
    ];
    let why = format!("is not authorized to perform: iam:PassRole on resource: {role}");
    refused(&query(&worker, "cloudformation", &update).await, &why);
    let to = |service: &str| {
        allowed_if(&json!("iam:PassRole"), &json!({ "StringEquals": { "iam:PassedToService": service } }))
    };
    scene.put_rule("pass", &to("lambda.amazonaws.com")).await;
    refused(&query(&worker, "cloudformation", &update).await, &why);
    scene.put_rule("pass", &to("cloudformation.amazonaws.com")).await;
    let told = query(&worker, "cloudformation", &update).await;
    assert_eq!(told.status, 200, "{}", told.text());
    scene.session.close().await;
}

/// Code in a bucket is read as the caller: the bucket's policy keeps an administrator out, and lets a role in.
#[tokio::test]
async fn code_is_read_from_a_bucket_as_its_caller() {
    use base64::Engine as _;
    let scene = Scene::new().await;
    let archive = base64::engine::general_purpose::STANDARD.decode(zip()).unwrap();
    scene.admin.send("s3", "PUT", "/things/code.zip", &[], archive).await.good();
    let worker = scene.worker(None).await;
    scene
        .put_rule(
            "make",
            &json!({ "Effect": "Allow", "Action": ["lambda:*", "iam:PassRole"], "Resource": "*" }),
        )
        .await;
    let body = function("runner", &json!({ "S3Bucket": "things", "S3Key": "code.zip" }));
    let make = async |by: &Signer| by.lambda("POST", "/2015-03-31/functions", &body).await;
    let worker_arn = format!("arn:aws:iam::{ACCOUNT}:role/worker");
    let policy = |effect: &str, whom: Json| {
        json!({
            "Effect": effect, "Principal": whom, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/code.zip",
        })
    };
    refused(&make(&worker).await, "s3:GetObject");
    scene.bucket_policy(&policy("Deny", json!("*"))).await;
    refused(&make(&scene.admin).await, "with an explicit deny in a resource-based policy");
    scene.bucket_policy(&policy("Allow", json!({ "AWS": worker_arn }))).await;
    make(&worker).await.good();

    // The trust of a function's role is read as every policy is.
    let trust = |account: &str| {
        document(&json!({
            "Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": { "Service": "lambda.amazonaws.com" },
            "Condition": {
                "StringEquals": { "aws:SourceAccount": account },
                "ArnLike": { "aws:SourceArn": "arn:aws:lambda:us-east-1:*:function:made" },
            },
        }))
    };
    for (account, made) in [(ACCOUNT, true), (OTHER, false)] {
        let trust = trust(account);
        scene.iam("UpdateAssumeRolePolicy", "worker", &[("PolicyDocument", &trust)]).await;
        scene.admin.lambda("DELETE", "/2015-03-31/functions/made", &Json::Null).await.good();
        let body = function("worker", &json!({ "ZipFile": zip() }));
        let told = scene.admin.lambda("POST", "/2015-03-31/functions", &body).await;
        let why = "cannot be assumed by Lambda";
        assert_eq!((told.status < 300, told.text().contains(why)), (made, !made), "{trust}: {}", told.text());
    }
    scene.session.close().await;
}

/// A refusal says which of AWS's policies the sandbox does not know, and why; to those of other accounts it does not.
#[tokio::test]
async fn a_refusal_says_why() {
    let scene = Scene::new().await;
    let worker = scene.worker(None).await;
    scene.iam("AttachRolePolicy", "worker", &[("PolicyArn", "arn:aws:iam::aws:policy/SecurityAudit")]).await;
    let remark = "(the sandbox does not know what arn:aws:iam::aws:policy/SecurityAudit allows)";
    refused(&worker.send("s3", "GET", "/things", &[], "").await, remark);
    refused(&iam(&worker, "GetRole", "worker", &[]).await, remark);
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/runner");
    let pairs =
        [("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleSessionName", "test"), ("RoleArn", &arn)];
    let told = query(&worker, "sts", &pairs).await;
    refused(&told, &format!("because no identity-based policy allows the sts:AssumeRole action {remark}"));
    let made = scene
        .admin
        .send("apigateway", "POST", "/v2/apis", &[], r#"{"name":"a","protocolType":"HTTP"}"#)
        .await
        .good();
    let api = made["apiId"].as_str().unwrap();
    for (part, body) in [
        ("routes", r#"{"routeKey":"$default","authorizationType":"AWS_IAM"}"#),
        ("stages", r#"{"stageName":"$default","autoDeploy":true}"#),
    ] {
        scene.admin.send("apigateway", "POST", &format!("/v2/apis/{api}/{part}"), &[], body).await.good();
    }
    let host = format!("{api}.execute-api.us-east-1.localhost");
    let ask = async |by: &Signer| by.send("execute-api", "GET", "/x", &[("host", host.as_str())], "").await;
    refused(&ask(&worker).await, &format!("Forbidden {remark}"));
    assert_eq!(ask(&scene.other).await.json(), json!({ "message": "Forbidden" }));

    let deny = json!({
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/*",
    });
    scene.bucket_policy(&deny).await;
    let why = "with an explicit deny in a resource-based policy";
    for (by, told) in [(&scene.admin, true), (&worker, true), (&scene.other, false)] {
        let reply = by.send("s3", "GET", "/things/a/1", &[], "").await;
        assert_eq!((reply.status, reply.text().contains(why)), (403, told), "{}", reply.text());
    }

    // Tags are asked of a group by its name alone.
    let target = |name: &str| {
        [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{name}")),
        ]
    };
    let logs = async |by: &Signer, name: &str, body: Json| {
        let target = target(name);
        let fields = [(target[0].0, target[0].1.as_str()), (target[1].0, target[1].1.as_str())];
        by.send("logs", "POST", "/", &fields, body.to_string()).await.status
    };
    assert_eq!(logs(&scene.admin, "CreateLogGroup", json!({ "logGroupName": "g" })).await, 200);
    let group = format!("arn:aws:logs:us-east-1:{ACCOUNT}:log-group:g");
    for (resource, status) in [(format!("{group}:*"), 400), (group.clone(), 200)] {
        let rule = json!({ "Effect": "Allow", "Action": "logs:ListTagsForResource", "Resource": resource });
        scene.put_rule("tags", &rule).await;
        let told = logs(&worker, "ListTagsForResource", json!({ "resourceArn": group })).await;
        assert_eq!(told == 200, status == 200, "{resource}: {told}");
    }
    scene.session.close().await;
}
