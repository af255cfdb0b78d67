"""SSE-C and SSE-OBS over all calls, deletion of many objects, and what a listing shows of encryption."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from obs import (
    CompleteMultipartUploadRequest,
    CompletePart,
    CopyObjectHeader,
    DeleteObjectsRequest,
    GetObjectHeader,
    Object,
    ObsClient,
    PutObjectHeader,
    SseCHeader,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Lines, Rig, Server
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
PREFIX = "x-obs-server-side-encryption-customer-"
SOURCE = "x-obs-copy-source"
BODY = bytes(range(256)) * 20


def customer(key: bytes, md5: str = "", *, prefix: str = PREFIX) -> Lines:
    true = base64.b64encode(hashlib.md5(key).digest()).decode()
    return (
        (f"{prefix}algorithm", "AES256"),
        (f"{prefix}key", base64.b64encode(key).decode()),
        (f"{prefix}key-md5", md5 or true),
    )


def source_of(lines: Lines) -> Lines:
    return tuple((name.replace("x-obs-", "x-obs-copy-source-", 1), value) for name, value in lines)


VENDOR_KEY = base64.b64decode("K7QkYpBkM5+hcs27fsNkUnNVaobncnLht/rCB2o/9Cw=")
VENDOR_MD5 = "4XvB3tbNTN+tIEVa0/fGaQ=="
OWN = customer(VENDOR_KEY, VENDOR_MD5)
OTHER = customer(b"another key, of thirty-two bytes")


def code(response: Response) -> tuple[int, str]:
    return response.status, response.content().decode().partition("<Code>")[2].partition("</Code>")[0]


def shown(response: Response) -> tuple[str | None, ...]:
    names = (MODE, KEY_ID, f"{PREFIX}algorithm", f"{PREFIX}key-md5")
    return tuple(response.first(name) for name in names)


BY_CUSTOMER = (None, None, "AES256", VENDOR_MD5)
BY_SERVICE = ("AES256", None, None, None)
NOT = (None, None, None, None)


# ---- SSE-C ---------------------------------------------------------------------------------------------------------


def test_customer_key_over_put_get_head(rig: Rig) -> None:
    stored = rig.ask("PUT", "/bucket/o", OWN, BODY)
    assert (stored.status, shown(stored)) == (200, BY_CUSTOMER)
    assert stored.first("etag") != f'"{hashlib.md5(BODY).hexdigest()}"'
    head, got = rig.ask("HEAD", "/bucket/o", OWN), rig.ask("GET", "/bucket/o", OWN)
    assert (head.status, shown(head), shown(got), got.content()) == (200, BY_CUSTOMER, BY_CUSTOMER, BODY)
    piece = rig.ask("GET", "/bucket/o", (*OWN, ("range", "bytes=250-259")))
    assert (piece.status, piece.content()) == (206, BODY[250:260])
    for answer in (stored, head, got):
        assert not any(base64.b64encode(VENDOR_KEY).decode() in value for _, value in answer.headers)


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ((), (400, "InvalidRequest")),
        (OTHER, (400, "InvalidEncryptionAlgorithmError")),
        (OWN[:2], (400, "InvalidArgument")),
        (customer(VENDOR_KEY, "HHZSrfZMtS69FCj/xN8ppg=="), (400, "InvalidArgument")),
    ],
)
def test_download_without_the_right_customer_key(rig: Rig, lines: Lines, answer: tuple[int, str]) -> None:
    assert rig.ask("PUT", "/bucket/o", OWN, BODY).status == 200
    assert code(rig.ask("GET", "/bucket/o", lines)) == answer
    head = rig.ask("HEAD", "/bucket/o", lines)
    assert (head.status, head.first("x-obs-error-code")) == answer


@pytest.mark.parametrize(
    "lines",
    [
        *(OWN[:index] + OWN[index + 1 :] for index in range(3)),
        ((OWN[0][0], "AES128"), *OWN[1:]),
        ((OWN[0][0], "kms"), *OWN[1:]),
        customer(b"short"),
        customer(b"x" * 64),
        # The vendor's own sample: one letter of the key differs from the pair of the S3 page (E-20).
        (OWN[0], (OWN[1][0], "K7QkYpBkM5+hca27fsNkUnNVaobncnLht/rCB2o/9Cw="), OWN[2]),
        (OWN[0], (OWN[1][0], "not base64!"), OWN[2]),
        (*OWN, (MODE, "kms")),
        (*OWN, (MODE, "AES256")),
        (*OWN, (KEY_ID, "4f1cd4de-ab64-4807-920a-47fc42e7f0d0")),
    ],
)
def test_faulty_customer_keys_are_refused_at_every_upload(rig: Rig, lines: Lines) -> None:
    assert rig.ask("PUT", "/bucket/source", (), b"x").status == 200
    for answer in (
        rig.ask("PUT", "/bucket/o", lines, BODY),
        rig.ask("PUT", "/bucket/o", ((SOURCE, "/bucket/source"), *lines)),
        rig.ask("POST", "/bucket/o?uploads", lines, sub="uploads"),
    ):
        assert code(answer) == (400, "InvalidArgument")
    assert rig.ask("HEAD", "/bucket/o").status == 404


def test_customer_key_for_what_has_none(rig: Rig) -> None:
    for key, headers in (("plain", ()), ("kms", ((MODE, "kms"),)), ("obs", ((MODE, "AES256"),))):
        assert rig.ask("PUT", f"/bucket/{key}", headers, BODY).status == 200
    assert code(rig.ask("GET", "/bucket/plain", OWN)) == (400, "InvalidRequest")
    for key in ("kms", "obs"):
        assert rig.ask("GET", f"/bucket/{key}", OWN).content() == BODY


@pytest.mark.parametrize("target", [(), OTHER, OWN, ((MODE, "kms"),), ((MODE, "AES256"),)])
def test_copy_of_what_a_customer_key_protects(rig: Rig, target: Lines) -> None:
    assert rig.ask("PUT", "/bucket/source", OWN, BODY).status == 200
    asked = ((SOURCE, "/bucket/source"), *target)
    assert code(rig.ask("PUT", "/bucket/o", asked)) == (400, "InvalidRequest")
    assert code(rig.ask("PUT", "/bucket/o", (*asked, *source_of(OTHER)))) == (400, "InvalidEncryptionAlgorithmError")
    copied = rig.ask("PUT", "/bucket/o", (*asked, *source_of(OWN)))
    assert copied.status == 200
    by_customer = bool(target) and target[0][0].startswith(PREFIX)
    got = rig.ask("GET", "/bucket/o", target if by_customer else ())
    assert (got.content(), shown(got)) == (BODY, shown(copied))
    assert shown(copied)[2:] == (("AES256", dict(target)[f"{PREFIX}key-md5"]) if by_customer else (None, None))


def test_customer_key_beats_the_default_of_the_bucket(rig: Rig) -> None:
    body = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
        b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    assert rig.ask("PUT", "/bucket?encryption", (), body, sub="encryption").status == 200
    assert shown(rig.ask("PUT", "/bucket/o", OWN, BODY)) == BY_CUSTOMER


# ---- SSE-OBS -------------------------------------------------------------------------------------------------------


def test_service_key_over_put_copy_get_head(rig: Rig) -> None:
    aes = ((MODE, "AES256"),)
    before = len(rig.service.world.keyring.keys())
    answers = [
        rig.ask("PUT", "/bucket/o", aes, BODY),
        rig.ask("PUT", "/bucket/copy", ((SOURCE, "/bucket/o"), *aes)),
        *(rig.ask(method, f"/bucket/{key}") for method in ("HEAD", "GET") for key in ("o", "copy")),
    ]
    assert [(answer.status, shown(answer)) for answer in answers] == [(200, BY_SERVICE)] * 6
    assert answers[-1].content() == BODY
    assert len(rig.service.world.keyring.keys()) == before
    assert shown(rig.ask("PUT", "/bucket/plain", ((SOURCE, "/bucket/o"),))) == NOT
    assert rig.ask("GET", "/bucket/plain").content() == BODY


def test_service_key_in_a_signed_url(rig: Rig) -> None:
    url = rig.signed_target("PUT", "/bucket/o", f"{MODE}=AES256")
    assert shown(rig.bare("PUT", url, (("Host", "obs.example.com"),), BODY)) == BY_SERVICE


def test_service_key_takes_no_key_id(rig: Rig) -> None:
    lines = ((MODE, "AES256"), (KEY_ID, rig.made.keys["custom"]))
    assert code(rig.ask("PUT", "/bucket/o", lines, BODY)) == (400, "InvalidArgument")


# ---- overwriting, directives, listings -----------------------------------------------------------------------------


def test_overwriting_without_fields_makes_it_plain(rig: Rig) -> None:
    for headers in (((MODE, "kms"),), ((MODE, "AES256"),), OWN):
        assert rig.ask("PUT", "/bucket/o", headers, BODY).status == 200
        assert rig.ask("PUT", "/bucket/o", (), b"plain").status == 200
        got = rig.ask("GET", "/bucket/o")
        assert (got.content(), shown(got)) == (b"plain", NOT)


@pytest.mark.parametrize(
    ("directive", "colour", "kind"),
    [((), "blue", "text/plain"), ((("x-obs-metadata-directive", "COPY"),), "blue", "text/plain"),
     ((("x-obs-metadata-directive", "REPLACE"),), "red", "binary/octet-stream")],
)  # fmt: skip
def test_metadata_directive(rig: Rig, directive: Lines, colour: str, kind: str) -> None:
    assert (
        rig.ask("PUT", "/bucket/o", (("x-obs-meta-colour", "blue"), ("content-type", "text/plain")), b"x").status == 200
    )
    asked = ((SOURCE, "/bucket/o"), ("x-obs-meta-colour", "red"), (MODE, "kms"), *directive)
    assert rig.ask("PUT", "/bucket/copy", asked).status == 200
    head = rig.ask("HEAD", "/bucket/copy")
    assert (head.first("x-obs-meta-colour"), head.first("content-type"), head.first(MODE)) == (colour, kind, "kms")


def test_unknown_directive(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", (), b"x").status == 200
    asked = ((SOURCE, "/bucket/o"), ("x-obs-metadata-directive", "MOVE"))
    assert code(rig.ask("PUT", "/bucket/copy", asked)) == (400, "InvalidArgument")


def test_onto_itself_only_with_replace_and_never_into_the_clear(rig: Rig) -> None:
    kms, replace = ((MODE, "kms"),), (("x-obs-metadata-directive", "REPLACE"),)
    assert rig.ask("PUT", "/bucket/o", kms, b"x").status == 200
    itself = ((SOURCE, "/bucket/o"),)
    assert rig.ask("PUT", "/bucket/o", (*itself, *kms)).status == 400
    assert rig.ask("PUT", "/bucket/o", (*itself, *replace)).status == 400
    assert rig.ask("PUT", "/bucket/o", (*itself, *replace, (MODE, "AES256"))).status == 200
    assert shown(rig.ask("HEAD", "/bucket/o")) == BY_SERVICE


def test_listing_with_a_delimiter_shows_the_etags_of_the_uploads(rig: Rig) -> None:
    etags = {
        key: rig.ask("PUT", f"/bucket/{key}", headers, BODY).first("etag")
        for key, headers in (("a", OWN), ("b/1", ((MODE, "kms"),)), ("b/2", ()), ("c", ((MODE, "AES256"),)))
    }
    text = rig.ask("GET", "/bucket?delimiter=/").content().decode()
    assert re.findall(r"<Key>([^<]+)</Key>.*?<ETag>([^<]+)</ETag>", text) == [("a", etags["a"]), ("c", etags["c"])]
    assert re.findall(r"<CommonPrefixes><Prefix>([^<]+)<", text) == ["b/"]
    assert b"<Name>bucket</Name>" in rig.ask("GET", "/").content()


# ---- deleting many -------------------------------------------------------------------------------------------------


def delete(rig: Rig, body: bytes, headers: Lines = (), **how: Any) -> Response:
    return rig.ask("POST", "/bucket?delete", headers, body, sub="delete", **how)


def test_many_are_deleted_at_once(rig: Rig) -> None:
    for key in ("a", "b", "c"):
        assert rig.ask("PUT", f"/bucket/{key}", (), b"x").status == 200
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object><Object><Key>b</Key><VersionId>v</VersionId></Object></Delete>"
    md5 = (("content-md5", base64.b64encode(hashlib.md5(body).digest()).decode()),)
    done = delete(rig, body, md5)
    assert done.status == 200
    text = done.content().decode()
    assert re.findall(r"<Deleted><Key>([^<]+)</Key></Deleted>", text) == ["a", "none"]
    assert re.findall(r"<Error><Key>([^<]+)</Key><Code>([^<]+)<", text) == [("b", "NoSuchVersion")]
    assert re.findall(r"<Key>([^<]+)<", rig.ask("GET", "/bucket").content().decode()) == ["b", "c"]
    quiet = delete(rig, b"<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>")
    assert b"<Key>" not in quiet.content()
    encoded = delete(rig, b"<Delete><EncodingType>url</EncodingType><Object><Key>%63</Key></Object></Delete>")
    assert b"<Deleted><Key>c</Key></Deleted>" in encoded.content()
    assert b"<Contents>" not in rig.ask("GET", "/bucket").content()


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "MissingRequestBodyError")),
        (b"<Delete/>", (400, "MalformedXML")),
        (b"<Delete><Other/></Delete>", (400, "MalformedXML")),
        (b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>", (400, "MalformedXML")),
    ],
)
def test_deletion_that_cannot_be_read(rig: Rig, body: bytes, answer: tuple[int, str]) -> None:
    assert code(delete(rig, body)) == answer
    assert code(delete(rig, b"<Delete/>", (("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),))) == (400, "BadDigest")


def test_every_object_is_asked_for_by_itself(rig: Rig) -> None:
    policy = b'{"Statement":[{"Effect":"Allow","Principal":"*","Action":"DeleteObject","Resource":"bucket/open*"}]}'
    assert rig.ask("PUT", "/bucket?policy", (), policy, sub="policy").status == 204
    for key in ("open", "closed"):
        assert rig.ask("PUT", f"/bucket/{key}", (), b"x").status == 200
    body = b"<Delete><Object><Key>open</Key></Object><Object><Key>closed</Key></Object></Delete>"
    text = delete(rig, body, role="other_account").content().decode()
    assert "<Deleted><Key>open</Key></Deleted><Error><Key>closed</Key><Code>AccessDenied</Code>" in text
    assert rig.ask("HEAD", "/bucket/open").status == 404
    assert rig.ask("HEAD", "/bucket/closed").status == 200


# ---- the vendor's client -------------------------------------------------------------------------------------------


def test_sdk_with_customer_keys(start: Callable[..., Server]) -> None:
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
    assert client.createBucket("customers").status == 200
    own, other = (SseCHeader.getInstance(key=letter * 32) for letter in "kl")
    stored = client.putContent("customers", "o", "body", headers=PutObjectHeader(sseHeader=own))
    assert (stored.status, stored.body.sseC, bool(stored.body.sseCKeyMd5)) == (200, "AES256", True)
    got = client.getObject("customers", "o", loadStreamInMemory=True, headers=GetObjectHeader(sseHeader=own))
    assert (got.status, got.body.buffer, got.body.sseC) == (200, b"body", "AES256")
    wrong = client.getObject("customers", "o", loadStreamInMemory=True, headers=GetObjectHeader(sseHeader=other))
    assert (wrong.status, wrong.errorCode) == (400, "InvalidEncryptionAlgorithmError")
    assert client.getObjectMetadata("customers", "o", sseHeader=own).body.sseC == "AES256"
    headers = CopyObjectHeader(destSseHeader=other, sourceSseHeader=own)
    assert client.copyObject("customers", "o", "customers", "copy", headers=headers).status == 200
    got = client.getObject("customers", "copy", loadStreamInMemory=True, headers=GetObjectHeader(sseHeader=other))
    assert got.body.buffer == b"body"
    begun = client.initiateMultipartUpload("customers", "parts", sseHeader=own)
    assert (begun.status, begun.body.sseC) == (200, "AES256")
    upload = begun.body.uploadId
    part = client.uploadPart("customers", "parts", 1, upload, "part", sseHeader=own)
    assert (part.status, part.body.sseC) == (200, "AES256")
    request = CompleteMultipartUploadRequest([CompletePart(1, part.body.etag)])
    done = client.completeMultipartUpload("customers", "parts", upload, request)
    assert (done.status, done.body.sseC) == (200, "AES256")
    got = client.getObject("customers", "parts", loadStreamInMemory=True, headers=GetObjectHeader(sseHeader=own))
    assert got.body.buffer == b"part"
    deleted = client.deleteObjects(
        "customers", DeleteObjectsRequest(False, [Object(key) for key in ("o", "copy", "键")])
    )
    assert [entry.key for entry in deleted.body.deleted] == ["o", "copy", "键"]
    assert [content.key for content in client.listObjects("customers", delimiter="/").body.contents] == ["parts"]
    assert client.getBucketLocation("customers").body.location == "region"
    client.close()
