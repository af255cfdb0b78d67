"""The player fed with literals: the exact bytes it sends, and where it stops."""

import base64
import json
import re

from conformance import signing
from conformance.casefile import load_library
from conformance.play import Scene, assemble, body_bytes, play
from conformance.vocabulary import Exchange, FormSpec, Identity, RequestTemplate, Response, Target

SECRET = "conformance-example-secret-key-not-a-real-one"
TARGET = Target(
    "t", "http://127.0.0.1:8080", {"owner": Identity("EXAMPLEACCESSKEY0001", SECRET)}, keys={"custom": "c" * 36}
)
NOW = 1528276101.0
LONG = f"region:{'d' * 32}:key/522d6070-5ad3-4765-9737-9312ddc72cdb"
LIBRARY = load_library()
KEY_ID = "x-obs-server-side-encryption-kms-key-id"


def case(id_):
    return next(case for case in LIBRARY.cases if case.id == id_)


def scene(target=TARGET):
    return Scene(target, "examplebucket", "run-x", lambda: NOW, LIBRARY.shapes)


def answered(request, status=200, headers=(), body=b""):
    return Exchange(request, b"", b"", Response(status, "", tuple(headers), body), "answered", 1.0)


GOOD = (
    ("Server", "OBS"), ("x-obs-request-id", "A"), ("ETag", f'"{"0" * 32}"'), ("x-obs-server-side-encryption", "kms"),
    (KEY_ID, LONG), ("x-obs-id-2", "b"), ("Date", "Wed, 06 Jun 2018 09:08:21 GMT"), ("Content-Length", "0"),
)  # fmt: skip


def drive(script, *answers):
    """Feed (status, headers, body) answers; returns what was played and the requests."""
    requests = [next(script)]
    try:
        for status, headers, body in answers:
            requests.append(script.send(answered(requests[-1], status, headers, body)))
    except StopIteration as stop:
        return stop.value, requests
    raise AssertionError(f"the script wants another answer to {requests[-1].head!r}")


def test_sample_one_goes_out_byte_for_byte_as_the_page_has_it():
    request = next(play(case("KMS-SAMPLE-001"), scene()))
    assert request.head == (
        b"PUT /examplebucket/run-x/encryp1 HTTP/1.1\r\n"
        b"User-Agent: curl/7.29.0\r\n"
        b"Host: 127.0.0.1:8080\r\n"
        b"Accept: */*\r\n"
        b"Date: Wed, 06 Jun 2018 09:08:21 GMT\r\n"
        b"Authorization: OBS EXAMPLEACCESSKEY0001:CDH3PO1vhWISbi/1egz9nmAZEDk=\r\n"
        b"x-obs-server-side-encryption:kms\r\n"
        b"Content-Length: 5242\r\n"
        b"Expect: 100-continue\r\n"
        b"\r\n"
    )
    assert len(request.body) == 5242
    assert request.expects_continue


def test_virtual_host_puts_the_bucket_into_the_host_and_not_into_the_path():
    target = Target("t", TARGET.endpoint, TARGET.identities, addressing="virtual-host")
    request = next(play(case("KMS-SAMPLE-001"), scene(target)))
    assert request.head.startswith(b"PUT /run-x/encryp1 HTTP/1.1\r\n")
    assert b"\r\nHost: examplebucket.127.0.0.1:8080\r\n" in request.head


def test_signed_url_has_the_parameters_in_the_pages_order_and_no_authorization():
    script = play(case("KMS-SAMPLE-006"), scene())
    line, *lines = next(script).head.decode().split("\r\n")
    query = line.split(" ")[1].partition("?")[2]
    assert [part.partition("=")[0] for part in query.split("&")] == [
        "AccessKeyId", "Expires", "x-obs-server-side-encryption", "Signature",
    ]  # fmt: skip
    assert f"Expires={int(NOW) + 5876289}" in query
    assert "Date: Wed, 06 Jun 2018 09:10:29 GMT" in lines
    assert not any(line.startswith("Authorization") for line in lines)


def test_the_copy_sample_has_no_content_length():
    script = play(case("KMS-SAMPLE-003"), scene())
    script.send(None)
    script.send(answered(None, 200, GOOD))
    copy = script.send(answered(None, 200))
    assert b"x-obs-copy-source: /examplebucket/run-x/srcobject1" in copy.head
    assert b"Content-Length" not in copy.head
    assert LONG.encode() in copy.head


def test_a_good_server_passes_sample_one_and_each_finding_has_its_clause():
    body = body_bytes("run-x/KMS-SAMPLE-001/body", 5242)
    again = [pair for pair in GOOD if pair[0] != "x-obs-request-id"]
    played, requests = drive(
        play(case("KMS-SAMPLE-001"), scene()),
        (200, GOOD, b""),
        (200, [*again, ("x-obs-request-id", "B")], b""),
        (200, [*again, ("x-obs-request-id", "C")], body),
    )
    assert [finding for finding in played.findings if not finding.held] == []
    assert {"SSEKMS-S44", "SSEKMS-R7"} <= {clause for finding in played.findings for clause in finding.clauses}
    assert [request.method for request in requests] == ["PUT", "HEAD", "GET"]
    assert [seen.name for seen in played.observations] == ["request-id", "interim-answers"]


def test_a_wrong_status_ends_the_case_with_its_own_finding_only_about_that_answer():
    played, requests = drive(play(case("KMS-SAMPLE-001"), scene()), (403, GOOD, b""))
    assert len(requests) == 1
    assert [finding.word for finding in played.findings if not finding.held] == ["status"]


def test_wrong_header_does_not_keep_the_object_from_being_read_back():
    wrong = [pair for pair in GOOD if pair[0] != "Server"]
    script = play(case("KMS-SAMPLE-001"), scene())
    next(script)
    assert script.send(answered(None, 200, wrong)).method == "HEAD"


def test_failed_set_up_ends_the_case():
    played, requests = drive(play(case("KMS-SAMPLE-003"), scene()), (500, (), b""))
    assert len(requests) == 1
    assert played.findings[0].step == "setup 1"


def test_no_answer_ends_the_case_as_unanswered():
    script = play(case("KMS-SAMPLE-001"), scene())
    request = next(script)
    try:
        script.send(Exchange(request, b"", b"", None, "the connection was closed", 1.0))
    except StopIteration as stop:
        assert stop.value.unanswered
        assert stop.value.stopped == "step 1: no answer: the connection was closed"


def test_bodies_are_deterministic_and_no_two_cases_share_one():
    assert body_bytes("a", 5242) == body_bytes("a", 5242)
    assert body_bytes("a", 32) != body_bytes("b", 32)
    assert body_bytes("a", 0) == b""


def made(template, body=None, target=TARGET):
    place = scene(target)
    return assemble(template, place, place.values(), body)


def test_chunked_body_is_framed_and_has_no_content_length():
    request = made(RequestTemplate("PUT", "b", "o", chunked=4), b"hello!")
    assert request.body == b"4\r\nhell\r\n2\r\no!\r\n0\r\n\r\n"
    assert b"\r\nTransfer-Encoding: chunked\r\n" in request.head
    assert b"Content-Length" not in request.head


def test_digest_and_skewed_date_follow_from_the_request():
    request = made(
        RequestTemplate("PUT", "b", "o", headers=("Content-MD5: {md5}", "Date: {date.skewed}")), b"1234567890"
    )
    assert b"\r\nContent-MD5: 6Afx/PgtEy+bsBjKZzihnw==\r\n" in request.head
    assert b"\r\nDate: Wed, 06 Jun 2018 08:52:21 GMT\r\n" in request.head


def test_signed_form_has_the_file_last_and_a_policy_that_covers_every_field():
    template = RequestTemplate(
        "POST", "b", None, form=FormSpec(("key: {fresh}", "x-obs-server-side-encryption: kms")), sign="form"
    )
    body = made(template, b"content").body.decode()
    names = re.findall(r'; name="([^"]+)"', body)
    assert names == ["key", "x-obs-server-side-encryption", "AccessKeyId", "policy", "signature", "file"]
    policy = re.search(r'name="policy"\r\n\r\n(\S+)', body)[1]
    assert json.loads(base64.b64decode(policy)) == {
        "expiration": "2018-06-06T10:08:21Z",
        "conditions": [{"bucket": "b"}, {"key": "run-x"}, {"x-obs-server-side-encryption": "kms"}],
    }
    assert signing.signature(SECRET, policy) in body
    assert body.endswith("\r\n\r\ncontent\r\n--obs-conformance-7b1d0f2e9c64--\r\n")


def test_parameters_are_added_and_removed_after_signing():
    template = RequestTemplate(
        "PUT", "b", "o", query=("x-obs-server-side-encryption=kms",), sign="url",
        remove_after=frozenset({"x-obs-server-side-encryption"}), add_after=("x-obs-acl=private",),
    )  # fmt: skip
    line = made(template).head.split(b"\r\n")[0]
    assert b"server-side" not in line
    assert line.endswith(b"&x-obs-acl=private HTTP/1.1")
