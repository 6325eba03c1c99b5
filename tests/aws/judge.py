"""Judges the sandbox's AWS by boto3, and by the command-line tool where it is installed beside this Python.

judge.py ENDPOINT ACCOUNT KEY SECRET OTHER_ACCOUNT OTHER_KEY OTHER_SECRET
"""

import datetime
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, ACCOUNT, KEY, SECRET, OTHER, OTHER_KEY, OTHER_SECRET = sys.argv[1:]
REGION = "us-east-1"


def client(service, key=KEY, secret=SECRET, region=REGION, **config):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1}, parameter_validation=False, **config),
    )


iam, sts, s3 = client("iam"), client("sts"), client("s3")
other_iam, other_s3 = client("iam", OTHER_KEY, OTHER_SECRET), client("s3", OTHER_KEY, OTHER_SECRET)
checked = 0


def same(found, expected, what=""):
    global checked
    checked += 1
    assert found == expected, f"{what}: {found!r}, and not {expected!r}"


def refused(code, call, status=None, text=None, **arguments):
    """The call is refused with this code."""
    global checked
    checked += 1
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        place = f"{error.operation_name} {arguments}"
        assert found["Code"] == code, f"{place}: {error}, and not {code}"
        found_status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status in (None, found_status), f"{place}: {found_status}, and not {status}"
        assert text is None or text in found["Message"], f"{place}: {error} does not say {text!r}"
        return error.response
    raise AssertionError(f"{call.__name__} {arguments} was done, and not refused with {code}: {answer}")


def trust(**statement):
    basic = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    whole = {key: value for key, value in {**basic, **statement}.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [whole]})


def allow(action="s3:GetObject", resource="*", **more):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def identity():
    same(sts.get_caller_identity()["Account"], ACCOUNT)
    same(sts.get_caller_identity()["Arn"], f"arn:aws:iam::{ACCOUNT}:user/mcm-sandbox")
    same(client("sts", OTHER_KEY, OTHER_SECRET, "eu-west-1").get_caller_identity()["Account"], OTHER)
    refused("SignatureDoesNotMatch", client("sts", KEY, "wrong").get_caller_identity, 403)
    refused("InvalidClientTokenId", client("sts", "AKIAUNKNOWN", "x").get_caller_identity, 403)
    refused("SignatureDoesNotMatch", client("s3", KEY, "wrong").list_buckets, 403)
    refused("InvalidAccessKeyId", client("s3", "AKIAUNKNOWN", "x").list_buckets, 403)
    refused("SignatureDoesNotMatch", client("iam", region="eu-west-1").list_roles, 403, "valid region")
    refused("InvalidAction", iam.list_users, 400, "ListUsers")
    refused("InvalidAction", sts.get_session_token, 400)
    token = boto3.client("iam", endpoint_url=ENDPOINT, region_name=REGION, aws_access_key_id=KEY,
                         aws_secret_access_key=SECRET, aws_session_token="stale")
    refused("InvalidClientTokenId", token.list_roles, 403)


def raw(method, path, body=b"", headers=None, sign=True, service="s3", when=None):
    """Sends a request as it is; returns its status and body."""
    headers = dict(headers or {})
    request = botocore.awsrequest.AWSRequest(method, ENDPOINT + path, headers, body)
    if sign:
        credentials = botocore.credentials.Credentials(KEY, SECRET)
        kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
        auth = kind(credentials, service, REGION)
        real = botocore.auth.get_current_datetime
        if when:
            botocore.auth.get_current_datetime = lambda *_, **__: when
        try:
            auth.add_auth(request)
        finally:
            botocore.auth.get_current_datetime = real
    sent = urllib.request.Request(request.url, body or None, dict(request.headers.items()), method=method)
    try:
        with urllib.request.urlopen(sent) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def unsigned():
    status, text = raw("GET", "/", sign=False)
    same((status, "<Code>AccessDenied</Code>" in text), (403, True), text)
    form = {"content-type": "application/x-www-form-urlencoded"}
    status, text = raw("POST", "/", b"Action=ListRoles&Version=2010-05-08", form, sign=False)
    same((status, "<Code>MissingAuthenticationToken</Code>" in text), (403, True), text)
    status, text = raw("POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15", form, sign=False)
    same((status, "sts.amazonaws.com" in text), (403, True), text)
    status, text = raw("POST", "/", b"Version=2010-05-08", form, service="iam")
    same((status, "<Code>MissingAction</Code>" in text), (400, True), text)
    status, text = raw("POST", "/", b"Action=ListRoles&Version=2010-05-08&Nonsense=1", form, service="iam")
    same(status, 400, text)
    late = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(minutes=20)
    status, text = raw("GET", "/", when=late)
    same((status, "<Code>RequestTimeTooSkewed</Code>" in text), (403, True), text)
    status, text = raw("POST", "/", b"Action=ListRoles&Version=2010-05-08", form, service="iam", when=late)
    same((status, "Signature expired" in text), (403, True), text)
    status, text = raw("PATCH", "/some-bucket")
    same((status, "<Code>MethodNotAllowed</Code>" in text), (405, True), text)


def role_life():
    made = iam.create_role(
        RoleName="Maker", Path="/app/", AssumeRolePolicyDocument=trust(), Description="makes", MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "a b"}], PermissionsBoundary="arn:aws:iam::aws:policy/PowerUserAccess",
    )["Role"]
    same(made["Arn"], f"arn:aws:iam::{ACCOUNT}:role/app/Maker")
    same(len(made["RoleId"]), 21)
    role = iam.get_role(RoleName="maker")["Role"]
    same(role["RoleName"], "Maker", "names are found without regard to case")
    same(role["PermissionsBoundary"]["PermissionsBoundaryArn"], "arn:aws:iam::aws:policy/PowerUserAccess")
    same((role["Description"], role["MaxSessionDuration"], role["Tags"]),
         ("makes", 7200, [{"Key": "team", "Value": "a b"}]))
    same(role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"], {"Service": "lambda.amazonaws.com"})
    refused("EntityAlreadyExists", iam.create_role, 409, RoleName="MAKER", AssumeRolePolicyDocument=trust())
    refused("NoSuchEntity", other_iam.get_role, 404, RoleName="Maker")

    iam.update_role(RoleName="Maker", Description="changed")
    role = iam.get_role(RoleName="Maker")["Role"]
    same((role["Description"], role["MaxSessionDuration"]), ("changed", 3600))
    iam.put_role_policy(RoleName="Maker", PolicyName="read", PolicyDocument=allow())
    same(iam.get_role_policy(RoleName="Maker", PolicyName="read")["PolicyDocument"], json.loads(allow()))
    same(iam.list_role_policies(RoleName="Maker")["PolicyNames"], ["read"])
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName="Maker", PolicyArn=basic)
    iam.attach_role_policy(RoleName="Maker", PolicyArn=basic)
    same(iam.list_attached_role_policies(RoleName="Maker")["AttachedPolicies"],
         [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": basic}])
    iam.tag_role(RoleName="Maker", Tags=[{"Key": "Team", "Value": "c"}, {"Key": "x", "Value": ""}])
    same(iam.list_role_tags(RoleName="Maker")["Tags"], [{"Key": "Team", "Value": "c"}, {"Key": "x", "Value": ""}])
    iam.untag_role(RoleName="Maker", TagKeys=["x", "absent"])
    same(iam.list_instance_profiles_for_role(RoleName="Maker")["InstanceProfiles"], [])

    refused("DeleteConflict", iam.delete_role, 409, "detach", RoleName="Maker")
    iam.detach_role_policy(RoleName="Maker", PolicyArn=basic)
    refused("NoSuchEntity", iam.detach_role_policy, 404, RoleName="Maker", PolicyArn=basic)
    refused("DeleteConflict", iam.delete_role, 409, "delete policies", RoleName="Maker")
    iam.delete_role_policy(RoleName="Maker", PolicyName="read")
    refused("NoSuchEntity", iam.delete_role_policy, 404, RoleName="Maker", PolicyName="read")
    refused("NoSuchEntity", iam.get_role_policy, 404, RoleName="Maker", PolicyName="read")
    iam.delete_role_permissions_boundary(RoleName="Maker")
    refused("NoSuchEntity", iam.delete_role_permissions_boundary, 404, RoleName="Maker")
    iam.delete_role(RoleName="Maker")
    refused("NoSuchEntity", iam.delete_role, 404, "cannot be found", RoleName="Maker")
    refused("NoSuchEntity", iam.update_role, 404, RoleName="Maker")


def role_rules():
    def create(code, text=None, **arguments):
        given = {"RoleName": "bad", "AssumeRolePolicyDocument": trust(), **arguments}
        refused(code, iam.create_role, text=text, **given)

    create("ValidationError", "regular expression", RoleName="with space")
    create("ValidationError", "less than or equal to 64", RoleName="x" * 65)
    create("ValidationError", Path="no-slash")
    create("ValidationError", MaxSessionDuration=60)
    create("ValidationError", Description="x" * 1001)
    create("ValidationError", Tags=[{"Key": "bad!", "Value": "v"}])
    create("InvalidInput", "reserved", Tags=[{"Key": "aws:mine", "Value": "v"}])
    create("InvalidInput", "Duplicate", Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
    create("ValidationError", Tags=[{"Key": f"k{n}", "Value": ""} for n in range(51)])
    create("NoSuchEntity", "does not exist", PermissionsBoundary="arn:aws:iam::aws:policy/NoSuchPolicy")
    bad = "MalformedPolicyDocument"
    create(bad, "invalid Json", AssumeRolePolicyDocument="{nonsense")
    create(bad, "prohibited field Resource", AssumeRolePolicyDocument=trust(Resource="*"))
    create(bad, "Missing required field Principal", AssumeRolePolicyDocument=trust(Principal=None))
    create(bad, "Missing required field Action", AssumeRolePolicyDocument=trust(Action=None))
    create(bad, "only specify STS AssumeRole", AssumeRolePolicyDocument=trust(Action="s3:GetObject"))
    create(bad, "Invalid effect", AssumeRolePolicyDocument=trust(Effect="Perhaps"))
    create(bad, "Syntax errors", AssumeRolePolicyDocument=trust(Actions="sts:AssumeRole"))
    create(bad, "version string", AssumeRolePolicyDocument=trust().replace("2012-10-17", "2020-01-01"))
    create(bad, "Condition type", AssumeRolePolicyDocument=trust(Condition={"StringIs": {"aws:x": "y"}}))
    create(bad, "STAR", AssumeRolePolicyDocument=trust(Principal="*"))
    nobody = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    create(bad, "Invalid principal in policy", AssumeRolePolicyDocument=trust(Principal={"AWS": nobody}))
    create(bad, "Invalid principal in policy",
           AssumeRolePolicyDocument=trust(Principal={"Service": "lamda.amazonaws.com"}))
    create("LimitExceeded", "ACLSizePerRole", AssumeRolePolicyDocument=trust(Sid="x" * 2048))
    github = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    federated = {"Principal": {"Federated": github}, "Action": "sts:AssumeRoleWithWebIdentity"}
    create(bad, "sub", AssumeRolePolicyDocument=trust(**federated))

    iam.create_role(RoleName="ruled", AssumeRolePolicyDocument=trust())
    refused(bad, iam.put_role_policy, 400, "should not specify a principal", RoleName="ruled", PolicyName="p",
            PolicyDocument=allow(Principal="*"))
    refused(bad, iam.put_role_policy, 400, "prefaced by a vendor", RoleName="ruled", PolicyName="p",
            PolicyDocument=allow("GetObject"))
    refused(bad, iam.put_role_policy, 400, "ARN format", RoleName="ruled", PolicyName="p",
            PolicyDocument=allow(resource="my-bucket"))
    refused("LimitExceeded", iam.put_role_policy, 409, "10240", RoleName="ruled", PolicyName="p",
            PolicyDocument=allow(resource="arn:aws:s3:::" + "x" * 10240))
    refused("NoSuchEntity", iam.attach_role_policy, 404, "not attachable", RoleName="ruled",
            PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")
    refused("InvalidInput", iam.attach_role_policy, 400, "not valid", RoleName="ruled", PolicyArn="x" * 20)
    refused("ValidationError", iam.attach_role_policy, 400, RoleName="ruled", PolicyArn="short".ljust(19, "x"))
    refused("ValidationError", iam.list_roles, 400, Marker="nonsense!")
    names = ["ReadOnlyAccess", "PowerUserAccess", "SecurityAudit", "IAMFullAccess", "IAMReadOnlyAccess",
             "AmazonS3FullAccess", "AmazonSNSFullAccess", "AmazonSQSFullAccess", "AmazonEC2FullAccess",
             "AmazonVPCFullAccess", "AmazonSSMFullAccess"]
    for name in names[:10]:
        iam.attach_role_policy(RoleName="ruled", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
    refused("LimitExceeded", iam.attach_role_policy, 409, "PoliciesPerRole", RoleName="ruled",
            PolicyArn=f"arn:aws:iam::aws:policy/{names[10]}")
    pages = iam.get_paginator("list_attached_role_policies").paginate(
        RoleName="ruled", PaginationConfig={"PageSize": 3})
    pages = [len(page["AttachedPolicies"]) for page in pages]
    same(pages, [3, 3, 3, 1])
    for name in names[:10]:
        iam.detach_role_policy(RoleName="ruled", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
    iam.delete_role(RoleName="ruled")


def principals():
    """Roles are kept by their unique id: another of the same name is not the same."""
    iam.create_role(RoleName="first", AssumeRolePolicyDocument=trust())
    arn = f"arn:aws:iam::{ACCOUNT}:role/first"
    iam.create_role(RoleName="second", AssumeRolePolicyDocument=trust(Principal={"AWS": [OTHER, arn]}))
    shown = lambda: iam.get_role(RoleName="second")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    same(shown(), {"AWS": [f"arn:aws:iam::{OTHER}:root", arn]})
    first = iam.get_role(RoleName="first")["Role"]["RoleId"]
    iam.delete_role(RoleName="first")
    same(shown(), {"AWS": [f"arn:aws:iam::{OTHER}:root", first]})
    iam.create_role(RoleName="first", AssumeRolePolicyDocument=trust())
    same(shown(), {"AWS": [f"arn:aws:iam::{OTHER}:root", first]})
    refused("MalformedPolicyDocument", iam.update_assume_role_policy, 400, "Invalid principal", RoleName="second",
            PolicyDocument=trust(Principal={"AWS": first}))
    iam.update_assume_role_policy(RoleName="second", PolicyDocument=trust(Principal={"AWS": arn}))
    same(shown(), {"AWS": arn})
    roles = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
             for role in page["Roles"]]
    same(roles, ["first", "second"])
    for name in roles:
        iam.delete_role(RoleName=name)
    policy = iam.create_policy(PolicyName="mine", PolicyDocument=allow(), Path="/p/")["Policy"]["Arn"]
    same(policy, f"arn:aws:iam::{ACCOUNT}:policy/p/mine")
    refused("EntityAlreadyExists", iam.create_policy, 409, PolicyName="mine", PolicyDocument=allow())
    iam.create_role(RoleName="user", AssumeRolePolicyDocument=trust())
    iam.attach_role_policy(RoleName="user", PolicyArn=policy)
    same(iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"], 1)
    same(iam.get_policy_version(PolicyArn=policy, VersionId="v1")["PolicyVersion"]["Document"], json.loads(allow()))
    refused("DeleteConflict", iam.delete_policy, 409, PolicyArn=policy)
    iam.detach_role_policy(RoleName="user", PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)
    refused("NoSuchEntity", iam.get_policy, 404, PolicyArn=policy)
    iam.delete_role(RoleName="user")


def bucket_life():
    s3.create_bucket(Bucket="judge-one")
    s3.create_bucket(Bucket="judge-one")  # us-east-1 alone says yes twice
    same([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], ["judge-one"])
    same(other_s3.list_buckets()["Buckets"], [])
    same(s3.head_bucket(Bucket="judge-one")["BucketRegion"], REGION)
    same(s3.get_bucket_location(Bucket="judge-one").get("LocationConstraint"), None)
    refused("BucketAlreadyExists", other_s3.create_bucket, 409, Bucket="judge-one")
    answer = refused("403", other_s3.head_bucket, 403, Bucket="judge-one")
    same(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"], REGION)
    refused("AccessDenied", other_s3.list_objects_v2, 403, Bucket="judge-one")
    refused("AccessDenied", s3.list_objects_v2, 403, Bucket="judge-one", ExpectedBucketOwner=OTHER)
    refused("404", s3.head_bucket, 404, Bucket="judge-none")
    refused("NoSuchBucket", s3.list_objects_v2, 404, Bucket="judge-none")
    refused("NoSuchBucket", s3.delete_bucket, 404, Bucket="judge-none")
    for name in ["Upper", "a..b", "192.168.0.1", "xn--a", "x-s3alias", "-ab", "under_score"]:
        status, text = raw("PUT", f"/{name}")
        same((status, "<Code>InvalidBucketName</Code>" in text), (400, True), name)
    west = client("s3", region="eu-west-1")
    refused("IllegalLocationConstraintException", west.create_bucket, 400, "unspecified", Bucket="judge-west")
    refused("IllegalLocationConstraintException", west.create_bucket, 400, Bucket="judge-west",
            CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    west_place = {"LocationConstraint": "eu-west-1", "Tags": [{"Key": "a", "Value": "b"}]}
    west.create_bucket(Bucket="judge-west", CreateBucketConfiguration=west_place)
    refused("BucketAlreadyOwnedByYou", west.create_bucket, 409, Bucket="judge-west",
            CreateBucketConfiguration=west_place)
    same(west.get_bucket_tagging(Bucket="judge-west")["TagSet"], [{"Key": "a", "Value": "b"}])
    same(s3.get_bucket_location(Bucket="judge-west")["LocationConstraint"], "eu-west-1")
    status, text = raw("GET", "/judge-west?list-type=2")
    same((status, "<Code>PermanentRedirect</Code>" in text), (301, True), text)
    west.delete_bucket(Bucket="judge-west")
    refused("InvalidBucketAclWithObjectOwnership", s3.create_bucket, 400, Bucket="judge-acl", ACL="public-read")


def bucket_defaults():
    encryption = s3.get_bucket_encryption(Bucket="judge-one")["ServerSideEncryptionConfiguration"]["Rules"][0]
    same(encryption["ApplyServerSideEncryptionByDefault"], {"SSEAlgorithm": "AES256"})
    same(encryption["BlockedEncryptionTypes"], {"EncryptionType": ["SSE-C"]})
    same(set(s3.get_public_access_block(Bucket="judge-one")["PublicAccessBlockConfiguration"].values()), {True})
    rules = s3.get_bucket_ownership_controls(Bucket="judge-one")["OwnershipControls"]["Rules"]
    same(rules, [{"ObjectOwnership": "BucketOwnerEnforced"}])
    same(s3.get_bucket_versioning(Bucket="judge-one").get("Status"), None)
    same(s3.get_bucket_notification_configuration(Bucket="judge-one").get("LambdaFunctionConfigurations"), None)
    same(s3.get_bucket_acl(Bucket="judge-one")["Grants"][0]["Permission"], "FULL_CONTROL")
    same(s3.get_bucket_request_payment(Bucket="judge-one")["Payer"], "BucketOwner")
    for code, call in [
        ("NoSuchCORSConfiguration", s3.get_bucket_cors), ("NoSuchWebsiteConfiguration", s3.get_bucket_website),
        ("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration),
        ("NoSuchBucketPolicy", s3.get_bucket_policy), ("NoSuchTagSet", s3.get_bucket_tagging),
        ("ReplicationConfigurationNotFoundError", s3.get_bucket_replication),
    ]:
        refused(code, call, 404, Bucket="judge-one")


def bucket_configuration():
    bucket = {"Bucket": "judge-one"}
    refused("AccessControlListNotSupported", s3.put_bucket_acl, 400, ACL="public-read", **bucket)
    refused("InvalidRequest", s3.put_bucket_cors, 400, "Unsupported method is PATCH", **bucket, CORSConfiguration={
        "CORSRules": [{"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}]})
    refused("InvalidRequest", s3.put_bucket_cors, 400, "more than one wildcard", **bucket, CORSConfiguration={
        "CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.*"]}]})
    cors = [{"AllowedMethods": ["GET", "HEAD"], "AllowedOrigins": ["https://x.org"], "MaxAgeSeconds": 60}]
    s3.put_bucket_cors(**bucket, CORSConfiguration={"CORSRules": cors})
    same(s3.get_bucket_cors(**bucket)["CORSRules"], cors)
    s3.delete_bucket_cors(**bucket)
    refused("NoSuchCORSConfiguration", s3.get_bucket_cors, 404, **bucket)
    refused("InvalidArgument", s3.put_bucket_website, 400, "IndexDocument", **bucket,
            WebsiteConfiguration={"IndexDocument": {"Suffix": "a/b"}})
    refused("InvalidArgument", s3.put_bucket_website, 400, **bucket,
            WebsiteConfiguration={"ErrorDocument": {"Key": "error.html"}})
    site = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
    s3.put_bucket_website(**bucket, WebsiteConfiguration=site)
    found = s3.get_bucket_website(**bucket)
    same({key: found[key] for key in site}, site)
    s3.delete_bucket_website(**bucket)

    def lifecycle(*rules):
        return s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": list(rules)})

    every = {"Status": "Enabled", "Filter": {"Prefix": ""}}
    refused("InvalidRequest", lambda: lifecycle(every), 400, "At least one action")
    refused("InvalidArgument", lambda: lifecycle({**every, "Expiration": {"Days": 0}}), 400, "positive integer")
    refused("InvalidArgument", lambda: lifecycle(
        {**every, "Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]}), 400, "30")
    refused("MalformedXML", lambda: lifecycle({**every, "Status": "On", "Expiration": {"Days": 1}}), 400)
    twice = {**every, "ID": "same", "Expiration": {"Days": 1}}
    refused("InvalidArgument", lambda: lifecycle(twice, twice), 400, "unique")
    lifecycle({**every, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}})
    found = s3.get_bucket_lifecycle_configuration(**bucket)
    same(len(found["Rules"][0]["ID"]) > 0, True)
    same(found["TransitionDefaultMinimumObjectSize"], "all_storage_classes_128K")
    s3.delete_bucket_lifecycle(**bucket)

    tags = lambda *pairs: {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}
    refused("InvalidTag", s3.put_bucket_tagging, 400, "System tags", **bucket, Tagging=tags(("aws:x", "y")))
    refused("InvalidTag", s3.put_bucket_tagging, 400, "same key", **bucket, Tagging=tags(("x", "y"), ("x", "z")))
    refused("InvalidTag", s3.put_bucket_tagging, 400, "TagKey", **bucket, Tagging=tags(("x!", "y")))
    refused("BadRequest", s3.put_bucket_tagging, 400, **bucket, Tagging=tags(*((f"k{n}", "") for n in range(51))))
    s3.put_bucket_tagging(**bucket, Tagging=tags(("b", "2"), ("a", "1")))
    same(s3.get_bucket_tagging(**bucket)["TagSet"], tags(("b", "2"), ("a", "1"))["TagSet"])
    s3.delete_bucket_tagging(**bucket)

    def encryption(**default):
        rule = {"ApplyServerSideEncryptionByDefault": default}
        return s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})

    refused("InvalidArgument", lambda: encryption(SSEAlgorithm="AES256", KMSMasterKeyID="k"), 400)
    refused("MalformedXML", lambda: encryption(SSEAlgorithm="ROT13"), 400)
    encryption(SSEAlgorithm="aws:kms")
    s3.delete_bucket_encryption(**bucket)
    bucket_defaults()
    refused("MalformedXML", s3.put_bucket_ownership_controls, 400, **bucket,
            OwnershipControls={"Rules": [{"ObjectOwnership": "Nobody"}]})
    s3.put_bucket_ownership_controls(**bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_bucket_ownership_controls(**bucket)
    refused("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, 404, **bucket)
    s3.put_bucket_ownership_controls(
        **bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    refused("InvalidArgument", s3.put_bucket_notification_configuration, 400, "destination", **bucket,
            NotificationConfiguration={"LambdaFunctionConfigurations": [{
                "LambdaFunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:none",
                "Events": ["s3:ObjectCreated:*"]}]})
    s3.put_bucket_notification_configuration(**bucket, NotificationConfiguration={})
    refused("IllegalVersioningConfigurationException", s3.put_bucket_versioning, 400, **bucket,
            VersioningConfiguration={"Status": "On"})
    status, text = raw("PUT", "/judge-one?versioning", b"<VersioningConfiguration/>")
    same((status, "Content-MD5" in text), (400, True), text)


def bucket_policy():
    bucket = {"Bucket": "judge-one"}
    on = "arn:aws:s3:::judge-one/*"

    def put(document):
        return s3.put_bucket_policy(**bucket, Policy=document)

    public = allow(resource=on, Principal="*")
    refused("AccessDenied", lambda: put(public), 403, "BlockPublicPolicy")
    s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    same(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"], False)
    bad = "MalformedPolicy"
    refused(bad, lambda: put("nonsense"), 400, "first byte")
    refused(bad, lambda: put(allow(resource=on)), 400, "Principal")
    refused(bad, lambda: put(allow("ec2:Run", on, Principal="*")), 400, "invalid action")
    refused(bad, lambda: put(allow(resource="arn:aws:s3:::other/*", Principal="*")), 400, "invalid resource")
    refused(bad, lambda: put(allow("s3:ListBucket", on, Principal="*").replace("judge-one/*", "judge-one/a")),
            400, "does not apply")
    nobody = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    refused(bad, lambda: put(allow(resource=on, Principal={"AWS": nobody})), 400, "Invalid principal")
    refused(bad, lambda: put(allow(resource=on, Principal="*", Sid="x" * 21000)), 400, "maximum")
    put(public)
    same(json.loads(s3.get_bucket_policy(**bucket)["Policy"]), json.loads(public))
    same(s3.get_bucket_policy_status(**bucket)["PolicyStatus"]["IsPublic"], True)
    s3.put_object(**bucket, Key="open.txt", Body=b"open", ContentType="text/plain")
    same(raw("GET", "/judge-one/open.txt", sign=False), (200, "open"))
    same(raw("GET", "/judge-one?list-type=2", sign=False)[0], 403)
    put(allow("s3:ListBucket", "arn:aws:s3:::judge-one", Principal={"AWS": OTHER}))
    same(other_s3.list_objects_v2(**bucket)["KeyCount"], 1)
    refused("AccessDenied", other_s3.get_object, 403, **bucket, Key="open.txt")
    same(raw("GET", "/judge-one/open.txt", sign=False)[0], 403)
    kept = json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"][0]["Principal"]
    same(kept, {"AWS": f"arn:aws:iam::{OTHER}:root"})
    s3.delete_bucket_policy(**bucket)
    s3.delete_bucket_policy(**bucket)
    s3.delete_object(**bucket, Key="open.txt")


def objects():
    bucket = {"Bucket": "judge-one"}
    key = "folder/ä b+c&d.txt"
    put = s3.put_object(**bucket, Key=key, Body=b"hello", ContentType="text/plain", CacheControl="no-cache",
                        Metadata={"who": "me"}, Tagging="a=b")
    same(put["ETag"], '"5d41402abc4b2a76b9719d911017c592"')
    same(put["ChecksumCRC32"], "NhCmhg==")
    found = s3.get_object(**bucket, Key=key, ChecksumMode="ENABLED")
    same((found["Body"].read(), found["ContentType"], found["CacheControl"], found["Metadata"], found["TagCount"]),
         (b"hello", "text/plain", "no-cache", {"who": "me"}, 1))
    same(s3.get_object(**bucket, Key=key, Range="bytes=1-3")["Body"].read(), b"ell")
    same(s3.get_object(**bucket, Key=key, Range="bytes=-2")["Body"].read(), b"lo")
    refused("InvalidRange", s3.get_object, 416, **bucket, Key=key, Range="bytes=9-")
    refused("304", s3.get_object, 304, **bucket, Key=key, IfNoneMatch=put["ETag"])
    refused("PreconditionFailed", s3.get_object, 412, **bucket, Key=key, IfMatch='"x"')
    refused("PreconditionFailed", s3.put_object, 412, **bucket, Key=key, Body=b"", IfNoneMatch="*")
    refused("PreconditionFailed", s3.put_object, 412, **bucket, Key=key, Body=b"", IfMatch='"x"')
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    refused("NoSuchKey", s3.put_object, 404, **bucket, Key="nothing-there", Body=b"", IfMatch='"x"')
    refused("NoSuchKey", s3.get_object, 404, **bucket, Key="none")
    refused("404", s3.head_object, 404, **bucket, Key="none")
    refused("NoSuchBucket", s3.put_object, 404, Bucket="judge-none", Key="x", Body=b"")
    refused("KeyTooLongError", s3.put_object, 400, **bucket, Key="x" * 1025, Body=b"")
    refused("MetadataTooLarge", s3.put_object, 400, **bucket, Key="x", Body=b"", Metadata={"a": "x" * 2048})
    refused("AccessControlListNotSupported", s3.put_object, 400, **bucket, Key="x", Body=b"", ACL="public-read")
    refused("BadDigest", s3.put_object, 400, **bucket, Key="x", Body=b"a", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    refused("InvalidDigest", s3.put_object, 400, **bucket, Key="x", Body=b"a", ContentMD5="nonsense")
    refused("BadDigest", s3.put_object, 400, **bucket, Key="x", Body=b"a", ChecksumCRC32="NhCmhg==")
    refused("InvalidTag", s3.put_object, 400, **bucket, Key="x", Body=b"a", Tagging="aws:x=y")
    for algorithm in ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"]:
        try:
            s3.put_object(**bucket, Key="sum", Body=b"123456789", ChecksumAlgorithm=algorithm)
        except Exception as error:  # without the optional native library boto3 has no CRC32C and CRC64NVME
            assert "awscrt" in str(error).lower() or "crt" in str(error).lower(), error
            continue
        same(f"Checksum{algorithm}" in s3.head_object(**bucket, Key="sum", ChecksumMode="ENABLED"), True, algorithm)
    s3.put_object(**bucket, Key="crc", Body=b"123456789", ChecksumCRC64NVME="rosUhgp5mIg=")  # the CRC's check value
    s3.delete_objects(**bucket, Delete={"Objects": [{"Key": "sum"}, {"Key": "crc"}]})
    s3.copy_object(**bucket, Key="copy", CopySource={**bucket, "Key": key})
    same(s3.head_object(**bucket, Key="copy")["Metadata"], {"who": "me"})
    refused("InvalidRequest", s3.copy_object, 400, "itself", **bucket, Key="copy",
            CopySource={**bucket, "Key": "copy"})
    refused("NoSuchKey", s3.copy_object, 404, **bucket, Key="copy", CopySource={**bucket, "Key": "none"})
    same(s3.get_object_tagging(**bucket, Key="copy")["TagSet"], [{"Key": "a", "Value": "b"}])
    refused("BucketNotEmpty", s3.delete_bucket, 409, **bucket)
    url = client("s3", signature_version="s3v4").generate_presigned_url("get_object", {**bucket, "Key": key}, ExpiresIn=60)
    same(urllib.request.urlopen(url).read(), b"hello")
    status, text = raw("GET", url[len(ENDPOINT):] + "0", sign=False)
    same((status, "<Code>SignatureDoesNotMatch</Code>" in text), (403, True), text)
    listing()


def listing():
    bucket = {"Bucket": "judge-one"}
    for name in ["a/1", "a/2", "b/1", "c", "d"]:
        s3.put_object(**bucket, Key=f"list/{name}", Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        **bucket, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 1})
    found = [item.get("Key") or item.get("Prefix") for page in pages
             for item in page.get("Contents", []) + page.get("CommonPrefixes", [])]
    same(found, ["list/a/", "list/b/", "list/c", "list/d"])
    pages = s3.get_paginator("list_objects").paginate(**bucket, Prefix="list/", PaginationConfig={"PageSize": 2})
    same([item["Key"] for page in pages for item in page["Contents"]],
         ["list/a/1", "list/a/2", "list/b/1", "list/c", "list/d"])
    found = s3.list_objects_v2(**bucket, Prefix="list/", StartAfter="list/b/1")
    same([item["Key"] for item in found["Contents"]], ["list/c", "list/d"])
    refused("InvalidArgument", s3.list_objects_v2, 400, **bucket, ContinuationToken="nonsense")
    refused("InvalidArgument", s3.list_objects_v2, 400, **bucket, MaxKeys=-1)
    everything = s3.list_objects_v2(**bucket)["Contents"]
    deleted = s3.delete_objects(**bucket, Delete={"Objects": [{"Key": item["Key"]} for item in everything]})
    same(len(deleted["Deleted"]), len(everything))
    refused("MalformedXML", s3.delete_objects, 400, **bucket, Delete={"Objects": []})


def site():
    """A bucket as a web site: everybody's, by its policy."""
    bucket = {"Bucket": "judge-one"}

    def visit(path, host="judge-one.s3-website-us-east-1.amazonaws.com"):
        request = urllib.request.Request(ENDPOINT + path, headers={"host": host})
        opener = urllib.request.build_opener(Unmoved)
        try:
            with opener.open(request) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("location") or error.read().decode()

    same(visit("/")[0], 404)
    s3.put_bucket_website(**bucket, WebsiteConfiguration={
        "IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"},
        "RoutingRules": [{"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}}]})
    for key in ["index.html", "a/index.html", "error.html"]:
        s3.put_object(**bucket, Key=key, Body=key.encode(), ContentType="text/html")
    same(visit("/")[0], 403)
    s3.put_bucket_policy(**bucket, Policy=allow(resource="arn:aws:s3:::judge-one/*", Principal={"AWS": "*"}))
    same(visit("/"), (200, "index.html"))
    same(visit("/a/"), (200, "a/index.html"))
    same(visit("/a"), (302, "/a/"))
    same(visit("/none"), (404, "error.html"))
    same(visit("/old/x"), (301, "http://judge-one.s3-website-us-east-1.amazonaws.com/new/x"))
    same(visit("/", "judge-none.s3-website-us-east-1.localhost")[0], 404)
    s3.delete_bucket_policy(**bucket)
    s3.delete_bucket_website(**bucket)
    for key in ["index.html", "a/index.html", "error.html"]:
        s3.delete_object(**bucket, Key=key)


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, *_):
        return None


def versions():
    bucket = {"Bucket": "judge-one"}
    s3.put_object(**bucket, Key="v", Body=b"0")
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
    one = s3.put_object(**bucket, Key="v", Body=b"1")["VersionId"]
    two = s3.put_object(**bucket, Key="v", Body=b"2")["VersionId"]
    marker = s3.delete_object(**bucket, Key="v")
    same(marker["DeleteMarker"], True)
    answer = refused("NoSuchKey", s3.get_object, 404, **bucket, Key="v")
    same(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"], "true")
    refused("MethodNotAllowed", s3.get_object, 405, **bucket, Key="v", VersionId=marker["VersionId"])
    refused("NoSuchVersion", s3.get_object, 404, **bucket, Key="v", VersionId="none")
    same(s3.get_object(**bucket, Key="v", VersionId=one)["Body"].read(), b"1")
    pages = s3.get_paginator("list_object_versions").paginate(**bucket, PaginationConfig={"PageSize": 1})
    found = [item["VersionId"] for page in pages for item in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    same(found, [marker["VersionId"], two, one, "null"])
    refused("BucketNotEmpty", s3.delete_bucket, 409, "versions", **bucket)
    s3.delete_object(**bucket, Key="v", VersionId=marker["VersionId"])
    same(s3.get_object(**bucket, Key="v")["Body"].read(), b"2")
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"})
    same(s3.get_bucket_versioning(**bucket)["Status"], "Suspended")
    same(s3.put_object(**bucket, Key="v", Body=b"3")["VersionId"], "null")
    for version in [one, two, "null"]:
        s3.delete_object(**bucket, Key="v", VersionId=version)
    same(s3.list_object_versions(**bucket).get("Versions"), None)


def parts():
    bucket = {"Bucket": "judge-one"}
    body = os.urandom(11 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(body), "judge-one", "large", Config=TransferConfig(multipart_threshold=5 << 20))
    found = io.BytesIO()
    s3.download_fileobj("judge-one", "large", found)
    same(found.getvalue() == body, True, "what was uploaded in parts")
    same(s3.head_object(**bucket, Key="large")["ETag"].endswith('-2"'), True)
    upload = s3.create_multipart_upload(**bucket, Key="parts")["UploadId"]
    same(s3.list_multipart_uploads(**bucket)["Uploads"][0]["UploadId"], upload)
    named = {**bucket, "Key": "parts", "UploadId": upload}
    tags = [s3.upload_part(**named, PartNumber=number, Body=b"small")["ETag"] for number in (1, 2)]
    same(len(s3.list_parts(**named)["Parts"]), 2)
    both = [{"PartNumber": number + 1, "ETag": tag} for number, tag in enumerate(tags)]
    refused("EntityTooSmall", s3.complete_multipart_upload, 400, **named, MultipartUpload={"Parts": both})
    refused("InvalidPartOrder", s3.complete_multipart_upload, 400, **named, MultipartUpload={"Parts": both[::-1]})
    refused("InvalidPart", s3.complete_multipart_upload, 400, **named,
            MultipartUpload={"Parts": [{"PartNumber": 3, "ETag": tags[0]}]})
    s3.abort_multipart_upload(**named)
    refused("NoSuchUpload", s3.upload_part, 404, **named, PartNumber=1, Body=b"")
    s3.delete_object(**bucket, Key="large", VersionId="null")


def command_line():
    tool = pathlib.Path(sys.executable).with_name("aws")
    if not tool.exists():
        return
    environment = {
        "PATH": os.environ.get("PATH", ""), "AWS_ENDPOINT_URL": ENDPOINT, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "",
        "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONFIG_FILE": os.devnull,
    }

    def aws(*words):
        done = subprocess.run([sys.executable, tool, *words], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"aws {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    with tempfile.TemporaryDirectory() as folder:
        site = pathlib.Path(folder, "site")
        site.mkdir()
        (site / "index.html").write_text("<h1>here</h1>")
        (site / "large.bin").write_bytes(os.urandom(9 * 1024 * 1024))
        same(json.loads(aws("sts", "get-caller-identity"))["Account"], ACCOUNT)
        aws("s3", "mb", "s3://judge-cli")
        aws("s3", "sync", str(site), "s3://judge-cli/site")
        same("index.html" in aws("s3", "ls", "s3://judge-cli/site/"), True)
        aws("s3", "cp", "s3://judge-cli/site/large.bin", str(site / "back.bin"))
        same((site / "back.bin").read_bytes() == (site / "large.bin").read_bytes(), True, "aws s3 cp")
        aws("s3", "rb", "s3://judge-cli", "--force")


for part in [identity, unsigned, role_life, role_rules, principals, bucket_life, bucket_defaults, bucket_configuration,
             bucket_policy, objects, site, versions, parts, command_line]:
    part()
s3.delete_bucket(Bucket="judge-one")
same(s3.list_buckets()["Buckets"], [])
print(f"{checked} checks")
