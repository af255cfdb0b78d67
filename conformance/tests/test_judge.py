"""Every expectation word with an answer that fits and answers that do not."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.judge import WORDS, View, differences, evidence, http_date, parse_xml, select
from conformance.vocabulary import BytesDue, Response

NOW = 1528276101.0
DATE = "Wed, 06 Jun 2018 09:08:21 GMT"
ERROR = b'<?xml version="1.0"?><Error xmlns="urn:x"><Code>AccessDenied</Code><Message>no</Message></Error>'


def view(status=200, headers=(), body=b"", method="GET", earlier=(), bodies=None):
    return View(Response(status, "OK", tuple(headers), body), method, bodies or {}, tuple(earlier), NOW)


ETAG = [("etag", '"d8"')]
ROWS = [
    ("status", "status", 200, view(200)),
    ("status", "status", [200, 204], view(204)),
    ("equals", "header ETag", '"d8"', view(headers=ETAG)),
    ("differs", "header ETag", '"d9"', view(headers=ETAG)),
    ("matches", "header ETag", '"[0-9a-f]{2}"', view(headers=ETAG)),
    ("one_of", "header ETag", ('"d8"', '"d9"'), view(headers=ETAG)),
    ("present", "header ETag", True, view(headers=ETAG)),
    ("absent", "header ETag", True, view()),
    ("unique", "header ETag", True, view(headers=ETAG, earlier=[Response(200, "", (("ETag", '"d7"'),), b"")])),
    ("http_date", "header Date", 60, view(headers=[("Date", DATE)])),
    ("body_is", "body", "body", view(body=b"abc", bodies={"body": b"abc"})),
    ("body_is", "body", BytesDue(("a", "b"), 1, 4), view(body=b"bcde", bodies={"a": b"abc", "b": b"def"})),
    ("body_is", "body", BytesDue(("a",), -2), view(body=b"bc", bodies={"a": b"abc"})),
    ("body_json", "body", '{"a": ["b"], "c": {"d": 1}}', view(body=b'{"c":{"d":[1]},"a":"b"}')),
    ("not_md5_of", "header ETag", "a", view(headers=ETAG, bodies={"a": b"abc"})),
    ("body_empty", "body", "", view()),
    ("refused", "refusal", {"status": [403], "codes": ["AccessDenied"]}, view(403, body=ERROR)),
    ("refused", "refusal", {"status": [404], "codes": ["NoSuchKey"]}, view(404, method="HEAD")),
    ("equals", "xml Error/Code", "AccessDenied", view(body=ERROR)),
]
MISSES = [
    ("status", "status", 200, view(201), "status 201 OK where 200 is due"),
    ("equals", "header ETag", '"d8"', view(), "header ETag is absent"),
    ("equals", "header ETag", "d8", view(headers=ETAG), "is not 'd8'"),
    ("equals", "header ETag", '"D8"', view(headers=ETAG), "is not"),
    ("equals", "header ETag", '"d8"', view(headers=ETAG * 2), "occurs 2 times"),
    ("differs", "header ETag", '"d8"', view(headers=ETAG), "must not be"),
    ("differs", "header ETag", '"d8"', view(), "absent"),
    ("matches", "header ETag", "[0-9a-f]+", view(headers=ETAG), "does not match"),
    ("matches", "header ETag", '"d', view(headers=ETAG), "does not match"),
    ("one_of", "header ETag", ("a", "b"), view(headers=ETAG), "none of 'a', 'b'"),
    ("present", "header ETag", True, view(headers=[("ETag", "")]), "absent or empty"),
    ("absent", "header ETag", True, view(headers=[("eTaG", "")]), "is there"),
    (
        "unique",
        "header ETag",
        True,
        view(headers=ETAG, earlier=[Response(200, "", (("ETAG", '"d8"'),), b"")]),
        "repeats",
    ),
    (
        "http_date",
        "header Date",
        60,
        view(headers=[("Date", "Wed, 06 Jun 2018 10:08:21 GMT")]),
        "3600 s from the clock",
    ),
    ("http_date", "header Date", 60, view(headers=[("Date", "2018-06-06")]), "not an HTTP date"),
    ("body_is", "body", "body", view(body=b"abd", bodies={"body": b"abc"}), "offset 2"),
    ("body_is", "body", "body", view(body=b"ab", bodies={"body": b"abc"}), "offset 2"),
    ("body_is", "body", BytesDue(("a",), 1, 1), view(body=b"abc", bodies={"a": b"abc"}), "offset 0"),
    ("body_json", "body", '{"a": ["b", "c"]}', view(body=b'{"a": ["c", "b"]}'), "the JSON document"),
    ("body_json", "body", "{}", view(body=b"<a/>"), "not JSON"),
    (
        "not_md5_of",
        "header ETag",
        "a",
        view(headers=[("ETag", '"900150983cd24fb0d6963f7d28e17f72"')], bodies={"a": b"abc"}),
        "the MD5 of the body 'a'",
    ),
    ("not_md5_of", "header ETag", "a", view(bodies={"a": b"abc"}), "absent"),
    ("body_empty", "body", "", view(body=b"x"), "1 bytes where none is due"),
    ("refused", "refusal", {"status": [403], "codes": ["AccessDenied"]}, view(200), "refusal with 403 is due"),
    ("refused", "refusal", {"status": [403], "codes": ["Other"]}, view(403, body=ERROR), "none of 'Other'"),
    ("refused", "refusal", {"status": [403], "codes": ["X"]}, view(403, body=b"<Error>"), "not an error document"),
    ("refused", "refusal", {"status": [404], "codes": ["X"]}, view(403, method="HEAD"), "404 is due"),
    ("equals", "xml Error/Code", "AccessDenied", view(body=b"<Fehler><Code>AccessDenied</Code></Fehler>"), "absent"),
]


@pytest.mark.parametrize(("word", "subject", "wanted", "seen"), ROWS)
def test_word_holds(word, subject, wanted, seen):
    assert differences(word, subject, wanted, seen) == ()


@pytest.mark.parametrize(("word", "subject", "wanted", "seen", "says"), MISSES)
def test_word_differs(word, subject, wanted, seen, says):
    found = differences(word, subject, wanted, seen)
    assert found
    assert says in " ".join(found)


def test_every_word_has_been_seen_to_hold_and_to_differ():
    assert {row[0] for row in ROWS} == {row[0] for row in MISSES} == set(WORDS)


def test_one_word_reports_everything_that_is_wrong():
    wanted = {"status": [403], "codes": ["AccessDenied"]}
    assert len(differences("refused", "refusal", wanted, view(200, body=b"hello"))) == 2


def test_document_types_are_not_read():
    assert parse_xml(b'<!DOCTYPE a [<!ENTITY b "c">]><Error><Code>&b;</Code></Error>') is None


@pytest.mark.parametrize(
    ("selector", "values"),
    [("status", ("403",)), ("code", ("AccessDenied",)), ("body size", (str(len(ERROR)),)), ("header x-a", ("1", "2"))],
)
def test_selectors(selector, values):
    assert select(selector, view(403, headers=[("X-A", "1"), ("x-a", "2")], body=ERROR)) == values


def test_code_of_an_answer_to_head_is_in_a_header():
    assert select("code", view(404, headers=[("x-obs-error-code", "NoSuchKey")], method="HEAD")) == ("NoSuchKey",)


def test_evidence_shows_what_came():
    digest = hashlib.sha256(b"abc").hexdigest()
    assert evidence("body_is", "body", view(body=b"abc")) == f"3 bytes, SHA-256 {digest}"
    assert evidence("status", "status", view(403, body=ERROR)) == "403 OK, code AccessDenied"
    assert evidence("equals", "header ETag", view()) == "(absent)"


def test_only_the_fixed_form_is_an_http_date():
    assert http_date(DATE) == NOW
    for other in ("Wed, 6 Jun 2018 09:08:21 GMT", DATE.replace("GMT", "+0000"), "Wed, 99 Jun 2018 09:08:21 GMT", ""):
        assert http_date(other) is None


@given(st.text(), st.text())
def test_equals_and_differs_never_agree(value, wanted):
    seen = view(headers=[("A", value)])
    assert bool(differences("equals", "header A", wanted, seen)) != bool(
        differences("differs", "header A", wanted, seen)
    )


@given(st.sampled_from(sorted(WORDS)), st.binary(), st.lists(st.tuples(st.text(), st.text())))
def test_no_word_raises_whatever_comes(word, body, headers):
    wanted = {
        "refused": {"status": [403], "codes": ["A"]},
        "one_of": ("a",),
        "http_date": 5,
        "status": 200,
        "body_json": "{}",
    }.get(word, "x")
    subject = "xml A/B" if word in {"equals", "matches", "one_of"} else "header Date"
    differences(word, subject, wanted, view(headers=headers, body=body, bodies={"x": b"1"}))
