"""Azure's own Python clients against a sandbox.

judge.py ENDPOINT TOKEN SUBSCRIPTION MODE

MODE `all`: create, read, change, delete, restore and purge; wrong requests with their codes.
MODE `make NAME`: create an account for someone else to read.
MODE `read NAME`: read an account that someone else created, and print it as JSON.
"""

import json
import sys

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
from azure.mgmt.cognitiveservices import models
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.resource.resources import ResourceManagementClient

ENDPOINT, TOKEN, SUBSCRIPTION, MODE = sys.argv[1:5]
SCOPES = ["https://management.azure.com/.default"]


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
        retry_total=0,
    )


resources = client(ResourceManagementClient)
cognitive = client(CognitiveServicesManagementClient)


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except HttpResponseError as error:
        assert error.error and error.error.code == code, (code, str(error))
        return error
    raise AssertionError(f"{code}: not refused")


def vision(subdomain, sku="S1", **properties):
    return models.Account(
        location="eastus",
        kind="ComputerVision",
        sku=models.Sku(name=sku),
        tags={"team": "a"},
        properties=models.AccountProperties(custom_sub_domain_name=subdomain, **properties),
    )


def groups():
    made = resources.resource_groups.create_or_update("judged", {"location": "West Europe", "tags": {"a": "b"}})
    assert (made.name, made.location, made.tags) == ("judged", "westeurope", {"a": "b"})
    assert made.properties.provisioning_state == "Succeeded"
    assert resources.resource_groups.check_existence("JUDGED")
    assert not resources.resource_groups.check_existence("nobody")
    changed = resources.resource_groups.update("judged", {"tags": {"c": "d"}})
    assert changed.tags == {"c": "d"}
    assert "judged" in [group.name for group in resources.resource_groups.list()]
    resources.resource_groups.begin_delete("judged").result()
    assert not resources.resource_groups.check_existence("judged")


def registration():
    resources.providers.register("Microsoft.CognitiveServices")
    for _ in range(5):
        if resources.providers.get("Microsoft.CognitiveServices").registration_state == "Registered":
            return
    raise AssertionError("never registered")


def accounts():
    resources.resource_groups.create_or_update("vision", {"location": "eastus"})
    made = cognitive.accounts.begin_create("vision", "judged", vision("judged-vision")).result()
    assert made.properties.provisioning_state == "Succeeded", made.properties.provisioning_state
    assert made.properties.endpoint == "https://judged-vision.cognitiveservices.azure.com/"
    assert made.system_data.created_by_type == "User"
    read = cognitive.accounts.get("vision", "judged")
    assert read.etag == made.etag and read.tags == {"team": "a"}
    assert [account.name for account in cognitive.accounts.list()] == ["judged"]
    assert [account.name for account in cognitive.accounts.list_by_resource_group("vision")] == ["judged"]
    assert [one.name for one in resources.resources.list_by_resource_group("vision")] == ["judged"]
    change = models.Account(
        tags={"team": "b"},
        properties=models.AccountProperties(
            network_acls=models.NetworkRuleSet(default_action="Deny", ip_rules=[models.IpRule(value="192.0.2.1")])
        ),
    )
    changed = cognitive.accounts.begin_update("vision", "judged", change).result()
    assert changed.tags == {"team": "b"}
    assert changed.properties.network_acls.ip_rules[0].value == "192.0.2.1"
    before = cognitive.accounts.list_keys("vision", "judged")
    after = cognitive.accounts.regenerate_key("vision", "judged", "Key1")
    assert before.key1 != after.key1 and before.key2 == after.key2
    assert {sku.sku.name for sku in cognitive.accounts.list_skus("vision", "judged").value} == {"F0", "S1"}


def account(**change):
    """A paid account in eastus, but for what is changed."""
    given = {"location": "eastus", "kind": "ComputerVision", "sku": models.Sku(name="S1"), **change}
    return models.Account(**given)


def settings(**properties):
    return account(properties=models.AccountProperties(**properties))


def wrong_requests():
    """What the clients can be made to send, and what it is called."""
    create = lambda body, name="other", group="vision": (cognitive.accounts.begin_create, group, name, body)
    update = lambda body: (cognitive.accounts.begin_update, "vision", "judged", body)
    group = lambda body, name="other": (resources.resource_groups.create_or_update, name, body)
    acls = lambda **rules: settings(network_acls=models.NetworkRuleSet(**rules), custom_sub_domain_name="fresh")
    table = [
        ("CustomDomainInUse", *create(settings(custom_sub_domain_name="Judged-Vision"))),
        ("BadRequest", *create(settings(custom_sub_domain_name="ends-"))),
        ("BadRequest", *create(settings(network_acls=models.NetworkRuleSet(default_action="Deny")))),
        ("BadRequest", *create(acls(ip_rules=[models.IpRule(value="localhost")]))),
        ("LinkedInvalidPropertyId", *create(acls(virtual_network_rules=[models.VirtualNetworkRule(id="subnet")]))),
        ("InvalidRequestContent", *create(acls(default_action="Perhaps"))),
        ("InvalidRequestContent", *create(settings(public_network_access="Perhaps"))),
        ("BadRequest", *create(settings(allowed_fqdn_list=["no name"]))),
        ("CanNotRestoreANonExistingResource", *create(settings(restore=True))),
        ("InvalidApiSetId", *create(account(kind="Computervision"))),
        ("InvalidApiSetId", *create(account(kind=None))),
        ("InvalidSkuId", *create(account(sku=models.Sku(name="S9")))),
        ("InvalidSkuId", *create(account(sku=None))),
        ("LocationRequired", *create(account(location=None))),
        ("LocationNotAvailableForResourceType", *create(account(location="atlantis"))),
        ("InvalidTagNameCharacters", *create(account(tags={"a/b": "c"}))),
        ("InvalidTagValueLength", *create(account(tags={"a": "b" * 257}))),
        ("InvalidTagCount", *create(account(tags={f"tag{n}": "" for n in range(51)}))),
        ("ResourceGroupNotFound", *create(account(), group="nobody")),
        ("InvalidResourceLocation", *create(account(location="westus"), name="judged")),
        ("BadRequest", *create(account(kind="Face"), name="judged")),
        ("BadRequest", *update(models.Account(kind="Face"))),
        ("InvalidSkuId", *update(models.Account(sku=models.Sku(name="S0")))),
        ("BadRequest", *update(settings(custom_sub_domain_name="another"))),
        ("BadRequest", cognitive.accounts.regenerate_key, "vision", "judged", "Key3"),
        ("ResourceNotFound", cognitive.accounts.get, "vision", "nobody"),
        ("ResourceNotFound", cognitive.accounts.list_keys, "vision", "nobody"),
        ("ResourceNotFound", cognitive.accounts.begin_update, "vision", "nobody", models.Account(tags={})),
        ("ResourceNotFound", cognitive.deleted_accounts.get, "eastus", "vision", "nobody"),
        ("LocationRequired", *group({})),
        ("LocationNotAvailableForResourceGroup", *group({"location": "atlantis"})),
        ("InvalidResourceGroupLocation", *group({"location": "westus"}, name="vision")),
        ("InvalidTagNameCharacters", *group({"location": "eastus", "tags": {"a?": "b"}})),
        ("ResourceGroupNotFound", resources.resource_groups.get, "nobody"),
        ("ResourceGroupNotFound", resources.resource_groups.begin_delete, "nobody"),
        ("InvalidResourceNamespace", resources.providers.get, "Microsoft.Nothing"),
    ]
    before = cognitive.accounts.get("vision", "judged").etag
    for code, call, *words in table:
        refused(code, call, *words)
    assert cognitive.accounts.get("vision", "judged").etag == before
    assert [one.name for one in cognitive.accounts.list()] == ["judged"]
    assert [one.name for one in resources.resource_groups.list()] == ["vision"]
    print(len(table), "wrong requests refused", file=sys.stderr)


def deletion():
    cognitive.accounts.begin_delete("vision", "judged").result()
    try:
        cognitive.accounts.get("vision", "judged")
        raise AssertionError("still there")
    except ResourceNotFoundError:
        pass
    deleted = cognitive.deleted_accounts.get("eastus", "vision", "judged")
    assert deleted.type == "Microsoft.CognitiveServices/deletedAccounts"
    assert deleted.properties.scheduled_purge_date
    assert [account.name for account in cognitive.deleted_accounts.list()] == ["judged"]
    try:
        cognitive.accounts.begin_create("vision", "judged", vision("judged-vision")).result()
        raise AssertionError("made anew")
    except ResourceExistsError as error:
        assert error.error.code == "FlagMustBeSetForRestore"
    flag = models.Account(location="eastus", properties=models.AccountProperties(restore=True))
    restored = cognitive.accounts.begin_create("vision", "judged", flag).result()
    assert restored.kind == "ComputerVision" and restored.tags == {"team": "b"}
    cognitive.accounts.begin_delete("vision", "judged").result()
    cognitive.deleted_accounts.begin_purge("eastus", "vision", "judged").result()
    assert list(cognitive.deleted_accounts.list()) == []
    available = cognitive.check_domain_availability("judged-vision", "Microsoft.CognitiveServices/accounts")
    assert available.is_subdomain_available
    resources.resource_groups.begin_delete("vision").result()


if MODE == "all":
    registration()
    groups()
    accounts()
    wrong_requests()
    deletion()
    print("ok")
elif MODE == "make":
    resources.resource_groups.create_or_update("lab", {"location": "eastus"})
    registration()
    cognitive.accounts.begin_create("lab", sys.argv[5], vision(sys.argv[5] + "-made", disable_local_auth=True)).result()
    print("ok")
elif MODE == "read":
    print(json.dumps(cognitive.accounts.get("lab", sys.argv[5]).serialize(keep_readonly=True)))
else:
    raise SystemExit(MODE)
