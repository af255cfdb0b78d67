"""What a recording of the reference server holds of clients, and what is judged from it."""

import json
import tomllib
import urllib.request

import pytest
from commands import reference_server
from obs import ObsClient, PutObjectHeader, SseKmsHeader

from reference_server.recorder import entry, shown_authorization, shown_headers, shown_target
from reference_server.wire import Head, Headers, Response

MODE = "x-obs-server-side-encryption"
SIGNATURE = "H4xN2xqyXWpN0oFWsVd3v9uWgcA="
ANSWER = Response(200, (("Content-Type", "application/xml"),), b"<a/>")


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_vendors_sdk_and_plain_requests_are_recorded_without_secrets_and_judged(command, tmp_path):
    recording = tmp_path / "heard.jsonl"
    with reference_server(tmp_path, "--record", recording) as (target_file, _):
        target = tomllib.loads(target_file.read_text("utf-8"))
        owner = target["identities"]["owner"]
        client = ObsClient(
            access_key_id=owner["access_key"],
            secret_access_key=owner["secret_key"],
            server=target["endpoint"],
            signature="obs",
            is_secure=False,
            path_style=True,
            client_mode="workflow",
        )
        try:
            assert client.createBucket("recorded").status == 200
            header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance(target["keys"]["custom"]))
            assert client.putContent("recorded", "o", "x" * 100_000, headers=header).status == 200
            assert client.getObject("recorded", "o", loadStreamInMemory=True).status == 200
            signed = client.createSignedUrl("GET", "recorded", "o", expires=60).signedUrl
            with urllib.request.urlopen(signed, timeout=10) as answer:
                assert answer.status == 200
        finally:
            client.close()
    text = recording.read_text("utf-8")
    assert owner["secret_key"] not in text
    assert recording.stat().st_mode & 0o077 == 0
    entries = lines_of(recording)
    assert [one["request"]["method"] for one in entries] == ["PUT", "PUT", "GET", "GET"]
    put = {pair["name"].lower(): pair["value"] for pair in entries[1]["request"]["headers"]}
    assert put["authorization"] == f"OBS {owner['access_key']}:{'*' * 28}"
    assert put[MODE] == "kms"
    assert entries[1]["request"]["bodySize"] == 100_000
    assert f"Signature={'*' * 28}" in entries[3]["request"]["url"]

    heard = command("client", recording, "--json")
    assert heard.returncode == 0, heard.stdout
    verdicts = {rule["id"]: rule["verdict"] for rule in json.loads(heard.stdout)["rules"]}
    assert verdicts["PASSIVE-Q01"] == verdicts["PASSIVE-Q05"] == "respected"
    both = command("rejudge", recording)
    assert both.returncode == 0, both.stdout
    assert "respected  PASSIVE-Q05" in both.stdout
    assert both.stdout.startswith("4 exchanges, 28 rules")
    refused = command("rejudge", recording, "--profile", "sse-kms-2024-01")
    assert (refused.returncode, "a recording is judged by the passive rules" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (f"OBS AK:{SIGNATURE}", f"OBS AK:{'*' * 28}"),
        (f"AWS AK:{SIGNATURE}", f"AWS AK:{'*' * 28}"),
        (
            "AWS4-HMAC-SHA256 Credential=AK/x, SignedHeaders=host, Signature=0123abcd",
            "AWS4-HMAC-SHA256 Credential=AK/x, SignedHeaders=host, Signature=********",
        ),
        ("Basic dXNlcjpwYXNz", "*" * 18),
        ("", ""),
    ],
)
def test_signatures_in_authorization_are_asterisks_of_their_length(given, shown):
    assert shown_authorization(given) == shown


def test_parameters_and_headers_that_are_secrets_are_asterisks():
    assert (
        shown_target("/b/o?AccessKeyId=AK&Signature=a%2Bb%3D&Expires=1")
        == "/b/o?AccessKeyId=AK&Signature=****&Expires=1"
    )
    assert shown_target("/b/o?X-Obs-Security-Token=abc&uploads") == "/b/o?X-Obs-Security-Token=***&uploads"
    key = f"{MODE}-customer-key"
    assert shown_headers(((key, "c2VjcmV0"), (f"{key}-MD5", "digest"), ("x-obs-security-token", "t"))) == (
        (key, "********"),
        (f"{key}-MD5", "digest"),
        ("x-obs-security-token", "*"),
    )


def test_small_text_is_kept_bytes_are_base64_and_forms_and_streams_are_told_by_size():
    def made(kind, body, answer=ANSWER):
        head = Head("PUT", "/b/o?uploads", Headers((("Host", "h"), ("Content-Type", kind))))
        return entry(head, 0.0, body, len(body), answer, 0.001)

    text = made("application/xml", b"<x/>")
    assert text["request"]["postData"] == {"mimeType": "application/xml", "text": "<x/>"}
    assert text["request"]["url"] == "http://h/b/o?uploads"
    assert text["response"]["content"] == {"mimeType": "application/xml", "text": "<a/>", "size": 4}
    assert made("image/png", b"\xff\xfe")["request"]["postData"]["encoding"] == "base64"
    assert made("multipart/form-data; boundary=x", b"signature")["request"]["postData"]["text"] == ""
    assert "postData" not in made("text/plain", b"")["request"]
    streamed = made("text/plain", b"", Response(200, (("Content-Length", "70000"),), iter([b"x"])))
    assert streamed["response"]["content"]["size"] == 70_000
