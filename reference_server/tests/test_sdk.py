"""The vendor's own SDK as an independent oracle: it uses the server unchanged, and signs as the server checks."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from obs import CopyObjectHeader, ObsClient, PutObjectHeader, SseCHeader, SseKmsHeader, util
from obs.auth import Authentication
from obs.convertor import Adapter

from reference_server import signature
from reference_server.wire import Head, Headers, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference_server.tests.conftest import Server

BODY = "the body of an object, more or less " * 200
BUCKET = "sdk-bucket"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    owner = server.target["identities"]["owner"]
    made = ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        server=f"http://{server.host}:{server.port}",
        signature="obs",
        path_style=True,
        is_secure=False,
        client_mode="workflow",  # the mode that keeps the OBS dialect in path style
    )
    assert made.createBucket(BUCKET).status == 200
    yield made
    made.close()


def test_buckets(client: Any) -> None:
    assert client.headBucket(BUCKET).status == 200
    assert client.headBucket("no-such-bucket").status == 404
    assert BUCKET in [bucket.name for bucket in client.listBuckets().body.buckets]
    assert client.getBucketLocation(BUCKET).body.location == "region"


@pytest.mark.parametrize("form", ["default", "bare", "long"])
def test_upload_and_read_back_under_a_master_key(client: Any, server: Server, form: str) -> None:
    bare = server.target["keys"]["custom"]
    long_name = f"region:{server.target['identities']['owner']['domain_id']}:key/{bare}"
    key = {"default": None, "bare": bare, "long": long_name}[form]
    header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance(key))
    stored = client.putContent(BUCKET, f"up/{form}", BODY, headers=header)
    assert (stored.status, stored.body.sseKms) == (200, "kms")
    if key is not None:
        assert stored.body.sseKmsKey == long_name
    head = client.getObjectMetadata(BUCKET, f"up/{form}")
    got = client.getObject(BUCKET, f"up/{form}", loadStreamInMemory=True)
    for answer in (head, got):
        assert (answer.status, answer.body.sseKms, answer.body.sseKmsKey) == (200, "kms", stored.body.sseKmsKey)
        assert answer.body.etag == stored.body.etag
    assert got.body.buffer.decode() == BODY


@pytest.mark.parametrize("name", ["a b+c", "键/值", "~!*'()", "a%2Fb", "tab\tname"])
def test_names_that_need_escapes(client: Any, name: str) -> None:
    assert client.putContent(BUCKET, f"names/{name}", BODY).status == 200
    assert client.getObject(BUCKET, f"names/{name}", loadStreamInMemory=True).body.buffer.decode() == BODY
    listed = client.listObjects(BUCKET, prefix="names/", encoding_type="url")
    assert f"names/{name}" in [content.key for content in listed.body.contents]
    assert client.deleteObject(BUCKET, f"names/{name}").status == 204


@pytest.mark.parametrize("form", ["bare", "long"])
def test_copy_under_a_master_key(client: Any, server: Server, form: str) -> None:
    bare = server.target["keys"]["second"]
    long_name = f"region:{server.target['identities']['owner']['domain_id']}:key/{bare}"
    assert client.putContent(BUCKET, "copies/source", BODY).status == 200
    header = CopyObjectHeader(destSseHeader=SseKmsHeader.getInstance({"bare": bare, "long": long_name}[form]))
    copied = client.copyObject(BUCKET, "copies/source", BUCKET, "copies/target", headers=header)
    assert (copied.status, copied.body.sseKms, copied.body.sseKmsKey) == (200, "kms", long_name)
    assert copied.body.lastModified
    got = client.getObject(BUCKET, "copies/target", loadStreamInMemory=True)
    assert (got.body.buffer.decode(), got.body.sseKmsKey) == (BODY, long_name)
    assert got.body.etag == copied.body.etag


def test_customer_key(client: Any) -> None:
    header = SseCHeader.getInstance(key="01234567890123456789012345678901")
    assert client.putContent(BUCKET, "sse-c", BODY, headers=PutObjectHeader(sseHeader=header)).status == 200
    assert client.getObject(BUCKET, "sse-c", loadStreamInMemory=True).status == 400
    head = client.getObjectMetadata(BUCKET, "sse-c", sseHeader=header)
    assert (head.status, head.body.sseC) == (200, "AES256")


def test_signed_url_with_the_mode_as_a_parameter(client: Any, server: Server) -> None:
    long_name = f"region:{server.target['identities']['owner']['domain_id']}:key/{server.target['keys']['custom']}"
    parameters = {"x-obs-server-side-encryption": "kms", "x-obs-server-side-encryption-kms-key-id": long_name}
    made = client.createSignedUrl("PUT", BUCKET, "by url/键", expires=60, queryParams=parameters)
    stored = requests.put(made.signedUrl, data=BODY.encode(), timeout=10)
    assert (stored.status_code, stored.headers["x-obs-server-side-encryption"]) == (200, "kms")
    assert stored.headers["x-obs-server-side-encryption-kms-key-id"] == long_name
    got = requests.get(client.createSignedUrl("GET", BUCKET, "by url/键", expires=60).signedUrl, timeout=10)
    assert (got.status_code, got.text, got.headers["x-obs-server-side-encryption"]) == (200, BODY, "kms")
    spoiled = requests.put(made.signedUrl.replace("=kms", "=AES256"), data=BODY.encode(), timeout=10)
    assert spoiled.status_code == 403


def test_signed_url_that_has_expired(client: Any) -> None:
    made = client.createSignedUrl("GET", BUCKET, "none", expires=-5)
    assert requests.get(made.signedUrl, timeout=10).status_code == 403


def test_errors_are_read_by_the_sdk(client: Any) -> None:
    got = client.getObject(BUCKET, "none")
    assert (got.status, got.errorCode) == (404, "NoSuchKey")
    assert got.requestId
    head = client.getObjectMetadata(BUCKET, "none")
    assert head.status == 404
    header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance("522d6070-5ad3-4765-9737-9312ddc72cdb"))
    refused = client.putContent(BUCKET, "none", BODY, headers=header)
    assert (refused.status, refused.errorCode) == (400, "KMS.NotFoundException")


def test_listing_and_deletion(client: Any) -> None:
    for number in range(5):
        assert client.putContent(BUCKET, f"list/{number}", "x").status == 200
    listed = client.listObjects(BUCKET, prefix="list/", max_keys=3)
    assert [content.key for content in listed.body.contents] == ["list/0", "list/1", "list/2"]
    assert (listed.body.is_truncated, listed.body.next_marker) == (True, "list/2")
    for number in range(5):
        assert client.deleteObject(BUCKET, f"list/{number}").status == 204
    assert client.listObjects(BUCKET, prefix="list/").body.contents == []
    assert client.deleteBucket(BUCKET).errorCode == "BucketNotEmpty"


def test_files_of_some_size(client: Any, tmp_path: Any) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 8192)
    header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance())
    assert client.putFile(BUCKET, "file", str(source), headers=header).status == 200
    assert client.getObject(BUCKET, "file", downloadPath=str(target)).status == 200
    assert target.read_bytes() == source.read_bytes()


# ---- the string to sign ------------------------------------------------------------------------------------------

ACCESS_KEY = "EXAMPLEACCESSKEY0001"
SECRET_KEY = "conformance-example-secret-key-not-a-real-one"
DATE = "Wed, 06 Jun 2018 09:08:21 GMT"
MODE = "x-obs-server-side-encryption"
LONG = "region:783fc6652cf246c096ea836694f71855:key/522d6070-5ad3-4765-9737-9312ddc72cdb"

REQUESTS = [
    ("PUT", "bucket", "object", {}, {"Date": DATE, MODE: "kms"}),
    ("PUT", "bucket", "object", {}, {"Date": DATE, MODE: "kms", f"{MODE}-kms-key-id": LONG}),
    ("PUT", "bucket", "a b+c/键~(d)!*'", {}, {"Date": DATE, "Content-Type": "text/plain", "Content-MD5": "AAAA"}),
    ("PUT", "bucket", "o", {}, {"x-obs-date": DATE, "x-obs-copy-source": "/bucket/src", MODE: "AES256"}),
    ("GET", "bucket", None, {"prefix": "a", "max-keys": "2"}, {"Date": DATE}),
    ("GET", "bucket", None, {"encryption": None}, {"Date": DATE}),
    ("POST", "bucket", "o", {"uploads": None}, {"Date": DATE, MODE: "kms"}),
    ("PUT", "bucket", "o", {"uploadId": "7", "partNumber": "2"}, {"Date": DATE}),
    ("GET", "bucket", "o", {"response-content-type": "a/b c", "versionId": "null"}, {"Date": DATE}),
    ("GET", None, None, {}, {"Date": DATE}),
    ("PUT", "bucket", "o", {MODE: "kms"}, {"Date": DATE}),
]


@pytest.mark.parametrize("expires", [None, "1534152518"], ids=["header", "url"])
@pytest.mark.parametrize("path_style", [True, False], ids=["path", "virtual-host"])
@pytest.mark.parametrize(("method", "bucket", "key", "parameters", "headers"), REQUESTS)
def test_sdk_signs_what_the_server_checks(
    method: str,
    bucket: str | None,
    key: str | None,
    parameters: dict[str, str | None],
    headers: dict[str, str],
    path_style: bool,
    expires: str | None,
) -> None:
    if expires is not None:
        headers = {name: value for name, value in headers.items() if name not in {"Date", "x-obs-date"}}
    signer = Authentication(ACCESS_KEY, SECRET_KEY, path_style, Adapter("obs"), "obs.example.com", is_cname=False)
    made = signer.getSignature(method, bucket, key, parameters, dict(headers), expires)
    encoded = util.encode_object_key(key) if key else ""
    host = "obs.example.com" if path_style or bucket is None else f"{bucket}.obs.example.com"
    path = "/" + encoded if not path_style or bucket is None else f"/{bucket}" + (f"/{encoded}" if key else "")
    query = "&".join(
        name if value is None else f"{name}={requests.utils.quote(value, safe='')}"
        for name, value in parameters.items()
    )
    head = Head(method, f"{path}?{query}" if query else path, Headers((("Host", host), *headers.items())))
    address, asked = locate(head, ("obs.example.com",))
    claim = signature.Claim("url" if expires else "header", ACCESS_KEY, made["Signature"], expires or "")
    readings = list(signature.strings_to_sign(head, address, asked, claim))
    assert made["CanonicalString"] in readings
    assert signature.sign(SECRET_KEY, made["CanonicalString"]) == made["Signature"]


def test_last_modified_is_a_date_in_gmt(client: Any) -> None:
    stored = client.putContent(BUCKET, "dated", "x")
    assert stored.status == 200
    modified = client.getObjectMetadata(BUCKET, "dated").body.lastModified
    assert abs(calendar.timegm(time.strptime(modified, "%a, %d %b %Y %H:%M:%S GMT")) - time.time()) < 60
