"""What every expectation word says, to the letter: its difference, its English, the evidence beside it."""

import hashlib

import pytest

from conformance import judge
from conformance.judge import WORDS, View, differences, evidence, http_date, parse_xml, select, shown
from conformance.vocabulary import BytesDue, Response

NOW = 1528276101.0
DATE = "Wed, 06 Jun 2018 09:08:21 GMT"
ERROR = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
ABC = hashlib.sha256(b"abc").hexdigest()
MD5 = "900150983cd24fb0d6963f7d28e17f72"
TWICE = [("a", "1"), ("A", "2")]


def view(status=200, headers=(), body=b"", method="GET", earlier=(), bodies=None, reason="OK", interim=()):
    response = Response(status, reason, tuple(headers), body, tuple(interim))
    return View(response, method, bodies or {}, tuple(earlier), NOW)


def earlier(*headers):
    return Response(200, "OK", headers, b"")


SAID = [
    ("status", "status", 200, view(201, reason="Created"), ["status 201 Created where 200 is due"]),
    ("status", "status", (200, 204), view(201, reason=""), ["status 201 where 200 or 204 is due"]),
    ("status", "status", "200", view(403, reason="Forbidden"), ["status 403 Forbidden where 200 is due"]),
    ("equals", "header A", "x", view(), ["header A is absent"]),
    ("equals", "header A", "x", view(headers=[("a", "y")]), ["header A is 'y', which is not 'x'"]),
    (
        "equals",
        "header A",
        "1",
        view(headers=TWICE),
        ["header A occurs 2 times: '1', '2'", "header A is '2', which is not '1'"],
    ),
    ("differs", "header A", "x", view(headers=[("a", "x")]), ["header A is 'x', which must not be 'x'"]),
    ("matches", "header A", "[0-9]", view(headers=[("a", "12")]), ["header A is '12', which does not match '[0-9]'"]),
    ("one_of", "header A", ("x", "y"), view(headers=[("a", "z")]), ["header A is 'z', none of 'x', 'y'"]),
    ("one_of", "header A", "x", view(headers=[("a", "z")]), ["header A is 'z', none of 'x'"]),
    ("one_of", "header A", ["x"], view(), ["header A is absent"]),
    ("one_of", "header A", "xy", view(headers=[("a", "x")]), ["header A is 'x', none of 'xy'"]),
    ("one_of", "header A", ("1", "2"), view(headers=TWICE), ["header A occurs 2 times: '1', '2'"]),
    ("present", "header A", True, view(), ["header A is absent or empty"]),
    ("present", "header A", True, view(headers=[("a", "")]), ["header A is absent or empty"]),
    ("absent", "header A", True, view(headers=[("a", "1")]), ["header A is there, with '1'"]),
    (
        "unique",
        "header A",
        True,
        view(headers=[("a", "1")], earlier=[earlier(("A", "0")), earlier(("a", "1"))]),
        ["header A repeats '1' of an earlier answer"],
    ),
    ("unique", "header A", True, view(), ["header A is absent"]),
    ("unique", "xml R/A", True, view(body=b"<R/>"), ["xml R/A is absent"]),
    ("http_date", "header Date", 60, view(), ["header Date is absent"]),
    ("http_date", "header Date", 60, view(headers=[("date", "now")]), ["header Date is 'now', not an HTTP date"]),
    (
        "http_date",
        "header Date",
        60,
        view(headers=[("date", "Wed, 06 Jun 2018 09:09:22 GMT")]),
        ["header Date is 'Wed, 06 Jun 2018 09:09:22 GMT', 61 s from the clock, more than 60 s"],
    ),
    (
        "http_date",
        "header Date",
        "60",
        view(headers=[("date", "Wed, 06 Jun 2018 09:07:20 GMT")]),
        ["header Date is 'Wed, 06 Jun 2018 09:07:20 GMT', 61 s from the clock, more than 60 s"],
    ),
    (
        "not_md5_of",
        "header ETag",
        "b",
        view(headers=[("etag", f'"{MD5.upper()}-1"')], bodies={"b": b"abc"}),
        [f"header ETag is '\"{MD5.upper()}-1\"', the MD5 of the body 'b'"],
    ),
    ("not_md5_of", "header ETag", "b", view(bodies={"b": b""}), ["header ETag is absent"]),
    (
        "body_is",
        "body",
        "b",
        view(body=b"abc", bodies={"b": b"abdd"}),
        [f"body has 3 bytes and differs from the 4 bytes written at offset 2 (SHA-256 {ABC})"],
    ),
    (
        "body_is",
        "body",
        "b",
        view(body=b"abc", bodies={"b": b"abcde"}),
        [f"body has 3 bytes and differs from the 5 bytes written at offset 3 (SHA-256 {ABC})"],
    ),
    (
        "body_is",
        "body",
        BytesDue(("b", "c"), 1, 3),
        view(body=b"abc", bodies={"b": b"ab", "c": b"cdef"}),
        [f"body has 3 bytes and differs from the 3 bytes written at offset 0 (SHA-256 {ABC})"],
    ),
    ("body_json", "body", "{}", view(body=b"<a/>"), ["the body is not JSON"]),
    ("body_json", "body", '{"a": 1}', view(body=b'{"a": 2}'), ['the body is the JSON document {"a": 2}']),
    ("body_json", "body", "[1, 2]", view(body=b"[2, 1]"), ["the body is the JSON document [2, 1]"]),
    ("body_json", "body", "[1, 2]", view(body=b"[1, 3]"), ["the body is the JSON document [1, 3]"]),
    ("body_json", "body", '""', view(body=b'"%b"' % (b"x" * 500)), [f'the body is the JSON document "{"x" * 399}']),
    ("body_empty", "body", "", view(body=b"ab"), ["body has 2 bytes where none is due"]),
    (
        "refused",
        "refusal",
        {"status": [403, 404], "codes": ["A", "B"]},
        view(200, body=ERROR),
        ["status 200 where a refusal with 403 or 404 is due", "error code 'AccessDenied', none of 'A', 'B'"],
    ),
    (
        "refused",
        "refusal",
        {"status": [403], "codes": ["A"]},
        view(403, body=b""),
        ["the body is not an error document with a Code element"],
    ),
    (
        "refused",
        "refusal",
        {"status": [404], "codes": ["A"]},
        view(403, method="HEAD"),
        ["status 403 where a refusal with 404 is due"],
    ),
]

HOLDS = [
    ("status", "status", "200", view(200)),
    ("status", "status", [201, 204], view(204)),
    ("one_of", "header A", ("x", "y"), view(headers=[("a", "y")])),
    ("absent", "header A", True, view(headers=[("b", "1")])),
    ("unique", "header A", True, view(headers=[("a", "1")], earlier=[earlier(("b", "1"))])),
    ("unique", "xml R/A", True, view(body=b"<R><A>1</A></R>", earlier=[earlier(("A", "1"))])),
    ("http_date", "header Date", 60, view(headers=[("date", "Wed, 06 Jun 2018 09:09:21 GMT")])),
    ("http_date", "header Date", 60, view(headers=[("date", "Wed, 06 Jun 2018 09:07:21 GMT")])),
    ("body_json", "body", '{"a": ["b"]}', view(body=b'{"a": "b"}')),
    ("body_json", "body", "[[1], 2]", view(body=b"[1, [2]]")),
    ("body_is", "body", BytesDue(("b", "c")), view(body=b"abcd", bodies={"b": b"ab", "c": b"cd"})),
    ("body_is", "body", BytesDue(("b",), None, 0), view(body=b"a", bodies={"b": b"abc"})),
    ("refused", "refusal", {"status": [403], "codes": ["A", "AccessDenied"]}, view(403, body=ERROR)),
    ("equals", "xml R/A/B", "x", view(body=b'<R xmlns="u"><A><B> x </B></A><C><B>y</B></C></R>')),
]

ENGLISH = [
    ("status", "status", (200, 204), "the status is 200 or 204"),
    ("status", "status", 200, "the status is 200"),
    ("equals", "header A", "x", "header A is exactly 'x'"),
    ("differs", "header A", "x", "header A is not 'x'"),
    ("matches", "header A", "[0-9]", "header A matches [0-9]"),
    ("one_of", "header A", ("x", "y"), "header A is one of ('x', 'y')"),
    ("present", "header A", True, "header A is there and not empty"),
    ("absent", "header A", True, "header A is absent"),
    ("unique", "header A", True, "header A is new in every answer"),
    ("http_date", "header A", 60, "header A is an HTTP date within 60 s of the clock"),
    ("not_md5_of", "header A", "b", "header A is not the MD5 of the body 'b'"),
    ("body_is", "body", "b", "the body is byte for byte 'b' as it was written"),
    ("body_is", "body", BytesDue(("a", "b")), "the body is byte for byte 'a' + 'b' as it was written"),
    ("body_is", "body", BytesDue(("a",), 2), "the body is byte for byte 'a' as it was written, from 2 to the end"),
    ("body_is", "body", BytesDue(("a",), None, 3), "the body is byte for byte 'a' as it was written, from 0 to 3"),
    ("body_json", "body", "{}", "the body is JSON equal to {}"),
    ("body_empty", "body", "", "the body is empty"),
    ("refused", "refusal", {"status": [403]}, "the request is refused: {'status': [403]}"),
]


@pytest.mark.parametrize(("word", "subject", "wanted", "seen", "said"), SAID)
def test_a_difference_is_said_to_the_letter(word, subject, wanted, seen, said):
    assert differences(word, subject, wanted, seen) == tuple(said)


@pytest.mark.parametrize(("word", "subject", "wanted", "seen"), HOLDS)
def test_what_is_due_differs_in_nothing(word, subject, wanted, seen):
    assert differences(word, subject, wanted, seen) == ()


@pytest.mark.parametrize(("word", "subject", "wanted", "english"), ENGLISH)
def test_an_expectation_reads_in_english(word, subject, wanted, english):
    assert WORDS[word].english(subject, wanted) == english


def test_every_word_is_said_and_read():
    assert {row[0] for row in SAID} == {row[0] for row in ENGLISH} == set(WORDS)


@pytest.mark.parametrize(
    ("selector", "seen", "values"),
    [
        ("status", view(403), ("403",)),
        ("code", view(403, body=ERROR), ("AccessDenied",)),
        ("code", view(403, headers=[("X-Obs-Error-Code", "A")], body=ERROR), ("AccessDenied",)),
        ("code", view(403, headers=[("X-Obs-Error-Code", "A")]), ("A",)),
        ("code", view(403), ()),
        ("interim", view(interim=[100, 103]), ("100", "103")),
        ("interim", view(), ()),
        ("body size", view(body=b"abc"), ("3",)),
        ("header A", view(headers=TWICE), ("1", "2")),
        ("header A", view(), ()),
        ("xml Error/Message", view(body=ERROR), ("no",)),
        ("xml Error", view(body=b"<Error> x </Error>"), ("x",)),
        ("xml Other/Message", view(body=ERROR), ()),
        ("xml Error/Message/Code", view(body=ERROR), ()),
        ("xml Error/Code", view(body=b"not xml"), ()),
        ("xml R/A", view(body=b"<R><A>1</A><B/><A>2</A></R>"), ("1", "2")),
        ("xml R/A", view(body=b"<R><A/></R>"), ("",)),
    ],
)
def test_a_selector_picks_values(selector, seen, values):
    assert select(selector, seen) == values


def test_documents_are_read_only_if_they_are_well_formed_and_declare_nothing():
    assert parse_xml(b"<a/>").tag == "a"
    assert parse_xml(b"<a>") is None
    assert parse_xml(b"<!DOCTYPE a><a/>") is None


def test_values_are_shown_in_quotes_and_cut():
    assert shown(()) == "(absent)"
    assert shown(("a", "b")) == "'a', 'b'"
    assert shown(("x" * 400,)) == f"'{'x' * 400}'"
    assert shown(("x" * 401,)) == f"'{'x' * 400}...'"


@pytest.mark.parametrize(
    ("word", "subject", "seen", "text"),
    [
        ("body_is", "body", view(body=b"abc"), f"3 bytes, SHA-256 {ABC}"),
        ("body_empty", "body", view(body=b"abc"), f"3 bytes, SHA-256 {ABC}"),
        ("status", "status", view(204, reason="No Content"), "204 No Content"),
        ("status", "status", view(204, reason=""), "204"),
        ("refused", "refusal", view(403, body=ERROR), "403 OK, code AccessDenied"),
        ("status", "status", view(403, reason="", body=ERROR), "403, code AccessDenied"),
        ("equals", "header A", view(headers=TWICE), "'1', '2'"),
        ("absent", "header A", view(), "(absent)"),
    ],
)
def test_evidence_is_told_to_the_letter(word, subject, seen, text):
    assert evidence(word, subject, seen) == text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (DATE, NOW),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Wed, 06 Jun 2018 09:08:21 UTC", None),
        ("Xyz, 06 Jun 2018 09:08:21 GMT", None),
        ("Wed, 06 Jun 2018 25:08:21 GMT", None),
        (f" {DATE}", None),
        (f"{DATE} ", None),
    ],
)
def test_an_http_date_is_seconds_or_nothing(value, seconds):
    assert http_date(value) == seconds


def test_a_relation_on_a_value_is_made_of_a_test_and_a_verb():
    """Made when it is asked for, as the table of words was made when the module was read."""
    starts = judge._value_test(lambda value, wanted: value.startswith(wanted), "does not begin with")
    assert list(starts("header A", "1", view(headers=TWICE))) == [
        "header A occurs 2 times: '1', '2'",
        "header A is '2', which does not begin with '1'",
    ]
    assert list(starts("header A", 1, view(headers=[("a", "12")]))) == []
    assert list(starts("header A", "1", view())) == ["header A is absent"]


LONG = bytes(range(256)) * 20


def beginning(whole, size=2048):
    """What evidence keeps of a body: its beginning, and size and digest of the whole."""
    return Response(200, "OK", (), whole[:size], (), (len(whole), hashlib.sha256(whole).hexdigest()))


def parted(response, right=LONG):
    seen = View(response, "GET", {"b": right}, (), NOW)
    return [text.partition(" written ")[2].partition(" (SHA")[0] for text in differences("body_is", "body", "b", seen)]


@pytest.mark.parametrize(
    ("came", "where"),
    [
        (LONG, []),
        (LONG[:3000], ["at offset 3000"]),
        (LONG[:3000] + b"x" + LONG[3001:], ["beyond offset 2047"]),
        (LONG + b"x", ["beyond offset 2047"]),
        (b"x" + LONG[1:], ["at offset 0"]),
        (LONG[:100] + b"x", ["at offset 100"]),
    ],
)
def test_bodies_of_which_a_beginning_is_kept_part_where_the_evidence_can_tell(came, where):
    assert parted(Response(200, "OK", (), came)) == where
    assert parted(beginning(came)) == where


def test_a_short_body_due_parts_at_its_end_from_a_long_one():
    for right in (LONG[:2048], LONG[:2047], LONG[:1]):
        assert parted(Response(200, "OK", (), LONG), right) == [f"at offset {len(right)}"]


def test_a_body_in_full_agrees_with_its_evidence_only_if_size_and_digest_do():
    assert parted(Response(200, "OK", (), LONG[:2048], (), (len(LONG), "0" * 64))) == ["beyond offset 2047"]
    assert parted(Response(200, "OK", (), LONG[:10], (), (11, hashlib.sha256(LONG[:10]).hexdigest())), LONG[:10]) == [
        "at offset 10"
    ]


def test_a_document_longer_than_evidence_keeps_is_not_read():
    text = b'{"a": "%b"}' % (b"x" * 70_000)
    seen = view(body=text)
    assert differences("body_json", "body", text.decode(), seen) == ("the body is not JSON",)
    long = View(Response(200, "OK", (), b"<R><A>1</A>", (), (4_000_000, "0" * 64)), "GET", {}, (), NOW)
    assert differences("present", "xml R/A", True, long) == ("xml R/A is absent or empty",)
