"""Appending: positions, encryption said once, and what stays whole when it fails."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

from reference_server.wire import Head, Headers

if TYPE_CHECKING:
    from reference_server.tests.conftest import Lines, Rig
    from reference_server.wire import Response

MODE, KEY_ID = "x-obs-server-side-encryption", "x-obs-server-side-encryption-kms-key-id"
KMS = ((MODE, "kms"),)
CUSTOMER_KEY = bytes(range(32))
CUSTOMER: tuple[tuple[str, str], ...] = (
    (f"{MODE}-customer-algorithm", "AES256"),
    (f"{MODE}-customer-key", base64.b64encode(CUSTOMER_KEY).decode()),
    (f"{MODE}-customer-key-MD5", base64.b64encode(hashlib.md5(CUSTOMER_KEY).digest()).decode()),
)


def append(rig: Rig, position: str, body: bytes, headers: Lines = (), *, role: str = "owner") -> Response:
    sub = f"append&position={position}"
    return rig.ask("POST", f"/bucket/log?{sub}", headers, body, sub=sub, role=role)


@pytest.mark.parametrize("first", [(), KMS, ((MODE, "AES256"),)], ids=["plain", "kms", "obs"])
def test_object_grows_and_is_read_back_whole_and_by_range(rig: Rig, first: Lines) -> None:
    begun = append(rig, "0", b"one " * 40000, first)
    assert (begun.status, begun.first("x-obs-next-append-position")) == (200, "160000")
    grown = append(rig, "160000", b"two")
    assert (grown.status, grown.first("x-obs-next-append-position")) == (200, "160003")
    assert append(rig, "160003", b"").status == 200
    for answer in (begun, grown):
        assert answer.first(MODE) == (first[0][1] if first else None)
    got = rig.ask("GET", "/bucket/log")
    assert (got.status, got.content(), got.first(MODE)) == (200, b"one " * 40000 + b"two", begun.first(MODE))
    assert got.first(KEY_ID) == begun.first(KEY_ID) == grown.first(KEY_ID)
    assert rig.ask("GET", "/bucket/log", (("Range", "bytes=159998-160001"),)).content() == b"e tw"


def test_head_shows_an_appendable_object_and_its_length(rig: Rig) -> None:
    append(rig, "0", b"abc")
    head = rig.ask("HEAD", "/bucket/log")
    shown = [head.first(name) for name in ("x-obs-object-type", "x-obs-next-append-position", "content-length")]
    assert shown == ["Appendable", "3", "3"]


def test_etag_of_the_answer_is_that_of_the_piece_and_the_objects_own_changes(rig: Rig) -> None:
    first = append(rig, "0", b"abc").first("etag")
    second = append(rig, "3", b"def").first("etag")
    assert [first, second] == [f'"{hashlib.md5(piece).hexdigest()}"' for piece in (b"abc", b"def")]
    assert rig.ask("HEAD", "/bucket/log").first("etag") not in (first, second)


@pytest.mark.parametrize("position", ["1", "4", "0"])
def test_position_that_is_not_the_length_changes_nothing(rig: Rig, position: str) -> None:
    append(rig, "0", b"abc")
    refused = append(rig, position, b"def")
    assert (refused.status, b"<Code>PositionNotEqualToLength</Code>" in refused.content()) == (409, True)
    assert rig.ask("GET", "/bucket/log").content() == b"abc"


@pytest.mark.parametrize("position", ["", "-1", "x", "1" * 20])
def test_position_that_is_no_number(rig: Rig, position: str) -> None:
    assert append(rig, position, b"def").status == 400


def test_first_append_begins_at_nought(rig: Rig) -> None:
    assert append(rig, "3", b"abc").status == 409
    assert rig.ask("HEAD", "/bucket/log").status == 404


def test_object_of_another_kind_is_not_appendable(rig: Rig) -> None:
    rig.ask("PUT", "/bucket/log", (), b"abc")
    refused = append(rig, "3", b"def")
    assert (refused.status, b"<Code>ObjectNotAppendable</Code>" in refused.content()) == (409, True)


def test_encryption_is_said_by_the_first_append_only(rig: Rig) -> None:
    assert append(rig, "0", b"abc", ((MODE, "kms"), (KEY_ID, rig.made.keys["custom"]))).status == 200
    assert append(rig, "3", b"def", KMS).status == 400
    grown = append(rig, "3", b"def")
    assert (grown.status, grown.first(KEY_ID)) == (200, rig.long_name("custom"))


def test_customer_key_comes_with_every_append(rig: Rig) -> None:
    assert append(rig, "0", b"abc", CUSTOMER).status == 200
    assert append(rig, "3", b"def").status == 400
    assert append(rig, "3", b"def", CUSTOMER).status == 200
    assert rig.ask("GET", "/bucket/log", CUSTOMER).content() == b"abcdef"


def test_wrong_digest_appends_nothing(rig: Rig) -> None:
    append(rig, "0", b"abc")
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert append(rig, "3", b"def", (("Content-MD5", wrong),)).status == 400
    assert rig.ask("GET", "/bucket/log").content() == b"abc"


def test_strangers_may_not_append(rig: Rig) -> None:
    append(rig, "0", b"abc")
    assert append(rig, "3", b"def", role="other_account").status == 403


def test_second_of_two_appends_at_one_position_is_refused(rig: Rig) -> None:
    append(rig, "0", b"abc")
    signed = rig.signed_target("POST", "/bucket/log", "append&position=3")
    head = Head("POST", signed, Headers((("Host", "obs.example.com"), ("Content-Length", "3"))))
    slow = rig.service.open(head)
    assert append(rig, "3", b"def").status == 200
    slow.feed(b"xyz")
    answers = [answer for answer in slow.finish() if answer is not None]
    assert [answer.status for answer in answers] == [409]
    assert rig.ask("GET", "/bucket/log").content() == b"abcdef"


def test_policy_that_demands_the_mode_lets_an_object_begin_and_never_grow(rig: Rig) -> None:
    statement = (
        b'{"Statement":[{"Effect":"Deny","Principal":"*","Action":"PutObject","Resource":"bucket/*",'
        b'"Condition":{"StringNotEquals":{"x-obs-server-side-encryption":"kms"}}}]}'
    )
    assert rig.ask("PUT", "/bucket?policy", (), statement, sub="policy").status == 204
    assert append(rig, "0", b"abc").status == 403
    assert append(rig, "0", b"abc", KMS).status == 200
    assert append(rig, "3", b"def").status == 403
