//! The documents of AWS's own managed policies, as far as they are about what the sandbox plays.
//!
//! Reduced: of each only what touches S3, IAM, STS, Lambda, CloudFormation, API Gateway, CloudFront, CloudWatch Logs and
//! SSM's parameters is kept, after AWS's managed policy reference of November 2026. A policy that exists here and has no
//! document allows nothing, and a refusal says so.

use serde_json::{Value as Json, json};

/// Reads of the services played: the beginnings of what `ReadOnlyAccess` has of them.
const READS: &[&str] = &[
    "apigateway:GET",
    "cloudformation:Describe*",
    "cloudformation:Detect*",
    "cloudformation:Estimate*",
    "cloudformation:Get*",
    "cloudformation:List*",
    "cloudformation:ValidateTemplate",
    "cloudfront:Describe*",
    "cloudfront:Get*",
    "cloudfront:List*",
    "iam:Generate*",
    "iam:Get*",
    "iam:List*",
    "iam:Simulate*",
    "lambda:Get*",
    "lambda:List*",
    "logs:Describe*",
    "logs:FilterLogEvents",
    "logs:Get*",
    "logs:ListTagsForResource",
    "logs:ListTagsLogGroup",
    "logs:StartQuery",
    "logs:StopQuery",
    "logs:TestMetricFilter",
    "s3:DescribeJob",
    "s3:Get*",
    "s3:List*",
    "ssm:Describe*",
    "ssm:Get*",
    "ssm:List*",
    "sts:GetAccessKeyInfo",
    "sts:GetCallerIdentity",
    "sts:GetSessionToken",
];

/// What the policies of Lambda's roles have in common.
const LOGS: &[&str] = &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];

/// Policies that allow some actions on everything, by what follows `arn:aws:iam::aws:policy/`.
const FLAT: &[(&str, &[&str])] = &[
    ("AdministratorAccess", &["*"]),
    ("AmazonAPIGatewayAdministrator", &["apigateway:*"]),
    ("AmazonS3FullAccess", &["s3:*", "s3-object-lambda:*"]),
    ("AmazonS3ReadOnlyAccess", &["s3:Get*", "s3:List*", "s3:Describe*"]),
    ("AmazonSSMFullAccess", &["ssm:*", "logs:*"]),
    ("AmazonSSMManagedInstanceCore", &["ssm:GetParameter", "ssm:GetParameters"]),
    ("AmazonSSMReadOnlyAccess", &["ssm:Describe*", "ssm:Get*", "ssm:List*"]),
    ("AWSCloudFormationFullAccess", &["cloudformation:*"]),
    (
        "AWSCloudFormationReadOnlyAccess",
        &[
            "cloudformation:Describe*",
            "cloudformation:EstimateTemplateCost",
            "cloudformation:Get*",
            "cloudformation:List*",
            "cloudformation:ValidateTemplate",
            "cloudformation:Detect*",
        ],
    ),
    ("CloudFrontFullAccess", &["s3:ListAllMyBuckets", "cloudfront:*"]),
    ("CloudFrontReadOnlyAccess", &["cloudfront:Describe*", "cloudfront:Get*", "cloudfront:List*"]),
    ("CloudWatchFullAccess", &["logs:*"]),
    ("CloudWatchFullAccessV2", &["logs:*"]),
    ("CloudWatchLogsFullAccess", &["logs:*"]),
    (
        "CloudWatchLogsReadOnlyAccess",
        &[
            "logs:Describe*",
            "logs:Get*",
            "logs:List*",
            "logs:StartQuery",
            "logs:StopQuery",
            "logs:TestMetricFilter",
            "logs:FilterLogEvents",
        ],
    ),
    (
        "CloudWatchReadOnlyAccess",
        &[
            "logs:Get*",
            "logs:List*",
            "logs:StartQuery",
            "logs:StopQuery",
            "logs:Describe*",
            "logs:TestMetricFilter",
            "logs:FilterLogEvents",
        ],
    ),
    ("IAMFullAccess", &["iam:*"]),
    ("IAMReadOnlyAccess", &["iam:Get*", "iam:List*", "iam:Generate*", "iam:Simulate*"]),
    ("ReadOnlyAccess", READS),
    (
        "AWSLambda_ReadOnlyAccess",
        &[
            "cloudformation:DescribeStacks",
            "cloudformation:ListStacks",
            "cloudformation:ListStackResources",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:ListRoles",
            "lambda:Get*",
            "lambda:List*",
            "logs:DescribeLogGroups",
        ],
    ),
    ("service-role/AWSLambdaBasicExecutionRole", LOGS),
    ("service-role/AWSLambdaDynamoDBExecutionRole", LOGS),
    ("service-role/AWSLambdaKinesisExecutionRole", LOGS),
    ("service-role/AWSLambdaMSKExecutionRole", LOGS),
    ("service-role/AWSLambdaSQSQueueExecutionRole", LOGS),
    ("service-role/AWSLambdaVPCAccessExecutionRole", LOGS),
    ("service-role/AWSLambdaRole", &["lambda:InvokeFunction"]),
    (
        "service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        &[
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "logs:GetLogEvents",
            "logs:FilterLogEvents",
        ],
    ),
];

/// The document of one of AWS's own policies, by what follows `arn:aws:iam::aws:policy/`; `None` where it is not known.
pub(super) fn document(name: &str) -> Option<String> {
    let allow = |actions: Json, resources: Json| json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
    let statements = match name {
        "PowerUserAccess" => vec![
            json!({
                "Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*",
            }),
            allow(
                json!([
                    "account:GetAccountInformation",
                    "iam:CreateServiceLinkedRole",
                    "iam:DeleteServiceLinkedRole",
                    "iam:ListRoles",
                    "organizations:DescribeOrganization",
                ]),
                json!("*"),
            ),
        ],
        "AWSLambdaExecute" => vec![
            allow(json!(["logs:*"]), json!("arn:aws:logs:*:*:*")),
            allow(json!(["s3:GetObject", "s3:PutObject"]), json!("arn:aws:s3:::*")),
        ],
        "AWSLambda_FullAccess" => vec![
            allow(
                json!([
                    "cloudformation:DescribeStacks",
                    "cloudformation:ListStackResources",
                    "cloudformation:ListStacks",
                    "iam:GetPolicy",
                    "iam:GetPolicyVersion",
                    "iam:GetRole",
                    "iam:GetRolePolicy",
                    "iam:ListAttachedRolePolicies",
                    "iam:ListRolePolicies",
                    "iam:ListRoles",
                    "lambda:*",
                    "logs:DescribeLogGroups",
                ]),
                json!("*"),
            ),
            json!({
                "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
                "Condition": { "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } },
            }),
            allow(
                json!(["logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents"]),
                json!("arn:aws:logs:*:*:log-group:/aws/lambda/*"),
            ),
        ],
        "CloudWatchLambdaInsightsExecutionRolePolicy" => vec![
            allow(json!("logs:CreateLogGroup"), json!("*")),
            allow(
                json!(["logs:CreateLogStream", "logs:PutLogEvents"]),
                json!("arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"),
            ),
        ],
        name => {
            let (_, actions) = FLAT.iter().find(|(known, _)| *known == name)?;
            vec![allow(json!(actions), json!("*"))]
        }
    };
    Some(json!({ "Version": "2012-10-17", "Statement": statements }).to_string())
}
