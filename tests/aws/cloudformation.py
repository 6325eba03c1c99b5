"""Judges the sandbox's CloudFormation, and the services whose resources its stacks hold, by boto3, and by the
command-line tool where it is installed beside this Python.

cloudformation.py ENDPOINT ACCOUNT KEY SECRET
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

ENDPOINT, ACCOUNT, KEY, SECRET = sys.argv[1:]
REGION = "eu-west-1"
checked = 0


def client(service, region=REGION):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(retries={"max_attempts": 1}),
    )


cloud, functions, logs = client("cloudformation"), client("lambda"), client("logs")
gateway, front, ssm = client("apigatewayv2"), client("cloudfront", "us-east-1"), client("ssm")
iam, s3 = client("iam", "us-east-1"), client("s3")


def same(found, expected, what=""):
    global checked
    checked += 1
    assert found == expected, f"{what}: {found!r}, and not {expected!r}"


def refused(code, call, text=None, status=None, **arguments):
    """The call is refused with this code."""
    global checked
    checked += 1
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, f"{error.operation_name}: {error}, and not {code}"
        found_status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status in (None, found_status), f"{error.operation_name}: {found_status}, and not {status}"
        assert text is None or text in found["Message"], f"{error} does not say {text!r}"
        return
    raise AssertionError(f"{arguments} was done, and not refused with {code}: {answer}")


def rest(stack):
    """Looks until the stack rests."""
    for _ in range(200):
        status = cloud.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if not status.endswith("_IN_PROGRESS"):
            return status
    raise AssertionError(f"{stack} does not rest: {status}")


def bundle(text):
    """A zip with a bootstrap."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(zipfile.ZipInfo("bootstrap"), text)
    return written.getvalue()


TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Description: an app
Parameters:
  Key: {Type: String}
  Memory: {Type: Number, Default: 128}
  Token: {Type: String, NoEcho: true, Default: hush}
  Site: {Type: String, Default: "no", AllowedValues: ["yes", "no"]}
Mappings:
  Days: {eu-west-1: {Kept: 7}}
Conditions:
  HasSite: !Equals [!Ref Site, "yes"]
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    Properties:
      LogGroupName: !Sub /aws/lambda/${AWS::StackName}
      RetentionInDays: !FindInMap [Days, !Ref AWS::Region, Kept]
  Function:
    Type: AWS::Lambda::Function
    DependsOn: Logs
    Properties:
      FunctionName: !Ref AWS::StackName
      Runtime: provided.al2023
      Handler: bootstrap
      Architectures: [arm64]
      MemorySize: !Ref Memory
      Role: !Sub arn:aws:iam::${AWS::AccountId}:role/app
      Code: {S3Bucket: app-code, S3Key: !Ref Key}
      Environment: {Variables: {TOKEN: !Ref Token}}
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: !Ref AWS::StackName
      ProtocolType: HTTP
      CorsConfiguration: {AllowOrigins: ["*"], AllowMethods: [GET, POST], MaxAge: 60}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !GetAtt Function.Arn
      PayloadFormatVersion: "2.0"
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: POST /upload
      Target: !Join [/, [integrations, !Ref Integration]]
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: $default, AutoDeploy: true}
  Invoke:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref Function
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*
  Setting:
    Type: AWS::SSM::Parameter
    Properties: {Name: !Sub "/${AWS::StackName}/api", Type: String, Value: !GetAtt Api.ApiEndpoint}
  Control:
    Type: AWS::CloudFront::OriginAccessControl
    Condition: HasSite
    Properties:
      OriginAccessControlConfig:
        Name: !Ref AWS::StackName
        OriginAccessControlOriginType: s3
        SigningBehavior: always
        SigningProtocol: sigv4
  Distribution:
    Type: AWS::CloudFront::Distribution
    Condition: HasSite
    Properties:
      DistributionConfig:
        Enabled: true
        DefaultRootObject: index.html
        Origins:
          - Id: site
            DomainName: !Sub app-site.s3.${AWS::Region}.amazonaws.com
            OriginAccessControlId: !GetAtt Control.Id
            S3OriginConfig: {OriginAccessIdentity: ""}
        DefaultCacheBehavior:
          TargetOriginId: site
          ViewerProtocolPolicy: redirect-to-https
          CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6
          Compress: true
  Policy:
    Type: AWS::S3::BucketPolicy
    Condition: HasSite
    Properties:
      Bucket: app-site
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          Effect: Allow
          Principal: {Service: cloudfront.amazonaws.com}
          Action: s3:GetObject
          Resource: arn:aws:s3:::app-site/*
          Condition:
            StringEquals:
              AWS:SourceArn: !Sub arn:aws:cloudfront::${AWS::AccountId}:distribution/${Distribution}
Outputs:
  Endpoint: {Value: !GetAtt Api.ApiEndpoint}
  Domain: {Condition: HasSite, Value: !GetAtt Distribution.DomainName}
"""


def prepare():
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="app", AssumeRolePolicyDocument=document)
    for bucket in ["app-code", "app-site"]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key in ["one.zip", "two.zip"]:
        s3.put_object(Bucket="app-code", Key=key, Body=bundle(key))


def parameters(**values):
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def change_set(name, kind="UPDATE", stack="app", **values):
    """Makes a change set, waits for it, and tells it."""
    made = cloud.create_change_set(
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType=kind,
        TemplateBody=TEMPLATE,
        Parameters=parameters(**values),
        Tags=[{"Key": "owner", "Value": "judge"}],
    )
    waiter = cloud.get_waiter("change_set_create_complete")
    try:
        waiter.wait(ChangeSetName=made["Id"], WaiterConfig={"Delay": 0, "MaxAttempts": 20})
    except WaiterError:
        pass
    return cloud.describe_change_set(ChangeSetName=made["Id"], IncludePropertyValues=True)


def created():
    told = cloud.validate_template(TemplateBody=TEMPLATE)
    same({one["ParameterKey"] for one in told["Parameters"]}, {"Key", "Memory", "Token", "Site"})
    refused("ValidationError", cloud.describe_stacks, "Stack with id app does not exist", 400, StackName="app")
    refused("ValidationError", cloud.describe_change_set, StackName="app", ChangeSetName="none")
    told = change_set("first", "CREATE", Key="one.zip")
    same((told["Status"], told["ExecutionStatus"]), ("CREATE_COMPLETE", "AVAILABLE"))
    same({change["ResourceChange"]["Action"] for change in told["Changes"]}, {"Add"})
    same(len(told["Changes"]), 8)
    assert "hush" not in json.dumps(told, default=str), "a secret is told"
    # Not yet made.
    refused("ResourceNotFoundException", functions.get_function, status=404, FunctionName="app")
    cloud.execute_change_set(ChangeSetName="first", StackName="app", ClientRequestToken="t1")
    same(rest("app"), "CREATE_COMPLETE")
    told = cloud.describe_change_set(ChangeSetName="first", StackName="app")
    same(told["ExecutionStatus"], "EXECUTE_COMPLETE")
    events = cloud.describe_stack_events(StackName="app")["StackEvents"]
    same(events[0]["ResourceStatus"], "CREATE_COMPLETE")
    same(events[-1]["ResourceStatus"], "REVIEW_IN_PROGRESS")
    same(len({event["EventId"] for event in events}), len(events), "events have ids of their own")
    assert "hush" not in json.dumps(events, default=str), "a secret is told"
    same(cloud.get_template(StackName="app")["TemplateBody"].strip(), TEMPLATE.strip())


def services():
    function = functions.get_function(FunctionName="app")
    config = function["Configuration"]
    same((config["State"], config["Architectures"], config["MemorySize"]), ("Active", ["arm64"], 128))
    same(config["Environment"]["Variables"], {"TOKEN": "hush"})
    same(function["Tags"]["owner"], "judge")
    same(function["Tags"]["aws:cloudformation:logical-id"], "Function")
    api = gateway.get_apis()["Items"][0]
    routes = gateway.get_routes(ApiId=api["ApiId"])["Items"]
    integrations = gateway.get_integrations(ApiId=api["ApiId"])["Items"]
    same([route["RouteKey"] for route in routes], ["POST /upload"])
    same(routes[0]["Target"], f"integrations/{integrations[0]['IntegrationId']}")
    same(integrations[0]["IntegrationUri"], config["FunctionArn"])
    same(gateway.get_stages(ApiId=api["ApiId"])["Items"][0]["StageName"], "$default")
    same(api["CorsConfiguration"]["AllowMethods"], ["GET", "POST"])
    policy = json.loads(functions.get_policy(FunctionName="app")["Policy"])
    source = policy["Statement"][0]["Condition"]["ArnLike"]["AWS:SourceArn"]
    same(source, f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api['ApiId']}/*/*")
    same(ssm.get_parameter(Name="/app/api")["Parameter"]["Value"], api["ApiEndpoint"])
    group = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/app")["logGroups"][0]
    same(group["retentionInDays"], 7)
    outputs = cloud.describe_stacks(StackName="app")["Stacks"][0]["Outputs"]
    same(outputs[0]["OutputValue"], api["ApiEndpoint"])


def updated():
    told = change_set("empty", Key="one.zip")
    same((told["Status"], told["ExecutionStatus"]), ("FAILED", "UNAVAILABLE"))
    assert "didn't contain changes" in told["StatusReason"], told["StatusReason"]
    refused("InvalidChangeSetStatus", cloud.execute_change_set, ChangeSetName="empty", StackName="app")
    cloud.delete_change_set(ChangeSetName="empty", StackName="app")
    cloud.delete_change_set(ChangeSetName="never", StackName="app")
    told = change_set("site", Key="two.zip", Site="yes")
    changes = {one["ResourceChange"]["LogicalResourceId"]: one["ResourceChange"] for one in told["Changes"]}
    same({name: change["Action"] for name, change in changes.items()},
         {"Function": "Modify", "Control": "Add", "Distribution": "Add", "Policy": "Add"})
    function = changes["Function"]
    same((function["Replacement"], function["Scope"]), ("False", ["Properties"]))
    detail = function["Details"][0]
    same((detail["Target"]["Name"], detail["CausingEntity"], detail["ChangeSource"]), ("Code", "Key", "ParameterReference"))
    assert "hush" not in json.dumps(told, default=str), "a secret is told"
    cloud.execute_change_set(ChangeSetName="site", StackName="app")
    same(rest("app"), "UPDATE_COMPLETE")
    summary = front.list_distributions()["DistributionList"]["Items"][0]
    whole = front.get_distribution(Id=summary["Id"])
    same(whole["Distribution"]["Status"], "Deployed")
    config = whole["Distribution"]["DistributionConfig"]
    same(config["Origins"]["Items"][0]["DomainName"], f"app-site.s3.{REGION}.amazonaws.com")
    control = front.get_origin_access_control(Id=config["Origins"]["Items"][0]["OriginAccessControlId"])
    same(control["OriginAccessControl"]["OriginAccessControlConfig"]["Name"], "app")
    policy = json.loads(s3.get_bucket_policy(Bucket="app-site")["Policy"])
    same(policy["Statement"]["Condition"]["StringEquals"]["AWS:SourceArn"], whole["Distribution"]["ARN"])
    made = front.create_invalidation(
        DistributionId=summary["Id"],
        InvalidationBatch={"CallerReference": "1", "Paths": {"Quantity": 1, "Items": ["/*"]}},
    )["Invalidation"]
    waiter = front.get_waiter("invalidation_completed")
    waiter.wait(DistributionId=summary["Id"], Id=made["Id"], WaiterConfig={"Delay": 0, "MaxAttempts": 10})
    refused("DistributionNotDisabled", front.delete_distribution, status=409, Id=summary["Id"], IfMatch=whole["ETag"])
    refused("PreconditionFailed", front.delete_distribution, status=412, Id=summary["Id"], IfMatch="old")
    config["Comment"] = "by hand"
    front.update_distribution(Id=summary["Id"], IfMatch=whole["ETag"], DistributionConfig=config)
    same(front.get_distribution_config(Id=summary["Id"])["DistributionConfig"]["Comment"], "by hand")


def undone():
    """An update that fails is taken back, or cannot be, and goes on when asked."""
    s3.put_object(Bucket="app-code", Key="bad.zip", Body=b"no zip")
    cloud.update_stack(
        StackName="app", UsePreviousTemplate=True, Parameters=parameters(Key="bad.zip", Site="yes")
    )
    same(rest("app"), "UPDATE_ROLLBACK_COMPLETE")
    reasons = [event.get("ResourceStatusReason", "") for event in cloud.describe_stack_events(StackName="app")["StackEvents"]]
    assert any("Could not unzip uploaded file" in reason for reason in reasons), reasons
    s3.delete_object(Bucket="app-code", Key="two.zip")
    cloud.update_stack(
        StackName="app", UsePreviousTemplate=True, Parameters=parameters(Key="bad.zip", Site="yes")
    )
    same(rest("app"), "UPDATE_ROLLBACK_FAILED")
    refused("ValidationError", cloud.update_stack, "UPDATE_ROLLBACK_FAILED", StackName="app",
            UsePreviousTemplate=True, Parameters=parameters(Key="one.zip"))
    refused("ValidationError", cloud.continue_update_rollback, StackName="app", ResourcesToSkip=["Api"])
    s3.put_object(Bucket="app-code", Key="two.zip", Body=bundle("two.zip"))
    cloud.continue_update_rollback(StackName="app")
    same(rest("app"), "UPDATE_ROLLBACK_COMPLETE")


def failed():
    """A creation that fails: rolled back, or left as it is."""
    for rollback, status in [("ROLLBACK", "ROLLBACK_COMPLETE"), ("DO_NOTHING", "CREATE_FAILED")]:
        name = f"bad-{rollback.lower().replace('_', '-')}"
        cloud.create_stack(StackName=name, TemplateBody=TEMPLATE, Parameters=parameters(Key="none"), OnFailure=rollback)
        same(rest(name), status)
        resources = cloud.describe_stack_resources(StackName=name)["StackResources"]
        failed = [one for one in resources if one["LogicalResourceId"] == "Function"][0]
        if rollback == "DO_NOTHING":
            assert "NoSuchKey" in failed["ResourceStatusReason"], failed
        refused("AlreadyExistsException", cloud.create_stack, StackName=name, TemplateBody=TEMPLATE,
                Parameters=parameters(Key="one.zip"))
        cloud.delete_stack(StackName=name)
        waiter = cloud.get_waiter("stack_delete_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 100})


def versions():
    began = time.monotonic()
    told = functions.update_function_code(FunctionName="app", S3Bucket="app-code", S3Key="one.zip")
    same(told["LastUpdateStatus"], "InProgress")
    try:
        refused("ResourceConflictException", functions.publish_version, FunctionName="app")
    except AssertionError:
        # An update is in effect after a second: on a slow machine that may be over already.
        if time.monotonic() - began < 1:
            raise
    functions.get_waiter("function_updated_v2").wait(FunctionName="app", WaiterConfig={"Delay": 0, "MaxAttempts": 20})
    first = functions.publish_version(FunctionName="app", Description="one")
    same(functions.publish_version(FunctionName="app")["Version"], first["Version"], "nothing new")
    functions.create_alias(FunctionName="app", Name="live", FunctionVersion=first["Version"])
    functions.update_function_code(FunctionName="app", S3Bucket="app-code", S3Key="two.zip")
    time.sleep(1.1)
    second = functions.publish_version(FunctionName="app")
    alias = functions.update_alias(FunctionName="app", Name="live", FunctionVersion=second["Version"])
    same(functions.get_alias(FunctionName="app", Name="live")["RevisionId"], alias["RevisionId"])
    same(functions.get_function(FunctionName="app", Qualifier="live")["Configuration"]["Version"], second["Version"])
    refused("ResourceConflictException", functions.delete_function, FunctionName="app", Qualifier=second["Version"])
    refused("PreconditionFailedException", functions.update_alias, FunctionName="app", Name="live", RevisionId="old")


def parameters_of_ssm():
    ssm.put_parameter(Name="/secret", Value="sesame", Type="SecureString")
    refused("ParameterAlreadyExists", ssm.put_parameter, Name="/secret", Value="x", Type="SecureString")
    same(ssm.put_parameter(Name="/secret", Value="open", Type="SecureString", Overwrite=True)["Version"], 2)
    assert ssm.get_parameter(Name="/secret")["Parameter"]["Value"] != "open"
    same(ssm.get_parameter(Name="/secret", WithDecryption=True)["Parameter"]["Value"], "open")
    ssm.delete_parameter(Name="/secret")
    refused("ParameterNotFound", ssm.get_parameter, Name="/secret")


def deleted():
    cloud.update_termination_protection(StackName="app", EnableTerminationProtection=True)
    refused("ValidationError", cloud.delete_stack, "TerminationProtection is enabled", StackName="app")
    cloud.update_termination_protection(StackName="app", EnableTerminationProtection=False)
    cloud.delete_stack(StackName="app")
    cloud.get_waiter("stack_delete_complete").wait(StackName="app", WaiterConfig={"Delay": 0, "MaxAttempts": 100})
    same(functions.list_functions()["Functions"], [])
    same(gateway.get_apis()["Items"], [])
    same(front.list_distributions()["DistributionList"]["Quantity"], 0)
    same(logs.describe_log_groups()["logGroups"], [])
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket="app-site")
    gone = cloud.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert "app" in [stack["StackName"] for stack in gone]


def command_line():
    """The command-line tool deploys, changes and deletes the same template."""
    tool = pathlib.Path(sys.executable).with_name("aws")
    if not tool.exists():
        print("the command-line tool is not installed: skipped")
        return
    with tempfile.TemporaryDirectory() as folder:
        template = pathlib.Path(folder, "app.yaml")
        template.write_text(TEMPLATE)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": ENDPOINT,
            "AWS_MAX_ATTEMPTS": "1",
        }

        def aws(*words):
            done = subprocess.run([str(tool), *words], env=environment, capture_output=True, text=True, timeout=300)
            return done.returncode, done.stdout + done.stderr

        def deploy(*words):
            return aws("cloudformation", "deploy", "--stack-name", "cli", "--template-file", str(template), *words)

        code, said = deploy("--parameter-overrides", "Key=one.zip")
        same(code, 0, said)
        assert "Successfully created/updated stack - cli" in said, said
        code, said = deploy("--parameter-overrides", "Key=one.zip", "--no-fail-on-empty-changeset")
        same(code, 0, said)
        assert "No changes to deploy" in said, said
        # `deploy` looks but twice a minute: what fails is asked for by the plain calls.
        code, said = aws("cloudformation", "update-stack", "--stack-name", "cli", "--use-previous-template",
                         "--parameters", "ParameterKey=Key,ParameterValue=none.zip")
        same(code, 0, said)
        same(rest("cli"), "UPDATE_ROLLBACK_COMPLETE")
        code, said = aws("lambda", "get-function-configuration", "--function-name", "cli", "--query", "State")
        same((code, said.strip()), (0, '"Active"'))
        same(aws("cloudformation", "delete-stack", "--stack-name", "cli")[0], 0)
        for _ in range(100):
            code, said = aws("cloudformation", "describe-stacks", "--stack-name", "cli")
            if code:
                break
        assert "Stack with id cli does not exist" in said, said


for step in [prepare, created, services, updated, undone, failed, versions, parameters_of_ssm, deleted, command_line]:
    try:
        step()
    except Exception as error:
        raise SystemExit(f"{step.__name__}: {type(error).__name__}: {error}") from error
print(f"{checked} things checked")
