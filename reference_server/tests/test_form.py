"""POST forms: how they are read, signed and covered by their policy, and what they store and answer."""

from __future__ import annotations

import base64
import hashlib
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from obs import ObsClient

from reference_server.errors import ObsError
from reference_server.formdata import MAX_FIELDS_BYTES, Field, FileBegins, FormReader, boundary_of
from reference_server.tests.conftest import hmac_sha1

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Rig, Server
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
BODY = b"01234567890"
LATER, EARLIER = "2018-06-06T09:13:21Z", "2018-06-06T09:08:20Z"
HOST = ("Host", "obs.example.com")

Pairs = list[tuple[str, str]]


def encode(
    pairs: Pairs, file: bytes | None = BODY, *, boundary: str = "7db143f50da2", after: Pairs | None = None
) -> bytes:
    def one(name: str, value: bytes, more: str = "") -> bytes:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        return head.encode() + value + b"\r\n"

    body = b"".join(one(name, value.encode()) for name, value in pairs)
    if file is not None:
        body += one("file", file, '; filename="my file.txt"\r\nContent-Type: text/plain')
    body += b"".join(one(name, value.encode()) for name, value in after or [])
    return body + f"--{boundary}--\r\n".encode()


def policy_for(pairs: Pairs, *, expiration: str = LATER, more: list[Any] | None = None) -> str:
    conditions: list[Any] = [{"bucket": "bucket"}, *({name: value} for name, value in pairs), *(more or [])]
    return base64.b64encode(json.dumps({"expiration": expiration, "conditions": conditions}).encode()).decode()


def signed(rig: Rig, pairs: Pairs, policy: str | None = None, *, role: str = "owner") -> Pairs:
    policy = policy_for(pairs) if policy is None else policy
    identity = rig.identity(role)
    signature = hmac_sha1(identity.secret_key, policy)
    return [*pairs, ("AccessKeyId", identity.access_key), ("policy", policy), ("signature", signature)]


def send(
    rig: Rig, body: bytes, *, boundary: str = "7db143f50da2", target: str = "/bucket", lines: Any = ()
) -> Response:
    return rig.bare("POST", target, (HOST, ("Content-Type", f"multipart/form-data; boundary={boundary}"), *lines), body)


def post(rig: Rig, pairs: Pairs, policy: str | None = None, *, file: bytes = BODY, role: str = "owner") -> Response:
    return send(rig, encode(signed(rig, pairs, policy, role=role), file))


def code(response: Response) -> tuple[int, str]:
    return response.status, response.content().decode().partition("<Code>")[2].partition("</Code>")[0]


def fields(response: Response) -> tuple[str | None, str | None]:
    return response.first(MODE), response.first(KEY_ID)


KEY = ("key", "object01")


# ---- storing -------------------------------------------------------------------------------------------------------


def test_form_stores_an_object(rig: Rig) -> None:
    stored = post(
        rig, [KEY, ("content-type", "text/plain"), ("x-obs-meta-colour", "blue"), ("Cache-Control", "no-store")]
    )
    assert (stored.status, stored.content(), stored.first("content-length")) == (204, b"", None)
    assert stored.first("etag") == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert stored.first("location") == "http://obs.example.com/bucket/object01"
    got = rig.ask("GET", "/bucket/object01")
    assert (got.content(), got.first("content-type")) == (BODY, "text/plain")
    assert (got.first("x-obs-meta-colour"), got.first("cache-control")) == ("blue", "no-store")


@pytest.mark.parametrize("key", ["bare", "long", "default"])
def test_mode_and_key_as_fields(rig: Rig, key: str) -> None:
    said = {"bare": [(KEY_ID, rig.made.keys["custom"])], "long": [(KEY_ID, rig.long_name("custom"))], "default": []}[
        key
    ]
    stored = post(rig, [KEY, (MODE, "kms"), *said])
    assert stored.status == 204
    shown = fields(stored)
    assert shown[0] == "kms"
    if said:
        assert shown[1] == rig.long_name("custom")
    assert fields(rig.ask("HEAD", "/bucket/object01")) == shown
    assert rig.ask("GET", "/bucket/object01").content() == BODY
    assert stored.first("etag") != f'"{hashlib.md5(BODY).hexdigest()}"'


def test_mode_in_a_header_of_the_form_is_not_a_field(rig: Rig) -> None:
    body = encode(signed(rig, [KEY]))
    assert fields(send(rig, body, lines=((MODE, "kms"),))) == (None, None)


def test_customer_key_as_fields(rig: Rig) -> None:
    own = [
        ("x-obs-server-side-encryption-customer-algorithm", "AES256"),
        ("x-obs-server-side-encryption-customer-key", "K7QkYpBkM5+hcs27fsNkUnNVaobncnLht/rCB2o/9Cw="),
        ("x-obs-server-side-encryption-customer-key-md5", "4XvB3tbNTN+tIEVa0/fGaQ=="),
    ]
    stored = post(rig, [KEY, *own])
    assert (stored.status, stored.first(own[0][0]), stored.first(own[2][0])) == (204, "AES256", own[2][1])
    assert rig.ask("GET", "/bucket/object01", tuple(own)).content() == BODY
    assert rig.ask("GET", "/bucket/object01").status == 400


def test_form_inherits_the_default_of_the_bucket(rig: Rig) -> None:
    body = (
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
        f"<KMSMasterKeyID>{rig.made.keys['custom']}</KMSMasterKeyID>"
        "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    assert rig.ask("PUT", "/bucket?encryption", (), body.encode(), sub="encryption").status == 200
    assert fields(post(rig, [KEY])) == ("kms", rig.long_name("custom"))
    assert fields(post(rig, [KEY, (MODE, "AES256")])) == ("AES256", None)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([(MODE, "KMS")], (400, "InvalidArgument")),
        ([(MODE, "kms"), (MODE, "AES256")], (400, "InvalidPolicyDocument")),
        ([(KEY_ID, "{custom}")], (400, "InvalidArgument")),
        ([(MODE, "kms"), (KEY_ID, "{unknown}")], (400, "KMS.NotFoundException")),
        ([(MODE, "kms"), (KEY_ID, "{disabled}")], (400, "KMS.DisabledException")),
        ([(MODE, "kms"), (KEY_ID, "{other_account}")], (403, "AccessDenied")),
        ([(MODE, "kms"), (KEY_ID, "{other_project}")], (403, "AccessDenied")),
        ([("x-obs-acl", "nonsense")], (400, "InvalidArgument")),
        ([("x-obs-storage-class", "HOT")], (400, "InvalidArgument")),
    ],
)
def test_fields_that_cannot_be_met(rig: Rig, said: Pairs, answer: tuple[int, str]) -> None:
    keys = {"{" + role + "}": key for role, key in rig.made.keys.items()}
    assert code(post(rig, [KEY, *((name, keys.get(value, value)) for name, value in said)])) == answer
    assert rig.ask("HEAD", "/bucket/object01").status == 404


def test_field_names_in_any_case(rig: Rig) -> None:
    identity = rig.identity()
    policy = policy_for([("KEY", "o"), (MODE.upper(), "kms")])
    pairs = [
        ("Key", "o"),
        (MODE.title(), "kms"),
        ("ACCESSKEYID", identity.access_key),
        ("Policy", policy),
        ("SIGNATURE", hmac_sha1(identity.secret_key, policy)),
    ]
    assert fields(send(rig, encode(pairs)))[0] == "kms"


def test_newer_name_of_the_access_key(rig: Rig) -> None:
    pairs = [("ObsAccessKeyId" if name == "AccessKeyId" else name, value) for name, value in signed(rig, [KEY])]
    assert send(rig, encode(pairs)).status == 204


def test_token_takes_precedence(rig: Rig) -> None:
    identity, policy = rig.identity(), policy_for([KEY])
    token = f"{identity.access_key}:{hmac_sha1(identity.secret_key, policy)}:{policy}"
    pairs = [KEY, ("token", token), ("AccessKeyId", "nobody"), ("policy", "x"), ("signature", "x")]
    assert send(rig, encode(pairs)).status == 204


def test_name_of_the_file_stands_for_itself(rig: Rig) -> None:
    stored = post(rig, [("key", "up/${filename}")])
    assert stored.first("location") == "http://obs.example.com/bucket/up/my%20file.txt"
    assert rig.ask("GET", "/bucket/up/my%20file.txt").content() == BODY


def test_fields_after_the_file_do_not_count(rig: Rig) -> None:
    body = encode(signed(rig, [KEY]), after=[("submit", "Upload"), (MODE, "kms")])
    assert fields(send(rig, body)) == (None, None)


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"\r\n--7db143f50da", b"--7db143f50da2", b"\r\n-", bytes(range(256)) * 999]
)
def test_files_of_all_kinds(rig: Rig, content: bytes) -> None:
    assert post(rig, [KEY], file=content).status == 204
    assert rig.ask("GET", "/bucket/object01").content() == content


# ---- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "status"), [("200", 200), ("204", 204), ("201", 201), ("202", 204), ("x", 204)])
def test_status_that_was_asked_for(rig: Rig, wanted: str, status: int) -> None:
    stored = post(rig, [KEY, ("success_action_status", wanted), (MODE, "kms")])
    assert (stored.status, stored.first(MODE)) == (status, "kms")
    if status != 201:
        assert stored.content() == b""
        return
    etag = stored.first("etag")
    assert stored.first("content-type") == "application/xml"
    assert (
        stored.content()
        .decode()
        .endswith(
            "<Location>http://obs.example.com/bucket/object01</Location><Bucket>bucket</Bucket><Key>object01</Key>"
            f"<ETag>{etag}</ETag></PostResponse>"
        )
    )


@pytest.mark.parametrize(
    ("redirect", "start"),
    [
        ("http://www.example.com/", "http://www.example.com/?bucket="),
        ("https://e.com/?a=b", "https://e.com/?a=b&bucket="),
    ],
)
def test_redirect_that_was_asked_for(rig: Rig, redirect: str, start: str) -> None:
    stored = post(rig, [KEY, ("success_action_redirect", redirect), ("success_action_status", "201")])
    etag = (stored.first("etag") or "").strip('"')
    assert stored.status == 303
    assert stored.first("location") == f"{start}bucket&key=object01&etag=%22{etag}%22"


def test_redirect_that_is_no_url_is_ignored(rig: Rig) -> None:
    assert post(rig, [KEY, ("success_action_redirect", "javascript:alert(1)")]).status == 204


# ---- policy and signature ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field", [(MODE, "kms"), ("x-obs-acl", "public-read"), ("x-obs-meta-a", "b"), ("content-type", "a/b")]
)
def test_field_without_a_condition_is_refused(rig: Rig, field: tuple[str, str]) -> None:
    assert code(post(rig, [KEY, field], policy_for([KEY]))) == (400, "InvalidPolicyDocument")
    assert rig.ask("HEAD", "/bucket/object01").status == 404


def test_fields_that_need_no_condition(rig: Rig) -> None:
    pairs = [KEY, ("x-ignore-this", "x"), ("submit", "Upload")]
    assert post(rig, pairs, policy_for([KEY])).status == 204


@pytest.mark.parametrize(
    ("conditions", "file", "answer"),
    [
        ([["eq", "$key", "object01"]], BODY, (204, "")),
        ([["eq", "$key", "other"]], BODY, (400, "InvalidPolicyDocument")),
        ([["starts-with", "$key", "obj"]], BODY, (204, "")),
        ([["starts-with", "$key", ""]], BODY, (204, "")),
        ([["Starts-With", "$KEY", "object"]], BODY, (204, "")),
        ([["starts-with", "$key", "x"]], BODY, (400, "InvalidPolicyDocument")),
        ([{"key": "object01"}, {"bucket": "bucket"}], BODY, (204, "")),
        ([{"key": "object01"}, {"bucket": "other"}], BODY, (400, "InvalidPolicyDocument")),
        ([{"key": "object01"}, ["starts-with", "$bucket", ""]], BODY, (204, "")),
        ([{"key": "object01"}, {MODE: "kms"}], BODY, (400, "InvalidPolicyDocument")),
        ([{"key": "object01"}, ["content-length-range", 6, 11]], BODY, (204, "")),
        ([{"key": "object01"}, ["content-length-range", 6, 10]], BODY, (400, "EntityTooLarge")),
        ([{"key": "object01"}, ["content-length-range", 12, 20]], BODY, (400, "EntityTooSmall")),
        ([{"key": "object01"}, ["content-length-range", "6", "10"]], BODY, (400, "InvalidPolicyDocument")),
        ([{"key": "object01"}, ["matches", "$key", "x"]], BODY, (400, "InvalidPolicyDocument")),
        ([{"key": "object01"}, "nonsense"], BODY, (400, "InvalidPolicyDocument")),
        ([{"key": 1}], BODY, (400, "InvalidPolicyDocument")),
        ([], BODY, (400, "InvalidPolicyDocument")),
    ],
)
def test_conditions(rig: Rig, conditions: list[Any], file: bytes, answer: tuple[int, str]) -> None:
    policy = base64.b64encode(json.dumps({"expiration": LATER, "conditions": conditions}).encode()).decode()
    assert code(post(rig, [KEY], policy, file=file)) == answer
    assert rig.ask("HEAD", "/bucket/object01").status == (200 if answer == (204, "") else 404)


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        (b"nonsense", (400, "InvalidPolicyDocument")),
        (b"[]", (400, "InvalidPolicyDocument")),
        (b"{}", (400, "InvalidPolicyDocument")),
        (b'{"expiration":"2018-06-06T09:13:21Z"}', (400, "InvalidPolicyDocument")),
        (b'{"expiration":"tomorrow","conditions":[{"key":"object01"}]}', (400, "InvalidPolicyDocument")),
        (b'{"exZiration":"2018-06-06T09:13:21Z","conditions":[{"key":"object01"}]}', (400, "InvalidPolicyDocument")),
        (b'{"expiration":"2018-06-06T09:08:20Z","conditions":[{"key":"object01"}]}', (403, "AccessDenied")),
        (b'{"expiration":"2018-06-06T09:13:21.000Z","conditions":[{"key":"object01"}]}', (204, "")),
        (rb'{"expiration":"2018-06-06T09:13:21Z","conditions":[["eq","\$key","obj\u0065ct01"]]}', (204, "")),
    ],
)
def test_documents(rig: Rig, document: bytes, answer: tuple[int, str]) -> None:
    assert code(post(rig, [KEY], base64.b64encode(document).decode())) == answer


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (r"a\$b", "a$b"),
        (r"a\\b", "a\\b"),
        (r"a\\$b", "a\\$b"),
        (r"a\\vb", r"a\vb"),
        (r"a\u952eb", "a\u952eb"),
        (r"a\tb", "a\tb"),
        (r"a\vb", "a\vb"),
        (r"a\fb\b", "a\fb\b"),
    ],
)
def test_escapes_of_the_document(rig: Rig, written: str, key: str) -> None:
    document = '{"expiration":"2018-06-06T09:13:21Z","conditions":[{"key":"' + written + '"}]}'
    policy = base64.b64encode(document.encode()).decode()
    assert code(post(rig, [("key", key)], policy)) == (204, "")
    assert code(post(rig, [("key", key + "x")], policy)) == (400, "InvalidPolicyDocument")


def test_all_size_ranges_of_a_policy_count(rig: Rig) -> None:
    ranges = [["content-length-range", 0, len(BODY) - 1], ["content-length-range", 0, 100]]
    for conditions in (ranges, ranges[::-1]):
        document = {"expiration": LATER, "conditions": [{"key": "object01"}, *conditions]}
        policy = base64.b64encode(json.dumps(document).encode()).decode()
        assert code(post(rig, [KEY], policy)) == (400, "EntityTooLarge")


def test_signature_is_checked_before_the_policy(rig: Rig) -> None:
    for change, answer in (
        (("signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), (403, "SignatureDoesNotMatch")),
        (("policy", policy_for([KEY, (MODE, "kms")])), (403, "SignatureDoesNotMatch")),
        (("AccessKeyId", "NOBODY"), (403, "InvalidAccessKeyId")),
        (("signature", ""), (403, "AccessDenied")),
    ):
        pairs = [change if name == change[0] else (name, value) for name, value in signed(rig, [KEY])]
        assert code(send(rig, encode(pairs))) == answer
    assert code(send(rig, encode([KEY, ("token", "a:b")]))) == (403, "AccessDenied")


def test_unsigned_form_is_anonymous(rig: Rig) -> None:
    assert code(send(rig, encode([KEY]))) == (403, "AccessDenied")
    assert rig.ask("PUT", "/bucket?acl", (("x-obs-acl", "public-read-write"),), sub="acl").status == 200
    assert send(rig, encode([KEY])).status == 204
    assert code(send(rig, encode([("key", "kms"), (MODE, "kms")]))) == (403, "AccessDenied")


def test_form_is_judged_by_who_signed_it(rig: Rig) -> None:
    for role in ("other_project", "other_account"):
        assert code(post(rig, [KEY], role=role)) == (403, "AccessDenied")


def test_bucket_policy_judges_fields(rig: Rig) -> None:
    policy = (
        b'{"Statement":[{"Effect":"Deny","Principal":"*","Action":"PutObject","Resource":"bucket/*",'
        b'"Condition":{"StringNotEquals":{"x-obs-server-side-encryption":"kms"}}}]}'
    )
    assert rig.ask("PUT", "/bucket?policy", (), policy, sub="policy").status == 204
    assert code(post(rig, [KEY])) == (403, "AccessDenied")
    assert code(post(rig, [KEY, (MODE, "AES256")])) == (403, "AccessDenied")
    assert code(send(rig, encode(signed(rig, [KEY])), lines=((MODE, "kms"),))) == (403, "AccessDenied")
    assert post(rig, [KEY, (MODE, "kms")]).status == 204


def test_two_ways_of_signing_are_one_too_many(rig: Rig) -> None:
    from email.utils import formatdate

    date, boundary = formatdate(rig.clock.seconds, usegmt=True), "7db143f50da2"
    content_type = f"multipart/form-data; boundary={boundary}"
    identity = rig.identity()
    signature = hmac_sha1(identity.secret_key, f"POST\n\n{content_type}\n{date}\n/bucket/")
    lines = (("Date", date), ("Authorization", f"OBS {identity.access_key}:{signature}"))
    assert send(rig, encode([KEY]), lines=lines).status == 204
    assert code(send(rig, encode(signed(rig, [KEY])), lines=lines)) == (400, "InvalidArgument")


# ---- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_form_is_read_the_same_however_it_is_cut(step: int) -> None:
    content = b"\r\n--b\r\nnot quite\r\n--" * 20
    body = b"preamble\r\n" + encode([("a", ""), ("b", "x\r\ny")], content, boundary="bound", after=[("c", "d")])
    reader = FormReader(b"bound")
    events = [event for at in range(0, len(body), step) for event in reader.feed(body[at : at + step])]
    reader.finish()
    assert events[:3] == [Field("a", ""), Field("b", "x\r\ny"), FileBegins("my file.txt")]
    assert b"".join(event for event in events[3:] if isinstance(event, bytes)) == content


def test_memory_stays_flat_while_a_file_comes() -> None:
    reader = FormReader(b"bound")
    head = encode([], b"", boundary="bound").partition(b"text/plain\r\n\r\n")
    assert list(reader.feed(head[0] + head[1])) == [FileBegins("my file.txt")]
    for _ in range(100):
        assert sum(len(event) for event in reader.feed(b"\r\n--boun" * 10_000) if isinstance(event, bytes)) > 79_000
        assert len(reader._buffer) < 20


def test_fields_without_end_are_refused() -> None:
    reader = FormReader(b"bound")
    pieces = [
        b'--bound\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
        *[b"x" * 1000] * (MAX_FIELDS_BYTES // 1000 + 2),
    ]
    with pytest.raises(ObsError, match="MaxMessageLengthExceeded"):
        list(chain.from_iterable(reader.feed(piece) for piece in pieces))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ("Multipart/Form-Data;BOUNDARY=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; boundary="a b;c"', b"a b;c"),
        ("multipart/form-data; boundary=----a'()+_,-./:=?", b"----a'()+_,-./:=?"),
    ],
)
def test_boundary(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary="])
def test_no_form(rig: Rig, content_type: str) -> None:
    answer = rig.bare("POST", "/bucket", (HOST, ("Content-Type", content_type)), b"x")
    assert code(answer) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--7db143f50da2--\r\n",
        b"no boundary at all",
        b"--7db143f50da2\r\n\r\nno disposition\r\n--7db143f50da2--",
        b'--7db143f50da2\r\nContent-Disposition: attachment; name="key"\r\n\r\nx\r\n--7db143f50da2--',
        b"--7db143f50da2\r\nContent-Disposition: form-data\r\n\r\nx\r\n--7db143f50da2--",
        b"--7db143f50da2 x\r\nContent-Disposition: form-data\r\n\r\nx\r\n--7db143f50da2--",
        encode([KEY], None),
        encode([("key", "")]),
        encode([]),
        encode([("key", "a\0b")]),
    ],
)
def test_forms_that_cannot_be_read(rig: Rig, body: bytes) -> None:
    assert rig.ask("PUT", "/bucket?acl", (("x-obs-acl", "public-read-write"),), sub="acl").status == 200
    assert code(send(rig, body)) == (400, "InvalidArgument")
    assert rig.bugs == []


def test_form_to_the_own_host_of_the_bucket(rig: Rig) -> None:
    body = encode(signed(rig, [KEY]))
    lines = (("Host", "bucket.obs.example.com"), ("Content-Type", "multipart/form-data; boundary=7db143f50da2"))
    stored = rig.bare("POST", "/", lines, body)
    assert (stored.status, stored.first("location")) == (204, "http://bucket.obs.example.com/object01")


def test_temporary_credentials_are_not_known(rig: Rig) -> None:
    assert code(post(rig, [KEY, ("x-obs-security-token", "x")])) == (403, "AccessDenied")


@given(
    st.lists(
        st.sampled_from([b"--b", b"\r\n", b"--", b'Content-Disposition: form-data; name="file"', b"\0", b"x", b" "])
    )
)
def test_whatever_comes_is_read_or_refused(pieces: list[bytes]) -> None:
    reader = FormReader(b"b")
    try:
        for piece in pieces:
            list(reader.feed(piece))
        reader.finish()
    except ObsError as error:
        assert error.status == 400


def test_form_cut_off_stores_nothing(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket?acl", (("x-obs-acl", "public-read-write"),), sub="acl").status == 200
    assert code(send(rig, encode([KEY], b"x" * 1000)[:-30])) == (400, "InvalidArgument")
    assert rig.ask("HEAD", "/bucket/object01").status == 404


def test_key_that_is_too_long(rig: Rig) -> None:
    assert code(post(rig, [("key", "k" * 1025)])) == (400, "KeyTooLongError")


# ---- over a socket, and the vendor's client --------------------------------------------------------------------------


def test_sdk_signs_a_form_that_requests_sends(start: Callable[..., Server]) -> None:
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
    assert client.createBucket("forms").status == 200
    url = f"http://{server.host}:{server.port}/forms"
    long_name = f"region:{owner['domain_id']}:key/{server.target['keys']['custom']}"
    parameters = {"x-obs-acl": "private", "content-type": "text/plain", MODE: "kms", KEY_ID: long_name}
    for bucket, key in (("forms", "键 1"), (None, None)):
        made = client.createPostSignature(bucket, key, 300, parameters)
        data = {
            "key": "键 1",
            **parameters,
            "AccessKeyId": owner["access_key"],
            "policy": made.policy,
            "signature": made.signature,
        }
        stored = requests.post(url, data=data, files={"file": ("a.txt", b"content")}, timeout=10)
        assert (stored.status_code, stored.headers[MODE], stored.headers[KEY_ID]) == (204, "kms", long_name)
        got = client.getObject("forms", "键 1", loadStreamInMemory=True)
        assert (got.body.buffer, got.body.sseKmsKey, got.body.contentType) == (b"content", long_name, "text/plain")
        data["x-obs-meta-added"] = "later"
        refused = requests.post(url, data=data, files={"file": b"content"}, timeout=10)
        assert (refused.status_code, "InvalidPolicyDocument" in refused.text) == (400, True)
    token = f"{owner['access_key']}:{made.signature}:{made.policy}"
    stored = requests.post(url, data={"key": "t", **parameters, "token": token}, files={"file": b"x"}, timeout=10)
    assert stored.status_code == 204
    client.close()


def test_memory_of_the_server_stays_flat(start: Callable[..., Server]) -> None:
    server = start()
    assert server.ask("PUT", "/forms").status == 200
    assert server.ask("PUT", "/forms?acl", (("x-obs-acl", "public-read-write"),), sub="acl").status == 200
    whole = encode([KEY], b"@")
    head, _, tail = whole.partition(b"@")
    size = 192 * 1024 * 1024
    before = server.memory_kib()

    wire = server.wire()
    wire.send(
        f"POST /forms HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nContent-Length: {len(head) + size + len(tail)}\r\n"
        "Content-Type: multipart/form-data; boundary=7db143f50da2\r\n\r\n".encode()
    )
    wire.send(head)
    for _ in range(size // 1048576):
        wire.send(b"x" * 1048576)
    wire.send(tail)
    assert wire.answer(method="POST").status == 204
    assert server.memory_kib("VmHWM") - before < 32 * 1024
    wire.close()
    assert server.ask("HEAD", "/forms/object01").first("content-length") == str(size)
