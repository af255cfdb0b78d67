"""The server from outside in: a child process, raw sockets, real files."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_server.tests.conftest import Server

MIB = 1024 * 1024
KMS = ("x-obs-server-side-encryption", "kms")
EXPECT = ("Expect", "100-continue")


def command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reference_server", *options],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def complaint(*options: str) -> str:
    """The one line with which the command refuses."""
    ended = command(*options)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("obs-reference-server: ")
    return line.removeprefix("obs-reference-server: ")


def still_answers(server: Server) -> None:
    answer = server.ask("HEAD", "/shared")
    assert (answer.status, answer.first("x-obs-bucket-location")) == (200, "region")


# ---- start and end -----------------------------------------------------------------------------------------------


def test_ready_line_is_the_url_alone_and_the_target_file_agrees(server: Server) -> None:
    assert server.ready_line == f"http://127.0.0.1:{server.port}\n"
    assert server.target["endpoint"] == server.ready_line.strip()
    assert server.target["addressing"] == "path"
    assert set(server.target["identities"]) == {"owner", "other_account", "other_project"}
    assert set(server.target["keys"]) == {
        "custom",
        "second",
        "disabled",
        "scheduled",
        "switched",
        "deleted",
        "other_project",
        "other_account",
        "unknown",
    }


def test_target_file_is_private_even_where_a_public_one_was(tmp_path: Path, start: Callable[..., Server]) -> None:
    assert oct(start().target_file.stat().st_mode & 0o777) == "0o600"
    public = tmp_path / "public.toml"
    public.write_text("old")
    public.chmod(0o644)
    start("--target-file", str(public))
    assert oct(public.stat().st_mode & 0o777) == "0o600"
    assert tomllib.loads(public.read_text())["name"] == "obs-reference-server"
    assert list(tmp_path.glob(".public*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_with_exit_0(start: Callable[..., Server], number: int) -> None:
    server = start()
    idle = server.wire()
    assert server.stop(number) == (0, "")
    assert idle.ended()


def test_request_in_flight_is_finished_before_the_end(start: Callable[..., Server]) -> None:
    server = start()
    server.ask("PUT", "/bucket")
    wire = server.wire()
    wire.send(server.head("PUT", "/bucket/o", (("Content-Length", "10"), EXPECT)))
    assert wire.head()[0] == 100
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    wire.send(b"0123456789")
    assert wire.answer().status == 200
    assert server.stop() == (0, "")


def test_server_ends_with_its_parent_if_asked(start: Callable[..., Server]) -> None:
    server = start("--exit-with-parent")
    assert server.ask("GET", "/").status == 200
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(timeout=10) == 0


def test_options_decide_region_account_and_host(start: Callable[..., Server]) -> None:
    server = start("--region", "eu-de", "--domain-id", "d" * 32, "--domain", "obs.example.com", "--host", "localhost")
    assert server.target["region"] == "eu-de"
    assert server.target["identities"]["owner"]["domain_id"] == "d" * 32
    server.ask("PUT", "/bucket")
    stored = server.ask("PUT", "/bucket/o", (KMS,), b"x")
    key = stored.first("x-obs-server-side-encryption-kms-key-id") or ""
    assert key.startswith(f"eu-de:{'d' * 32}:key/")
    wire = server.wire()
    head = server.head("GET", "/o", resource="/bucket/o")
    wire.send(head.replace(f"Host: localhost:{server.port}".encode(), b"Host: bucket.obs.example.com"))
    assert wire.answer().body == b"x"


def test_defects_are_listed_in_both_forms() -> None:
    rows = json.loads(command("--list-defects", "--json").stdout)
    assert {"name", "says", "breaks", "realism"} == set(rows[0])
    defects = command("--list-defects").stdout.splitlines()
    assert [line.split()[0] for line in defects] == [row["name"] for row in rows]
    assert len(command("--list-variants").stdout.splitlines()) >= 20


def test_defect_is_served(start: Callable[..., Server]) -> None:
    assert start("--defect", "server-not-named").ask("GET", "/").first("server") is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--port", "x"], "invalid int value"),
        (["--port", "65536"], "is not a port"),
        (["--port", "-1"], "is not a port"),
        (["--defect", "none-such"], "no defect 'none-such'"),
        (["--domain-id", "short"], "32 characters"),
        (["--region", "a:b"], "letters, digits and dashes"),
        (["--host", "256.0.0.1"], "cannot listen"),
        (["--target-file", "/nonexistent/t.toml"], "cannot be written"),
        (["--data", "/proc/none"], "cannot be used"),
        (["--data", "/dev/null"], "cannot be used"),
    ],
)
def test_bad_option_is_one_clear_line_and_exit_2(options: list[str], says: str) -> None:
    assert says in complaint(*options)


def test_port_in_use_is_one_clear_line(server: Server) -> None:
    assert f"cannot listen on 127.0.0.1:{server.port}" in complaint("--port", str(server.port))


# ---- the data directory ------------------------------------------------------------------------------------------


def test_everything_survives_kill_and_restart(start: Callable[..., Server], tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    first = start("--data", data)
    first.ask("PUT", "/bucket")
    custom = ("x-obs-server-side-encryption-kms-key-id", first.target["keys"]["custom"])
    large = random.Random(5).randbytes(2 * MIB)
    stored = [
        first.ask("PUT", "/bucket/small", (KMS,), b"small"),
        first.ask("PUT", "/bucket/large", (KMS, custom), large),
    ]
    half = first.wire()
    half.send(first.head("PUT", "/bucket/small", (("Content-Length", str(MIB)),)) + large[: MIB - 1])
    first.stop(signal.SIGKILL)
    second = start("--data", data)
    assert {name: second.target[name] for name in ("identities", "keys")} == {
        name: first.target[name] for name in ("identities", "keys")
    }
    got = [second.ask("GET", "/bucket/small"), second.ask("GET", "/bucket/large")]
    assert [answer.body for answer in got] == [b"small", large]
    for before, after in zip(stored, got, strict=True):
        for name in ("ETag", *dict((KMS, custom))):
            assert before.first(name) == after.first(name)
    assert list((tmp_path / "data" / "blobs").rglob("*.part")) == []
    again = second.ask("PUT", "/bucket/small", (KMS,), b"again")
    assert again.first(custom[0]) == stored[0].first(custom[0])


def test_data_directory_belongs_to_one_server_at_a_time(start: Callable[..., Server], tmp_path: Path) -> None:
    start("--data", str(tmp_path / "data"))
    assert "in use by another server" in complaint("--data", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda key: key.write_text("nonsense"), "is not a root key"),
        (lambda key: key.write_bytes(b"\xff" * 64), "is not a root key"),
        (lambda key: key.write_text(""), "is not a root key"),
        (lambda key: key.write_text("ab" * 31), "is not a root key"),
        (lambda key: key.write_text("ab" * 32), "does not belong to this data directory"),
        (lambda key: key.unlink(), "is missing"),
        (lambda key: (key.unlink(), key.mkdir()), "cannot be used"),
        (lambda key: (key.parent / "server.db").write_bytes(b"no database " * 999), "cannot be used"),
    ],
)
def test_damaged_data_directory_is_told_in_one_line(
    start: Callable[..., Server], tmp_path: Path, change: Callable[[Path], object], says: str
) -> None:
    assert start("--data", str(tmp_path / "data")).stop() == (0, "")
    change(tmp_path / "data" / "root.key")
    assert says in complaint("--data", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("options", "says"), [(("--region", "other"), "made for region"), (("--domain-id", "d" * 32), "made for account")]
)
def test_data_directory_keeps_its_region_and_account(
    start: Callable[..., Server], tmp_path: Path, options: tuple[str, str], says: str
) -> None:
    assert start("--data", str(tmp_path / "data")).stop() == (0, "")
    assert says in complaint("--data", str(tmp_path / "data"), *options)


# ---- bytes on the wire -------------------------------------------------------------------------------------------


def test_header_names_keep_their_case_and_order(server: Server) -> None:
    wire = server.wire()
    wire.send(server.head("PUT", "/shared/case", (KMS, ("Content-Length", "1"), ("x-obs-meta-CamelCase", "V"))) + b"x")
    stored = wire.answer()
    assert [name for name, _ in stored.headers] == [
        "Server",
        "x-obs-request-id",
        "ETag",
        "x-obs-server-side-encryption",
        "x-obs-server-side-encryption-kms-key-id",
        "x-obs-id-2",
        "Date",
        "Content-Length",
    ]
    wire.send(server.head("HEAD", "/shared/case"))
    assert wire.answer(method="HEAD").first("x-obs-meta-camelcase") == "V"


def test_continue_is_sent_for_a_body_that_will_be_read(server: Server) -> None:
    wire = server.wire()
    wire.send(server.head("PUT", "/shared/continued", (("Content-Length", "5"), EXPECT)))
    assert wire.head() == (100, ())
    assert wire.left == b""
    wire.send(b"12345")
    assert wire.answer().status == 200
    assert server.ask("GET", "/shared/continued").body == b"12345"


def test_expectation_without_a_body_gets_no_continue(server: Server) -> None:
    wire = server.wire()
    wire.send(server.head("GET", "/shared/none", (EXPECT,)))
    assert wire.answer().status == 404


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/no-such-bucket/o", (), 404),
        ("/shared/o", (("x-obs-server-side-encryption", "rot13"),), 400),
        ("/shared/o?nonsense", (), 501),
        ("/shared/o", (("Content-MD5", "x"),), 400),
    ],
)
def test_early_refusal_is_the_final_status_alone_and_the_connection_ends(
    server: Server, target: str, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    wire = server.wire()
    wire.send(server.head("PUT", target, (*headers, ("Content-Length", "5242"), EXPECT)))
    refused = wire.answer()
    assert (refused.status, refused.first("connection"), refused.whole) == (status, "close", True)
    assert wire.ended()


def test_wrong_signature_is_refused_before_the_body(server: Server) -> None:
    wire = server.wire()
    head = server.head("PUT", "/shared/o", (("Content-Length", "5242"), EXPECT), resource="/shared/other")
    wire.send(head)
    assert (wire.answer().status, wire.ended()) == (403, True)


def test_early_refusal_of_a_short_unasked_body_keeps_the_connection(server: Server) -> None:
    wire = server.wire()
    wire.send(server.head("PUT", "/no-such-bucket/o", (("Content-Length", "5"),)) + b"12345")
    assert (wire.answer().status, wire.left) == (404, b"")
    wire.send(server.head("GET", "/shared/none"))
    assert wire.answer().status == 404


def test_early_refusal_of_a_long_body_is_read_by_a_client_still_sending(server: Server) -> None:
    wire = server.wire()
    head = server.head("PUT", "/no-such-bucket/o", (("Content-Length", str(64 * MIB)),))
    wire.send(head + bytes(256 * 1024))
    assert (wire.answer().status, wire.ended()) == (404, True)


def test_too_large_an_upload_is_refused_by_its_length(server: Server) -> None:
    wire = server.wire()
    wire.send(server.head("PUT", "/shared/o", (("Content-Length", str(6 * 1024**3)), EXPECT)))
    refused = wire.answer()
    assert (refused.status, b"EntityTooLarge" in refused.body) == (400, True)


def test_chunked_upload_is_read_in_any_pieces(server: Server) -> None:
    octets = b"5;name=value\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    wire = server.wire()
    wire.send(server.head("PUT", "/shared/chunked", (("Transfer-Encoding", "chunked"),)) + octets)
    assert wire.answer().status == 200
    assert server.ask("GET", "/shared/chunked").body == b"hello, world"
    wire.send(server.head("PUT", "/shared/chunked", (("Transfer-Encoding", "chunked"), EXPECT)))
    assert wire.head()[0] == 100
    for octet in octets:
        wire.send(bytes((octet,)))
    assert wire.answer().status == 200
    assert server.ask("GET", "/shared/chunked").body == b"hello, world"


def test_request_sent_octet_by_octet_is_understood(server: Server) -> None:
    wire = server.wire()
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in server.head("HEAD", "/shared"):
        wire.send(bytes((octet,)))
    assert wire.answer(method="HEAD").status == 200


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    large = random.Random(6).randbytes(3 * MIB)
    assert server.ask("PUT", "/shared/large", (KMS,), large).status == 200
    wire = server.wire()
    wire.send(
        server.head("PUT", "/shared/p", (("Content-Length", "3"),))
        + b"one"
        + server.head("GET", "/shared/large")
        + server.head("GET", "/shared/p")
        + server.head("PUT", "/shared/p", (("Transfer-Encoding", "chunked"),))
        + b"3\r\ntwo\r\n0\r\n\r\n"
        + server.head("GET", "/shared/large")
        + server.head("GET", "/shared/p")
        + server.head("DELETE", "/shared/p")
        + server.head("GET", "/shared/p")
    )
    answers = [wire.answer() for _ in range(8)]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 200, 204, 404]
    assert [answer.body for answer in answers[:6]] == [b"", large, b"one", b"", large, b"two"]


def test_last_answer_is_whole_when_garbage_follows_its_request(server: Server) -> None:
    large = random.Random(7).randbytes(3 * MIB)
    assert server.ask("PUT", "/shared/large2", (), large).status == 200
    wire = server.wire()
    wire.send(server.head("GET", "/shared/large2") + b"\0\0 this is no request\r\n\r\n")
    assert wire.answer().body == large
    rest = wire.answer() if not wire.ended() else None
    assert rest is None or rest.status == 400


def test_connection_close_and_old_http_end_the_connection(server: Server) -> None:
    for change in (
        lambda head: head.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost"),
        lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        wire = server.wire()
        wire.send(change(server.head("GET", "/shared/none")))
        answer = wire.answer()
        assert (answer.status, answer.first("connection"), wire.ended()) == (404, "close", True)


def test_offer_to_upgrade_is_ignored(server: Server) -> None:
    wire = server.wire()
    offer = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\nHost"
    wire.send(server.head("GET", "/shared/none").replace(b"\r\nHost", offer))
    answer = wire.answer()
    assert (answer.status, b"NoSuchKey" in answer.body, wire.ended()) == (404, True, True)


GARBAGE = {
    "both-lengths": b"PUT /shared/o HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"PUT /shared/o HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "negative-length": b"PUT /shared/o HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc",
    "huge-length": b"PUT /shared/o HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "no-host": b"GET /shared HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET /shared HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "blank-before-colon": b"GET /shared HTTP/1.1\r\nHost : h\r\n\r\n",
    "no-colon": b"GET /shared HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n",
    "no-version": b"GET /shared\r\n\r\n",
    "unknown-version": b"GET /shared HTTP/7.3\r\nHost: h\r\n\r\n",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "nul": bytes(1000),
    "words": b"hello, is anybody there?\r\n\r\n",
    "raw-octets-in-target": b"GET /shared/\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
    "raw-octets-in-query": b"GET /shared?prefix=\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
    "target-of-connect": b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "no-path": b"GET shared HTTP/1.1\r\nHost: h\r\n\r\n",
    "long-target": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "bad-chunk": b"PUT /shared/o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "many-lines": b"GET /shared HTTP/1.1\r\nHost: h\r\n" + b"a: b\r\n" * 500 + b"\r\n",
    "megabyte-of-headers": b"GET /shared HTTP/1.1\r\nHost: h\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 1046 + b"\r\n",
    "megabyte-of-one-header": b"GET /shared HTTP/1.1\r\nHost: h\r\na: " + b"b" * MIB + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_or_cut_off_and_the_server_still_answers(server: Server, name: str) -> None:
    wire = server.wire()
    try:
        wire.send(GARBAGE[name])
        answer = wire.answer()
    except (EOFError, ConnectionError):
        answer = None
    if answer is not None:
        assert 400 <= answer.status < 500 or answer.status == 501
        assert answer.body.startswith(b"<?xml")
        assert (answer.first("x-obs-request-id") or "").encode() in answer.body
    wire.close()
    still_answers(server)


@pytest.mark.parametrize("name", ["both-lengths", "two-lengths", "no-host", "two-hosts", "megabyte-of-headers"])
def test_garbage_that_is_nearly_http_is_told_400_and_cut_off(server: Server, name: str) -> None:
    wire = server.wire()
    try:
        wire.send(GARBAGE[name])
    except ConnectionError:
        pytest.fail("the connection was reset before the request was out")
    assert (wire.answer().status, wire.ended()) == (400, True)


def test_random_octets_never_stop_the_server(server: Server) -> None:
    dice = random.Random(11)
    good = server.head("PUT", "/shared/fuzz", (KMS, ("Content-Length", "4"))) + b"body"
    for _ in range(300):
        octets = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            octets[dice.randrange(len(octets))] = dice.randrange(256)
        wire = server.wire()
        wire.send(bytes(octets[: dice.randint(1, len(octets))]))
        wire.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(EOFError):
            assert wire.answer().status < 500
        wire.close()
    still_answers(server)


def test_client_that_leaves_half_way_leaves_no_object(server: Server) -> None:
    wire = server.wire()
    wire.send(server.head("PUT", "/shared/half", (KMS, ("Content-Length", "10"), EXPECT)))
    assert wire.head()[0] == 100
    wire.send(b"half")
    wire.close()
    assert server.ask("HEAD", "/shared/half").status == 404


def test_slow_client_holds_up_nobody(server: Server) -> None:
    slow = server.wire()
    slow.send(server.head("PUT", "/shared/slow", (("Content-Length", "4"),)) + b"12")
    stuck = server.wire()
    stuck.send(b"GET /shared HT")
    still_answers(server)
    slow.send(b"34")
    assert slow.answer().status == 200


def test_large_encrypted_object_passes_through_in_flat_memory(start: Callable[..., Server]) -> None:
    server = start()
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/warm", (KMS,), bytes(2 * MIB))
    server.ask("GET", "/bucket/warm")
    before, piece, pieces = server.memory_kib("VmHWM"), random.Random(9).randbytes(MIB), 20
    wire = server.wire()
    wire.send(server.head("PUT", "/bucket/o", (KMS, ("Content-Length", str(pieces * MIB)))))
    for _ in range(pieces):
        wire.send(piece)
    assert wire.answer().status == 200
    after_upload = server.memory_kib("VmHWM")
    got = server.ask("GET", "/bucket/o")
    assert got.body == piece * pieces
    slow = server.wire()
    slow.send(server.head("GET", "/bucket/o"))
    assert slow.head()[0] == 200
    time.sleep(0.3)  # the client does not read; the server must not read ahead
    copied = server.ask("PUT", "/bucket/copy", (KMS, ("x-obs-copy-source", "/bucket/o")))
    assert copied.status == 200
    growth = {"upload": after_upload - before, "all": server.memory_kib("VmHWM") - before}
    assert max(growth.values()) < 10 * 1024, growth


def test_others_are_served_while_a_large_object_is_on_its_way(server: Server) -> None:
    large = bytes(8 * MIB)
    assert server.ask("PUT", "/shared/busy", (KMS,), large).status == 200
    wires = [server.wire() for _ in range(4)]
    for wire in wires:
        wire.send(server.head("GET", "/shared/busy"))
    still_answers(server)
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda wire=wire: bodies.append(wire.answer().body)) for wire in wires]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert bodies == [large] * 4


def test_answers_nobody_reads_are_not_piled_up(start: Callable[..., Server]) -> None:
    server = start()
    server.ask("PUT", "/bucket")
    body = bytes(200_000)  # in one piece, hence not streamed
    assert server.ask("PUT", "/bucket/o", (), body).status == 200
    server.ask("GET", "/bucket/o")
    before, wire, count = server.memory_kib("VmHWM"), server.wire(), 300
    wire.send(server.head("GET", "/bucket/o") * count)
    time.sleep(0.3)
    assert server.memory_kib("VmHWM") - before < 10 * 1024
    wire.socket.shutdown(socket.SHUT_WR)
    assert {wire.answer().body for _ in range(count)} == {body}
    assert wire.ended()


def test_thousands_of_pipelined_requests_are_answered(server: Server) -> None:
    wire = server.wire()
    sender = threading.Thread(target=wire.send, args=(b"GET /shared/o HTTP/1.1\r\nHost: h\r\n\r\n" * 5000,))
    sender.start()
    assert {wire.answer().status for _ in range(5000)} == {403}
    sender.join()
    still_answers(server)
