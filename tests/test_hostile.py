"""Endpoints that misbehave: the run ends, nothing is called a failure that is none, and memory stays where it was."""

import gzip
import json
import subprocess
import sys
import threading
import time
import tomllib
from types import SimpleNamespace

import pytest
from commands import BIN, reference_server
from middlebox import Middlebox, answer, error

BUDGET_S, TIMEOUT_S = 6, 0.5
SELECTED = ("--select", "KMS-PUT-00")
NOT_JUDGED = {"not_run", "setup_failed", "blocked"}
HONEST_KB, EACH_KB = 130_000, 48_000
"""Memory of an honest run at most, and of each case at a time that reads an answer of the greatest size."""


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    with reference_server(tmp_path_factory.mktemp("honest")) as (target, _):
        endpoint = tomllib.loads(target.read_text())["endpoint"]
        yield SimpleNamespace(text=target.read_text(), endpoint=endpoint, port=int(endpoint.rpartition(":")[2]))


@pytest.fixture
def run_through(conformance, honest, tmp_path):
    """Runs the suite through a middlebox with small time-outs."""

    def run(box, *arguments, timeout=TIMEOUT_S):
        with box.running() as port:
            path = tmp_path / "target.toml"
            text = honest.text.replace(honest.endpoint, f"http://127.0.0.1:{port}")
            path.write_text(f"{text}\n[limits]\ntimeout_s = {timeout}\ncase_timeout_s = 3\njobs = 4\n")
            path.chmod(0o600)
            return conformance("--no-doctor", "--target", path, "--budget", BUDGET_S, *SELECTED, *arguments)

    return run


def of_cases(seen):
    """Whether a request belongs to a case: buckets are made and removed without the middlebox's tricks."""
    return seen.path.count("/") > 1 and seen.method != "DELETE"


def every_third(hostile):
    """Applies a behaviour to every third request of the cases."""
    count = iter(range(1_000_000))

    def instead(seen, connection):
        if of_cases(seen) and next(count) % 3 == 2:
            return hostile(seen, connection)
        return None

    return instead


def drip(_, connection):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
        connection.sendall(bytes([byte]))
        time.sleep(1)
    return b""


def for_ever(opening, piece):
    def hostile(_, connection):
        # In one piece: a head alone is a whole answer to HEAD, and what comes later is another matter.
        connection.sendall(opening + piece)
        while True:
            connection.sendall(piece)

    return hostile


def never(_, connection):
    connection.recv(1)
    return b""


BOMB = gzip.compress(bytes(50_000_000))
OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "closes at once": (lambda *_: b"", "closed after 0 bytes"),
    "never answers": (never, "no complete answer within"),
    "one byte a second": (drip, "no complete answer within"),
    "endless headers": (for_ever(OK, b"x-a: 0123456789abcdef\r\n" * 100), "larger than the limit"),
    "one endless header": (for_ever(OK + b"x-a: ", b"0123456789abcdef" * 100), "larger than the limit"),
    "endless body": (
        for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"x" * 16384 + b"\r\n"),
        "limit|after its end",
    ),
    "a length that is too long": (
        lambda *_: OK + b"Content-Length: 9\r\n\r\nshort",
        "no complete answer|closed after|after its end",
    ),
    "a length that is too short": (lambda *_: OK + b"Content-Length: 2\r\n\r\nmore than two", "goes on after its end"),
    "invalid chunks": (lambda *_: OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n", "not HTTP/1.1|after its end"),
    "1xx flood": (for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100), "larger than the limit"),
    "garbage status line": (lambda *_: b"HTP/9 hello\r\n\r\n", "not HTTP/1.1"),
    "binary garbage": (lambda *_: bytes(range(256)) * 4, "not HTTP/1.1"),
    "sends callers round in circles": (
        lambda seen, _: answer("302 Found", b"", f"Location: {seen.path}"),
        "sends callers to",
    ),
    "answers twice": (lambda *_: answer("200 OK") * 2, "goes on after its end"),
    "asks to slow down for an hour": (
        lambda *_: error("503 Service Unavailable", "SlowDown", "Retry-After: 3600"),
        "asked to slow down",
    ),
    "is locked": (lambda *_: error("400 Bad Request", "TooManyWrongSignature"), "locked the access key"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_hostile_endpoint_does_is_told_and_never_called_a_failure(run_through, honest, name):
    hostile, says = HOSTILE[name]
    started = time.monotonic()
    outcome = run_through(Middlebox(honest.port, instead=every_third(hostile)))
    assert time.monotonic() - started < BUDGET_S + 30
    affected = [line for line in outcome.lines if line["kind"] == "case" and line["rung"] in NOT_JUDGED]
    assert affected
    assert {line["rung"] for line in outcome.lines[1:-1]} <= NOT_JUDGED | {"pass", "observed"}
    assert outcome.code == 3
    told = [line["exchanges"][-1]["outcome"] for line in affected if line["exchanges"]]
    assert "answered" not in told
    assert any(part in text for part in says.split("|") for text in told), told


MEASURED = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("name", ["endless headers", "endless body", "1xx flood", "compressed bomb"])
def test_memory_stays_within_the_caps_whatever_is_sent(honest, tmp_path, name):
    bomb = answer("200 OK", BOMB, "Content-Encoding: gzip", "Content-Type: application/xml")
    hostile = HOSTILE[name][0] if name in HOSTILE else lambda *_: bomb
    with Middlebox(honest.port, instead=every_third(hostile)).running() as port:
        path = tmp_path / "target.toml"
        text = honest.text.replace(honest.endpoint, f"http://127.0.0.1:{port}")
        path.write_text(f"{text}\n[limits]\ntimeout_s = 2\njobs = 4\n")
        path.chmod(0o600)
        run = [BIN / "obs-conformance", "run", "--no-doctor", "--target", path, "--out", tmp_path / "out", *SELECTED]
        done = subprocess.run([sys.executable, "-c", MEASURED, *run], capture_output=True, text=True)
    assert int(done.stderr.splitlines()[-1]) < HONEST_KB + 4 * EACH_KB


def test_a_compressed_bomb_stays_as_it_came(run_through, honest):
    bomb = answer("200 OK", BOMB, "Content-Encoding: gzip", "Content-Type: application/xml")
    outcome = run_through(Middlebox(honest.port, instead=every_third(lambda *_: bomb)))
    sizes = {
        exchange["received"]["body_size"]
        for line in outcome.lines[1:-1]
        for exchange in line["exchanges"]
        if "gzip" in exchange["received"]["head"]
    }
    assert len(BOMB) in sizes


def test_every_third_connection_dropped(run_through, honest):
    closing = lambda _, head, body: head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body  # noqa: E731
    box = Middlebox(honest.port, accept=lambda number: number % 3 != 0 or number < 3, answer=closing)
    outcome = run_through(box)
    rungs = set(outcome.rungs.values())
    assert "not_run" in rungs
    assert rungs <= NOT_JUDGED | {"pass", "observed"}
    assert outcome.code == 3


def test_an_answer_to_the_request_before_is_not_taken_for_one(run_through, honest):
    last = {}

    def late(seen, head, body):
        connection = threading.get_ident()
        before, last[connection] = last.get(connection) if seen.turn > 1 else None, head + body
        return before if of_cases(seen) and seen.turn % 5 == 4 and before else head + body

    outcome = run_through(Middlebox(honest.port, answer=late))
    told = json.dumps(outcome.lines)
    assert "it answers another request" in told
    assert set(outcome.rungs.values()) <= NOT_JUDGED | {"pass", "observed"}


def test_slow_down_is_honoured_and_every_attempt_is_shown(run_through, honest):
    refused = set()

    def once(seen, _):
        if of_cases(seen) and seen.path not in refused and len(refused) < 3:
            refused.add(seen.path)
            return error("503 Service Unavailable", "SlowDown", "Retry-After: 1")
        return None

    box = Middlebox(honest.port, instead=once)
    started = time.monotonic()
    outcome = run_through(box, "--jobs", "1")
    assert time.monotonic() - started > 3
    assert set(outcome.rungs.values()) <= {"pass", "observed"}
    shown = [
        exchange["received"]["head"].split("\r\n")[0]
        for line in outcome.lines[1:-1]
        for exchange in line["exchanges"]
        if "503" in exchange["received"]["head"].split("\r\n")[0]
    ]
    assert len(shown) == 3


def test_the_budget_ends_a_run_and_the_rest_is_not_run(run_through, honest):
    slow = Middlebox(honest.port, instead=lambda *_: time.sleep(0.2))
    outcome = run_through(slow, "--budget", "1", timeout=5)
    reasons = {line["reason"] for line in outcome.lines[1:-1] if line["rung"] == "not_run"}
    assert any("the run's budget of 1 s is used up" in reason for reason in reasons)
    assert outcome.code == 3
    assert outcome.footer["cleanup"]["left"] == []


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "soon"])
def test_a_budget_that_is_none_is_a_usage_error(command, budget):
    done = command("run", "--budget", budget)
    assert done.returncode == 2
    assert "--budget" in done.stderr


def test_an_endpoint_that_stops_answering_does_not_hold_the_clean_up(run_through, honest):
    def hostile(seen, connection):
        return never(seen, connection) if seen.number > 40 else None

    started = time.monotonic()
    outcome = run_through(Middlebox(honest.port, instead=hostile))
    assert time.monotonic() - started < BUDGET_S + 30
    assert outcome.footer["cleanup"]["left"]
    assert "obs-conformance sweep" in outcome.stderr
    swept = subprocess.run(
        [BIN / "obs-conformance", "sweep", outcome.out / "journal.jsonl", "--endpoint", honest.endpoint],
        capture_output=True,
        text=True,
        env={"OBS_ACCESS_KEY_ID": "a", "OBS_SECRET_ACCESS_KEY": "b"},
    )
    assert swept.returncode == 2  # the journal is of the middlebox's address


# ---- wrong signatures are spread and limited ------------------------------------------------------------------------


FORGING = ("KMS-AUTH-001", "KMS-MULTIPART-030", "KMS-FORM-026", "KMS-URL-03", "KMS-URL-04")
MOST_IN_ONE_CASE = 4


def test_wrong_signatures_never_come_in_such_a_row_that_the_endpoint_locks_the_key(run_through, honest):
    """The middlebox counts refusals for a signature in a row as the service does, over all connections."""
    row, longest, total = [0], [0], [0]

    def count(_, head, body):
        wrong = b"<Code>SignatureDoesNotMatch</Code>" in body or b"SignatureDoesNotMatch" in head
        row[0] = row[0] + 1 if wrong else 0
        total[0] += wrong
        longest[0] = max(longest[0], row[0])
        return head + body

    chosen = [part for name in FORGING for part in ("--select", name)]
    outcome = run_through(Middlebox(honest.port, answer=count), *chosen, "--budget", "60", "--jobs", "8", timeout=5)
    assert total[0] > 15
    assert longest[0] <= MOST_IN_ONE_CASE
    assert set(outcome.rungs.values()) <= NOT_JUDGED | {"pass", "observed"}
