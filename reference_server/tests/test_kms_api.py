"""The key service: the vendor's own KMS client against the real process, then every rule and refusal in process."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdkkms import v2 as kms

from reference_server import kms_api
from reference_server.admin_api import AdminService
from reference_server.keyring import KEY_QUOTA, KeyState
from reference_server.state.store import State
from reference_server.tests.conftest import Server
from reference_server.wire import Head, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference_server.tests.conftest import Rig

DAY_MS = 24 * 3600 * 1000
KMS = ("x-obs-server-side-encryption", "kms")
KEY_ID = "x-obs-server-side-encryption-kms-key-id"


# ---- by the vendor's client ----------------------------------------------------------------------------------------


class Client:
    """huaweicloudsdkkms as one identity of a running server."""

    def __init__(self, admin: dict[str, Any], role: str) -> None:
        identity = admin["identities"][role]
        credentials = BasicCredentials(identity["access_key"], identity["secret_key"], identity["project_id"])
        self.client = (
            kms.KmsClient.new_builder().with_credentials(credentials).with_endpoint(admin["kms_endpoint"]).build()
        )

    def create(self, alias: str, **words: str) -> str:
        body = kms.CreateKeyRequestBody(key_alias=alias, **words)
        return self.client.create_key(kms.CreateKeyRequest(body=body)).key_info.key_id

    def describe(self, key_id: str) -> Any:
        return self.client.list_key_detail(
            kms.ListKeyDetailRequest(body=kms.OperateKeyRequestBody(key_id=key_id))
        ).key_info

    def ids(self, **words: str) -> list[str]:
        return self.client.list_keys(kms.ListKeysRequest(body=kms.ListKeysRequestBody(**words))).keys

    def enable(self, key_id: str) -> Any:
        return self.client.enable_key(kms.EnableKeyRequest(body=kms.OperateKeyRequestBody(key_id=key_id))).key_info

    def disable(self, key_id: str) -> Any:
        return self.client.disable_key(kms.DisableKeyRequest(body=kms.OperateKeyRequestBody(key_id=key_id))).key_info

    def schedule(self, key_id: str, days: str) -> Any:
        body = kms.ScheduleKeyDeletionRequestBody(key_id=key_id, pending_days=days)
        return self.client.delete_key(kms.DeleteKeyRequest(body=body))

    def cancel(self, key_id: str) -> Any:
        body = kms.OperateKeyRequestBody(key_id=key_id)
        return self.client.cancel_key_deletion(kms.CancelKeyDeletionRequest(body=body))


@pytest.fixture(scope="module")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Any]]]:
    """A server with its key service and a bucket, and its admin file."""
    folder = tmp_path_factory.mktemp("administered")
    server = Server(folder, "--kms-port", "0", "--admin-file", str(folder / "admin.toml"))
    assert oct((folder / "admin.toml").stat().st_mode & 0o777) == "0o600"
    assert server.ask("PUT", "/bucket").status == 200
    yield server, tomllib.loads((folder / "admin.toml").read_text())
    assert server.stop() == (0, "")


def test_key_of_the_vendors_client_encrypts_objects_through_its_whole_life(
    administered: tuple[Server, dict[str, Any]],
) -> None:
    server, admin = administered
    client = Client(admin, "owner")
    key = client.create("my-key", key_description="for a test")
    details = client.describe(key)
    assert (details.key_alias, details.key_description, details.realm) == ("my-key", "for a test", "region")
    assert (details.key_state, details.default_key_flag, details.origin) == ("2", "0", "kms")
    assert details.domain_id == admin["identities"]["owner"]["domain_id"]
    assert key in client.ids()

    def put() -> tuple[int, bytes]:
        answer = server.ask("PUT", "/bucket/o", (KMS, (KEY_ID, key)), b"secret")
        code = re.search(b"<Code>(.*)</Code>", answer.body)
        return answer.status, code[1] if code else b""

    assert put() == (200, b"")
    assert client.disable(key).key_state == "3"
    assert put() == (400, b"KMS.DisabledException")
    assert server.ask("GET", "/bucket/o").status == 400
    assert client.enable(key).key_state == "2"
    assert (put(), server.ask("GET", "/bucket/o").body) == ((200, b""), b"secret")
    assert client.schedule(key, "7").key_state == "4"
    assert put() == (400, b"KMS.DisabledException")
    assert client.cancel(key).key_state == "3"
    assert client.enable(key).key_state == "2"
    assert put() == (200, b"")


def test_default_key_is_listed_once_made_and_is_the_services_own(administered: tuple[Server, dict[str, Any]]) -> None:
    server, admin = administered
    client = Client(admin, "owner")
    before = client.ids()
    stored = server.ask("PUT", "/bucket/o", (KMS,), b"x")
    (default,) = set(client.ids()) - set(before)
    assert (stored.first(KEY_ID) or "").endswith(f":key/{default}")
    assert client.describe(default).key_alias == "obs/default"
    assert client.describe(default).default_key_flag == "1"
    for attempt in (
        lambda: client.disable(default),
        lambda: client.schedule(default, "7"),
        lambda: client.enable(default),
        lambda: client.cancel(default),
    ):
        with pytest.raises(ClientRequestException) as caught:
            attempt()
        assert (caught.value.status_code, caught.value.error_code) == (400, "KMS.0211")


def test_key_outside_the_default_project_is_its_makers_for_both_services(
    administered: tuple[Server, dict[str, Any]],
) -> None:
    server, admin = administered
    owner, colleague, stranger = (Client(admin, role) for role in ("owner", "other_project", "other_account"))
    key = colleague.create("mine")
    assert colleague.describe(key).key_state == "2"
    for client in (owner, stranger):
        assert key not in client.ids()
        with pytest.raises(ClientRequestException) as caught:
            client.describe(key)
        assert (caught.value.status_code, caught.value.error_code) == (404, "KMS.0207")
    assert server.ask("PUT", "/bucket/o", (KMS, (KEY_ID, key)), b"x").status == 403


def test_wrong_secret_is_told_as_the_gateway_tells_it(administered: tuple[Server, dict[str, Any]]) -> None:
    _, admin = administered
    admin = copy.deepcopy(admin)
    admin["identities"]["owner"]["secret_key"] = "not the secret"
    with pytest.raises(ClientRequestException) as caught:
        Client(admin, "owner").ids()
    assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
    assert caught.value.request_id


def test_keys_survive_a_restart_with_their_states(start: Callable[..., Server], tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "data"), "--admin-file", str(tmp_path / "admin.toml"))
    server = start(*options)
    client = Client(tomllib.loads((tmp_path / "admin.toml").read_text()), "owner")
    key = client.create("kept", key_description="über alles")
    client.disable(key)
    assert server.stop() == (0, "")
    start(*options)
    details = Client(tomllib.loads((tmp_path / "admin.toml").read_text()), "owner").describe(key)
    assert (details.key_alias, details.key_description, details.key_state) == ("kept", "über alles", "3")


# ---- in process ------------------------------------------------------------------------------------------------------


class Admin:
    """The key service of a rig, asked in one line with the token."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.service = AdminService(rig.service.world, "the-token", on_bug=rig.bugs.append)

    def project(self, role: str = "owner") -> str:
        return self.rig.identity(role).caller.project_id

    def send(
        self, method: str, path: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> tuple[int, Any]:
        if body:
            headers = (*headers, ("Content-Length", str(len(body))))
        opened = self.service.open(Head(method, path, Headers((("Host", "kms.example.com"), *headers))))
        response = opened if isinstance(opened, Response) else opened.feed(body) or next(opened.finish())
        assert response is not None
        content = response.content()
        return response.status, json.loads(content) if content else None

    def ask(self, operation: str, role: str = "owner", **words: Any) -> tuple[int, Any]:
        path = f"/v1.0/{self.project(role)}/kms/{operation}"
        return self.send("POST", path, json.dumps(words).encode(), (("X-Auth-Token", "the-token"),))

    def refusal(self, operation: str, role: str = "owner", **words: Any) -> tuple[int, str]:
        status, document = self.ask(operation, role, **words)
        return status, document["error"]["error_code"]

    def signed(self, role: str = "owner", *, body: str = "{}", **changes: Any) -> SdkRequest:
        """A request as the vendor's signer makes it."""
        identity = self.rig.identity(role)
        date = datetime.fromtimestamp(self.rig.clock.seconds + changes.pop("off_s", 0), UTC)
        request = SdkRequest(
            method="POST",
            schema="http",
            host="kms.example.com",
            resource_path=changes.pop("path", f"/v1.0/{self.project(role)}/kms/list-keys"),
            query_params=changes.pop("query", []),
            header_params={"Content-Type": "application/json", "X-Sdk-Date": date.strftime("%Y%m%dT%H%M%SZ")},
            body=body,
        )
        return Signer(BasicCredentials(identity.access_key, identity.secret_key, "p")).sign(request)

    def send_signed(self, request: SdkRequest, **replaced: str | None) -> tuple[int, Any]:
        headers = {name.lower(): value for name, value in request.header_params.items()} | {
            name.replace("_", "-"): value for name, value in replaced.items()
        }
        lines = tuple((name, value) for name, value in headers.items() if value is not None and name != "host")
        return self.send("POST", request.uri, request.body, lines)


@pytest.fixture
def admin(rig: Rig) -> Admin:
    return Admin(rig)


def test_every_shape_of_answer(admin: Admin) -> None:
    status, created = admin.ask("create-key", key_alias="a", key_description="d")
    domain_id = admin.rig.identity().caller.domain_id
    key_id = created["key_info"]["key_id"]
    assert (status, created) == (200, {"key_info": {"key_id": key_id, "domain_id": domain_id}})
    milliseconds = str(int(admin.rig.clock.seconds * 1000))
    assert admin.ask("describe-key", key_id=key_id) == (
        200,
        {
            "key_info": {
                "key_id": key_id,
                "domain_id": domain_id,
                "key_alias": "a",
                "realm": "region",
                "key_spec": "AES_256",
                "key_usage": "ENCRYPT_DECRYPT",
                "key_description": "d",
                "creation_date": milliseconds,
                "scheduled_deletion_date": "",
                "key_state": "2",
                "default_key_flag": "0",
                "key_type": "1",
                "expiration_time": "",
                "origin": "kms",
                "key_rotation_enabled": "false",
                "sys_enterprise_project_id": "0",
            }
        },
    )
    assert admin.ask("disable-key", key_id=key_id) == (200, {"key_info": {"key_id": key_id, "key_state": "3"}})
    assert admin.ask("enable-key", key_id=key_id) == (200, {"key_info": {"key_id": key_id, "key_state": "2"}})
    scheduled = admin.ask("schedule-key-deletion", key_id=key_id, pending_days=10)
    assert scheduled == (200, {"key_id": key_id, "key_state": "4"})
    _, described = admin.ask("describe-key", key_id=key_id)
    assert described["key_info"]["scheduled_deletion_date"] == str(int(milliseconds) + 10 * DAY_MS)
    assert admin.ask("cancel-key-deletion", key_id=key_id) == (200, {"key_id": key_id, "key_state": "3"})
    _, described = admin.ask("describe-key", key_id=key_id)
    assert described["key_info"]["scheduled_deletion_date"] == ""


def test_scheduled_key_is_gone_when_its_day_has_come(admin: Admin) -> None:
    key_id = admin.ask("create-key", key_alias="a")[1]["key_info"]["key_id"]
    admin.ask("schedule-key-deletion", key_id=key_id, pending_days="7")
    admin.rig.clock.seconds += 7 * 24 * 3600 - 1
    assert admin.ask("describe-key", key_id=key_id)[0] == 200
    admin.rig.clock.seconds += 1
    for operation in ("describe-key", "enable-key", "cancel-key-deletion"):
        assert admin.refusal(operation, key_id=key_id) == (404, "KMS.0207")
    assert key_id not in admin.ask("list-keys")[1]["keys"]
    assert admin.ask("create-key", key_alias="a")[0] == 200  # its alias is free again
    key = admin.rig.service.world.keyring.get(key_id)
    assert key is not None
    assert key.state is KeyState.DELETED


def test_pages_follow_each_other_to_the_end(admin: Admin) -> None:
    for number in range(5):
        admin.ask("create-key", key_alias=f"page-{number}")
    whole = admin.ask("list-keys")[1]
    assert (whole["truncated"], whole["next_marker"], whole["total"]) == ("false", "", len(whole["keys"]))
    assert [entry["key_id"] for entry in whole["key_details"]] == whole["keys"]
    pages, marker = [], ""
    while True:
        page = admin.ask("list-keys", limit="2", marker=marker)[1]
        assert page["total"] == whole["total"]
        pages += page["keys"]
        marker = page["next_marker"]
        if page["truncated"] == "false":
            break
    assert (pages, marker) == (whole["keys"], "")


def test_list_by_state_holds_that_state_alone(admin: Admin) -> None:
    made = admin.rig.made.keys
    assert admin.ask("list-keys", key_state="3")[1]["keys"] == [made["disabled"]]
    assert admin.ask("list-keys", key_state="4")[1]["keys"] == [made["scheduled"]]
    assert admin.ask("list-keys", key_state="5")[1]["keys"] == []
    assert made["deleted"] not in admin.ask("list-keys")[1]["keys"]


@pytest.mark.parametrize(
    ("operation", "words", "status", "code"),
    [
        ("create-key", {}, 400, "KMS.0204"),
        ("create-key", {"key_alias": None}, 400, "KMS.0204"),
        ("create-key", {"key_alias": ""}, 400, "KMS.1101"),
        ("create-key", {"key_alias": "a b"}, 400, "KMS.1101"),
        ("create-key", {"key_alias": "a" * 256}, 400, "KMS.1101"),
        ("create-key", {"key_alias": "obs/default"}, 400, "KMS.1101"),
        ("create-key", {"key_alias": "evs/default"}, 400, "KMS.1101"),
        ("create-key", {"key_alias": ["a"]}, 400, "KMS.0308"),
        ("create-key", {"key_alias": True}, 400, "KMS.0308"),
        ("create-key", {"key_alias": "custom"}, 400, "KMS.1104"),
        ("create-key", {"key_alias": "a", "key_description": "d" * 256}, 400, "KMS.1103"),
        ("create-key", {"key_alias": "a", "realm": "elsewhere"}, 400, "KMS.1102"),
        ("create-key", {"key_alias": "a", "key_spec": "SM4"}, 400, "KMS.0308"),
        ("create-key", {"key_alias": "a", "key_usage": "SIGN_VERIFY"}, 400, "KMS.0308"),
        ("create-key", {"key_alias": "a", "origin": "external"}, 400, "KMS.0308"),
        ("create-key", {"key_alias": "a", "sequence": "1"}, 400, "KMS.0206"),
        ("list-keys", {"limit": "0"}, 400, "KMS.1601"),
        ("list-keys", {"limit": "1001"}, 400, "KMS.1601"),
        ("list-keys", {"limit": "x"}, 400, "KMS.1601"),
        ("list-keys", {"marker": "-1"}, 400, "KMS.1602"),
        ("list-keys", {"key_state": "6"}, 400, "KMS.0308"),
        ("list-keys", {"key_state": "23"}, 400, "KMS.0308"),
        ("describe-key", {}, 400, "KMS.0204"),
        ("describe-key", {"key_id": "obs/default"}, 400, "KMS.0205"),
        ("describe-key", {"key_id": "{custom}\n"}, 400, "KMS.0205"),
        ("describe-key", {"key_id": "{unknown}"}, 404, "KMS.0207"),
        ("describe-key", {"key_id": "{deleted}"}, 404, "KMS.0207"),
        ("describe-key", {"key_id": "{other_account}"}, 404, "KMS.0207"),
        ("describe-key", {"key_id": "{other_project}"}, 404, "KMS.0207"),
        ("enable-key", {"key_id": "{custom}"}, 400, "KMS.1201"),
        ("enable-key", {"key_id": "{scheduled}"}, 400, "KMS.0210"),
        ("disable-key", {"key_id": "{disabled}"}, 400, "KMS.1301"),
        ("disable-key", {"key_id": "{scheduled}"}, 400, "KMS.0210"),
        ("disable-key", {"key_id": "{unknown}"}, 404, "KMS.0207"),
        ("schedule-key-deletion", {"key_id": "{custom}"}, 400, "KMS.0204"),
        ("schedule-key-deletion", {"key_id": "{custom}", "pending_days": "6"}, 400, "KMS.1401"),
        ("schedule-key-deletion", {"key_id": "{custom}", "pending_days": "1097"}, 400, "KMS.1401"),
        ("schedule-key-deletion", {"key_id": "{custom}", "pending_days": "7.5"}, 400, "KMS.1401"),
        ("schedule-key-deletion", {"key_id": "{scheduled}", "pending_days": "7"}, 400, "KMS.1402"),
        ("cancel-key-deletion", {"key_id": "{custom}"}, 400, "KMS.1501"),
        ("cancel-key-deletion", {"key_id": "{disabled}"}, 400, "KMS.1501"),
    ],
)
def test_refusal_has_its_documented_code(
    admin: Admin, operation: str, words: dict[str, Any], status: int, code: str
) -> None:
    filled = {
        name: value.format(**admin.rig.made.keys) if isinstance(value, str) else value for name, value in words.items()
    }
    before = admin.rig.service.world.keyring.keys()
    assert admin.refusal(operation, **filled) == (status, code)
    assert admin.rig.service.world.keyring.keys() == before


@pytest.mark.parametrize("days", ["7", "1096", 7, 1096])
def test_bounds_of_the_pending_days_are_allowed(admin: Admin, days: object) -> None:
    assert admin.ask("schedule-key-deletion", key_id=admin.rig.made.keys["custom"], pending_days=days)[0] == 200


def test_account_has_a_hundred_custom_keys_and_no_more(admin: Admin) -> None:
    had = admin.ask("list-keys")[1]["total"] + 1  # the colleague's key is not seen but counts
    for number in range(KEY_QUOTA - had):
        assert admin.ask("create-key", key_alias=f"k{number}")[0] == 200
    assert admin.refusal("create-key", key_alias="one-more") == (400, "KMS.1105")
    assert admin.ask("create-key", role="other_account", key_alias="theirs")[0] == 200


def test_codes_are_those_of_the_table() -> None:
    with pytest.raises(KeyError):
        kms_api.KmsError("KMS.9999")
    assert set(kms_api.OPERATIONS) == {
        "create-key",
        "list-keys",
        "describe-key",
        "enable-key",
        "disable-key",
        "schedule-key-deletion",
        "cancel-key-deletion",
    }


# ---- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/", b"", "KMS.0201"),
        ("POST", "/v1.0/{project}/kms/none-such", b"{{}}", "KMS.0201"),
        ("GET", "/v1.0/{project}/kms/list-keys", b"", "KMS.0201"),
        ("POST", "/v2/{project}/kms/list-keys", b"{{}}", "KMS.0201"),
        ("POST", "/v1.0/{project}/kms/list-keys/", b"{{}}", "KMS.0201"),
        ("POST", "/v1.0/{project}/kms/list-keys", b"{{", "KMS.0202"),
        ("POST", "/v1.0/{project}/kms/list-keys", b"[]", "KMS.0202"),
        ("POST", "/v1.0/{project}/kms/list-keys", b"\xff", "KMS.0202"),
        ("POST", "/v1.0/{project}/kms/list-keys", b"[" * 60_000, "KMS.0202"),
        ("POST", "/v1.0/{project}/kms/list-keys", b" " * 65_537, "KMS.0203"),
        ("POST", "/v1.0/nobody/kms/list-keys", b"{{}}", "KMS.0306"),
        ("GET", "/v3/users?a=%ff", b"", "KMS.0201"),
    ],
)
def test_bad_call_is_refused_before_anything_is_done(
    admin: Admin, method: str, path: str, body: bytes, code: str
) -> None:
    token = (("X-Auth-Token", "the-token"),)
    status, document = admin.send(method, path.format(project=admin.project()), body.replace(b"{{", b"{"), token)
    assert (status, document["error"]["error_code"]) == (kms_api.STATUS_AND_TEXT[code][0], code)
    assert admin.rig.bugs == []


def test_wrong_token_and_none_are_refused(admin: Admin) -> None:
    path = f"/v1.0/{admin.project()}/kms/list-keys"
    for headers, code in (
        ((("X-Auth-Token", "another"),), "KMS.0301"),
        ((("X-Auth-Token", ""),), "KMS.0301"),
        ((("X-Auth-Token", "the-token"), ("X-Auth-Token", "the-token")), "KMS.0301"),
        ((), "APIGW.0301"),
        ((("Authorization", "OBS AK:signature"),), "APIGW.0301"),
    ):
        status, document = admin.send("POST", path, b"{}", headers)
        assert (status, document["error"]["error_code"]) == (401, code)


def test_signature_of_the_vendors_signer_is_accepted(admin: Admin) -> None:
    assert admin.send_signed(admin.signed())[0] == 200
    assert admin.send_signed(admin.signed(body='{"limit": "2"}'))[1]["truncated"] == "true"
    assert admin.send_signed(admin.signed(query=[("b", "2 ~"), ("a", "ü/"), ("b", "1")]))[0] == 200
    assert admin.send_signed(admin.signed(off_s=890))[0] == 200


@pytest.mark.parametrize(
    ("replaced", "says"),
    [
        ({"content_type": "text/plain"}, "does not match"),
        ({"content_type": None}, "content-type is not there exactly once"),
        ({"x_sdk_date": "20180606T090822Z"}, "does not match"),
        ({"x_sdk_date": "20180606"}, "not YYYYMMDDTHHMMSSZ"),
        ({"x_sdk_date": "20181306T090822Z"}, "is no date"),
        ({"x_sdk_content_sha256": "UNSIGNED-PAYLOAD"}, "not the digest of the body"),
        ({"authorization": "SDK-HMAC-SHA256 Access=a"}, "Authorization is not"),
        ({"authorization": f"SDK-HMAC-SHA256 Access=A, SignedHeaders=host, Signature={'0' * 64}"}, "x-sdk-date is not"),
        (
            {"authorization": f"SDK-HMAC-SHA256 Access=A, SignedHeaders=x-sdk-date, Signature={'0' * 64}"},
            "host is not among",
        ),
        (
            {"authorization": f"SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature={'0' * 64}"},
            "access key is not known",
        ),
    ],
)
def test_altered_request_is_refused(admin: Admin, replaced: dict[str, str | None], says: str) -> None:
    status, document = admin.send_signed(admin.signed(), **replaced)
    assert (status, document["error"]["error_code"]) == (401, "APIGW.0301")
    assert says in document["error"]["error_msg"]


def test_body_path_and_date_are_covered(admin: Admin) -> None:
    request = admin.signed()
    request.body = b'{"limit": "1"}'
    assert admin.send_signed(request)[0] == 401
    request = admin.signed()
    request.uri += "?limit=1"
    assert admin.send_signed(request)[0] == 401
    assert admin.send_signed(admin.signed(off_s=-901))[0] == 401
    assert admin.send_signed(admin.signed(off_s=901))[0] == 401


def test_project_in_the_path_must_be_the_signers_own(admin: Admin) -> None:
    status, document = admin.send_signed(admin.signed(path=f"/v1.0/{admin.project('other_project')}/kms/list-keys"))
    assert (status, document["error"]["error_code"]) == (403, "KMS.0306")


# ---- users -------------------------------------------------------------------------------------------------------------

TOKEN = (("X-Auth-Token", "the-token"),)
CREDENTIALS = "/v3.0/OS-CREDENTIAL/credentials"


def test_new_user_can_use_both_services_at_once(admin: Admin) -> None:
    owner = admin.rig.identity().caller
    body = json.dumps({"user": {"name": "new", "domain_id": owner.domain_id}}).encode()
    status, made = admin.send("POST", "/v3/users", body, TOKEN)
    assert status == 201
    assert made["user"] == {
        "id": made["user"]["id"],
        "name": "new",
        "domain_id": owner.domain_id,
        "default_project_id": owner.project_id,
        "administrator": False,
        "enabled": True,
    }
    admin.rig.made.identities["new"] = made["credential"]["access"]
    assert admin.rig.identity("new").secret_key == made["credential"]["secret"]
    assert admin.rig.ask("GET", "/", role="new").status == 200
    assert admin.send_signed(admin.signed("new"))[0] == 200
    assert admin.send("POST", "/v3/users", body, TOKEN)[0] == 409


def test_key_outside_the_default_project_is_not_its_makers_colleagues(admin: Admin) -> None:
    maker = admin.rig.identity("other_project").caller
    user = {"name": "next-door", "domain_id": maker.domain_id, "default_project_id": maker.project_id}
    _, made = admin.send("POST", "/v3/users", json.dumps({"user": user}).encode(), TOKEN)
    admin.rig.made.identities["next-door"] = made["credential"]["access"]
    key = admin.rig.made.keys["other_project"]
    assert admin.send_signed(admin.signed("other_project"))[1]["keys"] == [key]
    assert admin.send_signed(admin.signed("next-door"))[1]["keys"] == []
    assert admin.ask("list-keys", role="other_project")[1]["keys"] == [key]  # the token stands for the maker


def test_user_of_a_new_account_administers_it(admin: Admin) -> None:
    _, made = admin.send("POST", "/v3/users", b'{"user": {"name": "boss"}}', TOKEN)
    assert made["user"]["administrator"] is True
    body = json.dumps({"user": {"name": "clerk", "domain_id": made["user"]["domain_id"]}}).encode()
    _, second = admin.send("POST", "/v3/users", body, TOKEN)
    assert second["user"]["administrator"] is False
    assert second["user"]["default_project_id"] == made["user"]["default_project_id"]


def test_access_keys_come_and_go_and_secrets_are_told_once(admin: Admin) -> None:
    user_id = admin.rig.identity().caller.user_id
    body = json.dumps({"credential": {"user_id": user_id}}).encode()
    status, made = admin.send("POST", CREDENTIALS, body, TOKEN)
    assert status == 201
    access = made["credential"]["access"]
    status, listed = admin.send("GET", f"{CREDENTIALS}?user_id={user_id}", b"", TOKEN)
    assert [entry["access"] for entry in listed["credentials"]] == [admin.rig.identity().access_key, access]
    assert made["credential"]["secret"] not in json.dumps(listed)
    one = admin.send("GET", f"{CREDENTIALS}/{access}", b"", TOKEN)
    assert one == (200, {"credential": {"access": access, "user_id": user_id, "status": "active"}})
    admin.rig.made.identities["second"] = access
    identity = admin.rig.identity("second")
    assert admin.rig.ask("GET", "/", role="second").status == 200
    assert admin.send("DELETE", f"{CREDENTIALS}/{access}", b"", TOKEN) == (204, None)
    assert admin.send("DELETE", f"{CREDENTIALS}/{access}", b"", TOKEN)[0] == 404
    admin.rig.service.world.directory.remove(access)
    assert identity not in admin.rig.state.identities.load()
    assert isinstance(admin.rig.state, State)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v3/users", b"{}", 400),
        ("POST", "/v3/users", b'{"user": []}', 400),
        ("POST", "/v3/users", b'{"user": {"name": ""}}', 400),
        ("POST", "/v3/users", b'{"user": {"name": "a", "domain_id": "short"}}', 400),
        ("POST", "/v3/users", b'{"user": {"name": "a", "default_project_id": 7}}', 400),
        ("PUT", "/v3/users", b"", 405),
        ("POST", CREDENTIALS, b'{"credential": {"user_id": "nobody"}}', 404),
        ("PATCH", f"{CREDENTIALS}/x", b"", 405),
        ("GET", f"{CREDENTIALS}/x", b"", 404),
    ],
)
def test_bad_administration_is_refused(admin: Admin, method: str, path: str, body: bytes, status: int) -> None:
    got, document = admin.send(method, path, body, TOKEN)
    assert (got, document["error"]["code"]) == (status, status)
    assert admin.rig.bugs == []


def test_users_cannot_administer_users(admin: Admin) -> None:
    for headers in ((), (("X-Auth-Token", "guess"),)):
        assert admin.send("GET", "/v3/users", b"", headers)[0] == 401
    assert admin.send_signed(admin.signed(path="/v3/users"))[0] == 401


def test_users_are_listed_without_secrets(admin: Admin) -> None:
    _, document = admin.send("GET", "/v3/users", b"", TOKEN)
    assert [entry["name"] for entry in document["users"]] == ["owner", "other_account", "other_project"]
    assert all(admin.rig.identity(role).secret_key not in json.dumps(document) for role in admin.rig.made.identities)
