"""Google's own libraries against the sandbox: an AWS role becomes a service account, and writes documents.

exchange.py AWS_ENDPOINT GCP_ENDPOINT CONFIGURATION ROLE_ARN KEY_ID SECRET OTHER_KEY_ID OTHER_SECRET OWNER_TOKEN DATABASE

CONFIGURATION is the file that mcm wrote; the keys are those of the administrators of two AWS accounts, of which the
first is the stack's. DATABASE is `projects/P/databases/D`.
"""

import datetime
import json
import os
import sys
import urllib.parse

import boto3
import google.auth._helpers
import requests
from botocore.exceptions import ClientError
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth import aws
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud import firestore
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports.rest import FirestoreRestTransport
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

AWS, GCP, FILE, ROLE, KEY, SECRET, OTHER_KEY, OTHER_SECRET, OWNER, DATABASE = sys.argv[1:11]
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
INFO = json.load(open(FILE))
PROJECT = DATABASE.split("/")[1]


def pointed(info):
    """The file that mcm wrote, with Google's two addresses replaced by the sandbox's."""
    info = json.loads(json.dumps(info))
    assert info["token_url"] == "https://sts.googleapis.com/v1/token"
    info["token_url"] = GCP + "/v1/token"
    url = info["service_account_impersonation_url"]
    info["service_account_impersonation_url"] = url.replace("https://iamcredentials.googleapis.com", GCP)
    assert GCP in info["service_account_impersonation_url"]
    return info


def become(session):
    os.environ["AWS_ACCESS_KEY_ID"] = session["AccessKeyId"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = session["SecretAccessKey"]
    os.environ["AWS_SESSION_TOKEN"] = session["SessionToken"]
    os.environ["AWS_REGION"] = "us-east-1"


def client(service, key=KEY, secret=SECRET):
    how = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=AWS, **how)


def assume(role, key=KEY, secret=SECRET):
    return client("sts", key, secret).assume_role(RoleArn=role, RoleSessionName="judge")["Credentials"]


def trust(*principals):
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def credentials(info=None, scopes=(SCOPE,)):
    return aws.Credentials.from_info(info or pointed(INFO), scopes=list(scopes))


def refused(word, info=None):
    try:
        credentials(info).refresh(Request())
    except GoogleAuthError as error:
        assert word in str(error), (word, str(error))
        return
    raise AssertionError(f"{word}: not refused")


def posted(word, **changed):
    """A request that no library makes."""
    body = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": INFO["audience"],
        "scope": SCOPE,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": INFO["subject_token_type"],
        "subject_token": credentials().retrieve_subject_token(Request()),
    }
    body.update(changed)
    reply = requests.post(GCP + "/v1/token", data=body)
    error = reply.json()
    assert reply.status_code == 400 and set(error) == {"error", "error_description"}, (word, error)
    assert error["error"] == word, (word, error)
    return error["error_description"]


def owner(method, path, body=None):
    reply = requests.request(method, GCP + path, json=body, headers={"Authorization": f"Bearer {OWNER}"})
    assert reply.ok, (path, reply.text)
    reply = reply.json()
    while "/operations/" in reply.get("name", "") and not reply.get("done"):
        reply = owner("GET", "/v1/" + reply["name"])
    return reply


def roles():
    """The stack's role, as its functions have it, a neighbour, and a namesake in another account."""
    name, account = ROLE.rsplit("/", 1)[1], ROLE.split(":")[4]
    try:
        assume(ROLE)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
    else:
        raise AssertionError("the role's trust policy names the functions' service alone")
    root = f"arn:aws:iam::{account}:root"
    client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=trust(root))
    client("iam").create_role(RoleName="neighbour", AssumeRolePolicyDocument=trust(root))
    other = OTHER_KEY[-12:]
    iam = client("iam", OTHER_KEY, OTHER_SECRET)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(f"arn:aws:iam::{other}:root"))
    return {
        "right": assume(ROLE),
        "neighbour": assume(f"arn:aws:iam::{account}:role/neighbour"),
        "foreign": assume(f"arn:aws:iam::{other}:role/{name}", OTHER_KEY, OTHER_SECRET),
    }


def exchange(sessions):
    become(sessions["right"])
    good = credentials()
    good.refresh(Request())
    assert good.token.startswith("ya29.c."), good.token
    left = good.expiry - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert datetime.timedelta(minutes=55) < left <= datetime.timedelta(hours=1), left

    become(sessions["neighbour"])
    refused("rejected by the attribute condition")
    become(sessions["foreign"])
    refused("invalid_grant")
    become({**sessions["right"], "SecretAccessKey": sessions["neighbour"]["SecretAccessKey"]})
    refused("SignatureDoesNotMatch")
    become({**sessions["right"], "SessionToken": sessions["neighbour"]["SessionToken"]})
    refused("InvalidClientTokenId")
    become({**sessions["right"], "AccessKeyId": "ASIASBOXNOBODYSKEY22"})
    refused("InvalidClientTokenId")

    become(sessions["right"])
    absent = pointed(INFO)
    absent["audience"] = INFO["audience"].rsplit("/", 1)[0] + "/nowhere"
    refused("invalid_target", absent)
    present = google.auth._helpers.utcnow
    google.auth._helpers.utcnow = lambda: present() - datetime.timedelta(minutes=20)
    refused("Signature expired")
    google.auth._helpers.utcnow = present
    longer = pointed(INFO)
    longer["service_account_impersonation"] = {"token_lifetime_seconds": 7200}
    refused("Lifetime", longer)
    return good


def by_hand():
    """What only a caller with other intentions sends."""
    provider = INFO["audience"].removeprefix("//iam.googleapis.com/")
    pool = provider.rsplit("/providers/", 1)[0]
    second = {"aws": {"accountId": ROLE.split(":")[4]}}
    owner("POST", f"/v1/{pool}/providers?workloadIdentityPoolProviderId=second", second)
    # Signed for the first provider, presented to the second.
    assert "audience" in posted("invalid_request", audience=f"//iam.googleapis.com/{pool}/providers/second")
    posted("invalid_request", audience="//iam.googleapis.com/projects/1")
    posted("invalid_request", subject_token="nothing")
    posted("invalid_request", subject_token_type="urn:ietf:params:oauth:token-type:jwt")
    posted("invalid_scope", scope="everything")
    posted("unsupported_grant_type", grant_type="password")
    token = json.loads(urllib.parse.unquote(credentials().retrieve_subject_token(Request())))

    def forged(**changed):
        return urllib.parse.quote(json.dumps({**token, **changed}))

    posted("invalid_request", subject_token=forged(url=token["url"].replace("sts.", "evil.")))
    posted("invalid_request", subject_token=forged(url=token["url"].replace("GetCallerIdentity", "AssumeRole")))
    assert "SignatureDoesNotMatch" in posted("invalid_grant", subject_token=forged(method="GET"))
    owner("PATCH", f"/v1/{provider}?updateMask=disabled", {"disabled": True})
    refused("invalid_target")
    owner("PATCH", f"/v1/{provider}?updateMask=disabled", {"disabled": False})
    credentials().refresh(Request())


def binding():
    """Without the grant on the service account the federated token is of no use."""
    account = INFO["service_account_impersonation_url"].split("/")[-1].split(":")[0]
    path = f"/v1/projects/{PROJECT}/serviceAccounts/{account}"
    policy = owner("POST", f"{path}:getIamPolicy?options.requestedPolicyVersion=3")
    owner("POST", f"{path}:setIamPolicy", {"policy": {"etag": policy["etag"]}})
    refused("iam.serviceAccounts.getAccessToken")
    wrong = [{**one, "members": [member + "2" for member in one["members"]]} for one in policy["bindings"]]
    owner("POST", f"{path}:setIamPolicy", {"policy": {"bindings": wrong}})
    refused("iam.serviceAccounts.getAccessToken")
    owner("POST", f"{path}:setIamPolicy", {"policy": {"bindings": policy["bindings"]}})
    credentials().refresh(Request())


def denied(request, code, status):
    try:
        reply = request.execute(num_retries=0)
    except HttpError as error:
        body = json.loads(error.content)["error"]
        assert (error.resp.status, body["code"], body["status"]) == (code, code, status), body
        return body["message"]
    raise AssertionError(f"{request.uri} was accepted: {reply}")


def rest(good):
    """The generated client, by the discovery document."""
    options = ClientOptions(api_endpoint=GCP)

    def documents(who):
        return build("firestore", "v1", credentials=who, client_options=options).projects().databases().documents()

    mine = documents(good)
    # Below a document, which need not be there: the client's pattern of a parent forbids the root, which Google takes.
    root = DATABASE + "/documents/places/here"
    fields = {"name": {"stringValue": "cat"}, "size": {"integerValue": "7"}, "seen": {"arrayValue": {"values": [{"doubleValue": 0.5}]}}}
    where = {"parent": root, "collectionId": "analyses"}
    made = mine.createDocument(**where, documentId="one", body={"fields": fields}).execute()
    assert made["fields"] == fields and made["name"] == f"{root}/analyses/one", made
    assert "already exists" in denied(mine.createDocument(**where, documentId="one", body={"fields": fields}), 409, "ALREADY_EXISTS")
    one = f"{root}/analyses/one"
    assert mine.get(name=one).execute() == made
    changed = mine.patch(name=one, updateMask_fieldPaths=["size", "name"], body={"fields": {"size": {"integerValue": "8"}}}).execute()
    assert changed["fields"] == {"size": {"integerValue": "8"}, "seen": fields["seen"]}, changed
    stale = mine.patch(name=one, currentDocument_updateTime=made["updateTime"], body={"fields": fields})
    denied(stale, 400, "FAILED_PRECONDITION")
    fresh = mine.patch(name=one, currentDocument_updateTime=changed["updateTime"], body={"fields": fields})
    assert fresh.execute()["fields"] == fields
    denied(mine.patch(name=f"{root}/analyses/two", currentDocument_exists=True, body={}), 404, "NOT_FOUND")
    denied(mine.get(name=f"{root}/analyses/two"), 404, "NOT_FOUND")
    denied(mine.patch(name=one, body={"fields": {"size": {"integerValue": "many"}}}), 400, "INVALID_ARGUMENT")
    nested = {"a": {"arrayValue": {"values": [{"arrayValue": {}}]}}}
    denied(mine.patch(name=one, body={"fields": nested}), 400, "INVALID_ARGUMENT")
    for number in range(5):
        mine.createDocument(**where, body={"fields": {"number": {"integerValue": str(number)}}}).execute()
    seen, token = [], None
    while True:
        page = mine.list(**where, pageSize=2, pageToken=token).execute()
        seen += [document["name"] for document in page["documents"]]
        token = page.get("nextPageToken")
        if not token:
            break
    assert len(seen) == len(set(seen)) == 6 and seen == sorted(seen), seen
    found = mine.batchGet(database=DATABASE, body={"documents": [one, f"{root}/analyses/two"]}).execute()
    assert [list(entry)[0] for entry in found] == ["found", "missing"], found
    writes = [{"delete": one}, {"update": {"name": f"{root}/analyses/x"}, "currentDocument": {"exists": True}}]
    denied(mine.commit(database=DATABASE, body={"writes": writes}), 404, "NOT_FOUND")
    assert mine.get(name=one).execute()["fields"] == fields, "all or nothing"
    assert mine.delete(name=one).execute() == {} and mine.delete(name=one).execute() == {}
    absent = DATABASE.rsplit("/", 1)[0] + "/absent/documents/a/b"
    assert "does not exist" in denied(mine.get(name=absent), 404, "NOT_FOUND")

    info = pointed(INFO)
    del info["service_account_impersonation_url"]
    federated = documents(credentials(info))
    assert "insufficient permissions" in denied(federated.get(name=one), 403, "PERMISSION_DENIED")
    narrow = documents(credentials(scopes=["https://www.googleapis.com/auth/devstorage.read_only"]))
    assert "scopes" in denied(narrow.get(name=one), 403, "PERMISSION_DENIED")
    assert requests.get(f"{GCP}/v1/{one}").status_code == 401
    assert requests.get(f"{GCP}/v1/{one}", headers={"Authorization": "Bearer ya29.c.x"}).status_code == 401
    # A writer of documents administers nothing.
    admin = build("iam", "v1", credentials=good, client_options=options).projects().serviceAccounts()
    denied(admin.list(name=f"projects/{PROJECT}"), 403, "PERMISSION_DENIED")


def library(good):
    """The hand-written client over its own REST transport."""
    host = GCP.removeprefix("http://")
    transport = FirestoreRestTransport(host=host, url_scheme="http", credentials=good)
    store = firestore.Client(project=PROJECT, database=DATABASE.rsplit("/", 1)[1], credentials=good)
    store._firestore_api_internal = FirestoreClient(transport=transport)
    document = store.collection("library").document("a")
    document.create({"count": 1, "tags": ["x"], "nested": {"deep": {"flag": True}}, "nothing": None, "raw": b"\x00\x01"})
    try:
        document.create({})
    except exceptions.Conflict:
        pass
    else:
        raise AssertionError("created twice")
    document.update({"count": firestore.Increment(2), "tags": firestore.ArrayUnion(["x", "y"]), "nested.deep.more": 1.5, "at": firestore.SERVER_TIMESTAMP})
    read = document.get().to_dict()
    at = read.pop("at")
    assert abs(datetime.datetime.now(datetime.timezone.utc) - at) < datetime.timedelta(minutes=1), at
    wanted = {"count": 3, "tags": ["x", "y"], "nested": {"deep": {"flag": True, "more": 1.5}}, "nothing": None, "raw": b"\x00\x01"}
    assert read == wanted, read
    assert not store.collection("library").document("b").get().exists
    document.delete()
    assert not document.get().exists


sessions = roles()
good = exchange(sessions)
by_hand()
binding()
rest(good)
library(good)
print("ok")
