"""The wire transport against servers that do all that servers do."""

import contextlib
import socket
import threading
import time
from dataclasses import replace

import pytest

from conformance.transport import RequestsTransport
from conformance.vocabulary import Identity, Request, Target
from conformance.wire import EVIDENCE, MAX_BODY, WireTransport, split_raw


@contextlib.contextmanager
def server(*behaviours):
    """A server that gives each connection to the next behaviour, the last one to all that follow."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                behaviour = behaviours[min(len(connections), len(behaviours)) - 1]
                threading.Thread(target=run, args=(behaviour, connection), daemon=True).start()

    def run(behaviour, connection):
        with contextlib.suppress(OSError), connection:
            behaviour(connection)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], connections
    listener.close()


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1)
        if not piece:
            raise OSError("closed")
        data += piece
    return data


def answers(*texts, close=False):
    """Answers one request after the other with the given bytes."""

    def behaviour(connection):
        for text in texts:
            read_head(connection)
            connection.sendall(text)
        if not close:
            connection.recv(1)

    return behaviour


def target(port, timeout=2.0):
    return Target("t", f"http://127.0.0.1:{port}", {"owner": Identity("a", "s")}, timeout_s=timeout)


def request(method="GET", body=b"", *, waits=False):
    lines = [f"{method} /b/o HTTP/1.1", "Host: x", "x-obs-a:1"]
    lines += [f"Content-Length: {len(body)}"] if body else []
    lines += ["Expect: 100-continue"] if waits else []
    return Request(method, "\r\n".join([*lines, "", ""]).encode(), body, waits, "b", "o")


def exchange(behaviour, sent=None, timeout=2.0):
    with server(behaviour) as (port, _):
        transport = WireTransport(target(port, timeout))
        try:
            return transport.exchange(sent or request())
        finally:
            transport.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhi"


def test_exact_bytes_of_both_directions_are_kept():
    got = []

    def behaviour(connection):
        got.append(read_head(connection))
        connection.sendall(OK)

    result = exchange(behaviour)
    assert got == [b"GET /b/o HTTP/1.1\r\nHost: x\r\nx-obs-a:1\r\n\r\n"]
    assert (result.received_head + result.received_body) == OK
    assert result.response.headers == (("Content-Length", "2"), ("X-A", "1"), ("x-a", "2"))
    assert (result.response.status, result.response.reason, result.response.body) == (200, "OK", b"hi")


def test_connection_is_kept_and_a_closed_one_is_replaced_without_a_retry():
    with server(answers(OK, OK, close=True), answers(OK)) as (port, connections):
        transport = WireTransport(target(port))
        for _ in range(2):
            assert transport.exchange(request()).outcome == "answered"
        assert len(connections) == 1
        time.sleep(0.1)
        assert transport.exchange(request()).outcome == "answered"
        assert len(connections) == 2
        transport.close()


def test_body_goes_out_after_the_100():
    order = []

    def behaviour(connection):
        read_head(connection)
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            order.append(connection.recv(1))
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.settimeout(2)
        order.append(connection.recv(3))
        connection.sendall(OK)

    result = exchange(behaviour, request("PUT", b"abc", waits=True))
    assert order == [b"abc"]
    assert result.continued is True
    assert result.response.interim == (100,)
    assert result.received_head.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_body_is_not_sent_after_an_early_refusal():
    left = []

    def behaviour(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        left.append(connection.recv(10))

    result = exchange(behaviour, request("PUT", b"abc", waits=True))
    assert (result.response.status, result.continued, result.sent_body) == (403, False, False)
    time.sleep(0.05)
    assert left == [b""]


def test_body_goes_out_when_no_100_comes():
    def behaviour(connection):
        read_head(connection)
        assert connection.recv(3) == b"abc"
        connection.sendall(OK)

    result = exchange(behaviour, request("PUT", b"abc", waits=True), timeout=3.0)
    assert (result.response.status, result.continued, result.sent_body) == (200, False, True)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n", b"hi!"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
    ],
)
def test_framings(answer, body):
    result = exchange(answers(answer))
    assert result.response.body == body
    assert result.received_head + result.received_body == answer


def test_answer_to_head_has_a_length_and_no_body():
    result = exchange(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5242\r\n\r\n"), request("HEAD"))
    assert (result.response.values("content-length"), result.response.body) == (("5242",), b"")


def test_body_may_end_with_the_connection():
    result = exchange(answers(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True))
    assert result.response.body == b"hello"


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (answers(b"\x00\x01garbage\r\n\r\n"), "not HTTP/1.1"),
        (answers(b"SSH-2.0-OpenSSH_9\r\n"), "not HTTP/1.1"),
        (answers(b"HTTP/1.1 999999 OK\r\n\r\n"), "not HTTP/1.1"),
        (answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "not HTTP/1.1"),
        (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi", close=True), "closed after"),
        (answers(b"", close=True), "closed after 0 bytes"),
        (answers(b"HTTP/1.1 200 OK\r\n"), "no complete answer within 0.5 s"),
        (answers(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_200_000), ""),
    ],
)
def test_whatever_the_other_side_does_is_an_outcome(behaviour, says):
    result = exchange(behaviour, timeout=0.5)
    assert result.response is None
    assert result.outcome != "answered"
    assert says in result.outcome


def test_one_byte_at_a_time_ends_at_the_time_out():
    def behaviour(connection):
        read_head(connection)
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 10:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    started = time.perf_counter()
    assert exchange(behaviour, timeout=0.5).response is None
    assert time.perf_counter() - started < 2


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = WireTransport(target(port)).exchange(request())
    assert result.outcome.startswith("could not connect")
    assert not result.sent_body


def test_over_requests_the_same_bytes_go_out_and_come_back():
    got = []

    def behaviour(connection):
        got.append(read_head(connection))
        connection.recv(3)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        connection.recv(1)

    sent = request("PUT", b"abc", waits=True)
    with server(behaviour) as (port, _):
        transport = RequestsTransport(target(port))
        result = transport.exchange(sent)
        transport.close()
    assert got == [sent.head]
    assert result.response.headers == (("Content-Length", "2"), ("X-A", "1"), ("x-a", "2"))
    assert (result.response.status, result.response.body, result.response.interim) == (200, b"hi", (100,))
    assert result.received_head == b"HTTP/1.1 100 Continue\r\n\r\n" + OK[:-2]


@pytest.mark.parametrize("behaviour", [answers(b"garbage\r\n\r\n"), answers(b"", close=True)])
def test_over_requests_garbage_is_an_outcome_too(behaviour):
    with server(behaviour) as (port, _):
        transport = RequestsTransport(target(port))
        result = transport.exchange(request())
        transport.close()
    assert result.response is None
    assert result.outcome != "answered"


def test_an_answer_that_trickles_in_has_one_time_out_for_all_of_it_whatever_the_transport():
    def behaviour(connection):
        read_head(connection)
        for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
            connection.sendall(bytes([octet]))
            time.sleep(0.1)
        connection.recv(1)

    for kind in (WireTransport, RequestsTransport):
        with server(behaviour) as (port, _):
            transport = kind(target(port, timeout=1.0))
            assert transport.exchange(request()).response is None
            transport.close()


def test_redirects_are_not_followed_by_either_transport():
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    for kind in (WireTransport, RequestsTransport):
        with server(answers(answer)) as (port, connections):
            transport = kind(target(port))
            assert transport.exchange(request()).response.status == 307
            assert len(connections) == 1
            transport.close()


def test_split_raw_without_an_end_of_head_is_all_head():
    assert split_raw(b"HTTP/1.1 200", 0) == (b"HTTP/1.1 200", b"")


# ---- answers that are none ------------------------------------------------------------------------------------------


def named(name):
    return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-obs-request-id: %b\r\n\r\n" % name.encode()


def outcomes(*texts):
    """What came of one request after the other, each for an object of its own, on one connection."""
    with server(answers(*texts)) as (port, connections):
        transport = WireTransport(target(port))
        sent = [replace(request(), head=f"GET /b/{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for n in range(len(texts))]
        told = [transport.exchange(one).outcome for one in sent]
        transport.close()
    assert len(connections) == 1
    return told


def test_a_copy_of_the_answer_before_answers_another_request():
    told = outcomes(named("1"), named("2"), named("2"))
    assert told[:2] == ["answered", "answered"]
    assert "it answers another request" in told[2]


def test_a_server_that_always_gives_the_same_request_id_is_not_distrusted():
    assert outcomes(named("1"), named("1"), named("1")) == ["answered"] * 3


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("GET", OK + b"more"),
        ("GET", OK + OK),
        ("HEAD", OK),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\nbody"),
    ],
)
def test_bytes_behind_an_answer_make_it_none(method, text):
    got = exchange(answers(text), request(method))
    assert got.response is None
    assert "goes on after its end" in got.outcome
    assert got.received_head + got.received_body == text


def test_of_what_is_no_answer_only_the_beginning_is_kept():
    got = exchange(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_BODY + 10)), timeout=20)
    assert got.response is None
    assert "larger than the limit" in got.outcome
    assert len(got.received_head) + len(got.received_body) == EVIDENCE


def endless(connection):
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def dripping(connection):
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("kind", [WireTransport, RequestsTransport])
@pytest.mark.parametrize(
    ("behaviour", "timeout", "says"),
    [(endless, 20, "larger than the limit"), (dripping, 0.5, "no complete answer within 0.5 s")],
)
def test_a_body_without_an_end_is_an_outcome_over_both_transports(kind, behaviour, timeout, says):
    with server(behaviour) as (port, _):
        transport = kind(target(port, timeout))
        got = transport.exchange(request())
        transport.close()
    assert got.response is None
    assert says in got.outcome
