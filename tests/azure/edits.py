"""An independent client beside mcm: reads with Microsoft's own clients what mcm made, and edits it behind mcm's back.

edits.py ENDPOINT TOKEN SUBSCRIPTION read|EDIT
"""

import json
import sys

from azure.core.credentials import AccessToken
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
from azure.mgmt.cognitiveservices import models
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.resource.resources import ResourceManagementClient

ENDPOINT, TOKEN, SUBSCRIPTION, WHAT = sys.argv[1:]
SCOPES = ["https://management.azure.com/.default"]
NAME = "image-recognition-demo"


class Owner:
    def get_token(self, *scopes, **kwargs):
        return AccessToken(TOKEN, 4102444800)


class Plain(ARMChallengeAuthenticationPolicy):
    """The clients refuse plain HTTP otherwise."""

    def on_request(self, request):
        request.context.options["enforce_https"] = False
        super().on_request(request)


def client(kind):
    return kind(
        Owner(),
        SUBSCRIPTION,
        base_url=ENDPOINT,
        credential_scopes=SCOPES,
        authentication_policy=Plain(Owner(), *SCOPES),
        polling_interval=0,
    )


groups = client(ResourceManagementClient).resource_groups
accounts = client(CognitiveServicesManagementClient).accounts


def the_account():
    return accounts.get(NAME, NAME).serialize(keep_readonly=True)


def update(**change):
    accounts.begin_update(NAME, NAME, models.Account(**change)).result()


def read():
    account, group = the_account(), groups.get(NAME).as_dict()
    for one in (account, group):
        assert one["tags"].pop("mcm:owner"), one
    for volatile in ("etag", "systemData"):
        account.pop(volatile, None)
    # A flag that is off may be left out.
    account["properties"] = {name: value for name, value in account["properties"].items() if value is not False}
    return {"account": account, "group": group}


EDITS = {
    "group-tag": lambda: groups.update(NAME, {"tags": {**groups.get(NAME).tags, "team": "by hand"}}),
    "tag": lambda: update(tags={**the_account()["tags"], "team": "by hand"}),
    "network": lambda: update(properties=models.AccountProperties(public_network_access="Disabled")),
    "keys": lambda: update(properties=models.AccountProperties(disable_local_auth=True)),
    "sku": lambda: update(sku=models.Sku(name="S1")),
}

if WHAT == "read":
    print(json.dumps(read(), sort_keys=True))
else:
    EDITS[WHAT]()
