//! A route's rate: API Gateway keeps what a stage says of a route that is renamed, or that loses its rate.

use serde_json::Value as Json;

use super::deploy::{ACCOUNT, Lab};
use crate::support::sign::Signer;

/// Changes a route with a rate: renames it, without and with the command that the plan names, then takes its rate away.
pub async fn change(lab: &Lab, variables: &[&str]) {
    let aws = Signer::of(&lab.session, ACCOUNT);
    let output = lab.mcm(&["output", "api"], variables).await.exits(0).out;
    let (id, _) = output.trim().trim_start_matches("https://").split_once('.').unwrap();
    let stage = format!("/v2/apis/{id}/stages/%24default");
    let kept = async || {
        let shown = aws.send("apigateway", "GET", &stage, &[], "").await.good();
        let settings = shown["routeSettings"].as_object().unwrap().clone();
        settings
            .into_iter()
            .map(|(key, limits)| (key, limits["throttlingRateLimit"].clone()))
            .collect::<Vec<_>>()
    };
    let limit = |key: &str| vec![(key.to_owned(), Json::from(50))];
    let file = lab.folder.path().join("stack.yaml");
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        std::fs::write(&file, text.replace(from, to)).unwrap();
    };
    let command = |key: &str| {
        format!(
            "aws apigatewayv2 delete-route-settings --api-id {id} --stage-name '$default' --route-key '{key}'"
        )
    };
    assert_eq!(kept().await, limit("GET /echo"));

    edit("GET /echo\", rate: 50", "GET /echoes\", rate: 50");
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], variables).await.exits(2).out;
    for told in ["keeps the settings of the route `GET /echo`", &command("GET /echo")] {
        assert!(plan.contains(told), "{told}\n{plan}");
    }
    let failed = lab.mcm(&["apply", "--auto-approve"], variables).await.exits(5);
    let refused = "Unable to find Route by key GET /echo within the provided RouteSettings";
    for told in [refused, &command("GET /echo")] {
        assert!(failed.err.contains(told), "{told}\n{}", failed.err);
    }
    assert_eq!(kept().await, limit("GET /echo"));

    let settings = format!("{stage}/routesettings/GET%20%2Fecho");
    assert_eq!(aws.send("apigateway", "DELETE", &settings, &[], "").await.status, 204);
    lab.applies(variables).await;
    assert_eq!(kept().await, limit("GET /echoes"));
    lab.nothing_to_do(variables).await;

    edit("GET /echoes\", rate: 50", "GET /echoes\"");
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], variables).await.exits(2).out;
    for told in ["its limit stays in force", &command("GET /echoes")] {
        assert!(plan.contains(told), "{told}\n{plan}");
    }
    lab.applies(variables).await;
    assert_eq!(kept().await, limit("GET /echoes"), "as was told");
}
