//! What a call of Lambda's API needs permission for, before it is looked at any further.

use http::Method;
use serde_json::{Value as Json, json};

use super::super::error::Error;
use super::super::identity::Wish;
use super::super::policy::Facts;
use super::super::rest::Call;
use super::super::s3;
use super::function;

/// Refuses a caller that may not make this call. Administrators may make all.
pub(super) fn check(call: &Call<'_>) -> Result<(), Error> {
    if call.caller.assumed.is_none() {
        return Ok(());
    }
    let (method, path) = call.target();
    let path = path.iter().map(String::as_str).collect::<Vec<_>>();
    let body = call.json().unwrap_or_default();
    match (&method, path.as_slice()) {
        (&Method::GET, ["2015-03-31", "functions"]) => call.may("lambda:ListFunctions", "*"),
        (&Method::POST, ["2015-03-31", "functions"]) => {
            let name = body["FunctionName"].as_str().unwrap_or_default();
            call.may("lambda:CreateFunction", &named(call, name).0)?;
            pass_role(call, &body)
        }
        (&Method::GET, ["2017-03-31", "tags", arn]) => call.may("lambda:ListTags", &named(call, arn).0),
        (_, ["2015-03-31", "functions", name, rest @ ..]) => {
            let Some(action) = action(&method, rest) else { return Ok(()) };
            let (resource, policy) = named(call, name);
            call.may_by(action, &resource, policy.as_ref())?;
            if action == "lambda:UpdateFunctionConfiguration" { pass_role(call, &body) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// What a call does to a function; `None` where there is no such call.
fn action(method: &Method, rest: &[&str]) -> Option<&'static str> {
    Some(match (method.as_str(), rest) {
        ("GET", []) => "lambda:GetFunction",
        ("DELETE", []) => "lambda:DeleteFunction",
        ("GET", ["configuration"]) => "lambda:GetFunctionConfiguration",
        ("PUT", ["configuration"]) => "lambda:UpdateFunctionConfiguration",
        ("PUT", ["code"]) => "lambda:UpdateFunctionCode",
        ("GET", ["versions"]) => "lambda:ListVersionsByFunction",
        ("POST", ["versions"]) => "lambda:PublishVersion",
        ("POST", ["invocations"]) => "lambda:InvokeFunction",
        ("GET", ["policy"]) => "lambda:GetPolicy",
        ("POST", ["policy"]) => "lambda:AddPermission",
        ("DELETE", ["policy", _]) => "lambda:RemovePermission",
        ("GET", ["aliases"]) => "lambda:ListAliases",
        ("POST", ["aliases"]) => "lambda:CreateAlias",
        ("GET", ["aliases", _]) => "lambda:GetAlias",
        ("PUT", ["aliases", _]) => "lambda:UpdateAlias",
        ("DELETE", ["aliases", _]) => "lambda:DeleteAlias",
        _ => return None,
    })
}

/// The ARN of what a name stands for, and its policy if it has one.
fn named(call: &Call<'_>, name: &str) -> (String, Option<Json>) {
    let (name, qualifier) = super::name_and_qualifier(call, name);
    let mut arn = format!("arn:aws:lambda:{}:{}:function:{name}", call.region, call.account);
    if !qualifier.is_empty() {
        arn = format!("{arn}:{qualifier}");
    }
    let found = function::find(call.world, &call.account, &call.region, &name);
    let statements = found.and_then(|found| found.policies.get(&qualifier).cloned());
    (arn, statements.map(|statements| json!({ "Statement": statements })))
}

/// Whoever makes a function run as a role must be allowed to.
fn pass_role(call: &Call<'_>, body: &Json) -> Result<(), Error> {
    match body["Role"].as_str() {
        Some(role) => call.may_pass(role, "lambda.amazonaws.com"),
        None => Ok(()),
    }
}

/// Code is read from a bucket as its caller, whom the bucket's own policy lets in or keeps out: administrators too.
pub(super) fn read_code(call: &Call<'_>, code: &Json) -> Result<(), Error> {
    let (Some(bucket), Some(key)) = (code["S3Bucket"].as_str(), code["S3Key"].as_str()) else {
        return Ok(());
    };
    let action = if code["S3ObjectVersion"].is_string() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    // The bucket of another account is none to read code from: that is said where it is read.
    let policy = s3::bucket_policy(call.world, &call.account, bucket).ok().flatten();
    let policy = policy.and_then(|text| serde_json::from_str(&text).ok());
    let facts = Facts::new(call.world, &call.region, &call.account)
        .with("s3:ResourceAccount", &call.account)
        .maybe("s3:VersionId", code["S3ObjectVersion"].as_str());
    let resource = format!("arn:aws:s3:::{bucket}/{key}");
    call.permit(Wish {
        action,
        resource: &resource,
        owner: &call.account,
        policy: policy.as_ref(),
        facts: &facts,
    })
}
