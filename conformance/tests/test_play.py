"""The player fed with literals: the exact bytes it sends, and where it stops."""

from conformance.casefile import load_library
from conformance.play import Scene, body_bytes, play
from conformance.vocabulary import Exchange, Identity, Response, Target

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
