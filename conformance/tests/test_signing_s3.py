"""Version 2 and version 4 against the examples that AWS publishes and against botocore."""

import datetime as dt

import pytest

from conformance import signing_s3
from conformance.signing_s3 import Scope

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SCOPE = Scope("20130524T000000Z", "us-east-1")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HOST = ("Host", "examplebucket.s3.amazonaws.com")


def signed(method, path, query, headers, payload):
    covered = signing_s3.signed_headers(headers)
    canonical = signing_s3.canonical_request(method, path, query, covered, payload)
    return signing_s3.signature_v4(SECRET, SCOPE, signing_s3.string_to_sign(SCOPE, canonical))


# "Examples: Signature Calculations in AWS Signature Version 4"; the first two sign Range and Date as well, which a
# signer may and need not, so they are taken to the canonical request that is printed there.
@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ((("lifecycle", None),), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ((("max-keys", "2"), ("prefix", "J")), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_published_signatures_over_a_query_come_out(query, signature):
    headers = (HOST, ("x-amz-content-sha256", EMPTY), ("x-amz-date", SCOPE.moment))
    assert signed("GET", "/", query, headers, EMPTY) == signature


def test_the_published_signature_over_range_and_object_comes_out():
    covered = (
        ("host", HOST[1]),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-date", SCOPE.moment),
    )
    canonical = signing_s3.canonical_request("GET", "/test.txt", (), covered, EMPTY)
    assert signing_s3.string_to_sign(SCOPE, canonical).endswith(
        "\n7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
    )
    text = signing_s3.string_to_sign(SCOPE, canonical)
    assert (
        signing_s3.signature_v4(SECRET, SCOPE, text)
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_the_published_signature_of_an_upload_comes_out():
    digest = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
    covered = (
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("host", HOST[1]),
        ("x-amz-content-sha256", digest),
        ("x-amz-date", SCOPE.moment),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    )
    canonical = signing_s3.canonical_request("PUT", "/test%24file.text", (), covered, digest)
    text = signing_s3.string_to_sign(SCOPE, canonical)
    assert (
        signing_s3.signature_v4(SECRET, SCOPE, text)
        == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_the_published_signed_url_comes_out():
    query = (
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{ACCESS}/{SCOPE.text}"),
        ("X-Amz-Date", SCOPE.moment),
        ("X-Amz-Expires", "86400"),
        ("X-Amz-SignedHeaders", "host"),
    )
    assert signed("GET", "/test.txt", query, (HOST,), signing_s3.UNSIGNED) == (
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


# "Signing and Authenticating REST Requests", the examples of version 2.
@pytest.mark.parametrize(
    ("method", "headers", "name", "query", "signature"),
    [
        ("GET", (("Date", "Tue, 27 Mar 2007 19:36:42 +0000"),), "photos/puppy.jpg", (), "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
        (
            "PUT",
            (("Content-Type", "image/jpeg"), ("Date", "Tue, 27 Mar 2007 21:15:45 +0000")),
            "photos/puppy.jpg",
            (),
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        (
            "GET",
            (("Date", "Tue, 27 Mar 2007 19:44:46 +0000"),),
            None,
            (("acl", None),),
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
        ),
    ],
)
def test_published_signatures_of_version_2_come_out(method, headers, name, query, signature):
    text = signing_s3.string_to_sign_v2(method, headers, "johnsmith", name, query)
    published = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert signing_s3.signature_v2(published, text) == signature


REQUESTS = [
    ("GET", "/bucket/a%20b/c", "", {}),
    ("PUT", "/bucket/k", "", {"x-amz-server-side-encryption": "aws:kms", "x-amz-meta-a": "two   blanks"}),
    ("PUT", "/bucket", "encryption=", {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
    ("POST", "/bucket/k", "uploads=", {"Content-Type": "text/plain"}),
    ("GET", "/bucket", "list-type=2&prefix=a%2Fb%20c", {}),
]


@pytest.mark.parametrize(("method", "path", "query", "headers"), REQUESTS)
def test_botocore_signs_the_same_in_version_4(monkeypatch, method, path, query, headers):
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    moment = dt.datetime(2013, 5, 24, tzinfo=dt.UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: moment)
    url = f"http://127.0.0.1:9000{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers), data=b"")
    auth.S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "us-east-1").add_auth(request)
    theirs = request.headers["Authorization"]
    from urllib.parse import parse_qsl

    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    mine = (
        ("Host", "127.0.0.1:9000"),
        *headers.items(),
        ("x-amz-date", SCOPE.moment),
        ("x-amz-content-sha256", request.headers["X-Amz-Content-SHA256"]),
    )
    covered = signing_s3.signed_headers(mine)
    canonical = signing_s3.canonical_request(method, path, pairs, covered, dict(mine)["x-amz-content-sha256"])
    signature = signing_s3.signature_v4(SECRET, SCOPE, signing_s3.string_to_sign(SCOPE, canonical))
    assert signing_s3.authorization_v4(ACCESS, SCOPE, covered, signature) == theirs
