"""AWS's signatures: the published examples by value, botocore's by comparison, and what is refused."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from reference_server import signature
from reference_server.dates import parse_http_date
from reference_server.dialect import foreign_form, understood, understood_form
from reference_server.errors import ObsError
from reference_server.identities import Caller, Directory, Identity
from reference_server.s3_body import CHECKSUMS, payload_of
from reference_server.wire import Head, Headers, locate

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CALLER = Caller("domain", "user", "name", "project", administrator=True)
DIRECTORY = Directory([Identity(ACCESS_KEY, SECRET_KEY, CALLER)])
NOW = 1369353600  # 24 May 2013, 00:00:00
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HOST = "examplebucket.s3.amazonaws.com"
Lines = tuple[tuple[str, str], ...]


def v4_lines(signed: str, given: str, *lines: tuple[str, str], host: str = HOST, payload: str = EMPTY) -> Lines:
    return (
        ("Host", host),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", payload),
        *lines,
        (
            "Authorization",
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{SCOPE},SignedHeaders={signed},Signature={given}",
        ),
    )


def caller_of(method: str, target: str, lines: Lines, now: float = NOW) -> Caller:
    head = understood(Head(method, target, Headers(lines)))
    assert head.foreign is not None
    if head.foreign.fault is not None:
        raise head.foreign.fault
    return signature.authenticate(head, *locate(head, ("s3.amazonaws.com",)), DIRECTORY, now)


PLAIN = "host;x-amz-content-sha256;x-amz-date"
WELCOME = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
PUBLISHED = [
    # Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)
    (
        "GET",
        "/test.txt",
        v4_lines(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ("Range", "bytes=0-9"),
        ),
    ),
    (
        "PUT",
        "/test$file.text",
        v4_lines(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            payload=WELCOME,
        ),
    ),
    (
        "GET",
        "/?lifecycle",
        v4_lines(PLAIN, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ),
    (
        "GET",
        "/?max-keys=2&prefix=J",
        v4_lines(PLAIN, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ),
    # ... Using Query Parameters
    (
        "GET",
        f"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY}%2F20130524%2Fus-east-1%2Fs3%2F"
        "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        (("Host", HOST),),
    ),
]


@pytest.mark.parametrize(("method", "target", "lines"), PUBLISHED)
def test_the_published_examples_of_version_4(method: str, target: str, lines: Lines) -> None:
    assert caller_of(method, target, lines) == CALLER
    with pytest.raises(ObsError, match="SignatureDoesNotMatch"):
        caller_of("DELETE", target, lines)


V2 = [
    # Signing and Authenticating REST Requests (AWS Signature Version 2)
    ("GET", "/photos/puppy.jpg", "19:36:42", "bWq2s1WEIj+Ydj0vQ697zp+IXMU=", ()),
    ("PUT", "/photos/puppy.jpg", "21:15:45", "MyyxeRY7whkBe+bq8fHCL/2kKUg=", (("Content-Type", "image/jpeg"),)),
    ("GET", "/?prefix=photos&max-keys=50&marker=puppy", "19:42:41", "htDYFYduRNen8P9ZfE/s9SuKy0U=", ()),
    ("GET", "/?acl", "19:44:46", "c2WLPFtWHVgbEmeEG93a4cG37dM=", ()),
]


@pytest.mark.parametrize(("method", "target", "time", "given", "lines"), V2)
def test_the_published_examples_of_version_2(method: str, target: str, time: str, given: str, lines: Lines) -> None:
    common = (("Host", "johnsmith.s3.amazonaws.com"), ("Date", f"Tue, 27 Mar 2007 {time} +0000"), *lines)
    sent = (*common, ("Authorization", f"AWS {ACCESS_KEY}:{given}"))
    now = parse_http_date(common[1][1]) or 0
    assert caller_of(method, target, sent, now) == CALLER
    with pytest.raises(ObsError, match="SignatureDoesNotMatch"):
        caller_of("DELETE", target, sent, now)


def test_the_published_url_of_version_2() -> None:
    given = "NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
    target = f"/photos/puppy.jpg?AWSAccessKeyId={ACCESS_KEY}&Signature={given}&Expires=1175139620"
    lines = (("Host", "johnsmith.s3.amazonaws.com"),)
    assert caller_of("GET", target, lines, 1175139620) == CALLER
    for changed in (target + "&acl", target + "&encryption", target + "&x-amz-server-side-encryption=aws:kms"):
        with pytest.raises(ObsError, match="SignatureDoesNotMatch"):
            caller_of("GET", changed, lines, 1175139620)
    with pytest.raises(ObsError, match="expired"):
        caller_of("GET", target, lines, 1175139621)


FORM_POLICY = """{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}""".replace("\n", "\r\n")


def test_the_published_form() -> None:
    policy = base64.b64encode(FORM_POLICY.encode()).decode()
    sent = Headers(
        (
            ("key", "user/user1/${filename}"),
            ("X-Amz-Credential", f"{ACCESS_KEY}/20151229/us-east-1/s3/aws4_request"),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Date", "20151229T000000Z"),
            ("x-amz-meta-uuid", "14365123651274"),
            ("Policy", policy),
            ("X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"),
        )
    )
    foreign = foreign_form(sent, Head("POST", "/", Headers((("Host", HOST),))))
    fields = understood_form(sent, foreign)
    assert fields.first("x-obs-meta-uuid") == "14365123651274"
    given = fields.first("signature") or ""
    assert signature.verify_form(fields.first("accesskeyid") or "", policy, given, DIRECTORY).caller == CALLER
    with pytest.raises(ObsError, match="SignatureDoesNotMatch"):
        signature.verify_form(ACCESS_KEY, policy + "=", given, DIRECTORY)


# ---- bodies in chunks --------------------------------------------------------------------------------------------


SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + b"a" * 65536,
    b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + b"a" * 1024,
    b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
)


def chunked_head() -> Head:
    """The example of Transferring Payload in Multiple Chunks."""
    signed = (
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        "x-amz-storage-class"
    )
    lines = v4_lines(
        signed,
        SEED,
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("Content-Length", "66824"),
        host="s3.amazonaws.com",
        payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    )
    assert caller_of("PUT", "/examplebucket/chunkObject.txt", lines) == CALLER
    return understood(Head("PUT", "/examplebucket/chunkObject.txt", Headers(lines)))


def taken(head: Head, body: bytes, *, step: int) -> bytes:
    assert head.foreign is not None
    payload = payload_of(head.foreign, "PutObject", SECRET_KEY)
    assert payload is not None
    found = b"".join(payload.feed(body[at : at + step]) for at in range(0, len(body), step))
    payload.finish()
    return found


@pytest.mark.parametrize("step", [1, 7, 4096, 100_000])
def test_the_published_body_in_chunks(step: int) -> None:
    head = chunked_head()
    assert head.headers.first("content-length") == "66560"
    assert head.headers.first("content-encoding") is None
    assert taken(head, b"".join(CHUNKS), step=step) == b"a" * 66560


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (CHUNKS[0] + CHUNKS[2], "SignatureDoesNotMatch"),
        (CHUNKS[0].replace(b"aaaa", b"aaab", 1) + CHUNKS[1] + CHUNKS[2], "SignatureDoesNotMatch"),
        (b"".join(CHUNKS).replace(b"chunk-signature=0", b"chunk-signature=1"), "SignatureDoesNotMatch"),
        (CHUNKS[0] + CHUNKS[1], "IncompleteBody"),
        (b"".join(CHUNKS)[:-40], "IncompleteBody"),
        (b"".join(CHUNKS) + b"more", "InvalidRequest"),
        (b"".join(CHUNKS).replace(b";chunk-signature=", b";other="), "InvalidRequest"),
        (b"x" * 5000, "InvalidRequest"),
        (b"fffffffffffffff" + CHUNKS[0][5:] + CHUNKS[1], "IncompleteBody"),
        (b"400" + CHUNKS[0][5:], "InvalidRequest"),
    ],
)
def test_chunks_that_are_not_as_they_were_signed(body: bytes, code: str) -> None:
    with pytest.raises(ObsError) as caught:
        taken(chunked_head(), body, step=1000)
    assert caught.value.code == code


def trailing(body: bytes, *, trailer: str = "x-amz-checksum-crc32c", size: int = 66560) -> bytes:
    head = understood(
        Head(
            "PUT",
            "/b/o",
            Headers(
                (
                    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                    ("x-amz-trailer", trailer),
                    ("x-amz-decoded-content-length", str(size)),
                )
            ),
        )
    )
    return taken(head, body, step=999)


def test_a_trailer_is_held_against_the_body() -> None:
    body = b"10400\r\n" + b"a" * 66560 + b"\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n"
    assert trailing(body) == b"a" * 66560
    for wrong in (body.replace(b"sOO8", b"sOO9"), body.replace(b"aa", b"ab", 1), body.replace(b"crc32c:", b"crc32:")):
        with pytest.raises(ObsError) as caught:
            trailing(wrong)
        assert caught.value.code == "BadDigest"


def test_a_signed_trailer_is_checked() -> None:
    """The example of Signature calculations for trailing headers."""
    head = chunked_head()
    assert head.foreign is not None
    lines = (
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ("x-amz-decoded-content-length", "66560"),
    )
    sent = replace(head.foreign.head, headers=Headers(lines))
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    head = replace(head, foreign=replace(head.foreign, head=sent, signature=seed))
    body = (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
        + b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
        + b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    )
    assert taken(head, body, step=5000) == b"a" * 66560
    with pytest.raises(ObsError) as caught:
        taken(head, body.replace(b"d81f8", b"d81f9"), step=5000)
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("name", "value"),
    # The check values of the catalogue of parametrised CRC algorithms for the nine digits.
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_check_values_of_the_checksums(name: str, value: str) -> None:
    digest = CHECKSUMS[name]()
    digest.update(b"1234")
    digest.update(b"56789")
    assert digest.digest().hex() == value
