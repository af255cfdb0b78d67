"""The vendor's own SDK in its `v2` and `v4` modes, in which it speaks the S3 dialect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from obs import (
    CompleteMultipartUploadRequest,
    CompletePart,
    CopyObjectHeader,
    DeleteObjectsRequest,
    Object,
    ObsClient,
    PutObjectHeader,
    SseCHeader,
    SseKmsHeader,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference_server.tests.conftest import Server

pytestmark = pytest.mark.usefixtures("_names_below_localhost")

BODY = "the body of an object, more or less " * 200
BUCKET = "sdk-s3-bucket"
KEY_NAME = "a b+c/键~*'()"


@pytest.fixture(scope="module", params=["v2 path", "v2 virtual", "v4 path", "v4 virtual"])
def client(request: pytest.FixtureRequest, server: Server, _names_below_localhost: None) -> Iterator[Any]:
    owner = server.target["identities"]["owner"]
    signature, style = request.param.split()
    host = {"path": server.host, "virtual": "localhost"}[style]
    made = ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        server=f"http://{host}:{server.port}",
        signature=signature,
        path_style=style == "path",
        region="region",
        client_mode="workflow",  # else it asks the server for its dialect and speaks OBS, whatever it was told
        is_secure=False,
    )
    assert made.createBucket(BUCKET).status == 200
    yield made
    made.close()


@pytest.fixture(scope="module")
def arn(server: Server) -> str:
    domain_id = server.target["identities"]["owner"]["domain_id"]
    return f"arn:aws:kms:region:{domain_id}:key/{server.target['keys']['custom']}"


def under(key: str | None) -> PutObjectHeader:
    return PutObjectHeader(sseHeader=SseKmsHeader.getInstance(key))


@pytest.mark.parametrize("form", ["default", "bare", "full"])
def test_upload_and_read_back_under_a_master_key(client: Any, server: Server, arn: str, form: str) -> None:
    key = {"default": None, "bare": server.target["keys"]["custom"], "full": arn}[form]
    stored = client.putContent(BUCKET, KEY_NAME, BODY, headers=under(key), metadata={"colour": "red"})
    assert (stored.status, stored.body.sseKms) == (200, "aws:kms")
    assert stored.body.sseKmsKey == (arn if key else stored.body.sseKmsKey)
    assert stored.body.sseKmsKey.startswith("arn:aws:kms:region:")
    for answer in (
        client.getObjectMetadata(BUCKET, KEY_NAME),
        client.getObject(BUCKET, KEY_NAME, loadStreamInMemory=True),
    ):
        assert (answer.status, answer.body.sseKms, answer.body.sseKmsKey) == (200, "aws:kms", stored.body.sseKmsKey)
        assert answer.requestId
        assert ("colour", "red") in answer.header
    assert answer.body.buffer.decode() == BODY


def test_copy_and_customer_key(client: Any, arn: str) -> None:
    customer = SseCHeader.getInstance(key="01234567890123456789012345678901")
    header = PutObjectHeader(sseHeader=customer)
    assert client.putContent(BUCKET, "source", BODY, headers=header).status == 200
    copying = CopyObjectHeader(destSseHeader=SseKmsHeader.getInstance(arn), sourceSseHeader=customer)
    copied = client.copyObject(BUCKET, "source", BUCKET, "target", headers=copying)
    assert (copied.status, copied.body.sseKms, copied.body.sseKmsKey) == (200, "aws:kms", arn)
    assert client.getObject(BUCKET, "target", loadStreamInMemory=True).body.buffer.decode() == BODY


def test_multipart(client: Any, arn: str) -> None:
    header = SseKmsHeader.getInstance(arn)
    began = client.initiateMultipartUpload(BUCKET, "parts", sseHeader=header)
    assert (began.status, began.body.sseKmsKey) == (200, arn)
    part = client.uploadPart(BUCKET, "parts", 1, began.body.uploadId, BODY)
    assert (part.status, part.body.sseKmsKey) == (200, arn)
    whole = CompleteMultipartUploadRequest([CompletePart(1, part.body.etag)])
    done = client.completeMultipartUpload(BUCKET, "parts", began.body.uploadId, whole)
    assert (done.status, done.body.sseKms, done.body.sseKmsKey) == (200, "aws:kms", arn)


def test_bucket_encryption(client: Any, arn: str) -> None:
    name = BUCKET + "-default"
    assert client.createBucket(name).status == 200
    none = client.getBucketEncryption(name)
    assert (none.status, none.errorCode) == (404, "NoSuchEncryptionConfiguration")
    assert client.setBucketEncryption(name, "kms", arn).status == 200
    told = client.getBucketEncryption(name)
    assert (told.status, told.body.encryption, told.body.key) == (200, "kms", arn)
    assert client.putContent(name, "o", BODY).body.sseKmsKey == arn
    assert client.deleteBucketEncryption(name).status == 204
    assert client.putContent(name, "o", BODY).body.sseKms is None


def test_policy_acl_lists_and_deletes(client: Any) -> None:
    name = BUCKET + "-rest"
    assert client.createBucket(name).status == 200
    statement = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{name}/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    }
    assert client.setBucketPolicy(name, json.dumps({"Statement": [statement]})).status == 204
    assert client.putContent(name, "o", BODY).status == 403
    assert client.putContent(name, "o", BODY, headers=under(None)).status == 200
    assert client.deleteBucketPolicy(name).status == 204
    assert client.setBucketAcl(name, aclControl="public-read").status == 200
    grants = client.getBucketAcl(name).body.grants
    assert [grant.permission for grant in grants] == ["FULL_CONTROL", "READ"]
    assert grants[1].grantee.group == "http://acs.amazonaws.com/groups/global/AllUsers"
    assert client.setBucketAcl(name, client.getBucketAcl(name).body).status == 200
    assert len(client.getBucketAcl(name).body.grants) == 2
    assert [entry.key for entry in client.listObjects(name).body.contents] == ["o"]
    assert client.deleteObjects(name, DeleteObjectsRequest(objects=[Object("o")])).body.deleted[0].key == "o"
    assert client.deleteBucket(name).status == 204
    assert client.headBucket(name).status == 404


def test_signed_urls(client: Any, arn: str) -> None:
    made = client.createSignedUrl("PUT", BUCKET, "by url", expires=300)
    assert requests.put(made.signedUrl, BODY, headers=made.actualSignedRequestHeaders, timeout=30).status_code == 200
    wish = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": arn,
    }
    made = client.createSignedUrl("PUT", BUCKET, "by url", expires=300, queryParams=wish)
    put = requests.put(made.signedUrl, BODY, headers=made.actualSignedRequestHeaders, timeout=30)
    assert (put.status_code, put.headers["x-amz-server-side-encryption-aws-kms-key-id"]) == (200, arn)
    made = client.createSignedUrl("GET", BUCKET, "by url", expires=300)
    got = requests.get(made.signedUrl, headers=made.actualSignedRequestHeaders, timeout=30)
    assert (got.text, got.headers["x-amz-server-side-encryption"]) == (BODY, "aws:kms")


def test_forms(client: Any, server: Server, arn: str) -> None:
    wish = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": arn}
    made = client.createPostSignature(BUCKET, "by form", 300, wish)
    fields = {"key": "by form", **wish, "policy": made.policy}
    if client.signature == "v4":
        fields |= {"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": made.credential, "x-amz-date": made.date}
        fields["x-amz-signature"] = made.signature
    else:
        fields |= {"AWSAccessKeyId": made.accessKeyId, "signature": made.signature}
    url = f"http://{server.host}:{server.port}/{BUCKET}"
    put = requests.post(url, fields, files={"file": ("f", BODY)}, timeout=30)
    assert (put.status_code, put.headers["x-amz-server-side-encryption-aws-kms-key-id"]) == (204, arn)
    assert client.getObject(BUCKET, "by form", loadStreamInMemory=True).body.buffer.decode() == BODY


def test_refusals(client: Any) -> None:
    missing = client.putContent(BUCKET, "o", BODY, headers=under("00000000-0000-0000-0000-000000000000"))
    assert (missing.status, missing.errorCode) == (400, "KMS.NotFoundException")
    header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance(encryption="dsse"))
    wrong = client.putContent(BUCKET, "o", BODY, headers=header)
    assert (wrong.status, wrong.errorCode) == (400, "InvalidArgument")
