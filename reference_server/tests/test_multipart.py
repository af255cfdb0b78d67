"""Uploads in parts: encryption decided at the initiation and shown at every step, sizes and order, lists."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from obs import CompleteMultipartUploadRequest, CompletePart, ObsClient, SseKmsHeader

from reference_server.keyring import KeyState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from reference_server.tests.conftest import Lines, Rig, Server
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
ALGORITHM = "x-obs-server-side-encryption-customer-algorithm"
KEY_MD5 = "x-obs-server-side-encryption-customer-key-MD5"
SOURCE = "x-obs-copy-source"
PART = bytes(range(256)) * 400
"""102,400 bytes, the smallest part that may come before another."""
OWN_KEY: Lines = (
    (ALGORITHM, "AES256"),
    ("x-obs-server-side-encryption-customer-key", "K7QkYpBkM5+hcs27fsNkUnNVaobncnLht/rCB2o/9Cw="),
    ("x-obs-server-side-encryption-customer-key-MD5", "4XvB3tbNTN+tIEVa0/fGaQ=="),
)
OWN_KEY = tuple((name.lower(), value) for name, value in OWN_KEY)
OTHER_KEY: Lines = (
    OWN_KEY[0],
    (OWN_KEY[1][0], base64.b64encode(b"k" * 32).decode()),
    (OWN_KEY[2][0], base64.b64encode(hashlib.md5(b"k" * 32).digest()).decode()),
)


def code(response: Response) -> tuple[int, str]:
    return response.status, response.content().decode().partition("<Code>")[2].partition("</Code>")[0]


def fields(response: Response) -> tuple[str | None, str | None]:
    return response.first(MODE), response.first(KEY_ID)


def initiate(rig: Rig, headers: Lines = (), key: str = "o", **how: Any) -> Response:
    return rig.ask("POST", f"/bucket/{key}?uploads", headers, sub="uploads", **how)


def id_of(begun: Response) -> str:
    assert begun.status == 200, begun.content()
    return begun.content().decode().partition("<UploadId>")[2].partition("<")[0]


def begin(rig: Rig, headers: Lines = (), key: str = "o", **how: Any) -> str:
    return id_of(initiate(rig, headers, key, **how))


def part(rig: Rig, upload: str, number: Any, body: bytes, headers: Lines = (), key: str = "o", **how: Any) -> Response:
    sub = f"partNumber={number}&uploadId={upload}"
    return rig.ask("PUT", f"/bucket/{key}?{sub}", headers, body, sub=sub, **how)


def document(parts: Iterable[tuple[Any, str | None]]) -> bytes:
    inner = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()


def complete(rig: Rig, upload: str, body: bytes, headers: Lines = (), key: str = "o", **how: Any) -> Response:
    return rig.ask("POST", f"/bucket/{key}?uploadId={upload}", headers, body, sub=f"uploadId={upload}", **how)


def upload_whole(
    rig: Rig, bodies: list[bytes], headers: Lines = (), part_headers: Lines = (), key: str = "o"
) -> list[Response]:
    """All answers of an upload in parts."""
    answers = [initiate(rig, headers, key)]
    upload = id_of(answers[0])
    answers += [part(rig, upload, number, body, part_headers, key) for number, body in enumerate(bodies, 1)]
    etags = [(number, answer.first("etag")) for number, answer in enumerate(answers[1:], 1)]
    return [*answers, complete(rig, upload, document(etags), (), key)]


# ---- without encryption --------------------------------------------------------------------------------------------


def test_plain_upload_in_parts(rig: Rig) -> None:
    headers = (("content-type", "text/plain"), ("x-obs-meta-colour", "blue"), ("x-obs-storage-class", "WARM"))
    begun, first, second, done = upload_whole(rig, [PART, b"rest"], headers)
    assert begun.first("content-type") == "application/xml"
    assert re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8" standalone="yes"\?>\n'
        r'<InitiateMultipartUploadResult xmlns="[^"]+"><Bucket>bucket</Bucket><Key>o</Key>'
        r"<UploadId>[0-9A-F]{32}</UploadId></InitiateMultipartUploadResult>",
        begun.content().decode(),
    )
    assert (first.status, first.first("etag"), first.content()) == (200, f'"{hashlib.md5(PART).hexdigest()}"', b"")
    etag = hashlib.md5(hashlib.md5(PART).digest() + hashlib.md5(b"rest").digest()).hexdigest() + "-2"
    assert done.status == 200
    assert (
        done.content()
        .decode()
        .endswith(
            "<Location>http://obs.example.com/bucket/o</Location><Bucket>bucket</Bucket><Key>o</Key>"
            f"<ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>".replace("&quot;", '"')
        )
    )
    for answer in (begun, first, second, done):
        assert fields(answer) == (None, None)
    got = rig.ask("GET", "/bucket/o")
    assert (got.content(), got.first("etag")) == (PART + b"rest", f'"{etag}"')
    assert (got.first("content-type"), got.first("x-obs-meta-colour")) == ("text/plain", "blue")
    assert got.first("x-obs-storage-class") == "WARM"
    assert rig.bugs == []


def test_nothing_is_there_before_completion_and_the_old_object_stays(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/o", (), b"old").status == 200
    upload = begin(rig)
    first = part(rig, upload, 1, b"new")
    assert rig.ask("GET", "/bucket/o").content() == b"old"
    assert complete(rig, upload, document([(1, first.first("etag"))])).status == 200
    assert rig.ask("GET", "/bucket/o").content() == b"new"
    assert code(complete(rig, upload, document([(1, first.first("etag"))]))) == (404, "NoSuchUpload")


def test_part_sent_again_replaces_the_first_and_unnamed_parts_are_dropped(rig: Rig) -> None:
    upload = begin(rig)
    first = part(rig, upload, 1, b"one")
    again = part(rig, upload, 1, b"two")
    part(rig, upload, 9, b"never named")
    assert code(complete(rig, upload, document([(1, first.first("etag"))]))) == (400, "InvalidPart")
    assert complete(rig, upload, document([(1, again.first("etag"))])).status == 200
    assert rig.ask("GET", "/bucket/o").content() == b"two"


def test_etags_in_the_document_may_be_quoted_or_not(rig: Rig) -> None:
    upload = begin(rig)
    etag = hashlib.md5(b"x").hexdigest()
    part(rig, upload, 5, b"x")
    assert complete(rig, upload, document([(5, etag)])).status == 200


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "MissingRequestBodyError")),
        (b"<x/>", (400, "MalformedXML")),
        (b"<CompleteMultipartUpload/>", (400, "MalformedXML")),
        (b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>", (400, "MalformedXML")),
        (document([(3, "{3}")]), (400, "InvalidPart")),
        (document([("x", "{1}")]), (400, "InvalidPart")),
        (document([(1, "{2}")]), (400, "InvalidPart")),
        (document([(2, "{2}"), (1, "{1}")]), (400, "InvalidPartOrder")),
        (document([(1, "{1}"), (1, "{1}")]), (400, "InvalidPartOrder")),
        (document([(1, "{1}"), (2, "{2}")]), (400, "EntityTooSmall")),
    ],
)
def test_completion_that_cannot_be(rig: Rig, body: bytes, answer: tuple[int, str]) -> None:
    upload = begin(rig)
    for number, content in ((1, b"one"), (2, b"two")):
        etag = part(rig, upload, number, content).first("etag") or ""
        body = body.replace(b"{%d}" % number, etag.encode())
    assert code(complete(rig, upload, body)) == answer
    assert code(rig.ask("GET", "/bucket/o")) == (404, "NoSuchKey")
    assert rig.ask("GET", f"/bucket/o?uploadId={upload}", sub=f"uploadId={upload}").status == 200


def test_smallest_part_is_102400_bytes(rig: Rig) -> None:
    assert upload_whole(rig, [PART[1:], b"x"])[-1].status == 400
    assert upload_whole(rig, [PART, b"x"])[-1].status == 200


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "1.0", "٣", "99999999999"])
def test_part_number_out_of_range(rig: Rig, number: str) -> None:
    upload = begin(rig)
    sub = f"partNumber={number}&uploadId={upload}"
    assert code(rig.ask("PUT", f"/bucket/o?{sub}", (), b"x", sub=sub)) == (400, "InvalidArgument")


def test_unknown_upload(rig: Rig) -> None:
    upload, unknown = begin(rig), "0" * 32
    for answer in (
        part(rig, unknown, 1, b"x"),
        part(rig, upload, 1, b"x", key="other"),
        complete(rig, unknown, document([(1, "x")])),
        rig.ask("GET", f"/bucket/o?uploadId={unknown}", sub=f"uploadId={unknown}"),
        rig.ask("DELETE", f"/bucket/o?uploadId={unknown}", sub=f"uploadId={unknown}"),
    ):
        assert code(answer) == (404, "NoSuchUpload")


def test_wrong_content_md5_stores_no_part(rig: Rig) -> None:
    upload = begin(rig)
    wrong = (("content-md5", base64.b64encode(hashlib.md5(b"y").digest()).decode()),)
    right = (("content-md5", base64.b64encode(hashlib.md5(b"x").digest()).decode()),)
    assert code(part(rig, upload, 1, b"x", wrong)) == (400, "BadDigest")
    assert b"<Part>" not in rig.ask("GET", f"/bucket/o?uploadId={upload}", sub=f"uploadId={upload}").content()
    assert part(rig, upload, 1, b"x", right).status == 200


def test_abort_ends_the_upload_and_frees_its_parts(rig: Rig) -> None:
    upload = begin(rig)
    part(rig, upload, 1, PART)
    assert rig.ask("DELETE", f"/bucket/o?uploadId={upload}", sub=f"uploadId={upload}").status == 204
    assert code(part(rig, upload, 1, b"x")) == (404, "NoSuchUpload")
    count = rig.state._database.connection.execute(
        "SELECT (SELECT count(*) FROM bodies) + (SELECT count(*) FROM blobs)"
    )
    assert count.fetchone() == (0,)


def test_part_whose_upload_ends_while_it_comes_is_forgotten(rig: Rig) -> None:
    upload = begin(rig)
    sub = f"partNumber=1&uploadId={upload}"
    real = rig.service.open

    def open_then_abort(head: Any) -> Any:
        opened = real(head)
        rig.service.open = real  # type: ignore[method-assign]
        assert rig.ask("DELETE", f"/bucket/o?uploadId={upload}", sub=f"uploadId={upload}").status == 204
        return opened

    rig.service.open = open_then_abort  # type: ignore[method-assign]
    assert code(rig.ask("PUT", f"/bucket/o?{sub}", (), b"x", sub=sub)) == (404, "NoSuchUpload")
    assert rig.state._database.connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)


def test_bucket_with_an_upload_can_be_deleted(rig: Rig) -> None:
    upload = begin(rig)
    part(rig, upload, 1, b"x")
    assert rig.ask("DELETE", "/bucket").status == 204
    assert rig.state._database.connection.execute("SELECT count(*) FROM bodies").fetchone() == (0,)


# ---- encryption ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["default", "bare", "long"])
def test_master_key_is_shown_at_every_step(rig: Rig, key: str) -> None:
    said: dict[str, Lines] = {
        "default": (),
        "bare": ((KEY_ID, rig.made.keys["custom"]),),
        "long": ((KEY_ID, rig.long_name("custom")),),
    }
    answers = upload_whole(rig, [PART, b"rest"], ((MODE, "kms"), *said[key]))
    shown = fields(answers[0])
    assert shown[0] == "kms"
    if key != "default":
        assert shown[1] == rig.long_name("custom")
    assert [fields(answer) for answer in answers] == [shown] * 4
    assert fields(rig.ask("HEAD", "/bucket/o")) == shown
    got = rig.ask("GET", "/bucket/o")
    assert (fields(got), got.content()) == (shown, PART + b"rest")
    assert answers[1].first("etag") != f'"{hashlib.md5(PART).hexdigest()}"'
    assert re.fullmatch(r'"[0-9a-f]{32}-2"', got.first("etag") or "")
    for start, end in ((0, 3), (102398, 102403), (102400, 102403), (50000, 102401)):
        piece = rig.ask("GET", "/bucket/o", (("range", f"bytes={start}-{end}"),))
        assert (piece.status, piece.content()) == (206, (PART + b"rest")[start : end + 1])


@pytest.mark.parametrize(("algorithm", "mode"), [("kms", "kms"), ("AES256", "AES256")])
def test_inherited_default_is_shown_at_every_step(rig: Rig, algorithm: str, mode: str) -> None:
    key = f"<KMSMasterKeyID>{rig.made.keys['custom']}</KMSMasterKeyID>" if mode == "kms" else ""
    body = (
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
        f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>{key}"
        "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    assert rig.ask("PUT", "/bucket?encryption", (), body.encode(), sub="encryption").status == 200
    shown = (mode, rig.long_name("custom") if mode == "kms" else None)
    answers = upload_whole(rig, [b"all"])
    assert [fields(answer) for answer in (*answers, rig.ask("HEAD", "/bucket/o"))] == [shown] * 4
    assert rig.ask("GET", "/bucket/o").content() == b"all"


def test_default_that_changes_on_the_way_changes_nothing(rig: Rig) -> None:
    upload = begin(rig)
    body = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
        b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    assert rig.ask("PUT", "/bucket?encryption", (), body, sub="encryption").status == 200
    first = part(rig, upload, 1, b"x")
    assert fields(complete(rig, upload, document([(1, first.first("etag"))]))) == (None, None)
    assert fields(rig.ask("HEAD", "/bucket/o")) == (None, None)


def test_fields_on_parts_and_on_completion_are_ignored(rig: Rig) -> None:
    upload = begin(rig)
    kms = ((MODE, "kms"),)
    first = part(rig, upload, 1, b"x", kms)
    assert fields(first) == (None, None)
    assert fields(complete(rig, upload, document([(1, first.first("etag"))]), kms)) == (None, None)
    assert fields(rig.ask("HEAD", "/bucket/o")) == (None, None)


def test_service_key(rig: Rig) -> None:
    answers = upload_whole(rig, [b"all"], ((MODE, "AES256"),))
    assert [fields(answer) for answer in (*answers, rig.ask("HEAD", "/bucket/o"))] == [("AES256", None)] * 4
    assert rig.ask("GET", "/bucket/o").content() == b"all"


def test_customer_key_comes_with_every_part_but_not_with_completion(rig: Rig) -> None:
    answers = upload_whole(rig, [PART, b"rest"], OWN_KEY, OWN_KEY)
    for answer in answers[:3]:
        assert (answer.first(ALGORITHM), answer.first(KEY_MD5.lower())) == ("AES256", "4XvB3tbNTN+tIEVa0/fGaQ==")
    assert (answers[3].status, answers[3].first(ALGORITHM), answers[3].first(KEY_MD5.lower())) == (200, "AES256", None)
    assert rig.ask("GET", "/bucket/o", OWN_KEY).content() == PART + b"rest"
    assert rig.ask("GET", "/bucket/o").status == 400


@pytest.mark.parametrize(
    ("begun", "sent", "answer"),
    [
        (OWN_KEY, (), (400, "InvalidRequest")),
        (OWN_KEY, OTHER_KEY, (400, "InvalidEncryptionAlgorithmError")),
        (OWN_KEY, OWN_KEY[:2], (400, "InvalidArgument")),
        ((), OWN_KEY, (400, "InvalidRequest")),
    ],
)
def test_customer_key_that_is_not_that_of_the_initiation(
    rig: Rig, begun: Lines, sent: Lines, answer: tuple[int, str]
) -> None:
    upload = begin(rig, begun)
    assert code(part(rig, upload, 1, b"x", sent)) == answer


@pytest.mark.parametrize(
    ("role", "answer"),
    [
        ("unknown", (400, "KMS.NotFoundException")),
        ("disabled", (400, "KMS.DisabledException")),
        ("other_account", (403, "AccessDenied")),
        ("other_project", (403, "AccessDenied")),
    ],
)
def test_key_that_cannot_be_used_is_refused_at_the_initiation(rig: Rig, role: str, answer: tuple[int, str]) -> None:
    assert code(initiate(rig, ((MODE, "kms"), (KEY_ID, rig.made.keys[role])))) == answer
    assert b"<Upload>" not in rig.ask("GET", "/bucket?uploads", sub="uploads").content()


def test_key_that_is_disabled_on_the_way_stops_parts(rig: Rig) -> None:
    upload = begin(rig, ((MODE, "kms"), (KEY_ID, rig.made.keys["custom"])))
    keyring = rig.service.world.keyring
    key = keyring.get(rig.made.keys["custom"])
    assert key is not None
    keyring.change_state(key, KeyState.DISABLED)
    assert code(part(rig, upload, 1, b"x")) == (400, "KMS.DisabledException")


@pytest.mark.parametrize("fault", [((MODE, "KMS"),), ((MODE, "kms"), *OWN_KEY), ((KEY_ID, "x"),)])
def test_faulty_fields_are_refused_at_the_initiation(rig: Rig, fault: Lines) -> None:
    assert code(initiate(rig, fault)) == (400, "InvalidArgument")


def test_mode_in_the_url_of_an_initiation(rig: Rig) -> None:
    host = (("Host", "obs.example.com"),)
    begun = rig.bare("POST", rig.signed_target("POST", "/bucket/o", f"uploads&{MODE}=kms"), host)
    assert (begun.status, begun.first(MODE)) == (200, "kms")
    added = rig.signed_target("POST", "/bucket/o", "uploads") + f"&{MODE}=kms"
    assert code(rig.bare("POST", added, host)) == (403, "SignatureDoesNotMatch")


# ---- part copies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source_headers", [(), ((MODE, "kms"),), ((MODE, "AES256"),)])
@pytest.mark.parametrize("target_headers", [(), ((MODE, "kms"),)])
def test_part_copy(rig: Rig, source_headers: Lines, target_headers: Lines) -> None:
    body = PART + b"and more"
    assert rig.ask("PUT", "/bucket/source", source_headers, body).status == 200
    upload = begin(rig, target_headers)
    whole = part(rig, upload, 1, b"", ((SOURCE, "/bucket/source"),))
    piece = part(rig, upload, 2, b"", ((SOURCE, "/bucket/source"), ("x-obs-copy-source-range", "bytes=3-9")))
    etags = []
    for answer in (whole, piece):
        match = re.search(
            r"<CopyPartResult xmlns=\"[^\"]+\"><LastModified>2018-06-06T09:08:21.000Z</LastModified>"
            r'<ETag>("[0-9a-f]{32}")</ETag></CopyPartResult>',
            answer.content().decode(),
        )
        assert match is not None
        etags.append(match[1])
        assert answer.first(MODE) == dict(target_headers).get(MODE)
    assert complete(rig, upload, document(enumerate(etags, 1))).status == 200
    assert rig.ask("GET", "/bucket/o").content() == body + body[3:10]


def test_part_copy_with_customer_keys_on_both_sides(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/source", OWN_KEY, b"secret").status == 200
    upload = begin(rig, OTHER_KEY)
    source = tuple((name.replace("x-obs-", "x-obs-copy-source-", 1), value) for name, value in OWN_KEY)
    copied = part(rig, upload, 1, b"", ((SOURCE, "/bucket/source"), *source, *OTHER_KEY))
    assert (copied.status, copied.first(KEY_MD5.lower())) == (200, OTHER_KEY[2][1])
    assert complete(rig, upload, document([(1, copied.first("etag"))])).status == 200
    assert rig.ask("GET", "/bucket/o", OTHER_KEY).content() == b"secret"


@pytest.mark.parametrize(
    ("headers", "body", "answer"),
    [
        (((SOURCE, "/bucket/none"),), b"", (404, "NoSuchKey")),
        (((SOURCE, "/absent/none"),), b"", (404, "NoSuchBucket")),
        (((SOURCE, "bucket"),), b"", (400, "InvalidArgument")),
        (((SOURCE, "/bucket/source"), ("x-obs-copy-source-range", "3-9")), b"", (400, "InvalidArgument")),
        (((SOURCE, "/bucket/source"), ("x-obs-copy-source-range", "bytes=9-12")), b"", (416, "InvalidRange")),
        (((SOURCE, "/bucket/source"),), b"body", (400, "MaxMessageLengthExceeded")),
    ],
)
def test_part_copy_that_cannot_be(rig: Rig, headers: Lines, body: bytes, answer: tuple[int, str]) -> None:
    assert rig.ask("PUT", "/bucket/source", (), b"short").status == 200
    assert code(part(rig, begin(rig), 1, body, headers)) == answer


# ---- lists ---------------------------------------------------------------------------------------------------------


def test_parts_are_listed_page_by_page(rig: Rig) -> None:
    upload = begin(rig)
    for number in (3, 1, 2):
        part(rig, upload, number, b"x" * number)

    def listed(query: str = "") -> tuple[list[str], str, str]:
        text = rig.ask("GET", f"/bucket/o?uploadId={upload}{query}", sub=f"uploadId={upload}").content().decode()
        sizes = re.findall(
            r"<Part><PartNumber>(\d)</PartNumber><LastModified>[^<]+</LastModified><ETag>\"[^<]+\"</ETag><Size>\1<",
            text,
        )
        more = re.findall(r"<IsTruncated>(.*?)<", text)[0]
        return sizes, more, re.findall(r"<NextPartNumberMarker>(.*?)<", text)[0]

    assert listed() == (["1", "2", "3"], "false", "3")
    assert listed("&max-parts=2") == (["1", "2"], "true", "2")
    assert listed("&max-parts=2&part-number-marker=2") == (["3"], "false", "3")
    assert (
        code(rig.ask("GET", f"/bucket/o?uploadId={upload}&max-parts=x", sub=f"uploadId={upload}"))[1]
        == "InvalidArgument"
    )


def test_uploads_are_listed_page_by_page_and_by_prefix(rig: Rig) -> None:
    ids = {key: begin(rig, key=key) for key in ("a", "b/1", "b/2", "c")}
    second = begin(rig, key="c")

    def listed(query: str = "") -> tuple[list[str], list[str], dict[str, str]]:
        text = rig.ask("GET", f"/bucket?uploads{query}", sub="uploads").content().decode()
        names = re.findall(r"<Upload><Key>([^<]+)</Key><UploadId>([^<]+)<", text)
        for key, upload in names:
            assert upload in {ids[key], second}
        prefixes = re.findall(r"<CommonPrefixes><Prefix>([^<]+)<", text)
        return [key for key, _ in names], prefixes, dict(re.findall(r"<(Next\w+)>([^<]*)<", text))

    assert listed() == (["a", "b/1", "b/2", "c", "c"], [], {})
    assert listed("&prefix=b/") == (["b/1", "b/2"], [], {})
    assert listed("&delimiter=/") == (["a", "c", "c"], ["b/"], {})
    keys, prefixes, following = listed("&delimiter=/&max-uploads=2")
    assert (keys, prefixes, following) == (["a"], ["b/"], {"NextKeyMarker": "b/", "NextUploadIdMarker": ""})
    assert listed("&delimiter=/&key-marker=b/") == (["c", "c"], [], {})
    keys, _, following = listed("&max-uploads=4")
    assert keys == ["a", "b/1", "b/2", "c"]
    assert following["NextKeyMarker"] == "c"
    assert listed(f"&key-marker=c&upload-id-marker={following['NextUploadIdMarker']}") == (["c"], [], {})
    assert listed("&key-marker=c") == ([], [], {})


# ---- who may -------------------------------------------------------------------------------------------------------


def test_strangers_may_not(rig: Rig) -> None:
    upload = begin(rig)
    for role in ("other_project", "other_account"):
        for answer in (
            initiate(rig, role=role),
            part(rig, upload, 1, b"x", role=role),
            part(rig, "0" * 32, 1, b"x", role=role),
            complete(rig, upload, document([(1, "x")]), role=role),
            rig.ask("GET", f"/bucket/o?uploadId={upload}", sub=f"uploadId={upload}", role=role),
            rig.ask("GET", "/bucket?uploads", sub="uploads", role=role),
            rig.ask("DELETE", f"/bucket/o?uploadId={upload}", sub=f"uploadId={upload}", role=role),
        ):
            assert code(answer) == (403, "AccessDenied")


# ---- over a socket, and the vendor's client --------------------------------------------------------------------------


def client_of(server: Server) -> Any:
    owner = server.target["identities"]["owner"]
    return ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        server=f"http://{server.host}:{server.port}",
        signature="obs",
        path_style=True,
        is_secure=False,
        client_mode="workflow",
    )


def test_sdk_uploads_in_parts(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start()
    client = client_of(server)
    assert client.createBucket("parts").status == 200
    key = server.target["keys"]["custom"]
    long_name = f"region:{server.target['identities']['owner']['domain_id']}:key/{key}"
    begun = client.initiateMultipartUpload("parts", "键 1", sseHeader=SseKmsHeader.getInstance(key))
    assert (begun.status, begun.body.sseKms, begun.body.sseKmsKey) == (200, "kms", long_name)
    upload = begun.body.uploadId
    first = client.uploadPart("parts", "键 1", 1, upload, PART)
    assert (first.status, first.body.sseKms, first.body.sseKmsKey) == (200, "kms", long_name)
    assert client.putContent("parts", "source", "tail").status == 200
    second = client.copyPart("parts", "键 1", 2, upload, "parts/source")
    assert (second.status, second.body.sseKmsKey) == (200, long_name)
    listed = client.listParts("parts", "键 1", upload)
    assert [(entry.partNumber, entry.size) for entry in listed.body.parts] == [(1, len(PART)), (2, 4)]
    assert [entry.uploadId for entry in client.listMultipartUploads("parts").body.upload] == [upload]
    request = CompleteMultipartUploadRequest([CompletePart(2, second.body.etag), CompletePart(1, first.body.etag)])
    done = client.completeMultipartUpload("parts", "键 1", upload, request)
    assert (done.status, done.body.key, done.body.sseKms, done.body.sseKmsKey) == (200, "键 1", "kms", long_name)
    got = client.getObject("parts", "键 1", loadStreamInMemory=True)
    assert (got.body.buffer, got.body.sseKmsKey, got.body.etag) == (PART + b"tail", long_name, done.body.etag)
    aborted = client.initiateMultipartUpload("parts", "o").body.uploadId
    assert client.abortMultipartUpload("parts", "o", aborted).status == 204
    large = tmp_path / "large"
    large.write_bytes(PART * 20)
    uploaded = client.uploadFile("parts", "large", str(large), partSize=512 * 1024, taskNum=4)
    assert uploaded.status == 200
    assert client.getObject("parts", "large", loadStreamInMemory=True).body.buffer == PART * 20
    client.close()
