"""The operations in process, through `Service.respond`, with requests signed by hand."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from reference_server.errors import DamagedStateError
from reference_server.keyring import KeyState

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Rig
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
SOURCE = "x-obs-copy-source"
KMS = (MODE, "kms")
HOST = (("Host", "obs.example.com"),)
BODY = bytes(range(256)) * 20
SPACE = "{http://obs.myhwclouds.com/doc/2015-06-30/}"


def names(response: Response) -> list[str]:
    return [name for name, _ in response.headers]


def refusal(response: Response) -> tuple[int, str]:
    """Status and code of a documented error answer, checked for its form."""
    tree = ET.fromstring(response.content())
    assert [child.tag for child in tree][:5] == ["Code", "Message", "Resource", "RequestId", "HostId"]
    assert tree.tag == "Error"
    assert response.first("content-type") == "application/xml"
    assert tree.findtext("RequestId") == response.first("x-obs-request-id")
    assert tree.findtext("HostId") == response.first("x-obs-id-2")
    assert response.first("content-length") == str(len(response.content()))
    return response.status, tree.findtext("Code") or ""


def put(rig: Rig, key: str, *headers: tuple[str, str], body: bytes = BODY) -> Response:
    response = rig.ask("PUT", f"/bucket/{key}", headers, body)
    assert response.status == 200, response.content()
    return response


# ---- upload and download -----------------------------------------------------------------------------------------


def test_upload_answers_with_the_samples_headers_in_their_order(rig: Rig) -> None:
    response = put(rig, "o", KMS)
    assert names(response) == [
        "Server",
        "x-obs-request-id",
        "ETag",
        MODE,
        KEY_ID,
        "x-obs-id-2",
        "Date",
        "Content-Length",
    ]
    assert response.first("server") == "OBS"
    assert re.fullmatch(r"[0-9A-F]{32}", response.first("x-obs-request-id") or "")
    assert re.fullmatch(r"[A-Za-z0-9+/]{64}", response.first("x-obs-id-2") or "")
    assert re.fullmatch(r'"[0-9a-f]{32}"', response.first("etag") or "")
    assert response.first("date") == "Wed, 06 Jun 2018 09:08:21 GMT"
    assert (response.first("content-length"), response.content()) == ("0", b"")


def test_default_key_is_made_by_the_first_upload_that_needs_it(rig: Rig) -> None:
    keyring, domain_id = rig.service.world.keyring, rig.identity().caller.domain_id
    put(rig, "plain")
    assert keyring.default_of(domain_id) is None
    first, second = put(rig, "a", KMS), put(rig, "b", KMS)
    key = keyring.default_of(domain_id)
    assert key is not None
    assert first.first(KEY_ID) == second.first(KEY_ID) == key.long_name


@pytest.mark.parametrize("form", ["bare", "long"])
def test_custom_key_in_either_form_is_answered_by_its_long_name(rig: Rig, form: str) -> None:
    said = rig.made.keys["custom"] if form == "bare" else rig.long_name("custom")
    assert put(rig, "o", KMS, (KEY_ID, said)).first(KEY_ID) == rig.long_name("custom")


@pytest.mark.parametrize("size", [0, 1, 5242, 262144, 262145, 700_001])
@pytest.mark.parametrize("headers", [(), (KMS,), ((MODE, "AES256"),)])
def test_object_is_read_back_as_it_was_put(rig: Rig, size: int, headers: tuple[tuple[str, str], ...]) -> None:
    body = hashlib.sha256(b"x").digest() * (size // 32 + 1)
    stored = put(rig, "o", *headers, ("x-obs-meta-a", "b"), ("Content-Type", "text/x"), body=body[:size])
    got, head = rig.ask("GET", "/bucket/o"), rig.ask("HEAD", "/bucket/o")
    assert got.content() == body[:size]
    assert (head.status, head.content()) == (200, b"")
    for response in (got, head):
        assert response.first("etag") == stored.first("etag")
        assert response.first(MODE) == stored.first(MODE)
        assert response.first(KEY_ID) == stored.first(KEY_ID)
        assert response.first("content-length") == str(size)
        assert response.first("x-obs-meta-a") == "b"
        assert response.first("content-type") == "text/x"
        assert response.first("last-modified") == "Wed, 06 Jun 2018 09:08:21 GMT"
    plain_etag = f'"{hashlib.md5(body[:size]).hexdigest()}"'
    assert (stored.first("etag") == plain_etag) == (headers == ())


def test_new_upload_replaces_mode_and_bytes(rig: Rig) -> None:
    put(rig, "o", KMS)
    put(rig, "o", body=b"new")
    got = rig.ask("GET", "/bucket/o")
    assert (got.content(), got.first(MODE)) == (b"new", None)


@pytest.mark.parametrize(
    ("text", "status", "expected", "content_range"),
    [
        ("bytes=0-9", 206, BODY[:10], "bytes 0-9/5120"),
        ("bytes=5000-", 206, BODY[5000:], "bytes 5000-5119/5120"),
        ("bytes=5000-999999", 206, BODY[5000:], "bytes 5000-5119/5120"),
        ("bytes=-7", 206, BODY[-7:], "bytes 5113-5119/5120"),
        ("bytes=-999999", 206, BODY, "bytes 0-5119/5120"),
        ("bytes=9-5", 200, BODY, None),
        ("bytes=0-1,4-5", 200, BODY, None),
        ("lines=0-1", 200, BODY, None),
        ("bytes=0-" + "9" * 5000, 200, BODY, None),
        ("bytes=5120-", 416, None, None),
        ("bytes=-0", 416, None, None),
    ],
)
@pytest.mark.parametrize("headers", [(), (KMS,)])
def test_range(  # one row, one reading of the header
    rig: Rig,
    headers: tuple[tuple[str, str], ...],
    text: str,
    status: int,
    expected: bytes | None,
    content_range: str | None,
) -> None:
    put(rig, "o", *headers)
    got = rig.ask("GET", "/bucket/o", (("Range", text),))
    assert got.status == status
    if expected is None:
        assert refusal(got) == (416, "InvalidRange")
        return
    assert (got.content(), got.first("content-range")) == (expected, content_range)
    assert got.first(MODE) == (headers[0][1] if headers else None)


def test_range_of_a_large_encrypted_object_crosses_its_chunks(rig: Rig) -> None:
    body = bytes(index * 7 % 251 for index in range(600_000))
    put(rig, "o", KMS, body=body)
    for start, end in ((262143, 262145), (262144, 262144), (100, 599_999), (524287, 524288)):
        got = rig.ask("GET", "/bucket/o", (("Range", f"bytes={start}-{end}"),))
        assert (got.status, got.content()) == (206, body[start : end + 1])


def test_conditional_reads(rig: Rig) -> None:
    etag = put(rig, "o").first("etag") or ""

    def status(*headers: tuple[str, str]) -> int:
        return rig.ask("GET", "/bucket/o", headers).status

    assert status(("If-Match", etag)) == 200
    assert status(("If-Match", '"other"')) == 412
    assert status(("If-None-Match", etag)) == 304
    assert status(("If-Modified-Since", "Wed, 06 Jun 2018 09:08:21 GMT")) == 304
    assert status(("If-Modified-Since", "Wed, 06 Jun 2018 09:08:20 GMT")) == 200
    assert status(("If-Unmodified-Since", "Wed, 06 Jun 2018 09:08:20 GMT")) == 412


def test_wrong_digest_is_refused_and_leaves_no_object(rig: Rig) -> None:
    wrong = rig.ask("PUT", "/bucket/o", (("Content-MD5", "I5pU0r4+sgO9Emgl1KMQUg=="), KMS), BODY)
    assert refusal(wrong) == (400, "BadDigest")
    assert refusal(rig.ask("PUT", "/bucket/o", (("Content-MD5", "x"),), BODY)) == (400, "InvalidDigest")
    assert rig.ask("GET", "/bucket/o").status == 404


def test_delete_answers_204_whether_the_object_was_there_or_not(rig: Rig) -> None:
    put(rig, "o")
    for _ in range(2):
        gone = rig.ask("DELETE", "/bucket/o")
        assert (gone.status, gone.content(), gone.first("content-length")) == (204, b"", None)
    assert refusal(rig.ask("GET", "/bucket/o")) == (404, "NoSuchKey")


# ---- copies ------------------------------------------------------------------------------------------------------


def copy(rig: Rig, target: str, source: str, *headers: tuple[str, str]) -> Response:
    return rig.ask("PUT", f"/bucket/{target}", ((SOURCE, f"/bucket/{source}"), *headers))


@pytest.mark.parametrize("source", [(), (KMS,), ((MODE, "AES256"),)])
def test_copy_answers_with_document_etag_and_encryption(rig: Rig, source: tuple[tuple[str, str], ...]) -> None:
    put(rig, "a", *source)
    answer = copy(rig, "b", "a", KMS, (KEY_ID, rig.long_name("custom")))
    tree = ET.fromstring(answer.content())
    assert (answer.status, tree.tag) == (200, f"{SPACE}CopyObjectResult")
    assert tree.findtext(f"{SPACE}ETag") == answer.first("etag")
    assert tree.findtext(f"{SPACE}LastModified") == "2018-06-06T09:08:21.000Z"
    assert (answer.first(MODE), answer.first(KEY_ID)) == ("kms", rig.long_name("custom"))
    got = rig.ask("GET", "/bucket/b")
    assert (got.content(), got.first(KEY_ID)) == (BODY, rig.long_name("custom"))


def test_copy_without_fields_does_not_inherit_encryption(rig: Rig) -> None:
    put(rig, "a", KMS)
    assert MODE not in names(copy(rig, "b", "a"))
    assert MODE not in names(rig.ask("HEAD", "/bucket/b"))


@pytest.mark.parametrize(
    ("was", "headers", "expected"),
    [
        ((), (), (400, "InvalidRequest")),
        ((), (KMS,), (400, "InvalidRequest")),
        ((), (("x-obs-metadata-directive", "REPLACE"),), 200),
        ((), (("x-obs-metadata-directive", "REPLACE"), KMS), 200),
        ((KMS,), (("x-obs-metadata-directive", "REPLACE"), KMS), 200),
        ((KMS,), (("x-obs-metadata-directive", "REPLACE"),), (400, "InvalidRequest")),
        ((), (("x-obs-metadata-directive", "KEEP"),), (400, "InvalidArgument")),
    ],
)
def test_copy_onto_itself(
    rig: Rig, was: tuple[tuple[str, str], ...], headers: tuple[tuple[str, str], ...], expected: object
) -> None:
    put(rig, "a", *was)
    answer = copy(rig, "a", "a", *headers)
    assert (answer.status if answer.status == 200 else refusal(answer)) == expected
    assert rig.ask("GET", "/bucket/a").content() == BODY


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/bucket/none", (404, "NoSuchKey")),
        ("/no-such-bucket/a", (404, "NoSuchBucket")),
        ("bucket", (400, "InvalidArgument")),
        ("", (400, "InvalidArgument")),
        ("/bucket/%FF", (400, "InvalidArgument")),
        ("/bucket/a?versionId=7", (404, "NoSuchVersion")),
    ],
)
def test_copy_of_what_is_not_there(rig: Rig, source: str, expected: tuple[int, str]) -> None:
    put(rig, "a")
    assert refusal(rig.ask("PUT", "/bucket/b", ((SOURCE, source),))) == expected


def test_copy_with_a_body_is_refused(rig: Rig) -> None:
    put(rig, "a")
    answer = rig.ask("PUT", "/bucket/b", ((SOURCE, "/bucket/a"),), b"x")
    assert refusal(answer) == (400, "MaxMessageLengthExceeded")


def test_copy_needs_the_use_of_the_sources_key(rig: Rig) -> None:
    put(rig, "a", KMS, (KEY_ID, rig.made.keys["custom"]))
    keyring = rig.service.world.keyring
    key = keyring.get(rig.made.keys["custom"])
    assert key is not None
    keyring.change_state(key, KeyState.DISABLED)
    assert refusal(copy(rig, "b", "a")) == (400, "KMS.DisabledException")
    assert refusal(rig.ask("GET", "/bucket/a")) == (400, "KMS.DisabledException")
    assert rig.ask("HEAD", "/bucket/a").status == 200


# ---- buckets -----------------------------------------------------------------------------------------------------


def test_bucket_life(rig: Rig) -> None:
    made = rig.ask("PUT", "/another")
    assert (made.status, made.first("location")) == (200, "/another")
    assert rig.ask("PUT", "/another").status == 200
    assert refusal(rig.ask("PUT", "/another", role="other_account")) == (409, "BucketAlreadyExists")
    head = rig.ask("HEAD", "/another")
    assert (head.status, head.first("x-obs-bucket-location")) == (200, "region")
    rig.ask("PUT", "/another/o", (), b"x")
    assert refusal(rig.ask("DELETE", "/another")) == (409, "BucketNotEmpty")
    rig.ask("DELETE", "/another/o")
    assert rig.ask("DELETE", "/another").status == 204
    assert refusal(rig.ask("GET", "/another")) == (404, "NoSuchBucket")
    listed = ET.fromstring(rig.ask("GET", "/").content())
    assert [name.text for name in listed.iter(f"{SPACE}Name")] == ["bucket"]


def test_bucket_created_with_a_mode_encrypts_what_says_nothing(rig: Rig) -> None:
    rig.ask("PUT", "/another", ((MODE, "kms"), (KEY_ID, rig.made.keys["custom"])))
    stored = rig.ask("PUT", "/another/o", (), b"x")
    assert (stored.first(MODE), stored.first(KEY_ID)) == ("kms", rig.long_name("custom"))
    assert rig.ask("PUT", "/another/p", ((MODE, "AES256"),), b"x").first(MODE) == "AES256"


def test_listing_pages_with_prefix_delimiter_and_marker(rig: Rig) -> None:
    for key in ("a/1", "a/2", "b", "c&d", "%E9%94%AE"):
        put(rig, key, body=b"x")

    def listed(query: str) -> tuple[list[str], list[str], str | None]:
        tree = ET.fromstring(rig.ask("GET", f"/bucket?{query}").content())
        assert tree.tag == f"{SPACE}ListBucketResult"
        keys = [entry.text or "" for entry in tree.iter(f"{SPACE}Key")]
        prefixes = [entry.findtext(f"{SPACE}Prefix") or "" for entry in tree.iter(f"{SPACE}CommonPrefixes")]
        return keys, prefixes, tree.findtext(f"{SPACE}NextMarker")

    assert listed("") == (["a/1", "a/2", "b", "c&d", "\u952e"], [], None)
    assert listed("prefix=a/") == (["a/1", "a/2"], [], None)
    assert listed("delimiter=/") == (["b", "c&d", "\u952e"], ["a/"], None)
    assert listed("max-keys=2") == (["a/1", "a/2"], [], "a/2")
    assert listed("max-keys=2&marker=a/2") == (["b", "c&d"], [], "c&d")
    assert listed("encoding-type=url&marker=b") == (["c%26d", "%E9%94%AE"], [], None)
    assert refusal(rig.ask("GET", "/bucket?max-keys=x")) == (400, "InvalidArgument")


# ---- addresses ---------------------------------------------------------------------------------------------------


def test_virtual_host_and_path_style_reach_the_same_object(rig: Rig) -> None:
    put(rig, "a%20b/c")
    same = rig.ask("GET", "/a%20b/c", host="bucket.obs.example.com", resource="/bucket/a%20b/c")
    assert (same.status, same.content()) == (200, BODY)
    with_port = rig.ask("GET", "/a%20b/c", host="BUCKET.obs.example.com:8080", resource="/bucket/a%20b/c")
    assert with_port.content() == BODY
    absolute = rig.ask("GET", "http://bucket.obs.example.com/a%20b/c", host="x", resource="/bucket/a%20b/c")
    assert absolute.content() == BODY
    listing = rig.ask("GET", "/", host="bucket.obs.example.com", resource="/bucket/")
    assert b"<Key>a b/c</Key>" in listing.content()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/AB", (400, "InvalidBucketName")),
        ("/a..b/o", (400, "InvalidBucketName")),
        ("/192.168.0.1", (400, "InvalidBucketName")),
        ("//o", (400, "InvalidBucketName")),
        ("/bucket/" + "k" * 1025, (400, "KeyTooLongError")),
        ("/bucket/%FF", (400, "BadRequest")),
        ("/bucket/\udcff", (400, "BadRequest")),
        ("/bucket?prefix=\udcff", (400, "BadRequest")),
        ("/bucket/%00", (400, "BadRequest")),
        ("*", (400, "BadRequest")),
        ("/bucket?nonsense", (501, "ServiceNotImplemented")),
        ("/bucket/o?torrent", (501, "ServiceNotImplemented")),
        ("/?nonsense", (501, "ServiceNotImplemented")),
        ("/bucket?location&versioning", (400, "InvalidArgument")),
        ("/bucket/o?x-obs-nonsense=1", (400, "InvalidArgument")),
    ],
)
def test_odd_target_is_refused_in_documented_form(rig: Rig, target: str, expected: tuple[int, str]) -> None:
    assert refusal(rig.bare("GET", target, HOST)) == expected
    head = rig.bare("HEAD", target, HOST)
    assert (head.status, head.first("x-obs-error-code"), head.content()) == (*expected, b"")
    assert rig.bugs == []


def test_unknown_sub_resource_never_falls_through_to_the_operation_without_it(rig: Rig) -> None:
    put(rig, "o")
    assert refusal(rig.ask("DELETE", "/bucket/o?nonsense")) == (501, "ServiceNotImplemented")
    assert refusal(rig.ask("PUT", "/bucket/o?nonsense", (), b"other")) == (501, "ServiceNotImplemented")
    assert rig.ask("GET", "/bucket/o").content() == BODY


def test_unknown_method_is_405(rig: Rig) -> None:
    assert refusal(rig.ask("PATCH", "/bucket/o")) == (405, "MethodNotAllowed")


# ---- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("/bucket/none", (), (404, "NoSuchKey")),
        ("/no-such-bucket/o", (), (404, "NoSuchBucket")),
        ("/bucket/o", (("x-obs-security-token", "t"),), (403, "AccessDenied")),
    ],
)
def test_head_errors_carry_the_code_in_a_header(
    rig: Rig, target: str, headers: tuple[tuple[str, str], ...], expected: tuple[int, str]
) -> None:
    answer = rig.ask("HEAD", target, headers)
    assert (answer.status, answer.first("x-obs-error-code"), answer.content()) == (*expected, b"")
    assert answer.first("x-obs-error-message")
    assert answer.first("x-obs-request-id")


def test_error_document_names_the_resource_and_escapes_it(rig: Rig) -> None:
    tree = ET.fromstring(rig.ask("GET", "/bucket/%3Ca%26b%3E%01").content())
    assert tree.findtext("Resource") == "/bucket/<a&b>\ufffd"


def test_stranger_and_nobody_are_refused(rig: Rig) -> None:
    put(rig, "o", KMS)
    assert refusal(rig.ask("GET", "/bucket/o", role="other_account")) == (403, "AccessDenied")
    assert refusal(rig.bare("GET", "/bucket/o", HOST)) == (403, "AccessDenied")
    assert refusal(rig.bare("PUT", "/bucket/o", HOST, b"x")) == (403, "AccessDenied")
    assert refusal(rig.ask("GET", "/", spoil=lambda _: "AAAA")) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("unknown", (400, "KMS.NotFoundException")),
        ("deleted", (400, "KMS.NotFoundException")),
        ("disabled", (400, "KMS.DisabledException")),
        ("scheduled", (400, "KMS.DisabledException")),
        ("other_project", (403, "AccessDenied")),
        ("other_account", (403, "AccessDenied")),
    ],
)
def test_key_that_cannot_be_used_stores_nothing(rig: Rig, role: str, expected: tuple[int, str]) -> None:
    answer = rig.ask("PUT", "/bucket/o", (KMS, (KEY_ID, rig.made.keys[role])), BODY)
    assert refusal(answer) == expected
    assert rig.ask("HEAD", "/bucket/o").status == 404


def test_public_object_under_a_master_key_stays_closed_to_other_accounts(rig: Rig) -> None:
    public = ("x-obs-acl", "public-read")
    put(rig, "plain", public)
    put(rig, "sealed", public, KMS)
    assert rig.ask("GET", "/bucket/plain", role="other_account").content() == BODY
    assert rig.bare("GET", "/bucket/plain", HOST).content() == BODY
    for method in ("GET", "HEAD"):
        assert rig.ask(method, "/bucket/sealed", role="other_account").status == 403
        assert rig.bare(method, "/bucket/sealed", HOST).status == 403


# ---- signed URLs -------------------------------------------------------------------------------------------------


def test_mode_and_key_in_a_signed_url_count_as_headers(rig: Rig) -> None:
    query = f"{MODE}=kms&{KEY_ID}={rig.long_name('custom')}"
    stored = rig.bare("PUT", rig.signed_target("PUT", "/bucket/o", query), HOST, BODY)
    assert (stored.status, stored.first(MODE), stored.first(KEY_ID)) == (200, "kms", rig.long_name("custom"))
    got = rig.bare("GET", rig.signed_target("GET", "/bucket/o"), HOST)
    assert (got.content(), got.first(KEY_ID)) == (BODY, rig.long_name("custom"))


def test_signed_url_expires(rig: Rig) -> None:
    target = rig.signed_target("GET", "/bucket/none", valid_s=10)
    rig.clock.seconds += 10
    assert refusal(rig.bare("GET", target, HOST)) == (404, "NoSuchKey")
    rig.clock.seconds += 1
    assert refusal(rig.bare("GET", target, HOST)) == (403, "AccessDenied")


def test_customer_key_in_a_url_is_refused(rig: Rig) -> None:
    query = f"{MODE}-customer-key=c2VjcmV0"
    assert refusal(rig.bare("PUT", rig.signed_target("PUT", "/bucket/o", query), HOST, b"x"))[1] == "InvalidArgument"


# ---- when things break -------------------------------------------------------------------------------------------


def test_every_request_has_an_id_of_its_own(rig: Rig) -> None:
    seen = [rig.ask("HEAD", "/bucket").first("x-obs-request-id") for _ in range(50)]
    assert len(set(seen)) == 50


@pytest.mark.parametrize(
    ("problem", "expected", "reported"),
    [
        (ZeroDivisionError(), (500, "InternalError"), 1),
        (OSError(28, "No space left on device"), (503, "ServiceUnavailable"), 1),
        (DamagedStateError("gone"), (500, "InternalError"), 0),
    ],
)
def test_breakdown_is_an_error_answer_and_leaves_no_object(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, problem: Exception, expected: tuple[int, str], reported: int
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(type(rig.state.objects), "put", break_down)
        assert refusal(rig.ask("PUT", "/bucket/o", (KMS,), BODY)) == expected
    assert len(rig.bugs) == reported
    assert rig.ask("HEAD", "/bucket/o").status == 404


def test_tampered_object_in_memory_is_never_answered_with_wrong_bytes(rig: Rig) -> None:
    put(rig, "o", KMS)
    with rig.state.objects._database.transaction() as sql:
        ((octets,),) = sql.execute("SELECT octets FROM bodies").fetchall()
        sql.execute("UPDATE bodies SET octets = ?", (octets[:99] + bytes((octets[99] ^ 1,)) + octets[100:],))
    assert refusal(rig.ask("GET", "/bucket/o")) == (500, "InternalError")
    assert rig.ask("HEAD", "/bucket/o").status == 200


def test_answers_do_not_depend_on_the_dice(new_rig: Callable[..., Rig]) -> None:
    def told(seed: int) -> list[tuple[int, list[str]]]:
        rig = new_rig(seed=seed)
        answers = [rig.ask("PUT", "/bucket"), rig.ask("PUT", "/bucket/o", (KMS,), BODY), rig.ask("GET", "/bucket/o")]
        return [(answer.status, names(answer)) for answer in answers]

    assert told(1) == told(2)
