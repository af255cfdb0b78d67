"""What is no verdict: pleas to slow down and answers from elsewhere."""

import pytest

from conformance.patience import PatientTransport, wait_s
from conformance.vocabulary import Exchange, Request, Response

REQUEST = Request("GET", b"GET / HTTP/1.1\r\n\r\n", b"", False, "b", "o")
DATE = ("Date", "Wed, 25 Nov 2026 03:00:00 GMT")


def response(status, *headers, body=b""):
    return Response(status, "", headers, body)


@pytest.mark.parametrize(
    ("answer", "attempt", "due"),
    [
        (response(200), 0, None),
        (response(500), 0, None),
        (None, 0, None),
        (response(503), 0, 0.5),
        (response(503), 2, 2.0),
        (response(429, ("retry-after", "7")), 0, 7.0),
        (response(503, ("Retry-After", "0")), 3, 0.0),
        (response(503, ("Retry-After", "Wed, 25 Nov 2026 03:00:09 GMT"), DATE), 0, 9.0),
        (response(503, ("Retry-After", "Wed, 25 Nov 2026 02:00:00 GMT"), DATE), 0, 0.0),
        (response(503, ("Retry-After", "Wed, 25 Nov 2026 03:00:09 GMT")), 0, 0.5),
        (response(503, ("Retry-After", "soon")), 1, 1.0),
    ],
)
def test_how_long_to_wait(answer, attempt, due):
    assert wait_s(answer, attempt) == due


class Line:
    """Answers in turn, the last for ever, on a clock that only sleep moves."""

    def __init__(self, *answers):
        self.answers, self.now, self.slept, self.sent = list(answers), 0.0, [], 0

    def exchange(self, request):
        self.sent += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Exchange(request, b"", b"", answer, "answered", 1.0)

    def close(self):
        pass

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def patient(self, longest=60.0, **kwargs):
        return PatientTransport(self, longest, clock=lambda: self.now, sleep=self.sleep, **kwargs)


def test_what_is_carried_out_in_the_end_shows_every_attempt():
    line = Line(response(503, ("Retry-After", "3")), response(429), response(200))
    exchange = line.patient().exchange(REQUEST)
    assert exchange.response.status == 200
    assert [one.response.status for one in exchange.earlier] == [503, 429]
    assert line.slept == [3.0, 1.0]


def test_patience_ends_after_four_attempts_without_a_response():
    line = Line(response(503))
    exchange = line.patient().exchange(REQUEST)
    assert (exchange.response, line.sent, len(exchange.earlier)) == (None, 4, 3)
    assert exchange.outcome == "the target asked to slow down (status 503) 4 times, the last time for 4 s"


@pytest.mark.parametrize("limits", [{"longest": 10.0}, {"budget_s": 10.0}])
def test_nothing_waits_beyond_its_time(limits):
    line = Line(response(503, ("Retry-After", "3600")))
    exchange = line.patient(**limits).exchange(REQUEST)
    assert (exchange.response, line.sent, line.slept) == (None, 1, [])
    assert "for 3600 s" in exchange.outcome


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_answer_from_elsewhere_is_no_response(status):
    exchange = Line(response(status, ("Location", "http://b/"))).patient().exchange(REQUEST)
    assert exchange.response is None
    assert exchange.outcome == f"the target sends callers to http://b/ (status {status}), which is not followed"


@pytest.mark.parametrize("status", [200, 303, 304, 400, 500])
def test_other_answers_pass(status):
    assert Line(response(status)).patient().exchange(REQUEST).response.status == status


def test_a_lock_after_wrong_signatures_is_no_response():
    body = b"<Error><Code>TooManyWrongSignature</Code></Error>"
    assert Line(response(400, body=body)).patient().exchange(REQUEST).response is None
