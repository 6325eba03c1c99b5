"""An independent client beside mcm: reads with boto3 what mcm made, and edits it behind mcm's back.

edits.py ENDPOINT KEY SECRET read|EDIT
"""

import json
import sys

import boto3

ENDPOINT, KEY, SECRET, WHAT = sys.argv[1:]
NAME = "image-recognition-demo"
FILES = {"Bucket": "image-recognition-files-demo-123456789012"}
SITE = {"Bucket": "image-recognition-site-demo-123456789012"}


def client(service):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=KEY,
                        aws_secret_access_key=SECRET)


iam, s3 = client("iam"), client("s3")


def without_owner(tags):
    """The tags that the stack file speaks of; mcm's own mark is one more."""
    assert any(tag["Key"] == "mcm:owner" for tag in tags), tags
    return [tag for tag in tags if tag["Key"] != "mcm:owner"]


def read():
    role = iam.get_role(RoleName=NAME)["Role"]
    objects = s3.list_objects_v2(**SITE)["Contents"]
    index = s3.get_object(**SITE, Key="index.html")
    encryption = s3.get_bucket_encryption(**FILES)["ServerSideEncryptionConfiguration"]["Rules"][0]
    return {
        "trust": role["AssumeRolePolicyDocument"],
        "description": role["Description"],
        "role tags": without_owner(role["Tags"]),
        "inline": iam.get_role_policy(RoleName=NAME, PolicyName="files")["PolicyDocument"],
        "attached": [policy["PolicyArn"] for policy in
                     iam.list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]],
        "files tags": without_owner(s3.get_bucket_tagging(**FILES)["TagSet"]),
        "cors": s3.get_bucket_cors(**FILES)["CORSRules"],
        "lifecycle": s3.get_bucket_lifecycle_configuration(**FILES)["Rules"],
        "encryption": encryption["ApplyServerSideEncryptionByDefault"],
        "website": s3.get_bucket_website(**SITE)["IndexDocument"],
        "public": s3.get_public_access_block(**SITE)["PublicAccessBlockConfiguration"],
        "policy": json.loads(s3.get_bucket_policy(**SITE)["Policy"]),
        "objects": sorted(item["Key"] for item in objects),
        "index": [index["ContentType"], index["CacheControl"], index["Body"].read().decode()],
    }


def retagged(bucket):
    tags = [tag if tag["Key"] != "application" else {"Key": "application", "Value": "other"}
            for tag in s3.get_bucket_tagging(**bucket)["TagSet"]]
    s3.put_bucket_tagging(**bucket, Tagging={"TagSet": tags})


def take_stray():
    assert s3.get_object(**SITE, Key="stray.html")["Body"].read() == b"stray"
    s3.delete_object(**SITE, Key="stray.html")


ANYONE = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
EVERYTHING = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{SITE['Bucket']}/*"}]}

EDITS = {
    "trust": lambda: iam.update_assume_role_policy(RoleName=NAME, PolicyDocument=json.dumps(ANYONE)),
    "description": lambda: iam.update_role(RoleName=NAME, Description="edited"),
    "duration": lambda: iam.update_role(RoleName=NAME, Description="edited", MaxSessionDuration=7200),
    "role-tag": lambda: iam.tag_role(RoleName=NAME, Tags=[{"Key": "application", "Value": "other"}]),
    "inline": lambda: iam.put_role_policy(RoleName=NAME, PolicyName="files", PolicyDocument=json.dumps(NOTHING)),
    "attached": lambda: iam.detach_role_policy(
        RoleName=NAME, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"),
    "files-tag": lambda: retagged(FILES),
    "cors": lambda: s3.delete_bucket_cors(**FILES),
    "lifecycle": lambda: s3.delete_bucket_lifecycle(**FILES),
    "encryption": lambda: s3.put_bucket_encryption(**FILES, ServerSideEncryptionConfiguration={
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}),
    "website": lambda: s3.put_bucket_website(**SITE, WebsiteConfiguration={"IndexDocument": {"Suffix": "other.html"}}),
    "public": lambda: s3.put_public_access_block(**SITE, PublicAccessBlockConfiguration={"BlockPublicAcls": False}),
    "policy": lambda: s3.put_bucket_policy(**SITE, Policy=json.dumps(EVERYTHING)),
    "object": lambda: s3.put_object(**SITE, Key="index.html", Body=b"defaced", ContentType="text/html; charset=utf-8",
                                     CacheControl="public, max-age=300"),
    "lost-object": lambda: s3.delete_object(**SITE, Key="error.html"),
    "stray-object": lambda: s3.put_object(**SITE, Key="stray.html", Body=b"stray"),
    "no-stray-object": take_stray,
}

if WHAT == "read":
    print(json.dumps(read(), sort_keys=True))
else:
    EDITS[WHAT]()
