"""An independent client beside mcm: reads with Google's own client what mcm made, and edits it behind mcm's back.

edits.py ENDPOINT TOKEN PROJECT read|EDIT
"""

import json
import sys

from google.api_core.client_options import ClientOptions
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

ENDPOINT, TOKEN, PROJECT, WHAT = sys.argv[1:]


def client(name, version):
    options = ClientOptions(api_endpoint=ENDPOINT)
    return build(name, version, client_options=options, credentials=Credentials(TOKEN), static_discovery=True)


iam = client("iam", "v1")
pools = iam.projects().locations().workloadIdentityPools()
providers = pools.providers()
accounts = iam.projects().serviceAccounts()
projects = client("cloudresourcemanager", "v3").projects()
databases = client("firestore", "v1").projects().databases()

P = f"projects/{PROJECT}"
ACCOUNT = f"{P}/serviceAccounts/firestore-writer-demo@{PROJECT}.iam.gserviceaccount.com"
DATABASE = f"{P}/databases/image-recognition-demo"
# What changes with every write, or with time.
VOLATILE = {"etag", "updateTime", "earliestVersionTime", "versionRetentionPeriod"}
STRANGER = {"role": "roles/viewer", "members": ["user:stranger@example.org"]}


def the_pool():
    return pools.list(parent=f"{P}/locations/global").execute()["workloadIdentityPools"][0]


def the_provider():
    return providers.list(parent=the_pool()["name"]).execute()["workloadIdentityPoolProviders"][0]


def finish(operation, operations):
    while not operation.get("done"):
        operation = operations.get(name=operation["name"]).execute()
    assert "error" not in operation, operation


def change_pool(body):
    mask = ",".join(body)
    finish(pools.patch(name=the_pool()["name"], body=body, updateMask=mask).execute(), pools.operations())


def change_provider(body):
    mask = ",".join(body)
    finish(providers.patch(name=the_provider()["name"], body=body, updateMask=mask).execute(), providers.operations())


def change_account(body):
    accounts.patch(name=ACCOUNT, body={"serviceAccount": body, "updateMask": ",".join(body)}).execute()


def change_database(body):
    mask = ",".join(body)
    finish(databases.patch(name=DATABASE, body=body, updateMask=mask).execute(), databases.operations())


def account_policy():
    return accounts.getIamPolicy(resource=ACCOUNT, options_requestedPolicyVersion=3).execute()


def project_policy():
    return projects.getIamPolicy(resource=P, body={"options": {"requestedPolicyVersion": 3}}).execute()


def lose_binding():
    policy = account_policy()
    assert [binding["role"] for binding in policy["bindings"]] == ["roles/iam.workloadIdentityUser"], policy
    accounts.setIamPolicy(resource=ACCOUNT, body={"policy": {**policy, "bindings": []}}).execute()


def change_project(bindings):
    policy = project_policy()
    policy["bindings"] = bindings(policy["bindings"])
    projects.setIamPolicy(resource=P, body={"policy": policy}).execute()


def steady(value):
    return {key: item for key, item in value.items() if key not in VOLATILE}


def read():
    return {
        "pool": steady(the_pool()),
        "provider": steady(the_provider()),
        "account": steady(accounts.get(name=ACCOUNT).execute()),
        "binding": account_policy().get("bindings"),
        "grants": sorted(project_policy()["bindings"], key=json.dumps),
        "database": steady(databases.get(name=DATABASE).execute()),
    }


EDITS = {
    "pool": lambda: change_pool({"displayName": "by hand"}),
    "pool-off": lambda: change_pool({"disabled": True}),
    "condition": lambda: change_provider({"attributeCondition": "true"}),
    "mapping": lambda: change_provider(
        {"attributeMapping": {**the_provider()["attributeMapping"], "attribute.extra": "assertion.account"}}
    ),
    "provider-off": lambda: change_provider({"disabled": True}),
    "account": lambda: change_account({"displayName": "by hand"}),
    "account-off": lambda: accounts.disable(name=ACCOUNT, body={}).execute(),
    "binding": lose_binding,
    "grant": lambda: change_project(lambda all: [one for one in all if one["role"] != "roles/datastore.user"]),
    "recovery": lambda: change_database({"pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_ENABLED"}),
    "protection": lambda: change_database({"deleteProtectionState": "DELETE_PROTECTION_ENABLED"}),
    "stranger": lambda: change_project(lambda all: [*all, STRANGER]),
    "no-stranger": lambda: change_project(lambda all: [one for one in all if one != STRANGER]),
}

if WHAT == "read":
    print(json.dumps(read(), sort_keys=True))
else:
    EDITS[WHAT]()
