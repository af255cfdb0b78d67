"""Passive rules: each is seen to hold on an honest exchange and to break on one that differs in one thing."""

import base64
import hashlib
import json
from dataclasses import replace

import pytest

from conformance.casefile import load_library
from conformance.heard import hear
from conformance.passive import Traffic, judge_traffic, load_rules
from conformance.recordings import read_recording
from conformance.vocabulary import CaseError, Response

LIBRARY = load_library()
RULES = load_rules(LIBRARY)
MODE, KEY = "x-obs-server-side-encryption", "x-obs-server-side-encryption-kms-key-id"
BARE = "4f1cd4de-ab64-4807-920a-47fc42e7f0d0"
LONG = f"region:783fc6652cf246c096ea836694f71855:key/{BARE}"
DATE, NOW = "Wed, 06 Jun 2018 09:08:21 GMT", 1528276101.0
COMMON = (("Server", "OBS"), ("x-obs-request-id", "8DF4"), ("x-obs-id-2", "32AA"), ("Date", DATE))
SIGNED = (("Date", DATE), ("Authorization", f"OBS AK:{'a' * 27}="))
ASKED = (*SIGNED, (MODE, "kms"), (KEY, BARE))
NAMED = (*COMMON, (MODE, "kms"), (KEY, LONG), ("ETag", f'"{"0" * 32}"'))
ERROR = b"<Error><Code>NoSuchEncryptionConfiguration</Code><Message>m</Message><RequestId>r</RequestId></Error>"
DEFAULT = b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
COPIED = f'<CopyObjectResult><ETag>"{"0" * 32}"</ETag></CopyObjectResult>'.encode()


def answer(status=200, headers=NAMED, body=b""):
    return Response(status, "", headers, body)


PUT = Traffic("PUT", "object", (), ASKED, b"x", answer(), NOW)
COPY = replace(PUT, headers=(*ASKED, ("x-obs-copy-source", "/b/o")), body=b"", answer=answer(body=COPIED))
INITIATE = Traffic("POST", "object", (("uploads", ""),), ASKED, b"", answer(), NOW)
GET = Traffic("GET", "object", (), SIGNED, b"", answer(), NOW)
URL = Traffic(
    "PUT",
    "object",
    (("AccessKeyId", "AK"), ("Expires", "1534152518"), (MODE, "kms"), ("Signature", "s")),
    (),
    b"x",
    answer(),
    NOW,
)
GET_DEFAULT = Traffic("GET", "bucket", (("encryption", ""),), SIGNED, b"", answer(headers=COMMON, body=DEFAULT), NOW)
NO_DEFAULT = replace(GET_DEFAULT, answer=answer(404, COMMON, ERROR))
HONEST = (PUT, COPY, INITIATE, GET, URL, GET_DEFAULT, NO_DEFAULT)


def without(pairs, name):
    return tuple(pair for pair in pairs if pair[0] != name)


def with_value(pairs, name, value):
    return tuple((key, value if key == name else old) for key, old in pairs)


def asks(traffic, headers):
    return replace(traffic, headers=headers)


def answers(traffic, headers):
    return replace(traffic, answer=replace(traffic.answer, headers=headers))


BREACHES = {
    "PASSIVE-Q01": asks(PUT, with_value(ASKED, MODE, "KMS")),
    "PASSIVE-Q02": asks(PUT, with_value(ASKED, KEY, "alias/mine")),
    "PASSIVE-Q03": asks(PUT, without(ASKED, MODE)),
    "PASSIVE-Q04": asks(GET, ASKED),
    "PASSIVE-Q05": asks(PUT, with_value(ASKED, "Authorization", "OBS AK:f3/PWjkXYTYGs5lPOctTNEI2QENU=")),
    "PASSIVE-Q06": asks(PUT, with_value(ASKED, "Date", "2018-06-06T09:08:21Z")),
    "PASSIVE-Q07": replace(COPY, body=b"x"),
    "PASSIVE-Q08": replace(URL, query=with_value(URL.query, "Expires", "2018-08-13")),
    "PASSIVE-Q09": replace(URL, query=without(URL.query, "AccessKeyId")),
    "PASSIVE-A01": answers(PUT, without(NAMED, "x-obs-request-id")),
    "PASSIVE-A02": answers(PUT, without(NAMED, "x-obs-id-2")),
    "PASSIVE-A03": answers(PUT, with_value(NAMED, "Date", "Wed, 06 Jun 2018 10:08:21 GMT")),
    "PASSIVE-A04": answers(PUT, with_value(NAMED, "Server", "nginx")),
    "PASSIVE-A05": answers(PUT, with_value(NAMED, MODE, "AES256")),
    "PASSIVE-A06": answers(PUT, without(NAMED, KEY)),
    "PASSIVE-A07": replace(PUT, answer=answer(201)),
    "PASSIVE-A08": answers(PUT, with_value(NAMED, "ETag", "0" * 32)),
    "PASSIVE-A09": answers(PUT, with_value(NAMED, "ETag", f'"{hashlib.md5(b"x").hexdigest()}"')),
    "PASSIVE-A10": replace(PUT, answer=answer(body=b"<a/>")),
    "PASSIVE-A11": answers(GET, with_value(NAMED, KEY, BARE)),
    "PASSIVE-A12": answers(PUT, with_value(NAMED, KEY, LONG.replace("4f1c", "5f1c"))),
    "PASSIVE-A13": answers(COPY, without(NAMED, KEY)),
    "PASSIVE-A14": replace(COPY, answer=answer()),
    "PASSIVE-A15": answers(INITIATE, without(NAMED, MODE)),
    "PASSIVE-A16": answers(GET, without(NAMED, KEY)),
    "PASSIVE-A17": replace(PUT, answer=answer(403, COMMON, b"<Error><Code>AccessDenied</Code></Error>")),
    "PASSIVE-A18": replace(GET_DEFAULT, answer=answer(headers=COMMON, body=b"<ServerSideEncryptionConfiguration/>")),
    "PASSIVE-A19": replace(NO_DEFAULT, answer=answer(404, COMMON, ERROR.replace(b"NoSuchE", b"E"))),
}


def broken(traffic, side=None):
    return {rule.id for rule, finding in judge_traffic(RULES, LIBRARY.shapes, traffic, side) if not finding.held}


def test_nothing_honest_breaks_a_rule_and_every_rule_is_seen_to_hold():
    held = set()
    for traffic in HONEST:
        assert broken(traffic) == set()
        held |= {rule.id for rule, finding in judge_traffic(RULES, LIBRARY.shapes, traffic) if finding.held}
    assert held == {rule.id for rule in RULES}


def test_every_rule_has_a_breach():
    assert set(BREACHES) == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", BREACHES)
def test_rule_breaks_on_the_one_thing_that_differs(rule):
    assert rule in broken(BREACHES[rule])
    assert rule not in broken(next(honest for honest in HONEST if honest.operation() == BREACHES[rule].operation()))


def test_only_the_side_that_is_asked_about_is_judged():
    assert broken(BREACHES["PASSIVE-A05"], "request") == set()
    assert broken(BREACHES["PASSIVE-Q01"], "answer") == set()


@pytest.mark.parametrize(
    ("method", "kind", "query", "copies", "name"),
    [
        ("PUT", "object", (), False, "put-object"),
        ("PUT", "object", (), True, "copy-object"),
        ("PUT", "object", (("partNumber", "1"), ("uploadId", "u")), True, "copy-part"),
        ("DELETE", "bucket", (("encryption", ""),), False, "delete-encryption"),
        ("POST", "object", (("uploads", ""),), False, "initiate"),
        ("GET", "service", (), False, "other"),
    ],
)
def test_call_is_known_by_method_place_and_sub_resource(method, kind, query, copies, name):
    headers = (("X-Obs-Copy-Source", "/b/o"),) if copies else ()
    assert Traffic(method, kind, query, headers, b"", None, NOW).operation() == name


# ---- recordings


def entry(url, **answer_changes):
    answered = {
        "status": 200,
        "statusText": "OK",
        "headers": [{"name": n, "value": v} for n, v in NAMED],
        **answer_changes,
    }
    asked = {
        "method": "PUT",
        "url": url,
        "headers": [{"name": n, "value": v} for n, v in ((":method", "PUT"), *ASKED)],
        "postData": {"text": base64.b64encode(b"\xff").decode(), "encoding": "base64"},
    }
    return {"startedDateTime": "2018-06-06T09:08:21Z", "request": asked, "response": answered}


def recorded(tmp_path, text, host=None):
    (tmp_path / "r.har").write_text(text, "utf-8")
    return list(read_recording(tmp_path / "r.har", host))


@pytest.mark.parametrize(
    ("url", "host", "kinds"),
    [
        ("https://bucket.obs.region.example.com/a/b?x=1", None, ["object"]),
        ("https://bucket.obs.region.example.com/", None, ["bucket"]),
        ("http://127.0.0.1:80/bucket/a/b", None, ["object"]),
        ("http://127.0.0.1:80/bucket", None, ["bucket"]),
        ("http://127.0.0.1:80/", None, ["service"]),
        ("https://b.storage.example/a", "storage.example", ["object"]),
        ("https://storage.example/b", "storage.example", ["bucket"]),
        ("https://elsewhere.example/a", "storage.example", []),
    ],
)
def test_har_entry_addresses_what_its_url_says(tmp_path, url, host, kinds):
    found = recorded(tmp_path, json.dumps({"log": {"entries": [entry(url)]}}), host)
    assert [item.traffic.kind for item in found] == kinds


def test_har_file_and_lines_of_entries_are_one_recording(tmp_path):
    url = "http://127.0.0.1/b/o?versionId=%2F1"
    (whole,) = recorded(tmp_path, json.dumps({"log": {"entries": [entry(url)]}}))
    (line,) = recorded(tmp_path, json.dumps(entry(url)) + "\n")
    assert whole == line
    assert (whole.traffic.body, whole.traffic.query, whole.traffic.at) == (b"\xff", (("versionId", "/1"),), NOW)
    assert whole.traffic.headers == ASKED
    assert broken(whole.traffic) == set()


@pytest.mark.parametrize("text", ["not json", '{"log": {"entries": [{"request": {}}]}}', "[1]", ""])
def test_what_is_no_recording_is_refused_or_empty(tmp_path, text):
    if text:
        with pytest.raises(CaseError, match=r"r\.har"):
            recorded(tmp_path, text)
    else:
        assert hear(RULES, LIBRARY.shapes, recorded(tmp_path, text)).exit_code() == 3


def test_a_summary_counts_and_its_exit_code_follows_the_musts(tmp_path):
    good, bad = entry("http://h/b/o"), entry("http://h/b/o", headers=[])
    assert hear(RULES, LIBRARY.shapes, recorded(tmp_path, json.dumps(good))).exit_code() == 0
    heard = hear(RULES, LIBRARY.shapes, recorded(tmp_path, json.dumps(good) + "\n" + json.dumps(bad)))
    assert (heard.exchanges, heard.exit_code()) == (2, 1)
    tally = next(tally for tally in heard.tallies if tally.rule.id == "PASSIVE-A05")
    assert (tally.held, len(tally.broken), tally.verdict) == (1, 1, "BROKEN")
    assert any("PASSIVE-A05" in line and "BROKEN" in line for line in heard.lines())
    assert hear(RULES, LIBRARY.shapes, recorded(tmp_path, json.dumps(bad)), "request").exit_code() == 0
