"""Google's own Python client against the sandbox, as a judge of it.

Every reply is walked against the discovery documents that the client ships: a field that Google's schemas do not
know, a value of another type or outside of an enum, an error of another shape fails. Usage: judge.py ENDPOINT TOKEN
PROJECT NUMBER OTHER_PROJECT, where OTHER_PROJECT exists too; DENIED does not.
"""

import base64
import json
import pathlib
import re
import sys

import googleapiclient
import httplib2
from google.api_core.client_options import ClientOptions
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

ENDPOINT, TOKEN, PROJECT, NUMBER, OTHER = sys.argv[1:6]
DENIED = "nobody-has-this-project"
DOCUMENTS = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
COUNT = {"replies": 0, "refusals": 0}


class Judge:
    """One service's client, and the schemas that its replies must keep."""

    def __init__(self, name, version, **how):
        self.document = json.loads((DOCUMENTS / f"{name}.{version}.json").read_text())
        options = ClientOptions(api_endpoint=ENDPOINT)
        how = how or {"credentials": Credentials(TOKEN)}
        self.client = build(name, version, client_options=options, static_discovery=True, **how)
        self.methods = {}
        self._gather(self.document)

    def _gather(self, resource):
        for method in resource.get("methods", {}).values():
            self.methods[method["id"]] = method
        for inner in resource.get("resources", {}).values():
            self._gather(inner)

    def ok(self, request):
        reply = request.execute(num_retries=0)
        COUNT["replies"] += 1
        self._walk({"$ref": self.methods[request.methodId]["response"]["$ref"]}, reply, request.methodId)
        return reply

    def refused(self, request, code, status, word=""):
        try:
            reply = request.execute(num_retries=0)
        except HttpError as raised:
            error, body = raised, json.loads(raised.content)
        else:
            raise AssertionError(f"{request.methodId} {request.uri} was accepted: {reply}")
        what = f"{request.methodId} {request.uri}: {body}"
        assert set(body) == {"error"}, what
        error_body = body["error"]
        assert set(error_body) <= {"code", "message", "status", "details"}, what
        assert (error.resp.status, error_body["code"], error_body["status"]) == (code, code, status), what
        assert isinstance(error_body["message"], str) and error_body["message"], what
        assert word in error_body["message"], what
        for detail in error_body.get("details", []):
            assert detail["@type"].startswith("type.googleapis.com/google.rpc."), what
        COUNT["refusals"] += 1
        return error_body

    def _schema(self, type_url):
        """The schema of a message inside of an operation, by its type's last word."""
        name = type_url.rsplit("/", 1)[1]
        if name == "google.protobuf.Empty":
            return {"type": "object", "properties": {}}
        words = name.split(".")
        joined = "".join(word[0].upper() + word[1:] for word in words)
        for candidate in (words[-1], joined, joined.replace("Api", "Api", 1)):
            if candidate in self.document["schemas"]:
                return self.document["schemas"][candidate]
        raise AssertionError(f"{type_url} is in no schema")

    def _walk(self, schema, value, path):
        if "$ref" in schema:
            name = schema["$ref"]
            schema = self.document["schemas"][name]
            if name in ("Operation", "GoogleLongrunningOperation"):
                self._operation(value, path)
        kind = schema.get("type", "any")
        if kind == "object" and "properties" in schema:
            assert isinstance(value, dict), f"{path}: {value!r} is no object"
            for key, inner in value.items():
                assert key in schema["properties"], f"{path}: {key} is in no schema"
                self._walk(schema["properties"][key], inner, f"{path}.{key}")
        elif kind == "object":
            assert isinstance(value, dict), f"{path}: {value!r} is no map"
            for key, inner in value.items():
                self._walk(schema.get("additionalProperties", {}), inner, f"{path}[{key}]")
        elif kind == "array":
            assert isinstance(value, list), f"{path}: {value!r} is no list"
            assert value, f"{path}: Google leaves empty lists out"
            for index, inner in enumerate(value):
                self._walk(schema["items"], inner, f"{path}[{index}]")
        elif kind == "string":
            assert isinstance(value, str), f"{path}: {value!r} is no text"
            assert value, f"{path}: Google leaves empty texts out"
            if "enum" in schema:
                assert value in schema["enum"], f"{path}: {value!r} is not in {schema['enum']}"
            self._format(schema.get("format"), value, path)
        elif kind == "boolean":
            assert isinstance(value, bool), f"{path}: {value!r} is no flag"
        elif kind == "integer":
            assert isinstance(value, int) and not isinstance(value, bool), f"{path}: {value!r} is no number"
        else:
            assert kind == "any", f"{path}: the judge does not know {kind}"

    def _operation(self, value, path):
        assert value.get("name"), f"{path}: an operation has a name"
        done = value.get("done", False)
        assert done == ("response" in value or "error" in value), f"{path}: {value}"
        for part in ("metadata", "response"):
            if part in value:
                inner = {key: item for key, item in value[part].items() if key != "@type"}
                self._walk(self._schema(value[part]["@type"]), inner, f"{path}.{part}")

    @staticmethod
    def _format(form, value, path):
        patterns = {
            "google-datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
            "google-duration": r"-?\d+(\.\d{1,9})?s",
        }
        if form in patterns:
            assert re.fullmatch(patterns[form], value), f"{path}: {value!r} is no {form}"
        elif form == "byte":
            base64.b64decode(value, validate=True)
        else:
            assert form in (None, "google-fieldmask"), f"{path}: the judge does not know {form}"


def finish(judge, operation, poll):
    """Polls to the end, which must take more than one poll."""
    polls = 0
    while not operation.get("done"):
        polls += 1
        assert polls < 10, operation
        operation = judge.ok(poll(operation["name"]))
    assert polls > 1 or operation["name"] == "operations/noop.DONE_OPERATION", operation
    return operation["response"]


iam = Judge("iam", "v1")
crm = Judge("cloudresourcemanager", "v3")
usage = Judge("serviceusage", "v1")
firestore = Judge("firestore", "v1")

P = f"projects/{PROJECT}"
LOCATION = f"{P}/locations/global"
POOL = f"{LOCATION}/workloadIdentityPools/judged-pool"
PROVIDER = f"{POOL}/providers/judged-aws"
EMAIL = f"judged-writer@{PROJECT}.iam.gserviceaccount.com"
ACCOUNT = f"{P}/serviceAccounts/{EMAIL}"

pools = iam.client.projects().locations().workloadIdentityPools()
providers = pools.providers()
accounts = iam.client.projects().serviceAccounts()
projects = crm.client.projects()
services = usage.client.services()
databases = firestore.client.projects().databases()


def pool_done(operation):
    return finish(iam, operation, lambda name: pools.operations().get(name=name))


def provider_done(operation):
    return finish(iam, operation, lambda name: providers.operations().get(name=name))


def service_done(operation):
    return finish(usage, operation, lambda name: usage.client.operations().get(name=name))


def database_done(operation):
    return finish(firestore, operation, lambda name: databases.operations().get(name=name))


def judge_pools():
    body = {"displayName": "Judged", "description": "By the client", "mode": "FEDERATION_ONLY"}
    create = lambda body=body, id="judged-pool", parent=LOCATION: pools.create(
        parent=parent, body=body, workloadIdentityPoolId=id
    )
    pool_done(iam.ok(create()))
    pool = iam.ok(pools.get(name=POOL))
    assert pool["name"] == POOL.replace(PROJECT, NUMBER) and pool["state"] == "ACTIVE", pool
    iam.refused(create(), 409, "ALREADY_EXISTS")
    for id in ("abc", "x" * 33, "Judged", "gcp-judged", "under_score", ""):
        iam.refused(create(id=id), 400, "INVALID_ARGUMENT")
    for wrong in (
        {"displayName": "x" * 33},
        {"description": "x" * 257},
        {"disabled": "perhaps"},
        {"mode": "OPEN"},
        {"mode": "SYSTEM_TRUST_DOMAIN"},
        {"colour": "red"},
        {"displayName": 7},
    ):
        iam.refused(create(body=wrong, id="other-pool"), 400, "INVALID_ARGUMENT")
    iam.refused(create(parent=f"projects/{DENIED}/locations/global"), 403, "PERMISSION_DENIED")
    iam.refused(pools.get(name=f"{LOCATION}/workloadIdentityPools/no-pool"), 404, "NOT_FOUND")
    patch = lambda body, mask: pools.patch(name=POOL, body=body, updateMask=mask)
    pool_done(iam.ok(patch({"disabled": True}, "disabled")))
    pool_done(iam.ok(patch({"displayName": "Again"}, "displayName,disabled")))
    pool = iam.ok(pools.get(name=POOL))
    assert pool["displayName"] == "Again" and "disabled" not in pool and pool["description"] == "By the client", pool
    iam.refused(patch({"mode": "TRUST_DOMAIN"}, "mode"), 400, "INVALID_ARGUMENT")
    iam.refused(patch({}, "state"), 400, "INVALID_ARGUMENT")
    iam.refused(pools.patch(name=POOL, body={}), 400, "INVALID_ARGUMENT")
    iam.refused(pools.undelete(name=POOL, body={}), 400, "FAILED_PRECONDITION")
    assert len(iam.ok(pools.list(parent=LOCATION))["workloadIdentityPools"]) == 1
    iam.refused(pools.list(parent=LOCATION, pageSize=-1), 400, "INVALID_ARGUMENT")
    iam.refused(pools.list(parent=LOCATION, pageToken="nonsense!"), 400, "INVALID_ARGUMENT")


def judge_providers():
    aws = {"displayName": "Judged", "aws": {"accountId": "123456789012"}}
    create = lambda body, id="judged-aws": providers.create(parent=POOL, body=body, workloadIdentityPoolProviderId=id)
    provider_done(iam.ok(create(aws)))
    iam.refused(create(aws), 409, "ALREADY_EXISTS")
    subject = {"google.subject": "assertion.sub"}
    oidc = {"issuerUri": "https://issuer.example", "allowedAudiences": ["one"]}
    provider_done(iam.ok(create({"oidc": oidc, "attributeMapping": subject}, "judged-oidc")))
    github = {"issuerUri": "https://token.actions.githubusercontent.com"}
    for wrong in (
        {},
        {"aws": {"accountId": "1"}},
        {"aws": {}},
        {**aws, "oidc": oidc, "attributeMapping": subject},
        {"oidc": oidc},
        {"oidc": {"issuerUri": "ftp://issuer.example"}, "attributeMapping": subject},
        {"oidc": {**oidc, "allowedAudiences": ["x"] * 11}, "attributeMapping": subject},
        {"oidc": {**oidc, "allowedAudiences": ["x" * 257]}, "attributeMapping": subject},
        {"oidc": {**oidc, "jwksJson": "{}"}, "attributeMapping": subject},
        {"oidc": github, "attributeMapping": subject},
        {**aws, "attributeMapping": {"attribute.role": "assertion.arn"}},
        {**aws, "attributeMapping": {**subject, "attribute.Role": "assertion.arn"}},
        {**aws, "attributeMapping": {**subject, "google.email": "assertion.arn"}},
        {**aws, "attributeMapping": {"google.subject": "'x' + " * 400 + "'x'"}},
        {**aws, "attributeMapping": {"google.subject": "nothing.arn"}},
        {**aws, "attributeMapping": {"google.subject": ""}},
        {**aws, "attributeMapping": {**subject, **{f"attribute.a{i}": "assertion.arn" for i in range(51)}}},
        {**aws, "attributeCondition": "assertion.arn == '" + "x" * 4096 + "'"},
        {**aws, "attributeCondition": "assertion.arn == ("},
    ):
        iam.refused(create(wrong, "other-provider"), 400, "INVALID_ARGUMENT")
    missing = f"{LOCATION}/workloadIdentityPools/no-pool"
    iam.refused(
        providers.create(parent=missing, body=aws, workloadIdentityPoolProviderId="judged-aws"), 404, "NOT_FOUND"
    )
    patch = lambda body, mask: providers.patch(name=PROVIDER, body=body, updateMask=mask)
    condition = {"attributeCondition": "attribute.aws_role == 'arn:aws:sts::123456789012:assumed-role/r'"}
    provider_done(iam.ok(patch(condition, "attributeCondition")))
    provider_done(iam.ok(patch({"attributeMapping": {"google.subject": "assertion.arn"}}, "attributeMapping")))
    iam.refused(patch({"oidc": oidc}, "oidc"), 400, "INVALID_ARGUMENT")
    iam.refused(patch({}, "aws"), 400, "INVALID_ARGUMENT")
    provider = iam.ok(providers.get(name=PROVIDER))
    assert provider["attributeCondition"] == condition["attributeCondition"], provider
    page = iam.ok(providers.list(parent=POOL, pageSize=1))
    rest = providers.list_next(providers.list(parent=POOL, pageSize=1), page)
    assert len(iam.ok(rest)["workloadIdentityPoolProviders"]) == 1


def judge_accounts():
    create = lambda id="judged-writer", **fields: accounts.create(
        name=P, body={"accountId": id, "serviceAccount": fields}
    )
    account = iam.ok(create(displayName="Judged", description="By the client"))
    assert account["email"] == EMAIL and account["name"] == ACCOUNT, account
    iam.refused(create(), 409, "ALREADY_EXISTS", "already exists within project")
    for id in ("short", "x" * 31, "Upper-case", "1-digit-first", "dash-last-"):
        iam.refused(create(id), 400, "INVALID_ARGUMENT")
    iam.refused(create("other-writer", displayName="ä" * 51), 400, "INVALID_ARGUMENT")
    iam.refused(create("other-writer", description="x" * 257), 400, "INVALID_ARGUMENT")
    patch = lambda mask, **fields: accounts.patch(
        name=ACCOUNT, body={"serviceAccount": fields, "updateMask": mask}
    )
    changed = iam.ok(patch("displayName", displayName="Again"))
    assert (changed["displayName"], changed["description"]) == ("Again", "By the client"), changed
    iam.refused(patch("", displayName="x"), 400, "INVALID_ARGUMENT")
    iam.refused(patch("email", displayName="x"), 400, "INVALID_ARGUMENT")
    for _ in range(2):
        iam.ok(accounts.disable(name=ACCOUNT, body={}))
    assert iam.ok(accounts.get(name=ACCOUNT))["disabled"]
    iam.ok(accounts.enable(name=ACCOUNT, body={}))
    assert iam.ok(accounts.get(name=f"projects/-/serviceAccounts/{account['uniqueId']}"))["email"] == EMAIL
    nobody = f"nobody@{PROJECT}.iam.gserviceaccount.com"
    iam.refused(accounts.get(name=f"{P}/serviceAccounts/{nobody}"), 404, "NOT_FOUND")
    iam.refused(accounts.get(name=f"projects/-/serviceAccounts/{nobody}"), 403, "PERMISSION_DENIED")
    iam.refused(accounts.get(name=f"projects/{OTHER}/serviceAccounts/{EMAIL}"), 404, "NOT_FOUND")
    iam.refused(accounts.list(name=f"projects/{DENIED}"), 403, "PERMISSION_DENIED")
    assert len(iam.ok(accounts.list(name=P))["accounts"]) == 1
    return account["uniqueId"]


def judge_policies():
    get = lambda: iam.ok(accounts.getIamPolicy(resource=ACCOUNT, options_requestedPolicyVersion=3))
    put = lambda policy: accounts.setIamPolicy(resource=ACCOUNT, body={"policy": policy})
    user = "roles/iam.workloadIdentityUser"
    member = f"principalSet://iam.googleapis.com/{POOL.replace(PROJECT, NUMBER)}/attribute.aws_role/arn:x"
    policy = get()
    condition = {"title": "soon", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')"}
    bindings = [{"role": user, "members": [member]}, {"role": user, "members": [member], "condition": condition}]
    stale = {"version": 3, "etag": policy["etag"], "bindings": bindings}
    written = iam.ok(put(stale))
    assert written["version"] == 3 and written["etag"] != policy["etag"], written
    iam.refused(put(stale), 409, "ABORTED", "concurrent policy changes")
    etag = written["etag"]
    one = lambda role, member, **more: {"version": 3, "etag": etag, "bindings": [{"role": role, "members": [member], **more}]}
    for wrong in (
        one(user, member.replace(NUMBER, PROJECT)),
        one(user, member.replace("judged-pool", "no-pool")),
        one(user, f"principalSet://iam.googleapis.com/{POOL.replace(PROJECT, NUMBER)}/subject/x"),
        one(user, f"serviceAccount:nobody@{PROJECT}.iam.gserviceaccount.com"),
        one(user, "someone@example.com"),
        one(user, "user:someone"),
        one("workloadIdentityUser", member),
        one("roles/storage.admin", member),
        one("roles/viewer", member, condition=condition),
        one(user, member, condition={"expression": "true"}),
        one(user, member, condition={"title": "t", "expression": "true &&& (false"}),
        {**stale, "etag": etag, "version": 1},
        {**stale, "etag": etag, "version": 2},
    ):
        iam.refused(put(wrong), 400, "INVALID_ARGUMENT")
    iam.refused(accounts.setIamPolicy(resource=ACCOUNT, body={}), 400, "INVALID_ARGUMENT")
    iam.refused(
        accounts.getIamPolicy(resource=ACCOUNT, options_requestedPolicyVersion=2), 400, "INVALID_ARGUMENT"
    )
    many = {"version": 3, "etag": etag, "bindings": [{"role": user, "members": [f"user:u{i}@example.com" for i in range(1501)]}]}
    iam.refused(put(many), 400, "INVALID_ARGUMENT", "1,500")

    body = {"options": {"requestedPolicyVersion": 3}}
    policy = crm.ok(projects.getIamPolicy(resource=P, body=body))
    policy["bindings"].append({"role": "roles/datastore.user", "members": [f"serviceAccount:{EMAIL}"]})
    crm.ok(projects.setIamPolicy(resource=P, body={"policy": policy, "updateMask": "bindings,etag"}))
    crm.refused(projects.setIamPolicy(resource=P, body={"policy": policy}), 409, "ABORTED")
    crm.refused(projects.setIamPolicy(resource=P, body={"policy": {}, "updateMask": "colour"}), 400, "INVALID_ARGUMENT")
    crm.refused(projects.setIamPolicy(resource=P, body={"policy": {"bindings": []}}), 400, "FAILED_PRECONDITION")
    crm.refused(projects.getIamPolicy(resource=f"projects/{DENIED}", body={}), 403, "PERMISSION_DENIED")
    wanted = ["resourcemanager.projects.get"]
    assert crm.ok(projects.testIamPermissions(resource=P, body={"permissions": wanted}))["permissions"] == wanted
    crm.refused(projects.testIamPermissions(resource=P, body={"permissions": ["storage.*"]}), 400, "INVALID_ARGUMENT")


def judge_projects():
    project = crm.ok(projects.get(name=P))
    assert project["name"] == f"projects/{NUMBER}" and project["projectId"] == PROJECT, project
    assert crm.ok(projects.get(name=f"projects/{NUMBER}")) == project
    crm.refused(projects.get(name=f"projects/{DENIED}"), 403, "PERMISSION_DENIED")
    assert len(crm.ok(projects.search())["projects"]) == 2


def judge_services():
    name = lambda service: f"{P}/services/{service}"
    state = lambda service: usage.ok(services.get(name=name(service)))["state"]
    assert state("firestore.googleapis.com") == "DISABLED" and state("iam.googleapis.com") == "ENABLED"
    usage.refused(services.disable(name=name("firestore.googleapis.com"), body={}), 400, "FAILED_PRECONDITION")
    refused = firestore.refused(databases.list(parent=P), 403, "PERMISSION_DENIED", "has not been used in project")
    info = next(detail for detail in refused["details"] if detail["@type"].endswith("ErrorInfo"))
    assert (info["reason"], info["metadata"]["consumer"]) == ("SERVICE_DISABLED", f"projects/{NUMBER}"), info
    service_done(usage.ok(services.enable(name=name("firestore.googleapis.com"), body={})))
    again = usage.ok(services.enable(name=name("firestore.googleapis.com"), body={}))
    assert again["name"] == "operations/noop.DONE_OPERATION" and again["done"], again
    names = ["sts.googleapis.com", "iamcredentials.googleapis.com"]
    service_done(usage.ok(services.batchEnable(parent=P, body={"serviceIds": names})))
    usage.refused(services.batchEnable(parent=P, body={"serviceIds": names * 11}), 400, "INVALID_ARGUMENT")
    usage.refused(services.batchEnable(parent=P, body={}), 400, "INVALID_ARGUMENT")
    usage.refused(services.enable(name=name("nothing.googleapis.com"), body={}), 403, "PERMISSION_DENIED")
    usage.refused(services.get(name=f"projects/{DENIED}/services/sts.googleapis.com"), 403, "PERMISSION_DENIED")
    usage.refused(services.disable(name=name("iam.googleapis.com"), body={}), 400, "FAILED_PRECONDITION", "depended on")
    usage.refused(usage.client.operations().get(name="operations/noop.DONE_OPERATION"), 400, "INVALID_ARGUMENT")
    usage.refused(usage.client.operations().get(name="operations/nothing"), 404, "NOT_FOUND")
    enabled = usage.ok(services.list(parent=P, filter="state:ENABLED"))["services"]
    assert {"sts.googleapis.com", "firestore.googleapis.com"} <= {item["config"]["name"] for item in enabled}
    page = usage.ok(services.list(parent=P, pageSize=3))
    assert len(page["services"]) == 3 and page["nextPageToken"]


def judge_databases():
    create = lambda body, id="judged-db": databases.create(parent=P, body=body, databaseId=id)
    native = {"locationId": "nam5", "type": "FIRESTORE_NATIVE"}
    database_done(firestore.ok(create(native)))
    database_done(firestore.ok(create(native, "(default)")))
    firestore.refused(create(native), 409, "ALREADY_EXISTS", "Please use another database_id")
    for id in ("abc", "x" * 64, "Judged", "1-digit", "dash-", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"):
        firestore.refused(create(native, id), 400, "INVALID_ARGUMENT")
    for wrong in (
        {"type": "FIRESTORE_NATIVE"},
        {"locationId": "nam5"},
        {"locationId": "mars1", "type": "FIRESTORE_NATIVE"},
        {**native, "type": "GRAPH"},
        {**native, "databaseEdition": "GOLD"},
        {"locationId": "nam5", "type": "DATASTORE_MODE", "databaseEdition": "ENTERPRISE"},
        {**native, "concurrencyMode": "OPTIMISTIC_WITH_ENTITY_GROUPS"},
    ):
        firestore.refused(create(wrong, "other-db"), 400, "INVALID_ARGUMENT")
    name = f"{P}/databases/judged-db"
    first = firestore.ok(databases.get(name=name))
    patch = lambda mask, **body: databases.patch(name=name, body=body, updateMask=mask)
    protection = "deleteProtectionState"
    database_done(firestore.ok(patch(protection, deleteProtectionState="DELETE_PROTECTION_ENABLED")))
    recovery = "POINT_IN_TIME_RECOVERY_ENABLED"
    database_done(firestore.ok(patch("pointInTimeRecoveryEnablement", pointInTimeRecoveryEnablement=recovery)))
    second = firestore.ok(databases.get(name=name))
    assert second["etag"] != first["etag"] and second["versionRetentionPeriod"] == "604800s", second
    firestore.refused(patch(protection, etag=first["etag"]), 400, "FAILED_PRECONDITION")
    firestore.refused(patch("locationId", locationId="eur3"), 400, "INVALID_ARGUMENT")
    firestore.refused(patch("databaseEdition", databaseEdition="ENTERPRISE"), 400, "INVALID_ARGUMENT")
    firestore.refused(databases.delete(name=name), 400, "FAILED_PRECONDITION", "delete protection")
    database_done(firestore.ok(patch(protection, deleteProtectionState="DELETE_PROTECTION_DISABLED")))
    firestore.refused(databases.delete(name=name, etag="stale"), 400, "FAILED_PRECONDITION")
    assert len(firestore.ok(databases.list(parent=P))["databases"]) == 2
    for each in (name, f"{P}/databases/(default)"):
        database_done(firestore.ok(databases.delete(name=each)))
        firestore.refused(databases.get(name=each), 404, "NOT_FOUND", "does not exist")
    locations = firestore.ok(firestore.client.projects().locations().list(name=P))
    assert "nam5" in {item["locationId"] for item in locations["locations"]}


def judge_endings(unique_id):
    provider_done(iam.ok(providers.delete(name=PROVIDER)))
    assert iam.ok(providers.get(name=PROVIDER))["state"] == "DELETED"
    iam.refused(providers.delete(name=PROVIDER), 404, "NOT_FOUND")
    iam.refused(providers.patch(name=PROVIDER, body={}, updateMask="disabled"), 400, "FAILED_PRECONDITION")
    provider_done(iam.ok(providers.undelete(name=PROVIDER, body={})))
    pool_done(iam.ok(pools.delete(name=POOL)))
    deleted = iam.ok(pools.get(name=POOL))
    assert deleted["state"] == "DELETED" and deleted["expireTime"], deleted
    iam.refused(pools.patch(name=POOL, body={}, updateMask="disabled"), 400, "FAILED_PRECONDITION")
    assert "workloadIdentityPools" not in iam.ok(pools.list(parent=LOCATION))
    assert len(iam.ok(pools.list(parent=LOCATION, showDeleted=True))["workloadIdentityPools"]) == 1
    pool_done(iam.ok(pools.undelete(name=POOL, body={})))
    iam.ok(accounts.delete(name=ACCOUNT))
    iam.refused(accounts.delete(name=ACCOUNT), 404, "NOT_FOUND")
    policy = crm.ok(projects.getIamPolicy(resource=P, body={}))
    assert f"deleted:serviceAccount:{EMAIL}?uid={unique_id}" in json.dumps(policy), policy
    by_email = f"projects/-/serviceAccounts/{EMAIL}"
    iam.refused(accounts.undelete(name=by_email, body={}), 404, "NOT_FOUND")
    restored = iam.ok(accounts.undelete(name=f"projects/-/serviceAccounts/{unique_id}", body={}))
    assert restored["restoredAccount"]["email"] == EMAIL, restored


def judge_strangers():
    # Without the client's own credentials: it would try to renew them first.
    class Stolen(httplib2.Http):
        def request(self, uri, method="GET", body=None, headers=None, **more):
            return super().request(uri, method, body, {**(headers or {}), "authorization": "Bearer ya29.stolen"}, **more)

    for http in (httplib2.Http(), Stolen()):
        stranger = Judge("iam", "v1", http=http)
        stranger.refused(stranger.client.projects().serviceAccounts().list(name=P), 401, "UNAUTHENTICATED")


judge_projects()
judge_services()
judge_pools()
judge_providers()
unique_id = judge_accounts()
judge_policies()
judge_databases()
judge_endings(unique_id)
judge_strangers()
assert COUNT["refusals"] >= 40, COUNT
print(json.dumps(COUNT))
