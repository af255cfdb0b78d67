"""``sign`` in the S3 dialect: what it prints is accepted by a server that reads the signatures on its own."""

import io
import re
import socket
import sys
import tomllib
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests
from commands import obs, reference_server

from conformance.cli import main

MODE = ("x-amz-server-side-encryption", "aws:kms")
BODY = b"for your eyes only"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with reference_server(folder) as (target, _):
        data = tomllib.loads(target.read_text())
        target.write_text(re.sub("^dialect = .*$", 'dialect = "obs-s3"', target.read_text(), flags=re.MULTILINE))
        owner = data["identities"]["owner"]
        yield SimpleNamespace(target=target, endpoint=data["endpoint"], owner=owner)


@pytest.fixture(autouse=True)
def credentials(server, monkeypatch):
    monkeypatch.setenv("OBS_ACCESS_KEY_ID", server.owner["access_key"])
    monkeypatch.setenv("OBS_SECRET_ACCESS_KEY", server.owner["secret_key"])


@pytest.fixture
def sign():
    """Calls the command; what it printed."""

    def call(*arguments):
        done = obs("sign", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.removesuffix("\n")

    return call


def send(method, url, printed="", headers=(), body=b""):
    pairs = dict(line.split(": ", 1) for line in printed.splitlines())
    answer = requests.request(method, url, headers=dict(headers) | pairs, data=body, timeout=30)
    return answer.status_code, answer


S3 = ("--dialect", "obs-s3")


@pytest.fixture
def bucket(server, sign, request):
    url = f"{server.endpoint}/{re.sub('[^a-z]', '-', request.node.name)[:40]}"
    assert send("PUT", url, sign("PUT", url, *S3))[0] == 200
    return url


def line(pair):
    return ("-H", ": ".join(pair))


def test_header_lines_authorize_an_upload_and_cover_its_body(sign, bucket, tmp_path):
    (tmp_path / "body").write_bytes(BODY)
    url = f"{bucket}/a%20b"
    printed = sign("PUT", url, *line(MODE), *S3, "--region", "somewhere", "--body", tmp_path / "body")
    assert [each.split(":")[0] for each in printed.splitlines()] == [
        "x-amz-date",
        "x-amz-content-sha256",
        "Authorization",
    ]
    assert "/somewhere/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;" in printed
    status, answer = send("PUT", url, printed, [MODE], BODY)
    assert (status, answer.headers[MODE[0]]) == (200, MODE[1])
    assert "XAmzContentSHA256Mismatch" in send("PUT", url, printed, [MODE], b"another body")[1].text
    assert send("PUT", url, printed, [], BODY)[0] == 403


def test_a_body_that_was_not_shown_is_not_covered(sign, bucket, monkeypatch):
    printed = sign("PUT", f"{bucket}/o", *S3)
    assert "x-amz-content-sha256: UNSIGNED-PAYLOAD" in printed.splitlines()
    assert send("PUT", f"{bucket}/o", printed, body=BODY)[0] == 200
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    assert f"x-amz-content-sha256: {EMPTY}" in sign("GET", f"{bucket}/o", *S3, "--body", "-")


def test_a_url_loses_the_signature_it_had_and_gets_one_for_now(sign, bucket):
    url = sign("PUT", f"{bucket}/o", *line(MODE), *S3, "--as-url")
    assert send("PUT", url, headers=[MODE], body=BODY)[0] == 200
    again = sign("GET", f"{url}&response-content-type=text/x", *S3, "--as-url")
    assert again.count("X-Amz-Signature=") == 1
    status, answer = send("GET", again)
    assert (status, answer.content, answer.headers["Content-Type"]) == (200, BODY, "text/x")
    assert send("GET", again.replace("text%2Fx", "text%2Fy"))[0] == 403


def raw(server, request):
    """The answer to bytes, whose request asks for the end of the connection."""
    parts = urlsplit(server.endpoint)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("signed", ["header", "url"])
def test_a_raw_request_of_a_report_is_signed_anew(server, bucket, tmp_path, capsysbinary, signed):
    path, host = urlsplit(bucket).path, urlsplit(bucket).netloc
    query = "?X-Amz-Credential=old&X-Amz-Signature=****" if signed == "url" else ""
    stars = "Authorization: AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=****\r\n"
    head = (
        f"PUT {path}/raw{query} HTTP/1.1\r\nHost: {host}\r\nX-Amz-Server-Side-Encryption:  aws:kms\r\n"
        + (f"x-amz-date: 20130524T000000Z\r\nx-amz-content-sha256: {'0' * 64}\r\n{stars}" if signed == "header" else "")
        + f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n"
    )
    file = tmp_path / "request"
    file.write_bytes(head.encode() + BODY)
    assert main(["sign", "--raw", str(file), *S3]) == 0
    made = capsysbinary.readouterr().out
    assert b"X-Amz-Server-Side-Encryption:  aws:kms\r\n" in made
    assert b"20130524" not in made
    assert raw(server, made).startswith(b"HTTP/1.1 200 ")


def test_a_target_file_says_who_signs_and_how(server, bucket, monkeypatch):
    monkeypatch.delenv("OBS_ACCESS_KEY_ID")
    done = obs("sign", "GET", bucket, "--target", server.target)
    assert send("GET", bucket, done.stdout)[0] == 200
    assert "/region/s3/aws4_request" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dialect", "s4"), "no dialect named 's4'; there are: obs, aws-s3, obs-s3"),
        (("--body", "/nowhere"), "--body /nowhere: cannot be read"),
        (("--target", "TARGET", "--region", "r"), "--target says it all"),
        (("--target", "TARGET", "--identity", "nobody"), "the target file has no identities.nobody; it has owner"),
        (("--target", "/nowhere.toml"), "/nowhere.toml: cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(server, arguments, said):
    words = [server.target if word == "TARGET" else word for word in arguments]
    done = obs("sign", "GET", f"{server.endpoint}/b", *words)
    assert (done.returncode, done.stderr.count("\n"), said in done.stderr) == (2, 1, True), done.stderr
