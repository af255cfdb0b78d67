"""The vendor's own SDK as an independent oracle: it uses the server unchanged, and signs as the server checks.

Everything is done twice, in path style and in virtual-host style.
"""

from __future__ import annotations

import calendar
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from obs import (
    AppendObjectContent,
    AppendObjectHeader,
    CompleteMultipartUploadRequest,
    CompletePart,
    CopyObjectHeader,
    DeleteObjectsRequest,
    GetObjectHeader,
    Object,
    ObsClient,
    PutObjectHeader,
    SseCHeader,
    SseKmsHeader,
    UploadFileHeader,
    Versions,
    util,
)
from obs.auth import Authentication
from obs.convertor import Adapter

from reference_server import signature
from reference_server.wire import Head, Headers, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference_server.tests.conftest import Server

pytestmark = pytest.mark.usefixtures("_names_below_localhost")

BODY = "the body of an object, more or less " * 200
BUCKET = "sdk-bucket"


@pytest.fixture(scope="module", params=["path", "virtual-host"])
def client(request: pytest.FixtureRequest, server: Server, _names_below_localhost: None) -> Iterator[Any]:
    owner = server.target["identities"]["owner"]
    style = {
        # The mode that keeps the OBS dialect in path style.
        "path": {"server": f"http://{server.host}:{server.port}", "path_style": True, "client_mode": "workflow"},
        # The mode in which the SDK first asks the server, unsigned, for its dialect.
        "virtual-host": {"server": f"http://localhost:{server.port}"},
    }[request.param]
    made = ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        signature="obs",
        is_secure=False,
        **style,
    )
    assert made.createBucket(BUCKET).status == 200
    yield made
    made.close()


@pytest.fixture(scope="module")
def long_name(server: Server) -> str:
    return f"region:{server.target['identities']['owner']['domain_id']}:key/{server.target['keys']['custom']}"


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


def test_file_in_tasks_and_back(client: Any, tmp_path: Any, long_name: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 4096)
    header = UploadFileHeader(sseHeader=SseKmsHeader.getInstance(long_name))
    sent = client.uploadFile(BUCKET, "tasks", str(source), partSize=256 * 1024, taskNum=3, headers=header)
    assert (sent.status, sent.body.sseKmsKey) == (200, long_name)
    assert client.downloadFile(BUCKET, "tasks", str(target), partSize=256 * 1024, taskNum=3).status == 200
    assert target.read_bytes() == source.read_bytes()


def test_range_and_conditions(client: Any) -> None:
    stored = client.putContent(BUCKET, "range", "0123456789", headers=PutObjectHeader(sseHeader=SseKmsHeader()))
    part = client.getObject(BUCKET, "range", loadStreamInMemory=True, headers=GetObjectHeader(range="2-4"))
    assert (part.status, part.body.buffer, part.body.etag) == (206, b"234", stored.body.etag)
    unchanged = client.getObject(BUCKET, "range", headers=GetObjectHeader(if_none_match=stored.body.etag))
    assert unchanged.status == 304
    failed = client.getObject(BUCKET, "range", headers=GetObjectHeader(if_match="none"))
    assert (failed.status, failed.errorCode) == (412, "PreconditionFailed")


def test_copy_onto_itself_replaces_metadata(client: Any) -> None:
    assert client.putContent(BUCKET, "described", "x", metadata={"author": "a"}).status == 200
    header = CopyObjectHeader(directive="REPLACE")
    assert client.copyObject(BUCKET, "described", BUCKET, "described", {"author": "b"}, headers=header).status == 200
    assert dict(client.getObjectMetadata(BUCKET, "described").header)["author"] == "b"


def test_upload_in_parts_with_a_copied_one(client: Any, server: Server, long_name: str) -> None:
    assert client.putContent(BUCKET, "tail", "the tail").status == 200
    key = SseKmsHeader.getInstance(server.target["keys"]["custom"])
    begun = client.initiateMultipartUpload(BUCKET, "键 in parts", sseHeader=key)
    assert (begun.status, begun.body.sseKms, begun.body.sseKmsKey) == (200, "kms", long_name)
    upload, piece = begun.body.uploadId, b"0123456789abcdef" * 6400
    first = client.uploadPart(BUCKET, "键 in parts", 1, upload, piece)
    second = client.copyPart(BUCKET, "键 in parts", 2, upload, f"{BUCKET}/tail", copySourceRange="4-7")
    assert [part.body.sseKmsKey for part in (first, second)] == [long_name, long_name]
    listed = client.listParts(BUCKET, "键 in parts", upload)
    assert [(entry.partNumber, entry.size) for entry in listed.body.parts] == [(1, len(piece)), (2, 4)]
    assert [entry.uploadId for entry in client.listMultipartUploads(BUCKET).body.upload] == [upload]
    parts = [CompletePart(1, first.body.etag), CompletePart(2, second.body.etag)]
    done = client.completeMultipartUpload(BUCKET, "键 in parts", upload, CompleteMultipartUploadRequest(parts))
    assert (done.status, done.body.sseKms, done.body.sseKmsKey) == (200, "kms", long_name)
    got = client.getObject(BUCKET, "键 in parts", loadStreamInMemory=True)
    assert (got.body.buffer, got.body.sseKmsKey) == (piece + b"tail", long_name)
    given_up = client.initiateMultipartUpload(BUCKET, "given up").body.uploadId
    assert client.abortMultipartUpload(BUCKET, "given up", given_up).status == 204


def test_append(client: Any) -> None:
    client.deleteObject(BUCKET, "log")
    header = AppendObjectHeader(sseHeader=SseKmsHeader.getInstance())
    first = client.appendObject(BUCKET, "log", AppendObjectContent(content="one ", position=0), headers=header)
    assert (first.status, first.body.sseKms, first.body.nextPosition) == (200, "kms", 4)
    second = client.appendObject(BUCKET, "log", AppendObjectContent(content="two", position=4))
    assert (second.status, second.body.nextPosition) == (200, 7)
    got = client.getObject(BUCKET, "log", loadStreamInMemory=True)
    assert (got.body.buffer, got.body.sseKms) == (b"one two", "kms")
    late = client.appendObject(BUCKET, "log", AppendObjectContent(content="x", position=4))
    assert (late.status, late.errorCode) == (409, "PositionNotEqualToLength")


def test_form(client: Any, server: Server, long_name: str) -> None:
    fields = {"content-type": "text/plain", MODE: "kms", f"{MODE}-kms-key-id": long_name}
    made = client.createPostSignature(BUCKET, "by form", 300, fields)
    url = f"http://{BUCKET}.localhost:{server.port}/"
    claims = (
        {"AccessKeyId": made.accessKeyId, "policy": made.policy, "signature": made.signature},
        {"token": f"{made.accessKeyId}:{made.signature}:{made.policy}"},
    )
    for number, claim in enumerate(claims):
        files = {"file": ("a.txt", f"content {number}")}
        stored = requests.post(url, data={"key": "by form", **fields, **claim}, files=files, timeout=10)
        assert (stored.status_code, stored.headers[MODE], stored.headers[f"{MODE}-kms-key-id"]) == (
            204,
            "kms",
            long_name,
        )
        got = client.getObject(BUCKET, "by form", loadStreamInMemory=True)
        assert (got.body.buffer, got.body.sseKmsKey) == (f"content {number}".encode(), long_name)
    other = requests.post(url, data={"key": "other", **fields, **claims[0]}, files={"file": "x"}, timeout=10)
    assert (other.status_code, "InvalidPolicyDocument" in other.text) == (400, True)


def test_default_encryption(client: Any, server: Server, long_name: str) -> None:
    key = server.target["keys"]["custom"]
    assert client.getBucketEncryption(BUCKET).errorCode == "NoSuchEncryptionConfiguration"
    assert client.setBucketEncryption(BUCKET, "kms", key).status == 200
    shown = client.getBucketEncryption(BUCKET).body
    assert (shown.encryption, shown.key) == ("kms", key)
    assert client.putContent(BUCKET, "inherits", "x").body.sseKmsKey == long_name
    assert client.deleteBucketEncryption(BUCKET).status == 204
    assert client.putContent(BUCKET, "inherits", "x").body.sseKms is None


def test_policy(client: Any) -> None:
    statement = {
        "Sid": "DenyUnEncryptedObjectUploads",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "PutObject",
        "Resource": f"{BUCKET}/*",
        "Condition": {"StringNotEquals": {MODE: "kms"}},
    }
    assert client.setBucketPolicy(BUCKET, json.dumps({"Statement": [statement]})).status == 204
    try:
        assert json.loads(client.getBucketPolicy(BUCKET).body.policyJSON) == {"Statement": [statement]}
        refused = client.putContent(BUCKET, "denied", "x")
        assert (refused.status, refused.errorCode) == (403, "AccessDenied")
        header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance())
        assert client.putContent(BUCKET, "passes", "x", headers=header).status == 200
    finally:
        assert client.deleteBucketPolicy(BUCKET).status == 204
    assert client.putContent(BUCKET, "denied", "x").status == 200


def test_versions_and_batch_deletion(client: Any) -> None:
    names = ["batch/1", "batch/a b+c", "batch/键"]
    for name in names:
        assert client.putContent(BUCKET, name, "x").status == 200
    listed = client.listVersions(BUCKET, Versions(prefix="batch/"))
    assert [(entry.key, entry.versionId, entry.isLatest) for entry in listed.body.versions] == [
        (name, "null", True) for name in names
    ]
    request = DeleteObjectsRequest(quiet=False, objects=[Object(name) for name in (*names, "batch/none")])
    deleted = client.deleteObjects(BUCKET, request)
    assert sorted(entry.key for entry in deleted.body.deleted) == sorted([*names, "batch/none"])
    assert client.listObjects(BUCKET, prefix="batch/").body.contents == []


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
