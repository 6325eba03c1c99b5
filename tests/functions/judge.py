"""Judges the sandbox's functions by boto3: calls, events, logs, versions, signed forms and signed addresses.

usage: judge.py ENDPOINT KEY SECRET ARCHIVE ARCHITECTURE
"""
import io
import json
import sys
import time

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, KEY, SECRET, ARCHIVE, ARCHITECTURE = sys.argv[1:]


def client(name):
    return boto3.client(
        name, endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="v4" if name != "s3" else "s3v4"),
    )


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"{call.__name__} was accepted")


def until(ask):
    deadline = time.monotonic() + 30
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)


iam, functions, logs, s3 = client("iam"), client("lambda"), client("logs"), client("s3")


def role(name, service):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
runner, stranger = role("boto", "lambda.amazonaws.com"), role("stranger", "ec2.amazonaws.com")
iam.attach_role_policy(RoleName="boto", PolicyArn=basic)
code = {"ZipFile": open(ARCHIVE, "rb").read()}
wanted = {"FunctionName": "boto", "Runtime": "provided.al2023", "Handler": "bootstrap", "Code": code, "Architectures": [ARCHITECTURE], "Timeout": 1}
refused("InvalidParameterValueException", functions.create_function, **wanted, Role=stranger)
functions.create_function(**wanted, Role=runner)
refused("ResourceConflictException", functions.invoke, FunctionName="boto")
functions.get_waiter("function_active_v2").wait(FunctionName="boto", WaiterConfig={"Delay": 1})

told = functions.invoke(FunctionName="boto", Payload=json.dumps({"x": 1}), LogType="Tail")
assert told["StatusCode"] == 200 and told["ExecutedVersion"] == "$LATEST" and "FunctionError" not in told, told
assert json.load(told["Payload"])["event"] == {"x": 1} and told["LogResult"]
told = functions.invoke(FunctionName="boto", Payload=json.dumps({"do": "sleep"}))
assert told["FunctionError"] == "Unhandled" and "Task timed out after 1.00 seconds" in json.load(told["Payload"])["errorMessage"]
assert functions.invoke(FunctionName="boto", InvocationType="DryRun")["StatusCode"] == 204
assert functions.invoke(FunctionName="boto", InvocationType="Event", Payload=b"{}")["StatusCode"] == 202
refused("ResourceNotFoundException", functions.invoke, FunctionName="boto", Qualifier="live")
version = functions.publish_version(FunctionName="boto")["Version"]
functions.create_alias(FunctionName="boto", Name="live", FunctionVersion=version)
told = functions.invoke(FunctionName=f"arn:aws:lambda:us-east-1:123456789012:function:boto:live", Payload=b"{}")
assert told["ExecutedVersion"] == version, told

group = "/aws/lambda/boto"
ends = until(lambda: [e for e in logs.filter_log_events(logGroupName=group, filterPattern="END RequestId")["events"]][3:])
assert ends, "each of four calls has its end in the log"
stream = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"][0]
events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
assert events[0]["message"].startswith("START RequestId: "), events
refused("ResourceNotFoundException", logs.get_log_events, logGroupName=group, logStreamName="none")
refused("ResourceNotFoundException", logs.filter_log_events, logGroupName="/none")
refused("InvalidParameterException", logs.filter_log_events, logGroupName=group, nextToken="none")
refused("InvalidParameterException", logs.filter_log_events, logGroupName=group, logStreamNames=["a"], logStreamNamePrefix="a")
pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 2})
paged = [event["eventId"] for page in pages for event in page["events"]]
assert paged == [event["eventId"] for event in logs.filter_log_events(logGroupName=group)["events"]] and len(paged) > 4, paged

s3.create_bucket(Bucket="boto-bucket")
functions.add_permission(FunctionName="boto", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::boto-bucket", SourceAccount="123456789012")
arn = "arn:aws:lambda:us-east-1:123456789012:function:boto"
notification = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}}]}
refused("InvalidArgument", s3.put_bucket_notification_configuration, Bucket="boto-bucket", NotificationConfiguration={"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn + "-none", "Events": ["s3:ObjectCreated:*"]}]})
s3.put_bucket_notification_configuration(Bucket="boto-bucket", NotificationConfiguration=notification)
shown = s3.get_bucket_notification_configuration(Bucket="boto-bucket")["LambdaFunctionConfigurations"][0]
assert shown["Id"] and shown["LambdaFunctionArn"] == arn, shown

before = len(logs.filter_log_events(logGroupName=group, filterPattern="START")["events"])
conditions = [["content-length-range", 1, 100], {"Content-Type": "text/plain"}]
signed = s3.generate_presigned_post("boto-bucket", "in/${filename}", Fields={"Content-Type": "text/plain"}, Conditions=conditions, ExpiresIn=60)
posted = requests.post(signed["url"], data=signed["fields"], files={"file": ("note.txt", io.BytesIO(b"hello"))}, timeout=10)
assert posted.status_code == 204, posted.text
assert s3.get_object(Bucket="boto-bucket", Key="in/note.txt")["Body"].read() == b"hello"
posted = requests.post(signed["url"], data=signed["fields"], files={"file": ("note.txt", io.BytesIO(b"x" * 101))}, timeout=10)
assert posted.status_code == 400 and "EntityTooLarge" in posted.text, posted.text
until(lambda: len(logs.filter_log_events(logGroupName=group, filterPattern="START")["events"]) > before)

address = s3.generate_presigned_url("put_object", Params={"Bucket": "boto-bucket", "Key": "out/a"}, ExpiresIn=60)
assert requests.put(address, data=b"there", timeout=10).status_code == 200
address = s3.generate_presigned_url("get_object", Params={"Bucket": "boto-bucket", "Key": "out/a"}, ExpiresIn=60)
assert requests.get(address, timeout=10).content == b"there"
assert requests.get(address.replace("out/a", "out/b"), timeout=10).status_code == 403
print("ok")
