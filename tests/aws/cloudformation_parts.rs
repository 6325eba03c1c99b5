//! Stacks that hold what the functions' templates do: HTTP APIs, a distribution, roles, parameters; and how stacks
//! depend on each other.

use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Capability, ChangeSetType};

use super::cloudformation::{Aws, given};

const PARTS: &str = r#"{
  "Parameters": {
    "Name": { "Type": "String", "Default": "one" },
    "Method": { "Type": "String", "Default": "GET" }
  },
  "Resources": {
    "Role": {
      "Type": "AWS::IAM::Role",
      "Properties": {
        "AssumeRolePolicyDocument": {
          "Version": "2012-10-17",
          "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } }]
        },
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]
      }
    },
    "Function": {
      "Type": "AWS::Lambda::Function",
      "Properties": {
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": { "Fn::GetAtt": ["Role", "Arn"] },
        "Code": { "S3Bucket": "code", "S3Key": "one.zip" }
      }
    },
    "Version": { "Type": "AWS::Lambda::Version", "Properties": { "FunctionName": { "Ref": "Function" } } },
    "Alias": {
      "Type": "AWS::Lambda::Alias",
      "Properties": {
        "FunctionName": { "Ref": "Function" },
        "FunctionVersion": { "Fn::GetAtt": ["Version", "Version"] },
        "Name": "live"
      }
    },
    "Api": { "Type": "AWS::ApiGatewayV2::Api", "Properties": { "Name": "parts", "ProtocolType": "HTTP" } },
    "Integration": {
      "Type": "AWS::ApiGatewayV2::Integration",
      "Properties": {
        "ApiId": { "Ref": "Api" },
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": { "Ref": "Alias" },
        "PayloadFormatVersion": "2.0"
      }
    },
    "Route": {
      "Type": "AWS::ApiGatewayV2::Route",
      "Properties": {
        "ApiId": { "Ref": "Api" },
        "RouteKey": { "Fn::Sub": "${Method} /pets/{id}" },
        "Target": { "Fn::Sub": "integrations/${Integration}" }
      }
    },
    "Stage": {
      "Type": "AWS::ApiGatewayV2::Stage",
      "Properties": { "ApiId": { "Ref": "Api" }, "StageName": "$default", "AutoDeploy": "true" }
    },
    "Control": {
      "Type": "AWS::CloudFront::OriginAccessControl",
      "Properties": {
        "OriginAccessControlConfig": {
          "Name": "parts", "OriginAccessControlOriginType": "s3", "SigningBehavior": "always", "SigningProtocol": "sigv4"
        }
      }
    },
    "Distribution": {
      "Type": "AWS::CloudFront::Distribution",
      "Properties": {
        "DistributionConfig": {
          "Enabled": true,
          "Origins": [
            {
              "Id": "site", "DomainName": "code.s3.eu-west-1.amazonaws.com",
              "OriginAccessControlId": { "Ref": "Control" }, "S3OriginConfig": {}
            },
            {
              "Id": "api", "DomainName": { "Fn::Select": [2, { "Fn::Split": ["/", { "Fn::GetAtt": ["Api", "ApiEndpoint"] }] }] },
              "CustomOriginConfig": { "OriginProtocolPolicy": "https-only" }
            }
          ],
          "DefaultCacheBehavior": {
            "TargetOriginId": "site", "ViewerProtocolPolicy": "redirect-to-https",
            "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"
          },
          "CacheBehaviors": [{
            "PathPattern": "/api/*", "TargetOriginId": "api", "ViewerProtocolPolicy": "https-only",
            "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
            "AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
          }]
        }
      }
    },
    "Parameter": {
      "Type": "AWS::SSM::Parameter",
      "DeletionPolicy": "Retain",
      "Properties": { "Name": { "Fn::Sub": "/parts/${Name}" }, "Type": "String", "Value": { "Fn::GetAtt": ["Distribution", "DomainName"] } }
    }
  },
  "Outputs": {
    "Domain": { "Value": { "Fn::GetAtt": ["Distribution", "DomainName"] }, "Export": { "Name": "parts-domain" } },
    "Alias": { "Value": { "Ref": "Alias" } },
    "Role": { "Value": { "Ref": "Role" } }
  }
}"#;

const USER: &str = "
Resources:
  Parameter:
    Type: AWS::SSM::Parameter
    Properties: { Name: /user, Type: String, Value: !ImportValue parts-domain }
";

async fn made(aws: &Aws) {
    let call = aws.cloud.create_stack().stack_name("parts").template_body(PARTS);
    call.capabilities(Capability::CapabilityIam).send().await.unwrap();
    let seen = aws.rest("parts").await;
    assert_eq!(seen, ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"], "{:#?}", aws.events("parts").await);
}

fn output(stack: &aws_sdk_cloudformation::types::Stack, name: &str) -> String {
    let found = stack.outputs().iter().find(|output| output.output_key() == Some(name)).unwrap();
    found.output_value().unwrap().to_owned()
}

#[tokio::test]
async fn what_functions_need_is_held_by_a_stack() {
    let aws = Aws::new().await;
    let call = aws.cloud.create_stack().stack_name("parts").template_body(PARTS);
    let refused = call.send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InsufficientCapabilitiesException"));
    assert_eq!(refused.message(), Some("Requires capabilities : [CAPABILITY_IAM]"));
    made(&aws).await;
    let stack = aws.stack("parts").await;
    assert!(output(&stack, "Domain").ends_with(".cloudfront.net"));
    assert!(output(&stack, "Alias").ends_with(":live"));
    // A route's key and a parameter's name change: the one in place, the other by another resource.
    let call = aws
        .cloud
        .create_change_set()
        .stack_name("parts")
        .change_set_name("change")
        .use_previous_template(true);
    let call = call.set_parameters(Some(given(&[("Name", "two"), ("Method", "POST")])));
    let call = call.change_set_type(ChangeSetType::Update).capabilities(Capability::CapabilityIam);
    let id = call.send().await.unwrap().id().unwrap().to_owned();
    let told = loop {
        let told = aws.cloud.describe_change_set().change_set_name(&id).send().await.unwrap();
        if told.execution_status().unwrap().as_str() == "AVAILABLE" {
            break told;
        }
    };
    let changes = told.changes().iter().map(|change| {
        let change = change.resource_change().unwrap();
        let (name, replacement) = (change.logical_resource_id().unwrap(), change.replacement().unwrap());
        format!(
            "{name} {replacement} {}",
            change.details()[0].target().unwrap().requires_recreation().unwrap()
        )
    });
    assert_eq!(changes.collect::<Vec<_>>(), ["Parameter True Always", "Route False Never"]);
    aws.cloud.execute_change_set().change_set_name(&id).send().await.unwrap();
    assert_eq!(aws.rest("parts").await.last().unwrap(), "UPDATE_COMPLETE");
    let events = aws.events("parts").await.join("\n");
    assert!(events.contains("Parameter UPDATE_IN_PROGRESS: Requested update requires the creation of a new physical resource; hence creating one."), "{events}");
    assert!(
        events.ends_with("Parameter DELETE_IN_PROGRESS\nParameter DELETE_COMPLETE\nparts UPDATE_COMPLETE"),
        "{events}"
    );
    // An update that cannot be, after a replacement that can: both are taken back.
    let wrong = PARTS
        .replace("/pets/{id}", "pets")
        .replace("\"Route\": {", "\"Route\": { \"DependsOn\": \"Parameter\",");
    let call = aws.cloud.update_stack().stack_name("parts").template_body(wrong);
    let call = call.set_parameters(Some(given(&[("Name", "three")]))).capabilities(Capability::CapabilityIam);
    call.send().await.unwrap();
    assert_eq!(aws.rest("parts").await.last().unwrap(), "UPDATE_ROLLBACK_COMPLETE");
    let told = aws.cloud.describe_stack_resource().stack_name("parts").logical_resource_id("Parameter");
    let told = told.send().await.unwrap();
    assert_eq!(told.stack_resource_detail().unwrap().physical_resource_id(), Some("/parts/two"));
}

#[tokio::test]
async fn a_deletion_stops_at_what_is_in_use() {
    let aws = Aws::new().await;
    made(&aws).await;
    aws.cloud.create_stack().stack_name("user").template_body(USER).send().await.unwrap();
    assert_eq!(aws.rest("user").await.last().unwrap(), "CREATE_COMPLETE");
    let used = aws.cloud.delete_stack().stack_name("parts").send().await.unwrap_err();
    assert_eq!(used.message(), Some("Export parts-domain cannot be deleted as it is in use by user"));
    aws.cloud.delete_stack().stack_name("user").send().await.unwrap();
    let user = aws.cloud.list_stacks().send().await.unwrap();
    let user = user.stack_summaries().iter().find(|stack| stack.stack_name() == Some("user")).unwrap();
    assert_eq!(aws.rest(user.stack_id().unwrap()).await.last().unwrap(), "DELETE_COMPLETE");
    // Somebody else's inline policy keeps the role.
    let stack = aws.stack("parts").await;
    let (id, role) = (stack.stack_id().unwrap().to_owned(), output(&stack, "Role"));
    let policy =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    aws.iam
        .put_role_policy()
        .role_name(&role)
        .policy_name("alien")
        .policy_document(policy)
        .send()
        .await
        .unwrap();
    let early =
        aws.cloud.delete_stack().stack_name("parts").retain_resources("Role").send().await.unwrap_err();
    assert!(early.message().unwrap().contains("Only stacks in the DELETE_FAILED state"), "{early:?}");
    aws.cloud.delete_stack().stack_name("parts").send().await.unwrap();
    assert_eq!(aws.rest(&id).await, ["DELETE_IN_PROGRESS", "DELETE_FAILED"]);
    let events = aws.events(&id).await.join("\n");
    assert!(events.contains("Parameter DELETE_SKIPPED"), "{events}");
    assert!(events.contains("Cannot delete entity, must delete policies first."), "{events}");
    assert!(
        events.ends_with("parts DELETE_FAILED: The following resource(s) failed to delete: [Role]. "),
        "{events}"
    );
    aws.cloud.delete_stack().stack_name("parts").retain_resources("Role").send().await.unwrap();
    assert_eq!(aws.rest(&id).await, ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]);
    aws.iam.get_role().role_name(&role).send().await.unwrap();
}

#[tokio::test]
async fn a_token_is_good_for_one_operation() {
    let aws = Aws::new().await;
    let create = || {
        aws.cloud
            .create_stack()
            .stack_name("one")
            .template_body(USER.replace("!ImportValue parts-domain", "x"))
    };
    let first = create().client_request_token("t").send().await.unwrap().stack_id().unwrap().to_owned();
    assert_eq!(create().client_request_token("t").send().await.unwrap().stack_id(), Some(first.as_str()));
    assert_eq!(
        create().client_request_token("u").send().await.unwrap_err().code(),
        Some("AlreadyExistsException")
    );
    aws.rest("one").await;
    let other =
        aws.cloud.delete_stack().stack_name("one").client_request_token("t").send().await.unwrap_err();
    assert_eq!(other.code(), Some("TokenAlreadyExistsException"));
    let lost = aws.cloud.create_stack().stack_name("two").template_body(USER.replace("/user", "/user2"));
    lost.send().await.unwrap();
    assert_eq!(aws.rest("two").await.last().unwrap(), "ROLLBACK_COMPLETE");
    let events = aws.events("two").await.join("\n");
    assert!(events.contains("Parameter CREATE_FAILED: No export named parts-domain found."), "{events}");
    let absent =
        aws.cloud.describe_stack_resource().stack_name("one").logical_resource_id("Nope").send().await;
    assert_eq!(absent.unwrap_err().message(), Some("Resource Nope does not exist for stack one"));
}
