"""What a results file keeps is enough to judge again: answers, bodies by digest, and requests without their secrets."""

import hashlib
import json

import pytest

from conformance.bodies import body_bytes
from conformance.evidence import EvidenceError, answer, read_evidence, unlike
from conformance.judge import View, differences, evidence
from conformance.results import Redactor, _exchange
from conformance.tests.test_wire import answers, exchange, request, server, target
from conformance.transport import RequestsTransport
from conformance.vocabulary import BODY_KEPT, DOCUMENT_KEPT, BytesDue, Request, RequestTemplate, Response, kept

NOISE = body_bytes("noise", 5000)
DOCUMENT = b"<Error><Code>AccessDenied</Code><Message>" + b"x" * 5000 + b"</Message></Error>"
ANSWERS = {
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nServer: s\r\n\r\n",
    "repeated lines": b"HTTP/1.1 200 Fine by me\r\nETag:  a \r\nETag: \xe9\r\nContent-Length: 3\r\n\r\nabc",
    "no reason phrase": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nETag: t\r\n\r\n",
    "a long body": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + NOISE,
    "a long body in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n"
    + NOISE
    + b"\r\n0\r\n\r\n",
    "a document": b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENT) + DOCUMENT,
}


def recorded(made):
    """An exchange as its line has it, through JSON."""
    template = RequestTemplate("GET", "b", "o")
    return json.loads(json.dumps(_exchange("step 1", made, (1.0, 2.0), template, "t", Redactor(()).kept)))["received"]


def same(read, lived):
    parts = ("status", "reason", "headers", "interim", "size")
    assert [getattr(read, part) for part in parts] == [getattr(lived, part) for part in parts]
    assert read.body == lived.body[: kept(lived.body)]
    if lived.body:
        assert read.sha256 == lived.sha256


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_on_the_wire_is_read_back_as_it_was_judged(name):
    made = exchange(answers(ANSWERS[name]))
    assert made.response is not None, made.outcome
    same(answer(recorded(made), to_head=False, wire=True), made.response)


@pytest.mark.parametrize("name", ["interim answers", "no reason phrase", "chunks", "a long body", "a document"])
def test_an_answer_through_requests_is_read_back_as_it_was_judged(name):
    with server(answers(ANSWERS[name], close=True)) as (port, _):
        transport = RequestsTransport(target(port))
        made = transport.exchange(request())
        transport.close()
    assert made.response is not None, made.outcome
    same(answer(recorded(made), to_head=False, wire=False), made.response)


def test_the_answer_to_head_announces_a_body_it_does_not_have():
    made = exchange(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), request("HEAD"))
    same(answer(recorded(made), to_head=True, wire=True), made.response)


def test_only_what_may_be_a_document_is_kept_beyond_the_cap():
    assert kept(b"x" * 9999) == BODY_KEPT
    assert [kept(begin + b"x" * 99999) for begin in (b"<", b" \n{", b"[", b"\xef\xbb\xbf<")] == [DOCUMENT_KEPT] * 4
    assert kept(b"<a/>") == 4
    assert kept(b"\xff\xfe<\x00" * 9999) == kept(b"\xfe\xff\x00<" * 9999) == 39996


@pytest.mark.parametrize("begin", [b"<", b" {", b"[", b"\xef\xbb\xbf<"])
def test_object_bytes_that_begin_like_a_document_by_chance_are_not_kept_as_one(begin):
    assert kept(begin + body_bytes("an object", 5242)) == BODY_KEPT


RIGHT = body_bytes("right", 6000)
BODIES = {
    "the same": RIGHT,
    "another byte within what is kept": RIGHT[:100] + b"?" + RIGHT[101:],
    "another byte beyond it": RIGHT[:3000] + b"?" + RIGHT[3001:],
    "cut": RIGHT[:5000],
    "one byte": RIGHT[:1],
    "longer": RIGHT + b"more",
    "a document in its place": DOCUMENT,
    "nothing": b"",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("due", [BytesDue(("right",)), BytesDue(("right",), 0, 99)])
def test_a_body_is_judged_by_size_and_digest_as_it_was_by_its_bytes(name, due):
    came = BODIES[name]
    lived = Response(200, "OK", (), came)
    whole = (len(came), hashlib.sha256(came).hexdigest()) if came else None
    again = Response(200, "OK", (), came[: kept(came)], (), whole)
    views = [View(response, "GET", {"right": RIGHT}, (), 0.0) for response in (lived, again)]
    for word, wanted in (
        ("body_is", due),
        ("body_empty", ""),
        ("body_json", "{}"),
        ("refused", {"status": [200], "codes": ["AccessDenied"]}),
    ):
        assert differences(word, "body", wanted, views[0]) == differences(word, "body", wanted, views[1])
        assert evidence(word, "body", views[0]) == evidence(word, "body", views[1])


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("another byte within what is kept", "at offset 100"),
        ("another byte beyond it", "beyond offset 2047"),
        ("cut", "at offset 5000"),
        ("longer", "beyond offset 2047"),
        ("nothing", "at offset 0"),
    ],
)
def test_where_bodies_part_is_said_as_far_as_evidence_tells(name, where):
    view = View(Response(200, "OK", (), BODIES[name]), "GET", {"right": RIGHT}, (), 0.0)
    assert where in differences("body_is", "body", BytesDue(("right",)), view)[0]


def test_a_document_beyond_the_cap_is_nobodys_document():
    big = b"<Error><Code>AccessDenied</Code>" + b" " * DOCUMENT_KEPT + b"</Error>"
    view = View(Response(403, "", (), big), "GET", {}, (), 0.0)
    assert differences("equals", "xml Error/Code", "AccessDenied", view) == ("xml Error/Code is absent",)


def sent(head, body=b""):
    redact = Redactor(())
    text = body[: kept(body)].decode("latin-1")
    digest = hashlib.sha256(body).hexdigest() if body else ""
    return {"head": redact.text(head), "body": redact.text(text), "body_size": len(body), "body_sha256": digest}


HEAD = "PUT /b/o HTTP/1.1\r\nAuthorization: OBS AK:{}\r\nContent-Length: {}\r\n\r\n"
FORM = '--x\r\nContent-Disposition: form-data; name="signature"\r\n\r\n{}\r\n--x--\r\n'


def asked(head, body=b"", *, waits=False):
    return Request("PUT", head.encode(), body, waits, "b", "o")


def test_requests_are_the_same_whatever_their_signatures():
    assert unlike(asked(HEAD.format("AAAA=", 3), b"abc"), sent(HEAD.format("B/B+C=", 3), b"abc")) == ""
    url = "GET /b/o?AccessKeyId=a&Expires=1&Signature={} HTTP/1.1\r\n\r\n"
    assert unlike(asked(url.format("a%2Fb%3D")), sent(url.format("abc%3D"))) == ""
    form = [FORM.format(signature).encode() for signature in ("AAAA", "BBBB")]
    assert unlike(asked("POST / HTTP/1.1\r\n\r\n", form[0]), sent("POST / HTTP/1.1\r\n\r\n", form[1])) == ""
    assert unlike(asked("POST / HTTP/1.1\r\n\r\n", b"held back", waits=True), sent("POST / HTTP/1.1\r\n\r\n")) == ""


@pytest.mark.parametrize(
    ("now", "then", "says"),
    [
        (
            asked("GET /a HTTP/1.1\r\n\r\n"),
            sent("GET /b HTTP/1.1\r\n\r\n"),
            "'GET /a HTTP/1.1' and sent 'GET /b HTTP/1.1'",
        ),
        (asked("GET / HTTP/1.1\r\nA: 1\r\n\r\n"), sent("GET / HTTP/1.1\r\n\r\n"), "it sends 'A: 1' and sent ''"),
        (asked("PUT / HTTP/1.1\r\n\r\n", b"ab"), sent("PUT / HTTP/1.1\r\n\r\n", b"abc"), "2 bytes and had 3"),
        (asked("PUT / HTTP/1.1\r\n\r\n", b"abd"), sent("PUT / HTTP/1.1\r\n\r\n", b"abc"), "the body is another"),
        (
            asked("PUT / HTTP/1.1\r\n\r\n", NOISE[:-1] + b"?"),
            sent("PUT / HTTP/1.1\r\n\r\n", NOISE),
            "beyond its first 2048",
        ),
    ],
)
def test_another_request_is_told_apart(now, then, says):
    assert says in unlike(now, then)


def test_the_signature_of_a_form_is_redacted():
    assert "AAAA" not in Redactor(()).text(FORM.format("AAAA"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: not the header"),
        ("{\n", "line 1: not JSON"),
        ("[]\n", "line 1: not a JSON object"),
        ('{"kind":"header","format":2}\n', "line 1: not the header of a results file of format 1"),
        (
            '{"kind":"header","format":1,"target":{"name":"t","endpoint":"e"}}\n',
            "line 1: started is missing; the file was written without",
        ),
    ],
)
def test_what_cannot_be_judged_again_is_named_by_line(tmp_path, text, says):
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(EvidenceError, match="line 1") as caught:
        read_evidence(path)
    assert says in str(caught.value)
