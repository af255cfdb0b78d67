"""Running the server: HTTPS, the access log, readiness, patience, and a graceful end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import threading
import time
import tomllib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests

from reference_server import tls
from reference_server.__main__ import main
from reference_server.access_log import Carried, Told, line, shown
from reference_server.wire import Head, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_server.tests.conftest import Rig, Server

MIB = 1024 * 1024
KMS = ("x-obs-server-side-encryption", "kms")
CUSTOMER_KEY = bytes(range(32))
CUSTOMER = (
    ("x-obs-server-side-encryption-customer-algorithm", "AES256"),
    ("x-obs-server-side-encryption-customer-key", b64encode(CUSTOMER_KEY).decode()),
    ("x-obs-server-side-encryption-customer-key-MD5", b64encode(hashlib.md5(CUSTOMER_KEY).digest()).decode()),
)


# ---- HTTPS -------------------------------------------------------------------------------------------------------------


def test_certificate_made_here_is_trusted_by_what_the_target_file_names(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = start("--tls", "--data", str(data), "--admin-file", str(tmp_path / "admin.toml"))
    assert server.target["endpoint"].startswith("https://127.0.0.1:")
    bundle = server.target["tls"]["ca_bundle"]
    for host in ("127.0.0.1", "localhost"):
        assert requests.get(f"https://{host}:{server.port}/-/ready", verify=bundle, timeout=10).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://127.0.0.1:{server.port}/-/ready", timeout=10)
    admin = tomllib.loads((tmp_path / "admin.toml").read_text())
    assert admin["kms_endpoint"].startswith("https://")
    assert requests.get(admin["kms_endpoint"] + "/v3/users", verify=bundle, timeout=10).status_code == 401
    assert oct((data / "tls" / "key.pem").stat().st_mode & 0o777) == "0o600"
    before = (data / "tls" / "certificate.pem").read_bytes()
    assert server.stop() == (0, "")
    start("--tls", "--data", str(data))
    assert (data / "tls" / "certificate.pem").read_bytes() == before


def test_plain_http_to_the_tls_port_is_cut_off_without_a_word(start: Callable[..., Server]) -> None:
    server = start("--tls")
    wire = server.wire()
    wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert wire.ended()
    wire = server.wire()
    wire.close()
    bundle = server.target["tls"]["ca_bundle"]
    assert requests.get(f"https://127.0.0.1:{server.port}/-/ready", verify=bundle, timeout=10).status_code == 200
    assert server.stop() == (0, "")


def test_given_certificate_is_served(start: Callable[..., Server], tmp_path: Path) -> None:
    certificate, key, authority = tls.made_here(tmp_path / "mine", ("127.0.0.1",))
    server = start("--tls-certificate", str(certificate), "--tls-key", str(key))
    assert "tls" not in server.target
    answer = requests.get(server.target["endpoint"] + "/-/ready", verify=str(authority), timeout=10)
    assert answer.status_code == 200


def test_large_bodies_pass_through_tls_both_ways(start: Callable[..., Server]) -> None:
    server = start("--tls")
    context = ssl.create_default_context(cafile=server.target["tls"]["ca_bundle"])
    large = os.urandom(3 * MIB)

    def ask(method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        lines = (KMS, ("Content-Length", str(len(body)))) if body else ()
        raw = socket.create_connection((server.host, server.port), timeout=10)
        with context.wrap_socket(raw, server_hostname=server.host) as wire:
            head = server.head(method, target, lines).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            wire.sendall(head + body)
            pieces = []
            while piece := wire.recv(65536):
                pieces.append(piece)
        first, _, rest = b"".join(pieces).partition(b"\r\n\r\n")
        return int(first.split()[1]), rest

    assert ask("PUT", "/bucket")[0] == 200
    assert ask("PUT", "/bucket/o", large)[0] == 200
    assert ask("GET", "/bucket/o") == (200, large)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tls-certificate", "/none.pem"], "belong together"),
        (["--tls-key", "/none.pem"], "belong together"),
        (["--tls-certificate", "/none.pem", "--tls-key", "/none.pem"], "--tls-certificate /none.pem is not a file"),
        (["--tls-certificate", __file__, "--tls-key", __file__], "are not a PEM certificate and its key"),
        (["--kms-port", "65536"], "--kms-port 65536 is not a port"),
        (["--admin-file", "/nonexistent/a.toml"], "The admin file /nonexistent/a.toml cannot be written"),
        (["--access-log", "/nonexistent/log"], "The access log /nonexistent/log cannot be written"),
        (["--grace", "-1"], "--grace -1.0 is not a number of seconds"),
        (["--grace", "nan"], "--grace nan is not a number of seconds"),
        (["--client-timeout", "-3"], "--client-timeout -3.0 is not a number of seconds"),
        (["--config", "/none.toml"], "/none.toml: cannot be read: No such file or directory"),
    ],
)
def test_bad_option_is_one_clear_line(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("obs-reference-server: ")
    assert says in said.err


def test_certificate_is_made_anew_when_it_will_not_do(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    paths = tls.made_here(tmp_path, ("obs.example.com",), now)
    first = [path.read_bytes() for path in paths]

    def again(hosts: tuple[str, ...], moment: datetime) -> bool:
        return [path.read_bytes() for path in tls.made_here(tmp_path, hosts, moment)] == first

    assert again(("obs.example.com",), now + timedelta(days=tls.VALID_DAYS - tls.RENEW_DAYS - 1))
    assert not again(("obs.example.com",), now + timedelta(days=tls.VALID_DAYS - tls.RENEW_DAYS))
    first = [path.read_bytes() for path in paths]
    assert not again(("other.example.com",), now + timedelta(days=300))
    first = [path.read_bytes() for path in paths]
    paths[1].write_bytes(b"damaged")
    assert not again(("other.example.com",), now + timedelta(days=300))


def test_certificate_satisfies_strict_verification(start: Callable[..., Server]) -> None:
    server = start("--tls", "--domain", "obs.example.com")
    context = ssl.create_default_context(cafile=server.target["tls"]["ca_bundle"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("obs.example.com", "bucket.obs.example.com", "localhost", "127.0.0.1"):
        raw = socket.create_connection((server.host, server.port), timeout=10)
        with context.wrap_socket(raw, server_hostname=name) as wire:
            assert wire.version() in ("TLSv1.2", "TLSv1.3")


# ---- HTTPS required for encrypted objects ----------------------------------------------------------------------------


def test_what_needs_https_is_what_section_3_9_lists(new_rig: Callable[..., Rig]) -> None:
    """Plain HTTP: refused where the table says HTTPS, allowed where it says HTTP or HTTPS."""
    rig = new_rig()
    assert rig.ask("PUT", "/bucket").status == 200
    assert rig.ask("PUT", "/bucket/kms", (KMS,), b"x").status == 200
    assert rig.ask("PUT", "/bucket/ssec", CUSTOMER, b"x").status == 200
    assert rig.ask("PUT", "/bucket/plain", (), b"x").status == 200
    begun = rig.ask("POST", "/bucket/parts?uploads", (KMS,), sub="uploads")
    upload = begun.content().split(b"<UploadId>")[1].split(b"<")[0].decode()
    rig.service.watch(lambda seams: seams)
    from dataclasses import replace

    rig.service.world = replace(rig.service.world, require_https=True)
    part = f"partNumber=1&uploadId={upload}"
    source = ("x-obs-copy-source", "/bucket/kms")

    def status(method: str, target: str, headers: Any = (), body: bytes = b"", sub: str = "") -> tuple[int, str]:
        answer = rig.ask(method, target, headers, body, sub=sub)
        code = re.search(b"<Code>(.*)</Code>", answer.content())
        return answer.status, answer.first("x-obs-error-code") or (code[1].decode() if code else "")

    refused = (400, "InvalidRequest")
    assert status("PUT", "/bucket/o", (KMS,), b"x") == refused
    assert status("PUT", "/bucket/o", CUSTOMER, b"x") == refused
    assert status("GET", "/bucket/kms") == refused
    assert status("GET", "/bucket/ssec", CUSTOMER) == refused
    assert status("HEAD", "/bucket/ssec", CUSTOMER) == refused
    assert status("POST", "/bucket/o?uploads", (KMS,), sub="uploads") == refused
    assert status("PUT", f"/bucket/parts?{part}", (), b"x", sub=part) == refused
    assert status("PUT", "/bucket/copy", (source, KMS)) == refused
    assert status("PUT", "/bucket/o", (), b"x") == (200, "")
    assert status("GET", "/bucket/plain") == (200, "")
    assert status("HEAD", "/bucket/kms") == (200, "")
    assert status("PUT", "/bucket/copy", (source,)) == (200, "")
    assert status("PUT", f"/bucket/parts?{part}", (source,), sub=part) == (200, "")


def test_option_requires_https_for_encrypted_objects(start: Callable[..., Server]) -> None:
    server = start("--require-https-for-sse")
    assert server.ask("PUT", "/bucket").status == 200
    refused = server.ask("PUT", "/bucket/o", (KMS,), b"x")
    assert (refused.status, b"<Code>InvalidRequest</Code>" in refused.body, b"HTTPS" in refused.body) == (
        400,
        True,
        True,
    )
    assert server.ask("PUT", "/bucket/o", (), b"x").status == 200


# ---- the access log ----------------------------------------------------------------------------------------------------


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    """The lines, once there are so many: each is written a moment after its answer is out."""
    until = time.monotonic() + 10
    while (text := path.read_text()).count("\n") < count:
        assert time.monotonic() < until, text
        time.sleep(0.01)
    return [json.loads(row) for row in text.splitlines()]


def test_each_request_is_one_line_of_json(start: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    server = start("--access-log", str(path))
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    large = bytes(2 * MIB)
    wire = server.wire()
    answers = []
    for method, target, body in (
        ("PUT", "/bucket", b""),
        ("PUT", "/bucket/o", large),
        ("GET", "/bucket/o", b""),
        ("HEAD", "/bucket/none", b""),
        ("GET", "/bucket?nonsense", b""),
    ):
        wire.send(server.head(method, target, (("Content-Length", str(len(body))),) if body else ()) + body)
        answers.append(wire.answer(method=method))
    wire.send(b"garbage\r\n\r\n")
    answers.append(wire.answer())
    rows = lines_of(path, 6)
    principal = server.target["identities"]["owner"]["principal"]
    key = server.target["identities"]["owner"]["access_key"]
    assert [row["request_id"] for row in rows] == [answer.first("x-obs-request-id") for answer in answers]
    assert [(row["method"], row["target"], row["operation"], row["status"], row["error"]) for row in rows] == [
        ("PUT", "/bucket", "CreateBucket", 200, None),
        ("PUT", "/bucket/o", "PutObject", 200, None),
        ("GET", "/bucket/o", "GetObject", 200, None),
        ("HEAD", "/bucket/none", "HeadObject", 404, "NoSuchKey"),
        ("GET", "/bucket?nonsense", None, 501, "ServiceNotImplemented"),
        (None, None, None, 400, "BadRequest"),
    ]
    assert [(row["received"], row["sent"]) for row in rows[:4]] == [(0, 0), (len(large), 0), (0, len(large)), (0, 0)]
    assert {(row["caller"], row["access_key"], row["signed"]) for row in rows[:4]} == {(principal, key, "header")}
    assert (rows[4]["caller"], rows[4]["access_key"]) == (None, None)  # refused before it mattered who asked
    assert all(row["complete"] and not row["tls"] and row["peer"] == "127.0.0.1" for row in rows)
    assert all(row["ms"] >= 0 for row in rows)


def test_requests_that_break_off_are_lines_too(start: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    server = start("--access-log", str(path))
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/o", (), bytes(24 * MIB))
    upload = server.wire()
    upload.send(server.head("PUT", "/bucket/half", (("Content-Length", "10"), ("Expect", "100-continue"))))
    assert upload.head()[0] == 100
    upload.send(b"1234")
    upload.close()
    download = server.wire()
    download.send(server.head("GET", "/bucket/o"))
    assert download.head()[0] == 200
    download.close()
    rows = lines_of(path, 4)
    broken = {row["target"]: row for row in rows[2:]}
    assert [broken["/bucket/half"][name] for name in ("status", "received", "complete")] == [None, 4, False]
    assert [broken["/bucket/o"][name] for name in ("status", "complete")] == [200, False]
    assert broken["/bucket/o"]["sent"] < 24 * MIB


def test_no_secret_reaches_the_log(start: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    server = start("--access-log", str(path), "--admin-file", str(tmp_path / "admin.toml"))
    admin = tomllib.loads((tmp_path / "admin.toml").read_text())
    server.ask("PUT", "/bucket")
    identity = server.target["identities"]["owner"]
    canary = "CaNaRy0123456789"
    targets = [
        f"/bucket/o?AccessKeyId={identity['access_key']}&Expires=99999999999&Signature={canary}",
        f"/bucket/o?%53ignature={canary}&AccessKeyId=A&Expires=1",
        f"/bucket/o?x-obs-security-token={canary}",
        f"/bucket/o?X-Amz-Signature={canary}&X-Amz-Credential={canary}",
        f"/bucket/o?x-obs-server-side-encryption-customer-key={canary}",
        f"http://user:{canary}@127.0.0.1/bucket/o",
        f"/bucket/o#{canary}",
    ]
    for target in targets:
        wire = server.wire()
        wire.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert wire.answer().status >= 400
    server.ask("PUT", "/bucket/o", CUSTOMER, b"x")
    server.ask("GET", "/bucket/o", (("Cookie", canary), ("x-obs-security-token", canary)))
    requests.get(admin["kms_endpoint"] + "/v3/users", headers={"X-Auth-Token": admin["token"]}, timeout=10)
    requests.get(admin["kms_endpoint"] + "/v3/users", headers={"X-Auth-Token": canary}, timeout=10)
    made = requests.post(
        admin["kms_endpoint"] + "/v3/users",
        headers={"X-Auth-Token": admin["token"]},
        json={"user": {"name": "new"}},
        timeout=10,
    ).json()
    assert len(lines_of(path, 1 + len(targets) + 5)) == 1 + len(targets) + 5
    text = path.read_text()
    secrets = [canary, admin["token"], made["credential"]["secret"], CUSTOMER[1][1]]
    secrets += [entry["secret_key"] for entry in admin["identities"].values()]
    assert [secret for secret in secrets if secret in text] == []
    assert text.count("REDACTED") == 6


def test_log_tells_which_reading_of_the_signature_was_accepted(start: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    server = start("--access-log", str(path))
    server.ask("PUT", "/bucket")
    server.ask("HEAD", "/bucket", resource="/bucket")
    server.ask("HEAD", "/bucket", resource="/another")
    wire = server.wire()
    wire.send(b"HEAD /bucket HTTP/1.1\r\nHost: h\r\n\r\n")
    assert wire.answer(method="HEAD").status == 403
    rows = lines_of(path, 4)
    assert [(row["signed"], row["status"], row["caller"] is None) for row in rows] == [
        ("header", 200, False),
        ("header: bucket without a slash", 200, False),
        ("header", 403, True),
        ("anonymous", 403, True),
    ]


def test_log_to_standard_output_follows_the_ready_line(start: Callable[..., Server]) -> None:
    server = start("--access-log", "-")
    server.ask("PUT", "/bucket")
    assert server.process.stdout is not None
    assert json.loads(server.process.stdout.readline())["operation"] == "CreateBucket"


def test_log_that_cannot_be_written_holds_up_nobody(start: Callable[..., Server]) -> None:
    server = start("--access-log", "/dev/full")
    assert [server.ask("PUT", f"/bucket{number}").status for number in range(3)] == [200, 200, 200]
    code, errors = server.stop()
    assert code == 0
    assert errors == (
        "obs-reference-server: the access log /dev/full cannot be written: [Errno 28] No space left on device\n"
    )


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/b/o", "/b/o"),
        ("/b/o?acl", "/b/o?acl"),
        ("/b/o?Signature", "/b/o?Signature"),
        ("/b/o?Signature=a=b&acl", "/b/o?Signature=REDACTED&acl"),
        ("/b/o?sIgNaTuRe=a", "/b/o?sIgNaTuRe=REDACTED"),
        ("/b/o?Expires=1&Signature=a%2Bb", "/b/o?Expires=1&Signature=REDACTED"),
        ("http://user:pass@h/b/o?x-obs-security-token=t#f", "/b/o?x-obs-security-token=REDACTED"),
        ("http://h", "/"),
    ],
)
def test_target_is_shown_without_its_secrets(target: str, wanted: str) -> None:
    assert shown(target) == wanted


def test_line_is_json_whatever_octets_came() -> None:
    head = Head("GET", "/b/\udcff\n" + "x" * 5000, Headers((("User-Agent", 'a"\udcfe\u2028'), ("Host", "h"))))
    told = Told(Response(400), head, "R")
    text = line(told, Carried(0, 1, 0.0015, complete=True), moment=0.0, head=head, peer="p", secure=True)
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    row = json.loads(text)
    assert (row["time"], row["ms"], row["user_agent"]) == (
        "1970-01-01T00:00:00.000Z",
        1.5,
        'a"\N{REPLACEMENT CHARACTER}\u2028',
    )
    assert len(row["target"]) == 2048 + 3
    text.encode("ascii")


# ---- readiness ---------------------------------------------------------------------------------------------------------


def test_readiness_is_told_to_anybody(server: Server) -> None:
    for method in ("GET", "HEAD"):
        wire = server.wire()
        wire.send(f"{method} /-/ready HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        answer = wire.answer(method=method)
        assert (answer.status, answer.first("content-type")) == (200, "application/json")
        if method == "GET":
            assert json.loads(answer.body) == {"status": "ready"}


def test_readiness_is_outside_every_bucket(rig: Rig) -> None:
    host = (("Host", "obs.example.com"),)
    assert rig.bare("POST", "/-/ready", host).status == 405
    for target in ("/-/ready?x=1", "/-/other"):
        assert b"<Code>InvalidBucketName</Code>" in rig.bare("GET", target, host).content()
    assert b"<Code>InvalidBucketName</Code>" in rig.ask("PUT", "/-").content()
    stored = rig.ask("PUT", "/-/ready", (), b"x", host="bucket.obs.example.com", resource="/bucket/-/ready")
    assert stored.status == 200
    got = rig.ask("GET", "/-/ready", host="bucket.obs.example.com", resource="/bucket/-/ready")
    assert got.content() == b"x"


def test_readiness_says_when_it_is_not(rig: Rig) -> None:
    rig.service.stopping = True
    answer = rig.bare("GET", "/-/ready", (("Host", "obs.example.com"),))
    assert (answer.status, json.loads(answer.content())) == (503, {"status": "stopping"})
    rig.service.stopping = False
    rig.state.close()
    answer = rig.bare("GET", "/-/ready", (("Host", "obs.example.com"),))
    assert (answer.status, json.loads(answer.content())) == (503, {"status": "the database does not answer"})


# ---- patience and the end ----------------------------------------------------------------------------------------------


def test_silent_clients_are_sent_away(start: Callable[..., Server]) -> None:
    server = start("--client-timeout", "1")
    server.ask("PUT", "/bucket")
    slow, half, idle = server.wire(), server.wire(), server.wire()
    slow.send(server.head("PUT", "/bucket/o", (("Content-Length", "10"), ("Expect", "100-continue"))))
    assert slow.head()[0] == 100
    slow.send(b"1234")
    half.send(b"GET / HT")
    answer = slow.answer()
    assert (answer.status, b"<Code>RequestTimeout</Code>" in answer.body, slow.ended()) == (408, True, True)
    assert half.ended()
    assert idle.ended()
    assert server.ask("HEAD", "/bucket/o").status == 404


def test_slow_body_that_keeps_coming_is_waited_for(start: Callable[..., Server]) -> None:
    server = start("--client-timeout", "2.5")
    server.ask("PUT", "/bucket")
    wire = server.wire()
    wire.send(server.head("PUT", "/bucket/o", (("Content-Length", "8"),)))
    for octet in b"drip-fed":
        time.sleep(0.4)
        wire.send(bytes((octet,)))
    assert wire.answer().status == 200
    assert server.ask("GET", "/bucket/o").body == b"drip-fed"


def until_nobody_new_is_let_in(server: Server) -> None:
    """Until the signal that was sent has been taken."""
    until = time.monotonic() + 10
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
        while time.monotonic() < until:
            server.wire().close()
    assert time.monotonic() < until


def test_end_waits_for_a_download_under_way(start: Callable[..., Server]) -> None:
    server = start("--grace", "20")
    large = os.urandom(8 * MIB)
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/o", (KMS,), large)
    wire = server.wire()
    wire.send(server.head("GET", "/bucket/o"))
    assert wire.head()[0] == 200
    server.process.send_signal(signal.SIGTERM)
    until_nobody_new_is_let_in(server)
    got = bytearray(wire.left)
    while len(got) < len(large):
        piece = wire.socket.recv(65536)
        assert piece
        got += piece
    assert bytes(got) == large
    assert server.stop() == (0, "")


def test_end_does_not_wait_longer_than_the_grace(start: Callable[..., Server]) -> None:
    server = start("--grace", "0.2")
    server.ask("PUT", "/bucket")
    stuck = server.wire()
    stuck.send(server.head("PUT", "/bucket/o", (("Content-Length", "10"), ("Expect", "100-continue"))))
    assert stuck.head()[0] == 100
    assert server.stop() == (0, "")
    assert stuck.ended()


def test_second_signal_ends_it_at_once(start: Callable[..., Server]) -> None:
    server = start("--grace", "3600")
    server.ask("PUT", "/bucket")
    stuck = server.wire()
    stuck.send(server.head("PUT", "/bucket/o", (("Content-Length", "10"), ("Expect", "100-continue"))))
    assert stuck.head()[0] == 100
    server.process.send_signal(signal.SIGTERM)
    until_nobody_new_is_let_in(server)
    assert server.stop(signal.SIGINT) == (0, "")


def test_signals_that_keep_coming_do_not_spoil_the_end(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start("--data", str(tmp_path / "data"))
    server.ask("PUT", "/bucket")
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    assert server.stop() == (0, "")
    assert not (tmp_path / "data" / "server.db-wal").exists()  # the database was closed as it should


def test_folder_of_a_killed_server_is_swept_by_the_next_one(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    kept = tmp_path / "obs-reference-server-of-somebody"
    start("--data", str(kept)).stop(signal.SIGKILL)
    killed, alive = start(), start()
    assert len(list(tmp_path.glob("obs-reference-server-*"))) == 3
    killed.stop(signal.SIGKILL)
    assert start().stop() == (0, "")
    assert len(list(tmp_path.glob("obs-reference-server-*"))) == 2
    assert (kept / "server.db").exists()
    assert alive.ask("PUT", "/bucket").status == 200
    alive.stop()
    assert list(tmp_path.glob("obs-reference-server-*")) == [kept]


def test_many_clients_leaving_at_once_are_no_trouble(start: Callable[..., Server]) -> None:
    server = start()
    server.ask("PUT", "/bucket")

    def come_and_go() -> None:
        for _ in range(20):
            wire = server.wire()
            wire.send(server.head("PUT", "/bucket/o", (("Content-Length", str(MIB)),)) + bytes(1000))
            wire.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ask("HEAD", "/bucket/o").status == 404
    assert server.stop() == (0, "")
