"""boto3 as an independent oracle of the S3 face: it uses the server unchanged, its checksums on, as it comes."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference_server.tests.conftest import Server

pytestmark = pytest.mark.usefixtures("_names_below_localhost")

BODY = b"the body of an object, more or less " * 200
BUCKET = "boto-bucket"
CUSTOMER_KEY = b"01234567890123456789012345678901"


def connect(
    server: Server,
    style: str = "path",
    version: str = "s3v4",
    role: str = "owner",
    scheme: str = "http",
    verify: str | None = None,
) -> Any:
    identity = server.target["identities"][role]
    host = {"path": server.host, "virtual": "localhost"}[style]
    return boto3.client(
        "s3",
        verify=verify,
        endpoint_url=f"{scheme}://{host}:{server.port}",
        region_name="region",
        aws_access_key_id=identity["access_key"],
        aws_secret_access_key=identity["secret_key"],
        config=Config(signature_version=version, s3={"addressing_style": style}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module", params=["path-s3v4", "virtual-s3v4", "path-s3"])
def client(request: pytest.FixtureRequest, server: Server, _names_below_localhost: None) -> Iterator[Any]:
    style, _, version = request.param.partition("-")
    made = connect(server, style, version)
    made.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "region"})
    yield made
    made.close()


@pytest.fixture(scope="module")
def v4(server: Server, _names_below_localhost: None) -> Iterator[Any]:
    made = connect(server)
    made.create_bucket(Bucket=BUCKET)
    yield made
    made.close()


@pytest.fixture(scope="module")
def arn(server: Server) -> str:
    domain_id = server.target["identities"]["owner"]["domain_id"]
    return f"arn:aws:kms:region:{domain_id}:key/{server.target['keys']['custom']}"


@contextlib.contextmanager
def refused(code: str, status: int) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


@pytest.mark.parametrize("form", ["default", "bare", "full"])
def test_upload_and_read_back_under_a_master_key(client: Any, server: Server, arn: str, form: str) -> None:
    wish = {"default": {}, "bare": {"SSEKMSKeyId": server.target["keys"]["custom"]}, "full": {"SSEKMSKeyId": arn}}[form]
    put = client.put_object(Bucket=BUCKET, Key=f"kms {form}", Body=BODY, ServerSideEncryption="aws:kms", **wish)
    got = client.get_object(Bucket=BUCKET, Key=f"kms {form}")
    head = client.head_object(Bucket=BUCKET, Key=f"kms {form}")
    assert got["Body"].read() == BODY
    for answer in (put, got, head):
        assert answer["ServerSideEncryption"] == "aws:kms"
        assert answer["SSEKMSKeyId"] == (arn if wish else put["SSEKMSKeyId"])
        assert answer["ETag"] == put["ETag"]
        assert len(answer["ResponseMetadata"]["RequestId"]) == 32
    assert put["SSEKMSKeyId"].startswith("arn:aws:kms:region:")


def test_copy_under_a_master_key(client: Any, arn: str) -> None:
    client.put_object(Bucket=BUCKET, Key="source", Body=BODY, Metadata={"colour": "red"})
    made = client.copy_object(
        Bucket=BUCKET, Key="target", CopySource=f"{BUCKET}/source", ServerSideEncryption="aws:kms", SSEKMSKeyId=arn
    )
    assert (made["ServerSideEncryption"], made["SSEKMSKeyId"]) == ("aws:kms", arn)
    got = client.get_object(Bucket=BUCKET, Key="target")
    assert (got["Body"].read(), got["Metadata"], got["SSEKMSKeyId"]) == (BODY, {"colour": "red"}, arn)
    assert made["CopyObjectResult"]["ETag"] == got["ETag"]


def test_multipart_under_a_master_key(client: Any, arn: str) -> None:
    began = client.create_multipart_upload(
        Bucket=BUCKET, Key="parts", ServerSideEncryption="aws:kms", SSEKMSKeyId=arn, ChecksumAlgorithm="CRC32"
    )
    upload, parts = began["UploadId"], []
    for number, body in enumerate((b"a" * 5 * 1024 * 1024, b"b"), 1):
        part = client.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=number, Body=body)
        assert (part["ServerSideEncryption"], part["SSEKMSKeyId"]) == ("aws:kms", arn)
        parts.append({"ETag": part["ETag"], "PartNumber": number, "ChecksumCRC32": "AAAAAA=="})
    assert len(client.list_parts(Bucket=BUCKET, Key="parts", UploadId=upload)["Parts"]) == 2
    done = client.complete_multipart_upload(
        Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    for answer in (began, done, client.head_object(Bucket=BUCKET, Key="parts")):
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", arn)
    got = client.get_object(Bucket=BUCKET, Key="parts", Range="bytes=5242878-")
    assert got["Body"].read() == b"aab"


def test_managed_transfer_of_a_stream(client: Any, arn: str) -> None:
    body = io.BytesIO(BODY * 1500)
    client.upload_fileobj(body, BUCKET, "big", ExtraArgs={"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn})
    got = io.BytesIO()
    client.download_fileobj(BUCKET, "big", got)
    assert got.getvalue() == BODY * 1500


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_verified(v4: Any, algorithm: str) -> None:
    v4.put_object(Bucket=BUCKET, Key="summed", Body=BODY, ChecksumAlgorithm=algorithm)
    with refused("BadDigest", 400):
        v4.put_object(Bucket=BUCKET, Key="summed", Body=BODY + b"x", ChecksumCRC32="AAAAAA==")
    assert v4.get_object(Bucket=BUCKET, Key="summed")["Body"].read() == BODY


def test_customer_key_and_the_services_own(client: Any) -> None:
    wish = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER_KEY}
    put = client.put_object(Bucket=BUCKET, Key="sse-c", Body=BODY, **wish)
    assert put["SSECustomerAlgorithm"] == "AES256"
    assert client.get_object(Bucket=BUCKET, Key="sse-c", **wish)["Body"].read() == BODY
    with refused("InvalidRequest", 400):
        client.get_object(Bucket=BUCKET, Key="sse-c")
    copied = client.copy_object(
        Bucket=BUCKET,
        Key="sse-s3",
        CopySource=f"{BUCKET}/sse-c",
        CopySourceSSECustomerAlgorithm="AES256",
        CopySourceSSECustomerKey=CUSTOMER_KEY,
        ServerSideEncryption="AES256",
    )
    got = client.get_object(Bucket=BUCKET, Key="sse-s3")
    assert (copied["ServerSideEncryption"], got["ServerSideEncryption"], got["Body"].read()) == (
        "AES256",
        "AES256",
        BODY,
    )
    assert "SSEKMSKeyId" not in got


def test_bucket_encryption(client: Any, arn: str) -> None:
    name = BUCKET + "-default"
    client.create_bucket(Bucket=name)
    with refused("NoSuchEncryptionConfiguration", 404):
        client.get_bucket_encryption(Bucket=name)
    wish = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}
    configuration = {"Rules": [{"ApplyServerSideEncryptionByDefault": wish, "BucketKeyEnabled": False}]}
    client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=configuration)
    told = client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
    assert told["Rules"][0]["ApplyServerSideEncryptionByDefault"] == wish
    assert client.put_object(Bucket=name, Key="o", Body=BODY)["SSEKMSKeyId"] == arn
    client.delete_bucket_encryption(Bucket=name)
    with refused("NoSuchEncryptionConfiguration", 404):
        client.get_bucket_encryption(Bucket=name)
    assert "ServerSideEncryption" not in client.put_object(Bucket=name, Key="o", Body=BODY)
    configuration["Rules"][0]["BucketKeyEnabled"] = True
    with refused("NotImplemented", 501):
        client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=configuration)


def test_policy_that_wants_encryption(client: Any) -> None:
    name = BUCKET + "-policy"
    client.create_bucket(Bucket=name)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "DenyUnEncryptedObjectUploads",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{name}/*",
                "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            }
        ],
    }
    with refused("NoSuchBucketPolicy", 404):
        client.get_bucket_policy(Bucket=name)
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    assert json.loads(client.get_bucket_policy(Bucket=name)["Policy"]) == policy
    client.put_object(Bucket=name, Key="o", Body=BODY, ServerSideEncryption="aws:kms")
    for other in ({}, {"ServerSideEncryption": "AES256"}):
        with refused("AccessDenied", 403):
            client.put_object(Bucket=name, Key="o", Body=BODY, **other)
    client.delete_bucket_policy(Bucket=name)
    client.put_object(Bucket=name, Key="o", Body=BODY)


def test_lists_and_deletes(client: Any) -> None:
    name = BUCKET + "-lists"
    client.create_bucket(Bucket=name)
    keys = [f"a&b <{number:02} +/ä" for number in range(7)]
    for key in keys:
        client.put_object(Bucket=name, Key=key, Body=b"", StorageClass="STANDARD_IA")
    for operation in ("list_objects", "list_objects_v2"):
        pages = client.get_paginator(operation).paginate(Bucket=name, PaginationConfig={"PageSize": 3})
        found = [entry for page in pages for entry in page["Contents"]]
        assert [entry["Key"] for entry in found] == keys
        assert {entry["StorageClass"] for entry in found} == {"STANDARD_IA"}
    assert client.list_objects_v2(Bucket=name, StartAfter=keys[3])["KeyCount"] == 3
    assert name in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == "region"
    assert client.head_bucket(Bucket=name)["BucketRegion"] == "region"
    told = client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys[1:]]})
    assert [entry["Key"] for entry in told["Deleted"]] == keys[1:]
    client.delete_object(Bucket=name, Key=keys[0])
    client.delete_bucket(Bucket=name)
    with refused("404", 404):
        client.head_bucket(Bucket=name)


def test_signed_urls(client: Any, arn: str) -> None:
    wish = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    url = client.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "by url", **wish})
    headers = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": arn}
    sent = {} if "AWSAccessKeyId" in url else headers  # version 2 puts them into the URL
    put = requests.put(url, BODY, headers=sent, timeout=30)
    assert (put.status_code, put.headers["x-amz-server-side-encryption-aws-kms-key-id"]) == (200, arn)
    got = requests.get(
        client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "by url"}), timeout=30
    )
    assert (got.content, got.headers["x-amz-server-side-encryption"]) == (BODY, "aws:kms")
    for spoilt in (url.replace("by%20url", "another"), url + "&x-amz-server-side-encryption=AES256"):
        refusal = requests.put(spoilt, BODY, headers=sent, timeout=30)
        assert (refusal.status_code, "<Code>SignatureDoesNotMatch</Code>" in refusal.text) == (403, True)


def test_a_url_of_version_4_covers_parameters_and_headers(v4: Any) -> None:
    url = v4.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "by url"})
    refusal = requests.put(url, BODY, headers={"x-amz-server-side-encryption": "aws:kms"}, timeout=30)
    assert (refusal.status_code, "<HeadersNotSigned>x-amz-server-side-encryption<" in refusal.text) == (403, True)


def test_forms(client: Any, arn: str) -> None:
    fields = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": arn}
    conditions = [{name: value} for name, value in fields.items()]
    post = client.generate_presigned_post(BUCKET, "by form", Fields=fields, Conditions=conditions)
    made = requests.post(post["url"], post["fields"], files={"file": ("f", BODY)}, timeout=30)
    assert (made.status_code, made.headers["x-amz-server-side-encryption-aws-kms-key-id"]) == (204, arn)
    assert client.get_object(Bucket=BUCKET, Key="by form")["Body"].read() == BODY
    other = post["fields"] | {"x-amz-server-side-encryption": "AES256"}
    refusal = requests.post(post["url"], other, files={"file": ("f", BODY)}, timeout=30)
    assert (refusal.status_code, "<Code>InvalidPolicyDocument</Code>" in refusal.text) == (400, True)
    name = "signature" if "signature" in other else "x-amz-signature"
    refusal = requests.post(post["url"], post["fields"] | {name: "0" * 64}, files={"file": ("f", BODY)}, timeout=30)
    assert (refusal.status_code, "<Code>SignatureDoesNotMatch</Code>" in refusal.text) == (403, True)


@pytest.mark.parametrize(
    ("wish", "code", "status"),
    [
        ({"ServerSideEncryption": "kms"}, "InvalidArgument", 400),
        ({"ServerSideEncryption": "aws:kms:dsse"}, "InvalidArgument", 400),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "e30="}, "NotImplemented", 501),
        ({"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True}, "NotImplemented", 501),
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "0" * 8}, "InvalidArgument", 400),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/mine"}, "InvalidArgument", 400),
        (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "00000000-0000-0000-0000-000000000000"},
            "KMS.NotFoundException",
            400,
        ),
        ({"Tagging": "a=b"}, "NotImplemented", 501),
    ],
)
def test_refusals(client: Any, wish: dict[str, Any], code: str, status: int) -> None:
    with refused(code, status):
        client.put_object(Bucket=BUCKET, Key="refused", Body=BODY, **wish)
    with refused("404", 404):
        client.head_object(Bucket=BUCKET, Key="refused")


@pytest.mark.usefixtures("v4")
def test_a_stranger_and_a_wrong_secret(server: Server) -> None:
    with refused("AccessDenied", 403):
        connect(server, role="other_account").get_object(Bucket=BUCKET, Key="o")
    wrong = connect(server)
    wrong._request_signer._credentials.secret_key = "wrong"
    with refused("SignatureDoesNotMatch", 403):
        wrong.list_objects(Bucket=BUCKET)


def test_bodies_in_chunks_with_a_trailer(start: Callable[..., Server], tmp_path: Path) -> None:
    """Over HTTPS boto3 sends `STREAMING-UNSIGNED-PAYLOAD-TRAILER`; what became of it stands in the access log."""
    log = tmp_path / "access.jsonl"
    server = start("--tls", "--access-log", str(log), "--require-https-for-sse")
    made = connect(server, scheme="https", verify=server.target["tls"]["ca_bundle"])
    made.create_bucket(Bucket=BUCKET)
    for algorithm in ("CRC32", "SHA256"):
        wish = {"ServerSideEncryption": "aws:kms", "ChecksumAlgorithm": algorithm, "ContentEncoding": "gzip"}
        made.put_object(Bucket=BUCKET, Key="chunks", Body=io.BytesIO(BODY * 300), **wish)
        got = made.get_object(Bucket=BUCKET, Key="chunks")
        assert got["Body"].read() == BODY * 300
        assert (got["ContentEncoding"], got["ServerSideEncryption"]) == ("gzip", "aws:kms")
    made.close()
    server.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    put = next(line for line in lines if line["operation"] == "PutObject")
    assert (put["signed"], put["status"], put["access_key"]) == ("header: V4", 200, owner_of(server)["access_key"])
    assert put["received"] > len(BODY) * 300


def owner_of(server: Server) -> Any:
    return server.target["identities"]["owner"]
