//! What API Gateway keeps of a stage when a template no longer says it.
//!
//! A stage keeps the settings of a route until they are deleted: an update adds to them, and CloudFormation deletes none.
//! Once the route is gone, an update that says other settings is refused, with `Unable to find Route by key KEY within the
//! provided RouteSettings` (aws/serverless-application-model#1939, hashicorp/terraform-provider-aws#16094); where the
//! route stays, so does its limit (serverless/serverless#8590). There is no telling whether the settings are there still:
//! no request asks for them, and a plan goes by the templates.

use std::collections::BTreeSet;

use crate::model::{Diagnostic, Live, Map, Value};

const STAGE: &str = "AWS::ApiGatewayV2::Stage";
const ROUTE: &str = "AWS::ApiGatewayV2::Route";

/// The settings of routes that the desired template drops and the stage will keep.
pub(super) fn left_behind(before: &Live, after: &Map) -> Vec<Diagnostic> {
    let resources = |properties: &Map| {
        let resources = properties.get("TemplateBody").and_then(|body| body.at(&["Resources"])?.as_map());
        resources.cloned().unwrap_or_default()
    };
    let (before_all, after_all) = (resources(&before.properties), resources(after));
    let mut told = Vec::new();
    for (logical, stage) in before_all.iter().filter(|(_, resource)| is(resource, STAGE)) {
        // With the stage go its settings.
        let Some(desired) = after_all.get(logical) else { continue };
        let kept = settings(desired).collect::<BTreeSet<_>>();
        for key in settings(stage).filter(|key| !kept.contains(key)) {
            let stays = after_all
                .values()
                .filter(|resource| is(resource, ROUTE))
                .any(|route| route.at(&["Properties", "RouteKey"]).and_then(Value::as_text) == Some(key));
            told.push(tell(before, stage, key, stays));
        }
    }
    told
}

fn tell(live: &Live, stage: &Value, key: &str, stays: bool) -> Diagnostic {
    let outputs = live.attributes.get("Outputs").and_then(Value::as_map).into_iter().flatten();
    let api = api(outputs.filter_map(|(_, value)| value.as_text())).unwrap_or_else(|| {
        let stack = live.properties.get("StackName").and_then(Value::as_text).unwrap_or(&live.id.0);
        let logical = stage.at(&["Properties", "ApiId", "Ref"]).and_then(Value::as_text).unwrap_or("API");
        format!(
            "$(aws cloudformation describe-stack-resource --stack-name {stack} --logical-resource-id {logical} \
             --query StackResourceDetail.PhysicalResourceId --output text)"
        )
    });
    let name = stage.at(&["Properties", "StageName"]).and_then(Value::as_text).unwrap_or("$default");
    let why = if stays {
        "its limit stays in force until it is deleted there; mcm does not see whether it has been"
    } else {
        "once the route is gone, API Gateway refuses to change the stage's settings (`Unable to find Route by key`); mcm does \
         not see whether they have been deleted"
    };
    Diagnostic::warning(format!("API Gateway keeps the settings of the route `{key}`, which this drops"))
        .detail(why)
        .hint(format!("run this first: `{}`", command(&api, name, key)))
}

/// What to do where a stage was refused for a route that is gone.
pub(super) fn refused<'o>(message: &str, outputs: impl Iterator<Item = &'o str>) -> Option<String> {
    let (_, rest) = message.split_once("Unable to find Route by key ")?;
    let (key, _) = rest.split_once(" within the provided RouteSettings")?;
    let api = api(outputs).unwrap_or_else(|| "ID".to_owned());
    let command = command(&api, "$default", key);
    Some(format!(
        "the stage keeps settings of a route that is not there: `{command}` deletes them (of another stage, where it is not \
         `$default`); then run the same command again"
    ))
}

fn command(api: &str, stage: &str, key: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    format!(
        "aws apigatewayv2 delete-route-settings --api-id {api} --stage-name {} --route-key {}",
        quoted(stage),
        quoted(key)
    )
}

/// The API whose address is among a stack's outputs, if it is one alone.
fn api<'o>(outputs: impl Iterator<Item = &'o str>) -> Option<String> {
    let id = |text: &'o str| Some(text.strip_prefix("https://")?.split_once(".execute-api.")?.0);
    let ids = outputs.filter_map(id).filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let ids = ids.collect::<BTreeSet<_>>();
    (ids.len() == 1).then(|| ids.first().map(|id| (*id).to_owned())).flatten()
}

fn is(resource: &Value, ty: &str) -> bool {
    resource.at(&["Type"]).and_then(Value::as_text) == Some(ty)
}

/// The routes that a stage says something of.
fn settings(stage: &Value) -> impl Iterator<Item = &str> {
    let settings = stage.at(&["Properties", "RouteSettings"]).and_then(Value::as_map);
    settings.into_iter().flatten().map(|(key, _)| key.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::model::{CloudId, Condition};

    fn properties(routes: &[&str], rated: &[&str]) -> Map {
        let settings = rated.iter().map(|key| ((*key).to_owned(), json!({ "ThrottlingRateLimit": 1 })));
        let mut resources = serde_json::Map::from_iter([(
            "Stage".to_owned(),
            json!({ "Type": STAGE, "Properties": {
                "ApiId": { "Ref": "Api" }, "StageName": "$default", "RouteSettings": settings.collect::<serde_json::Map<_, _>>(),
            } }),
        )]);
        for (at, key) in routes.iter().enumerate() {
            resources.insert(format!("R{at}"), json!({ "Type": ROUTE, "Properties": { "RouteKey": key } }));
        }
        let body: Json = json!({ "StackName": "a", "TemplateBody": { "Resources": resources } });
        Value::from_json(body).as_map().cloned().unwrap()
    }

    fn told(before: Map, after: &Map, endpoint: Option<&str>) -> Vec<(String, String)> {
        let outputs = endpoint.map(|endpoint| ("Url".to_owned(), Value::from(endpoint)));
        let live = Live {
            id: CloudId("a".to_owned()),
            properties: before,
            attributes: [("Outputs".to_owned(), Value::Map(outputs.into_iter().collect()))].into(),
            etag: None,
            owner: None,
            condition: Condition::Ready,
        };
        let told = left_behind(&live, after);
        told.into_iter().map(|told| (told.detail.unwrap(), told.hint.unwrap())).collect()
    }

    #[test]
    fn a_route_that_loses_its_limit_or_goes_is_told_with_what_to_run() {
        let before = || properties(&["POST /x", "GET /y"], &["POST /x"]);
        let url = Some("https://abc123.execute-api.us-east-1.amazonaws.com");
        let run = "run this first: `aws apigatewayv2 delete-route-settings --api-id abc123 --stage-name '$default' --route-key \
                   'POST /x'`";
        let gone = told(before(), &properties(&["POST /z", "GET /y"], &["POST /z"]), url);
        assert!(gone.len() == 1 && gone[0].0.contains("refuses") && gone[0].1 == run, "{gone:?}");
        let unrated = told(before(), &properties(&["POST /x", "GET /y"], &[]), url);
        assert!(
            unrated.len() == 1 && unrated[0].0.contains("in force") && unrated[0].1 == run,
            "{unrated:?}"
        );
        let asked = told(before(), &properties(&[], &[]), None);
        assert!(asked[0].1.contains("--stack-name a --logical-resource-id Api --query"), "{asked:?}");
        assert_eq!(told(before(), &before(), url), []);
        assert_eq!(told(before(), &Map::new(), url), [], "the stage goes, too");
    }

    #[test]
    fn a_refused_stage_is_told_with_what_to_run() {
        let message = "the stack a: HttpApiStage: Unable to find Route by key GET /it's within the provided RouteSettings (x)";
        let hint =
            refused(message, ["x", "https://abc.execute-api.eu-west-1.amazonaws.com"].into_iter()).unwrap();
        assert!(hint.contains(r"--api-id abc --stage-name '$default' --route-key 'GET /it'\''s'"), "{hint}");
        assert_eq!(refused("another", [].into_iter()), None);
    }
}
