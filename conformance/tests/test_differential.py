"""What counts as a difference between two targets, by literals."""

from conformance.differential import Names, differences, grouped, shape
from conformance.explore.model import Put, case_of
from conformance.vocabulary import CaseResult, Exchange, Played, Request, Response

CASE = case_of([Put(0, mode=True, key=None, via="header", size=1)])
KEY = "x-obs-server-side-encryption-kms-key-id"
ID = "4f1cd4de-ab64-4807-920a-47fc42e7f0d{}"
SENT = Request("PUT", b"PUT / HTTP/1.1\r\n\r\n", b"", expects_continue=False, bucket="b", object="o")


def run(*answers):
    exchanges = tuple(
        (step.name, Exchange(SENT, b"", b"", Response(status, "", headers, body), "answered", 1.0))
        for step, (status, headers, body) in zip(CASE.steps, answers, strict=False)
    )
    return CaseResult(CASE, "pass", "", Played((), (), exchanges), 1.0)


def names():
    return Names.of({"bucket": "obsc-1234567"})


def compared(first, again, second):
    return [(d.fact, d.first, d.second) for d in differences(CASE, (first, again, second), (names(), names(), names()))]


def test_ids_and_times_and_names_of_a_run_are_no_difference():
    def answer(digit, day, token):
        return run((200, ((KEY, f"r:d:key/{ID.format(digit)}"), ("Date", f"Wed, {day} Jun 2018 09:08:21 GMT")), b""),
                   (200, ((KEY, f"r:d:key/{ID.format(digit)}"), ("Id", token)), b""))  # fmt: skip

    assert compared(answer(1, "06", "aB3+" * 8), answer(1, "06", "Zz9/" * 8), answer(2, "07", "q=Q1" * 8)) == []


def test_another_status_a_missing_header_and_another_value_are():
    one = run((200, (("Server", "OBS"), ("ETag", '"x"')), b""))
    two = run((201, (("Server", "nginx"),), b""))
    assert compared(one, one, two) == [
        ("status", "200", "201"),
        ("header server", "OBS", "nginx"),
        ("header etag", '"x"', ""),
    ]


def test_a_header_that_only_the_second_has_is():
    assert compared(run((200, (), b"")), run((200, (), b"")), run((200, (("X", "1"),), b""))) == [("header x", "", "1")]


def test_of_what_is_new_in_every_answer_the_shape_counts():
    def etag(value):
        return run((200, (("ETag", value),), b""))

    assert compared(etag('"ab12"'), etag('"cd34"'), etag('"ef56"')) == []
    assert compared(etag('"ab12"'), etag('"cd34"'), etag("ef56")) == [("header etag", '"ab12"', "ef56")]


def test_keys_that_are_used_in_another_pattern_are_a_difference():
    same = run((200, ((KEY, ID.format(1)),), b""), (200, ((KEY, ID.format(1)),), b""))
    fresh = run((200, ((KEY, ID.format(1)),), b""), (200, ((KEY, ID.format(2)),), b""))
    assert compared(same, same, fresh) == [(f"header {KEY}", "<id 1>", "<id 2>")]


def test_a_document_is_compared_by_its_elements_and_not_by_its_length():
    def document(bucket, extra=""):
        body = f"<R><Bucket>{bucket}</Bucket>{extra}</R>".encode()
        return run((200, (("Content-Length", str(len(body))),), body))

    one, other = document("obsc-1234567"), document("obsc-1234567", "<New>1</New>")
    assert compared(one, one, other) == [("xml R/New", "", "1")]


def test_roots_come_before_what_follows_from_them():
    one = run((200, (("ETag", "a"),), b""), (200, (), b""))
    two = run((200, (), b""), (404, (), b""))
    found = list(differences(CASE, (one, one, two), (names(), names(), names())))
    assert [group.cause for group in grouped(found)] == [
        "put-object: only the first has header etag",
        "head-object: status differs",
    ]
    assert grouped(found)[1].clauses == ("SSEKMS-R1",)


def test_shape_keeps_punctuation_and_forgets_letters():
    assert (shape('"ab12"'), shape("Ab-1"), shape("x" * 40)) == ('"w"', "a-9", "<a>")
