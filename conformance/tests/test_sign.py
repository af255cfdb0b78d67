"""The signing helper against requests the player signs, and its refusals."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from conformance.dialectfile import load_dialect
from conformance.sign import DialectSigner, Signer, header_pairs, identity_from
from conformance.vocabulary import Identity, TargetError

# The key pair and the header example of obs_04_0010, "Header Containing a Signature".
SIGNER = Signer(Identity("AK", "SK"), 1404178567.0)
NOW = "Tue, 01 Jul 2014 01:36:07 GMT"


def hmac_sha1(text: str) -> str:
    """An independent oracle: OpenSSL."""
    command = ["openssl", "dgst", "-sha1", "-hmac", "SK", "-binary"]
    digest = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
    return subprocess.run(["base64"], input=digest, capture_output=True, check=True).stdout.decode().strip()


@pytest.mark.parametrize(
    ("signer", "url", "resource"),
    [
        (SIGNER, "http://host/bucket/a%20b?acl&x=1", "/bucket/a%20b?acl"),
        (SIGNER, "http://host/bucket", "/bucket/"),
        (Signer(SIGNER.identity, SIGNER.now, virtual_host=True), "https://bucket.host:1/a?acl", "/bucket/a?acl"),
    ],
)
def test_header_lines_authorize_the_request_they_are_made_for(signer: Signer, url: str, resource: str) -> None:
    lines = signer.header_lines("PUT", url, (("x-obs-acl", "private"), ("Content-Type", "text/plain")))
    signature = hmac_sha1(f"PUT\n\ntext/plain\n{NOW}\nx-obs-acl:private\n{resource}")
    assert lines == (f"Date: {NOW}", f"Authorization: OBS AK:{signature}")


@pytest.mark.parametrize("name", ["Date", "x-obs-date"])
def test_a_date_that_is_given_is_kept(name: str) -> None:
    (line,) = SIGNER.header_lines("GET", "http://host/b/k", ((name, "then"),))
    slot, named = ("then", "") if name == "Date" else ("", "x-obs-date:then\n")
    assert line == f"Authorization: OBS AK:{hmac_sha1(f'GET{chr(10) * 3}{slot}{chr(10)}{named}/b/k')}"


def test_a_url_loses_the_signature_it_had_and_gets_one_for_now() -> None:
    url = SIGNER.url("GET", "http://host/b/k?versionId=7&Expires=1&AccessKeyId=old&Signature=x%3D", ())
    expires = str(int(SIGNER.now) + 3600)
    assert parse_qsl(urlsplit(url).query) == [
        ("AccessKeyId", "AK"), ("Expires", expires), ("versionId", "7"),
        ("Signature", hmac_sha1(f"GET\n\n\n{expires}\n/b/k?versionId=7")),
    ]  # fmt: skip


RAW = (
    "PUT /b/k HTTP/1.1\r\nHost:host\r\nx-obs-acl:a\r\nx-obs-acl:  b\r\nDate:long ago\r\n"
    "Authorization: OBS AK:****\r\n\r\nbody\r\n\r\n"
)


def test_a_raw_request_keeps_every_byte_but_date_and_signature() -> None:
    signature = hmac_sha1(f"PUT\n\n\n{NOW}\nx-obs-acl:a,b\n/b/k")
    expected = RAW.replace("long ago", NOW).replace("AK:****", f"AK:{signature}")
    assert SIGNER.raw(RAW.encode()).decode() == expected


def test_a_raw_request_with_a_signed_url_gets_a_new_one_and_no_header() -> None:
    signed = SIGNER.raw(b"GET /b/k?Signature=old&x-obs-acl=a HTTP/1.1\r\nHost: host\r\n\r\n").decode()
    line = signed.split("\r\n")[0]
    assert line == f"GET {SIGNER.url('GET', '/b/k?x-obs-acl=a', ()).removeprefix('http://host')} HTTP/1.1"
    assert "Authorization" not in signed


@pytest.mark.parametrize(
    "raw", [b"", b"GET / HTTP/1.1\r\nHost: h\r\n", b"GET /\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_half_a_request_is_refused(raw: bytes) -> None:
    for signer in (SIGNER, version_2()):
        with pytest.raises(TargetError, match="not a whole request"):
            signer.raw(raw)


def version_2(*, virtual_host: bool = False) -> DialectSigner:
    """A signer in a dialect that signs with version 2, as older S3 servers want it."""
    spoken = load_dialect("obs-s3")
    assert spoken is not None
    dialect = replace(spoken, signatures=(("", "header", "v2"), ("", "url", "v2")))
    return DialectSigner(SIGNER.identity, SIGNER.now, dialect, "region", virtual_host)


def test_version_2_signs_a_header_and_a_url_as_the_dialect_says() -> None:
    lines = version_2(virtual_host=True).header_lines("PUT", "https://bucket.host/a?acl&x=1", (("x-amz-acl", "a"),))
    signature = hmac_sha1(f"PUT\n\n\n{NOW}\nx-amz-acl:a\n/bucket/a?acl")
    assert lines == (f"Date: {NOW}", f"Authorization: AWS AK:{signature}")
    (line,) = version_2().header_lines("GET", "http://host/b/k", (("x-amz-date", "then"),))
    assert line == f"Authorization: AWS AK:{hmac_sha1('GET' + 4 * chr(10) + 'x-amz-date:then' + chr(10) + '/b/k')}"
    url = version_2().url("GET", "http://host/b/k?versionId=7&Expires=1&AWSAccessKeyId=old&Signature=x%3D", ())
    expires = str(int(SIGNER.now) + 3600)
    assert parse_qsl(urlsplit(url).query) == [
        ("versionId", "7"), ("AWSAccessKeyId", "AK"), ("Expires", expires),
        ("Signature", hmac_sha1(f"GET\n\n\n{expires}\n/b/k?versionId=7")),
    ]  # fmt: skip


def test_a_raw_request_of_version_2_keeps_every_byte_but_dates_and_signature() -> None:
    raw = RAW.replace("x-obs-", "x-amz-").replace("OBS AK", "AWS AK")
    signature = hmac_sha1(f"PUT\n\n\n{NOW}\nx-amz-acl:a,b\n/b/k")
    expected = raw.replace("long ago", NOW).replace("AK:****", f"AK:{signature}")
    assert version_2().raw(raw.encode()).decode() == expected


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h:80/b", "h"),
        ("http://h:8080/b", "h:8080"),
        ("https://u@h:443/b", "h"),
        ("https://[::1]:443/b", "[::1]"),
    ],
)
def test_version_4_covers_the_host_line_that_clients_send(url: str, host: str) -> None:
    spoken = load_dialect("aws-s3")
    assert spoken is not None
    signer = DialectSigner(SIGNER.identity, SIGNER.now, spoken, "region", body=b"x")
    assert signer.header_lines("PUT", url, ()) == signer.header_lines("PUT", url, (("Host", host),))
    assert signer.header_lines("PUT", url, ()) != signer.header_lines("PUT", url, (("Host", "other"),))
    given = (("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),)
    assert [line.partition(":")[0] for line in signer.header_lines("PUT", url, given)] == [
        "x-amz-date",
        "Authorization",
    ]


def test_header_lines_are_read_as_curl_takes_them() -> None:
    assert header_pairs(["A: b", "C:d:e", "Empty;"]) == (("A", "b"), ("C", "d:e"), ("Empty", ""))
    with pytest.raises(TargetError, match="'nonsense': not a header line"):
        header_pairs(["nonsense"])


def test_credentials_come_from_the_variables_of_an_identity() -> None:
    given = {
        "OBS_OTHER_ACCOUNT_ACCESS_KEY_ID": "B",
        "OBS_OTHER_ACCOUNT_SECRET_ACCESS_KEY": "T",
        "OBS_ACCESS_KEY_ID": "A",
    }
    assert identity_from(given, "other_account") == Identity("B", "T")
    with pytest.raises(TargetError, match="OBS_SECRET_ACCESS_KEY is not set"):
        identity_from(given, "owner")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["GET"], "give METHOD and URL, or --raw FILE"),
        (["--raw", "/nowhere"], "/nowhere: cannot be read"),
        (["GET", "http://h/b", "-H", "x"], "not a header line"),
    ],
)
def test_the_command_names_what_is_wrong(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "conformance", "sign", *arguments]
    env = {"OBS_ACCESS_KEY_ID": "A", "OBS_SECRET_ACCESS_KEY": "S"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stderr.count("\n"), said in done.stderr) == (2, 1, True)
