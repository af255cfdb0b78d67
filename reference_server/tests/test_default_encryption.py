"""Bucket default encryption: the configuration itself, what inherits it, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from obs import ObsClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Rig, Server
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
SOURCE = "x-obs-copy-source"
XMLNS = ' xmlns="http://obs.region.example.com/doc/2015-06-30/"'
OURS = ' xmlns="http://obs.myhwclouds.com/doc/2015-06-30/"'
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def xml(*leaves: tuple[str, str], namespace: str = "") -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in leaves)
    root = "ServerSideEncryptionConfiguration"
    rule = f"<Rule><ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault></Rule>"
    return f"<{root}{namespace}>{rule}</{root}>".encode()


def put(rig: Rig, body: bytes, **how: Any) -> Response:
    return rig.ask("PUT", "/bucket?encryption", (), body, sub="encryption", **how)


def get(rig: Rig, **how: Any) -> Response:
    return rig.ask("GET", "/bucket?encryption", sub="encryption", **how)


def delete(rig: Rig, **how: Any) -> Response:
    return rig.ask("DELETE", "/bucket?encryption", sub="encryption", **how)


def code(response: Response) -> tuple[int, str]:
    return response.status, response.content().decode().partition("<Code>")[2].partition("</Code>")[0]


def fields(response: Response) -> tuple[str | None, str | None]:
    return response.first(MODE), response.first(KEY_ID)


@pytest.mark.parametrize("namespace", ["", XMLNS, OURS])
@pytest.mark.parametrize("form", ["bare", "long", "none"])
def test_configuration_is_kept_and_shown_as_it_was_sent(rig: Rig, namespace: str, form: str) -> None:
    key = {"bare": rig.made.keys["custom"], "long": rig.long_name("custom"), "none": ""}[form]
    leaves = (("SSEAlgorithm", "kms"), ("KMSMasterKeyID", key)) if key else (("SSEAlgorithm", "kms"),)
    stored = put(rig, xml(*leaves, namespace=namespace))
    assert (stored.status, stored.content(), stored.first("content-length")) == (200, b"", "0")
    shown = get(rig)
    assert (shown.status, shown.first("content-type")) == (200, "application/xml")
    assert shown.content().decode() == DECLARATION + xml(*leaves, namespace=OURS).decode()


def test_service_managed_default(rig: Rig) -> None:
    assert put(rig, xml(("SSEAlgorithm", "AES256"))).status == 200
    assert get(rig).content().decode() == DECLARATION + xml(("SSEAlgorithm", "AES256"), namespace=OURS).decode()
    assert fields(rig.ask("PUT", "/bucket/o", (), b"x")) == ("AES256", None)


def test_documented_sample_with_its_blanks_is_read(rig: Rig) -> None:
    body = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<ServerSideEncryptionConfiguration{XMLNS}>
    <Rule>
        <ApplyServerSideEncryptionByDefault>
            <SSEAlgorithm>kms</SSEAlgorithm>
            <KMSMasterKeyID>{rig.made.keys["custom"]}</KMSMasterKeyID>
        </ApplyServerSideEncryptionByDefault>
    </Rule>
</ServerSideEncryptionConfiguration>
"""
    assert put(rig, body.encode()).status == 200


def test_second_configuration_overwrites_the_first(rig: Rig) -> None:
    assert put(rig, xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", rig.made.keys["custom"]))).status == 200
    assert put(rig, xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", rig.made.keys["second"]))).status == 200
    assert fields(rig.ask("PUT", "/bucket/o", (), b"x")) == ("kms", rig.long_name("second"))


def test_delete_removes_the_configuration_and_nothing_else(rig: Rig) -> None:
    assert put(rig, xml(("SSEAlgorithm", "kms"))).status == 200
    assert rig.ask("PUT", "/bucket/old", (), b"x").first(MODE) == "kms"
    for _ in range(2):
        gone = delete(rig)
        assert (gone.status, gone.content(), gone.first("content-length")) == (204, b"", None)
        assert code(get(rig)) == (404, "NoSuchEncryptionConfiguration")
        assert rig.ask("HEAD", "/bucket").status == 200
    assert fields(rig.ask("PUT", "/bucket/new", (), b"x")) == (None, None)
    assert rig.ask("HEAD", "/bucket/old").first(MODE) == "kms"


def test_there_is_none_at_first(rig: Rig) -> None:
    assert code(get(rig)) == (404, "NoSuchEncryptionConfiguration")
    assert code(rig.ask("GET", "/absent?encryption", sub="encryption")) == (404, "NoSuchBucket")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "MissingRequestBodyError")),
        (b"kms", (400, "MalformedXML")),
        (b"<ServerSideEncryptionConfiguration>", (400, "MalformedXML")),
        (b"<Other><Rule/></Other>", (400, "MalformedXML")),
        (b"<ServerSideEncryptionConfiguration/>", (400, "MalformedXML")),
        (b"<ServerSideEncryptionConfiguration><Rule/></ServerSideEncryptionConfiguration>", (400, "MalformedXML")),
        (xml(), (400, "MalformedXML")),
        (xml(("KMSMasterKeyID", "4f1cd4de-ab64-4807-920a-47fc42e7f0d0")), (400, "MalformedXML")),
        (xml(("SSEAlgorithm", "kms"), ("SSEAlgorithm", "AES256")), (400, "MalformedXML")),
        (xml(("SSEAlgorithm", "kms"), ("Other", "x")), (400, "MalformedXML")),
        (xml(("SSEAlgorithm", "kms")).replace(b"</Rule>", b"</Rule><Rule/>"), (400, "MalformedXML")),
        (xml(("SSEAlgorithm", "AES128")), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "aws:kms")), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "KMS")), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "")), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", "alias")), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "AES256"), ("KMSMasterKeyID", "4f1cd4de-ab64-4807-920a-47fc42e7f0d0")), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "kms"), ("ProjectID", "0" * 32)), (400, "InvalidArgument")),
        (xml(("SSEAlgorithm", "kms"), ("KMSDataEncryption", "SM4")), (501, "ServiceNotImplemented")),
        (b'<!DOCTYPE a [<!ENTITY b "kms">]>' + xml(("SSEAlgorithm", "&b;")), (400, "MalformedXML")),
        (b" " * (1024 * 1024 + 1), (400, "EntityTooLarge")),
    ],
)  # fmt: skip
def test_garbage_is_refused_and_changes_nothing(rig: Rig, body: bytes, answer: tuple[int, str]) -> None:
    assert put(rig, xml(("SSEAlgorithm", "AES256"))).status == 200
    assert code(put(rig, body)) == answer
    assert b"<SSEAlgorithm>AES256</SSEAlgorithm>" in get(rig).content()


@pytest.mark.parametrize(
    ("role", "answer"),
    [
        ("unknown", (400, "KMS.NotFoundException")),
        ("deleted", (400, "KMS.NotFoundException")),
        ("disabled", (400, "KMS.DisabledException")),
        ("scheduled", (400, "KMS.DisabledException")),
        ("other_account", (403, "AccessDenied")),
        ("other_project", (403, "AccessDenied")),
    ],
)
def test_key_that_cannot_be_used_is_refused(rig: Rig, role: str, answer: tuple[int, str]) -> None:
    assert code(put(rig, xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", rig.made.keys[role])))) == answer
    assert code(get(rig)) == (404, "NoSuchEncryptionConfiguration")


def test_key_of_another_project_needs_its_project_and_its_owner(rig: Rig) -> None:
    key = ("KMSMasterKeyID", rig.made.keys["other_project"])
    project = ("ProjectID", rig.identity("other_project").caller.project_id)
    assert rig.ask("PUT", "/project-bucket", role="other_project").status == 200

    def ask(*leaves: tuple[str, str]) -> Response:
        body = xml(("SSEAlgorithm", "kms"), *leaves)
        return rig.ask("PUT", "/project-bucket?encryption", (), body, sub="encryption", role="other_project")

    refused = ask(key)
    assert code(refused) == (403, "AccessDenied")
    assert b"No privilege to this kms operation." in refused.content()
    assert ask(key, project).status == 200
    shown = rig.ask("GET", "/project-bucket?encryption", sub="encryption", role="other_project").content()
    assert f"<ProjectID>{project[1]}</ProjectID>".encode() in shown
    stored = rig.ask("PUT", "/project-bucket/o", (), b"x", role="other_project")
    assert fields(stored) == ("kms", rig.long_name("other_project"))
    # The account's administrator may use the bucket, but not the key it inherits (section 4.3, item 5).
    assert code(rig.ask("PUT", "/project-bucket/o", (), b"x")) == (403, "AccessDenied")


def test_strangers_may_neither_see_nor_change_it(rig: Rig) -> None:
    for role in ("other_project", "other_account"):
        assert code(get(rig, role=role)) == (403, "AccessDenied")
        assert code(delete(rig, role=role)) == (403, "AccessDenied")
        assert code(put(rig, xml(("SSEAlgorithm", "kms")), role=role)) == (403, "AccessDenied")


# ---- inheritance ---------------------------------------------------------------------------------------------------


def test_put_and_copy_inherit(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/source", (), b"x").first(MODE) is None
    assert put(rig, xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", rig.made.keys["custom"]))).status == 200
    inherited = ("kms", rig.long_name("custom"))
    assert fields(rig.ask("PUT", "/bucket/o", (), b"x")) == inherited
    assert fields(rig.ask("PUT", "/bucket/copy", ((SOURCE, "/bucket/source"),))) == inherited
    for key in ("o", "copy"):
        assert fields(rig.ask("HEAD", f"/bucket/{key}")) == inherited
    assert fields(rig.ask("HEAD", "/bucket/source")) == (None, None)


def test_own_word_wins(rig: Rig) -> None:
    assert put(rig, xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", rig.made.keys["custom"]))).status == 200
    own = ((MODE, "kms"), (KEY_ID, rig.made.keys["second"]))
    assert fields(rig.ask("PUT", "/bucket/o", own, b"x")) == ("kms", rig.long_name("second"))
    assert fields(rig.ask("PUT", "/bucket/o", ((MODE, "AES256"),), b"x")) == ("AES256", None)
    default = fields(rig.ask("PUT", "/bucket/o", ((MODE, "kms"),), b"x"))
    assert default[0] == "kms"
    assert default[1] not in (None, rig.long_name("custom"))


def test_key_that_is_disabled_later_is_refused_at_the_upload(rig: Rig) -> None:
    from reference_server.keyring import KeyState

    assert put(rig, xml(("SSEAlgorithm", "kms"), ("KMSMasterKeyID", rig.made.keys["custom"]))).status == 200
    keyring = rig.service.world.keyring
    key = keyring.get(rig.made.keys["custom"])
    assert key is not None
    keyring.change_state(key, KeyState.DISABLED)
    assert code(rig.ask("PUT", "/bucket/o", (), b"x")) == (400, "KMS.DisabledException")
    assert code(rig.ask("GET", "/bucket/o")) == (404, "NoSuchKey")


def test_setting_a_default_makes_no_key(rig: Rig) -> None:
    before = len(rig.service.world.keyring.keys())
    assert put(rig, xml(("SSEAlgorithm", "kms"))).status == 200
    assert len(rig.service.world.keyring.keys()) == before
    assert rig.ask("PUT", "/bucket/o", (), b"x").first(MODE) == "kms"
    assert len(rig.service.world.keyring.keys()) == before + 1


# ---- the vendor's client -------------------------------------------------------------------------------------------


def test_sdk_configures_reads_and_removes(start: Callable[..., Server]) -> None:
    server = start()
    owner = server.target["identities"]["owner"]
    client = ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        server=f"http://{server.host}:{server.port}",
        signature="obs",
        path_style=True,
        is_secure=False,
        client_mode="workflow",
    )
    assert client.createBucket("defaults").status == 200
    key = server.target["keys"]["custom"]
    assert client.setBucketEncryption("defaults", "kms", key=key).status == 200
    shown = client.getBucketEncryption("defaults")
    assert (shown.status, shown.body.encryption, shown.body.key) == (200, "kms", key)
    stored = client.putContent("defaults", "o", "x")
    assert (stored.body.sseKms, stored.body.sseKmsKey) == ("kms", f"region:{owner['domain_id']}:key/{key}")
    assert client.setBucketEncryption("defaults", "kms", key=server.target["keys"]["unknown"]).errorCode == (
        "KMS.NotFoundException"
    )
    assert client.deleteBucketEncryption("defaults").status == 204
    absent = client.getBucketEncryption("defaults")
    assert (absent.status, absent.errorCode) == (404, "NoSuchEncryptionConfiguration")
    assert client.putContent("defaults", "o", "x").body.sseKms is None
    client.close()
