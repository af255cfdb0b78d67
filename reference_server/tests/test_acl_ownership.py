"""Who may: ACLs of buckets and objects, the owner of a key, and what neither ACL nor policy can give away."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from obs import ACL, Grantee, HeadPermission, ObsClient, Owner, Permission
from obs import Grant as SdkGrant

from reference_server.tests.conftest import hmac_sha1

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Lines, Rig, Server
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
SOURCE = "x-obs-copy-source"
KMS: Lines = ((MODE, "kms"),)
PUBLIC: Lines = (("x-obs-acl", "public-read"),)
HOST: Lines = (("Host", "obs.example.com"),)
OK, DENIED = 200, 403


def code(response: Response) -> tuple[int, str]:
    return response.status, response.content().decode().partition("<Code>")[2].partition("</Code>")[0]


def acl(rig: Rig, method: str, target: str, headers: Lines = (), body: bytes = b"", **how: Any) -> Response:
    return rig.ask(method, f"{target}?acl", headers, body, sub="acl", **how)


def grants(response: Response) -> list[tuple[str, str, str]]:
    """Grantee, permission and, for buckets, whether it is delivered."""
    assert response.status == 200, response.content()
    pattern = (
        r"<Grant><Grantee><(?:ID|Canned)>([^<]+)</(?:ID|Canned)></Grantee><Permission>([^<]+)</Permission>"
        r"(?:<Delivered>([^<]+)</Delivered>)?</Grant>"
    )
    return re.findall(pattern, response.content().decode())


def document(owner: str, *lines: tuple[str, str], extra: str = "") -> bytes:
    inner = "".join(
        f"<Grant><Grantee><{'Canned' if who == 'Everyone' else 'ID'}>{who}</{'Canned' if who == 'Everyone' else 'ID'}></Grantee>"
        f"<Permission>{permission}</Permission></Grant>"
        for who, permission in lines
    )
    return (
        f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>{extra}"
        f"<AccessControlList>{inner}</AccessControlList></AccessControlPolicy>"
    ).encode()


def domain(rig: Rig, role: str = "owner") -> str:
    return rig.identity(role).caller.domain_id


def open_bucket(rig: Rig, *actions: str, principal: Any = "*") -> None:
    """Let everybody do something in the bucket, as far as a policy can."""
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": actions or "*",
        "Resource": ["bucket", "bucket/*"],
    }
    body = json.dumps({"Statement": [statement]}).encode()
    assert rig.ask("PUT", "/bucket?policy", (), body, sub="policy").status == 204


# ---- ACLs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("private", []),
        ("public-read", [("Everyone", "READ", "false")]),
        ("public-read-write", [("Everyone", "READ", "false"), ("Everyone", "WRITE", "false")]),
        ("public-read-delivered", [("Everyone", "READ", "true")]),
    ],
)
def test_canned_acl_of_a_bucket(rig: Rig, name: str, lines: list[Any]) -> None:
    assert acl(rig, "PUT", "/bucket", (("x-obs-acl", name),)).status == 200
    shown = acl(rig, "GET", "/bucket")
    assert shown.first("content-type") == "application/xml"
    assert f"<Owner><ID>{domain(rig)}</ID></Owner>" in shown.content().decode()
    assert grants(shown) == [(domain(rig), "FULL_CONTROL", "false"), *lines]
    assert rig.ask("PUT", "/made-so", (("x-obs-acl", name),)).status == 200
    assert grants(acl(rig, "GET", "/made-so")) == [(domain(rig), "FULL_CONTROL", "false"), *lines]


@pytest.mark.parametrize(("name", "lines"), [("private", []), ("public-read", [("Everyone", "READ", "")])])
def test_canned_acl_of_an_object(rig: Rig, name: str, lines: list[Any]) -> None:
    assert rig.ask("PUT", "/bucket/o", (("x-obs-acl", name),), b"x").status == 200
    assert grants(acl(rig, "GET", "/bucket/o")) == [(domain(rig), "FULL_CONTROL", ""), *lines]
    assert acl(rig, "PUT", "/bucket/o", (("x-obs-acl", "public-read-write"),)).status == 200
    assert [line[1] for line in grants(acl(rig, "GET", "/bucket/o"))] == ["FULL_CONTROL", "READ", "WRITE"]
    assert acl(rig, "PUT", "/bucket/o", (("x-obs-acl", name),)).status == 200
    assert grants(acl(rig, "GET", "/bucket/o"))[1:] == lines
    assert rig.ask("GET", "/bucket/o").content() == b"x"


def test_acl_as_a_document_and_as_grant_headers(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", (), b"x").status == 200
    own, other = domain(rig), domain(rig, "other_account")
    for target in ("/bucket", "/bucket/o"):
        body = document(own, (own, "FULL_CONTROL"), (other, "READ"), ("Everyone", "READ_ACP"))
        assert acl(rig, "PUT", target, (), body).status == 200
        assert [line[:2] for line in grants(acl(rig, "GET", target))] == [
            (own, "FULL_CONTROL"),
            (other, "READ"),
            ("Everyone", "READ_ACP"),
        ]
        assert acl(rig, "PUT", target, (("x-obs-grant-write-acp", f"id={other}"),)).status == 200
        assert [line[:2] for line in grants(acl(rig, "GET", target))][1:] == [(other, "WRITE_ACP")]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "MissingRequestBodyError")),
        (b"x", (400, "MalformedACLError")),
        (b"<Other/>", (400, "MalformedACLError")),
        (b"<AccessControlPolicy/>", (400, "MalformedACLError")),
        (document("{own}", ("Everyone", "EVERYTHING")), (400, "MalformedACLError")),
        (document("{own}", ("", "READ")), (400, "MalformedACLError")),
        (
            document("{own}").replace(b"</AccessControlList>", b"<Grant/></AccessControlList>"),
            (400, "MalformedACLError"),
        ),
        (document("{own}", ("Everyone", "READ")).replace(b"Everyone", b"Nobody"), (400, "MalformedACLError")),
        (document("{own}", extra="<Other/>"), (400, "MalformedACLError")),
        (document("{own}", *[("Everyone", "READ")] * 101), (400, "MalformedACLError")),
        (document("somebody-else"), (403, "AccessDenied")),
    ],
)
def test_acl_that_cannot_be(rig: Rig, body: bytes, answer: tuple[int, str]) -> None:
    assert rig.ask("PUT", "/bucket/o", PUBLIC, b"x").status == 200
    body = body.replace(b"{own}", domain(rig).encode())
    assert code(acl(rig, "PUT", "/bucket/o", (), body)) == answer
    assert code(acl(rig, "PUT", "/bucket", (), body)) == answer
    assert len(grants(acl(rig, "GET", "/bucket/o"))) == 2


def test_uploader_can_give_the_owner_of_the_bucket_full_control(rig: Rig) -> None:
    assert acl(rig, "PUT", "/bucket", (("x-obs-acl", "public-read-write"),)).status == 200
    canned = (("x-obs-acl", "bucket-owner-full-control"),)
    owner = rig.identity("owner").caller.domain_id
    for role, lines in (("other_account", 2), ("owner", 1)):
        assert rig.ask("PUT", "/bucket/o", canned, b"x", role=role).status == 200
        shown = acl(rig, "GET", "/bucket/o", role=role).content().decode()
        assert (shown.count("<Grant>"), f"<Grantee><ID>{owner}</ID></Grantee>" in shown) == (lines, True)
    assert rig.ask("PUT", "/bucket?acl", canned, sub="acl").status == 400


def test_unknown_canned_name(rig: Rig) -> None:
    assert code(acl(rig, "PUT", "/bucket", (("x-obs-acl", "public"),))) == (400, "InvalidArgument")
    assert code(rig.ask("PUT", "/bucket/o", (("x-obs-acl", "public-read-delivered"),), b"x")) == (
        400,
        "InvalidArgument",
    )
    assert code(acl(rig, "GET", "/bucket/none")) == (404, "NoSuchKey")


def test_private_things_are_private(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", (), b"x").status == 200
    for role in ("other_project", "other_account"):
        for answer in (
            rig.ask("GET", "/bucket/o", role=role),
            rig.ask("PUT", "/bucket/o", (), b"y", role=role),
            rig.ask("DELETE", "/bucket/o", role=role),
            rig.ask("GET", "/bucket", role=role),
            acl(rig, "GET", "/bucket", role=role),
            acl(rig, "PUT", "/bucket", PUBLIC, role=role),
            acl(rig, "GET", "/bucket/o", role=role),
            acl(rig, "PUT", "/bucket/o", PUBLIC, role=role),
        ):
            assert code(answer) == (403, "AccessDenied")
    assert rig.bare("GET", "/bucket/o", HOST).status == 403


def test_plain_public_object_is_readable_by_all(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", PUBLIC, b"x").status == 200
    assert rig.bare("GET", "/bucket/o", HOST).content() == b"x"
    for role in ("other_project", "other_account"):
        assert rig.ask("GET", "/bucket/o", role=role).content() == b"x"
        assert rig.ask("PUT", "/bucket/o", (), b"y", role=role).status == 403
        assert acl(rig, "PUT", "/bucket/o", (("x-obs-acl", "private"),), role=role).status == 403
    assert rig.bare("GET", "/bucket", HOST).status == 403


def test_public_bucket_lets_all_list_and_write(rig: Rig) -> None:
    assert acl(rig, "PUT", "/bucket", (("x-obs-acl", "public-read-write"),)).status == 200
    assert rig.bare("GET", "/bucket", HOST).status == 200
    assert rig.ask("PUT", "/bucket/theirs", (), b"theirs", role="other_account").status == 200
    # What another account has uploaded belongs to that account.
    assert f"<Owner><ID>{domain(rig, 'other_account')}</ID></Owner>".encode() in rig.ask("GET", "/bucket").content()
    assert rig.ask("GET", "/bucket/theirs", role="other_account").content() == b"theirs"
    assert rig.bare("GET", "/bucket/theirs", HOST).status == 403


def test_delivered_grant_reaches_the_objects(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", (), b"x").status == 200
    assert acl(rig, "PUT", "/bucket", (("x-obs-acl", "public-read-delivered"),)).status == 200
    assert rig.bare("GET", "/bucket/o", HOST).content() == b"x"


# ---- public, but under a master key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["default", "custom"])
def test_public_object_under_a_master_key_stays_closed_to_strangers(rig: Rig, key: str) -> None:
    said: Lines = () if key == "default" else ((KEY_ID, rig.made.keys["custom"]),)
    assert rig.ask("PUT", "/bucket/o", (*KMS, *said, *PUBLIC), b"x").status == 200
    for method in ("GET", "HEAD"):
        assert rig.bare(method, "/bucket/o", HOST).status == 403
        assert rig.ask(method, "/bucket/o", role="other_account").status == 403
        # A user of the same account may use its keys.
        assert rig.ask(method, "/bucket/o", role="other_project").status == 200


def test_delivered_grant_does_not_open_it_either(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", KMS, b"x").status == 200
    assert acl(rig, "PUT", "/bucket", (("x-obs-acl", "public-read-delivered"),)).status == 200
    assert rig.bare("GET", "/bucket/o", HOST).status == 403


@pytest.mark.parametrize(("headers", "expected"), [(KMS, DENIED), (((MODE, "AES256"),), OK), ((), OK)])
def test_policy_cannot_give_away_the_use_of_a_key(rig: Rig, headers: Lines, expected: int) -> None:
    assert rig.ask("PUT", "/bucket/o", headers, b"x").status == 200
    open_bucket(rig)
    assert rig.ask("GET", "/bucket/o", role="other_account").status == expected
    assert rig.bare("GET", "/bucket/o", HOST).status == expected
    copied = rig.ask("PUT", "/bucket/copy", ((SOURCE, "/bucket/o"),), role="other_account")
    assert copied.status == expected
    if expected == DENIED:
        assert b"No privilege to this kms operation." in copied.content()


# ---- the owner of the key --------------------------------------------------------------------------------------------


def form(rig: Rig, fields: list[tuple[str, str]], role: str) -> Response:
    identity = rig.identity(role)
    conditions = [{"bucket": "bucket"}, *({name: value} for name, value in fields)]
    policy = base64.b64encode(
        json.dumps({"expiration": "2018-06-06T09:13:21Z", "conditions": conditions}).encode()
    ).decode()
    pairs = [
        *fields,
        ("AccessKeyId", identity.access_key),
        ("policy", policy),
        ("signature", hmac_sha1(identity.secret_key, policy)),
        ("file", "x"),
    ]
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs)
    return rig.bare(
        "POST", "/bucket", (*HOST, ("Content-Type", "multipart/form-data; boundary=b")), f"{body}--b--".encode()
    )


def upload_by(rig: Rig, how: str, fields: Lines, role: str) -> Response:
    if how == "put":
        return rig.ask("PUT", "/bucket/o", fields, b"x", role=role)
    if how == "copy":
        return rig.ask("PUT", "/bucket/o", ((SOURCE, "/bucket/plain"), *fields), role=role)
    if how == "initiate":
        return rig.ask("POST", "/bucket/o?uploads", fields, sub="uploads", role=role)
    return form(rig, [("key", "o"), *fields], role)


@pytest.mark.parametrize("how", ["put", "copy", "initiate", "form"])
@pytest.mark.parametrize(
    ("key", "role", "allowed"),
    [
        ("other_project", "other_project", True),
        ("other_project", "owner", False),
        ("other_project", "other_account", False),
        ("other_account", "other_account", True),
        ("other_account", "owner", False),
        ("other_account", "other_project", False),
        ("custom", "owner", True),
        ("custom", "other_project", True),
        ("custom", "other_account", False),
    ],
)
def test_only_those_who_may_use_a_key_upload_under_it(rig: Rig, how: str, key: str, role: str, allowed: bool) -> None:
    assert rig.ask("PUT", "/bucket/plain", PUBLIC, b"x").status == 200
    open_bucket(rig)
    answer = upload_by(rig, how, (*KMS, (KEY_ID, rig.made.keys[key])), role)
    if allowed:
        assert answer.status == (204 if how == "form" else 200)
        assert (answer.first(MODE), answer.first(KEY_ID)) == ("kms", rig.long_name(key))
    else:
        assert code(answer) == (403, "AccessDenied")
        assert b"No privilege to this kms operation." in answer.content()
    # The same caller is not refused for anything else.
    assert upload_by(rig, how, (), role).status in (200, 204)


@pytest.mark.parametrize(
    ("key", "uploader", "readers"),
    [
        ("other_project", "other_project", {"other_project"}),
        ("other_account", "other_account", {"other_account"}),
        ("custom", "owner", {"owner", "other_project"}),
    ],
)
def test_only_those_who_may_use_a_key_download_what_is_under_it(
    rig: Rig, key: str, uploader: str, readers: set[str]
) -> None:
    open_bucket(rig)
    stored = rig.ask("PUT", "/bucket/o", (*KMS, (KEY_ID, rig.made.keys[key])), b"secret", role=uploader)
    assert stored.status == 200
    for role in ("owner", "other_project", "other_account"):
        got = rig.ask("GET", "/bucket/o", role=role)
        copied = rig.ask("PUT", "/bucket/copy", ((SOURCE, "/bucket/o"),), role=role)
        if role in readers:
            assert (got.status, got.content()) == (200, b"secret")
            assert copied.status == 200
        else:
            for answer in (got, copied):
                assert code(answer) == (403, "AccessDenied")
                assert b"No privilege to this kms operation." in answer.content()
        # HEAD decrypts nothing: the bucket's policy alone decides.
        assert rig.ask("HEAD", "/bucket/o", role=role).first(KEY_ID) == rig.long_name(key)


def test_default_key_is_that_of_the_uploader(rig: Rig) -> None:
    open_bucket(rig)
    stored = rig.ask("PUT", "/bucket/o", KMS, b"secret", role="other_account")
    assert (stored.first(KEY_ID) or "").startswith(f"region:{domain(rig, 'other_account')}:key/")
    assert rig.ask("GET", "/bucket/o", role="other_account").content() == b"secret"
    assert code(rig.ask("GET", "/bucket/o")) == (403, "AccessDenied")


def test_parts_need_the_key_as_well(rig: Rig) -> None:
    open_bucket(rig)
    said = (*KMS, (KEY_ID, rig.made.keys["other_project"]))
    begun = rig.ask("POST", "/bucket/o?uploads", said, sub="uploads", role="other_project")
    upload = begun.content().decode().partition("<UploadId>")[2].partition("<")[0]
    sub = f"partNumber=1&uploadId={upload}"
    assert code(rig.ask("PUT", f"/bucket/o?{sub}", (), b"x", sub=sub)) == (403, "AccessDenied")
    assert rig.ask("PUT", f"/bucket/o?{sub}", (), b"x", sub=sub, role="other_project").status == 200


# ---- the vendor's client -------------------------------------------------------------------------------------------


def test_sdk_sets_and_reads_acls(start: Callable[..., Server]) -> None:
    server = start()
    owner, other = server.target["identities"]["owner"], server.target["identities"]["other_account"]
    client = ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        server=f"http://{server.host}:{server.port}",
        signature="obs",
        path_style=True,
        is_secure=False,
        client_mode="workflow",
    )
    assert client.createBucket("acls").status == 200
    assert client.putContent("acls", "o", "x").status == 200
    assert client.setBucketAcl("acls", aclControl=HeadPermission.PUBLIC_READ).status == 200
    assert [grant.permission for grant in client.getBucketAcl("acls").body.grants] == ["FULL_CONTROL", "READ"]
    grant = SdkGrant(grantee=Grantee(grantee_id=other["domain_id"]), permission=Permission.READ)
    made = ACL(owner=Owner(owner_id=owner["domain_id"]), grants=[grant])
    assert client.setObjectAcl("acls", "o", acl=made).status == 200
    shown = client.getObjectAcl("acls", "o").body
    assert (shown.owner.owner_id, shown.delivered) == (owner["domain_id"], True)
    assert [(line.grantee.grantee_id, line.permission) for line in shown.grants][1:] == [(other["domain_id"], "READ")]
    client.close()
