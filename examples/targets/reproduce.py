"""Minimal reproductions of what docs/peers.md lists, with boto3 alone: reproduce.py ENDPOINT ACCESS_KEY SECRET_KEY.

Prints what each call was answered; works in three buckets of its own, which it does not remove.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "11111111-2222-3333-4444-555555555555"
OTHER = "66666666-7777-8888-9999-000000000000"
MD5_OF_X = hashlib.md5(b"x", usedforsecurity=False).hexdigest()


def main() -> None:
    """Every reproduction, one line each."""
    endpoint, access_key, secret_key = sys.argv[1:]
    bucket = f"reproduce-{uuid.uuid4().hex[:12]}"
    s3 = client(endpoint, access_key, secret_key)
    s3.create_bucket(Bucket=bucket)
    kms = {"ServerSideEncryption": "aws:kms"}

    def put(key: str, **more: Any) -> Any:  # noqa: ANN401 - boto3's answers
        return s3.put_object(Bucket=bucket, Key=key, Body=b"x", **more)

    say(
        "SSE-KMS with a key, read back",
        lambda: [put("a", **kms, SSEKMSKeyId=KEY), s3.head_object(Bucket=bucket, Key="a")][1],
    )
    say("a key id that cannot exist", lambda: put("b", **kms, SSEKMSKeyId="no-key-at-all"))
    wrong = client(endpoint, access_key, "wrong")
    say("a wrong signature", lambda: wrong.put_object(Bucket=bucket, Key="c", Body=b"x"))
    say("metadata directive ANYTHING", lambda: directive(s3, bucket))
    first = s3.create_multipart_upload(Bucket=bucket, Key="one")["UploadId"]
    other = {"Bucket": bucket, "Key": "two", "PartNumber": 1, "UploadId": first, "Body": io.BytesIO(b"x")}
    say("a part of another object's upload", lambda: s3.upload_part(**other))
    say("a part of no upload", lambda: s3.upload_part(**{**other, "UploadId": "nothing", "Body": io.BytesIO(b"x")}))
    policy = {
        "Statement": [
            {
                "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*",
                "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            }
        ]
    }  # fmt: skip
    say("PUT ?policy", lambda: s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy)))
    say("an upload that this policy does not deny", lambda: put("d", **kms, SSEKMSKeyId=OTHER))
    say("an initiation that this policy denies", lambda: s3.create_multipart_upload(Bucket=bucket, Key="d"))
    say("a policy that is no JSON", lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{not json"))
    s3.create_bucket(Bucket=f"{bucket}-2")
    objects(s3, f"{bucket}-2")
    s3.create_bucket(Bucket=f"{bucket}-3")
    defaults(s3, f"{bucket}-3")


def objects(s3: Any, bucket: str) -> None:  # noqa: ANN401 - boto3's client
    """Forms, parts and ETags in a bucket without policy and default."""
    kms = {"x-amz-server-side-encryption": "aws:kms"}
    say("a form with the mode", lambda: form(s3, bucket, "f", kms, [kms]))
    say("its object", lambda: s3.head_object(Bucket=bucket, Key="f"))
    say("a form whose policy demands another mode", lambda: form(s3, bucket, "g", {}, [kms]))
    place = {"Bucket": bucket, "Key": "parts"}
    upload = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    say("part number 0", lambda: s3.upload_part(**upload, PartNumber=0, Body=b"x"))
    tags = {number: s3.upload_part(**upload, PartNumber=number, Body=b"x" * (5 << 20))["ETag"] for number in (1, 2)}
    turned = {"Parts": [{"PartNumber": number, "ETag": tags[number]} for number in (2, 1)]}
    say("a completion out of order", lambda: s3.complete_multipart_upload(**upload, MultipartUpload=turned))
    tag = s3.put_object(Bucket=bucket, Key="e", Body=b"x", ServerSideEncryption="aws:kms")["ETag"]
    print(f"the ETag of an SSE-KMS object is the MD5 of its bytes: {tag.strip(chr(34)) == MD5_OF_X}")


def defaults(s3: Any, bucket: str) -> None:  # noqa: ANN401 - boto3's client
    """What a default encryption does to uploads that say something themselves."""

    def default(algorithm: str, key: str) -> Any:  # noqa: ANN401 - boto3's answer
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm, "KMSMasterKeyID": key}}
        return s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})

    say("a default with the algorithm ROT13", lambda: default("ROT13", KEY))
    say("a default with a key", lambda: default("aws:kms", KEY))
    upload = {"Bucket": bucket, "Body": b"x"}
    say("aws:kms without a key beside it", lambda: s3.put_object(**upload, Key="a", ServerSideEncryption="aws:kms"))
    sse_c = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    say("a customer key beside it", lambda: s3.put_object(**upload, Key="b", **sse_c))
    place = {"Bucket": bucket, "Key": "c"}
    begun = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**begun, PartNumber=1, Body=b"x")["ETag"]}
    say("the default is replaced during an upload in parts", lambda: default("aws:kms", OTHER))
    say("the end of that upload", lambda: s3.complete_multipart_upload(**begun, MultipartUpload={"Parts": [part]}))


def form(s3: Any, bucket: str, key: str, fields: dict[str, str], conditions: list[dict[str, str]]) -> Any:  # noqa: ANN401 - as boto3's
    """A form upload; its answer in the words of boto3."""
    made = s3.generate_presigned_post(bucket, key, Fields=dict(fields), Conditions=conditions)
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in made["fields"].items()
    ]
    body = "".join(parts) + '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    sent = urllib.request.Request(made["url"], body.encode(), headers, method="POST")  # noqa: S310 - the endpoint given
    try:
        with urllib.request.urlopen(sent) as answer:  # noqa: S310 - the endpoint given
            return {"ResponseMetadata": {"HTTPStatusCode": answer.status, "HTTPHeaders": dict(answer.headers)}}
    except urllib.error.HTTPError as error:
        return {"ResponseMetadata": {"HTTPStatusCode": error.code, "HTTPHeaders": {}}}


def directive(s3: Any, bucket: str) -> Any:  # noqa: ANN401 - boto3's client and answer
    """A copy whose metadata directive is neither COPY nor REPLACE."""
    return s3.copy_object(Bucket=bucket, Key="e", CopySource=f"{bucket}/a", MetadataDirective="ANYTHING")


def client(endpoint: str, access_key: str, secret_key: str) -> Any:  # noqa: ANN401 - boto3's client
    """A client that neither retries nor changes the address."""
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )  # fmt: skip


def say(what: str, call: Callable[[], Any]) -> None:
    """One call and how it was answered."""
    try:
        answer = call()
    except ClientError as error:
        answer = error.response
    about = answer["ResponseMetadata"]
    shown = {name: value for name, value in about["HTTPHeaders"].items() if name.startswith("x-amz-server")}
    print(f"{what}: {about['HTTPStatusCode']} {answer.get('Error', {}).get('Code', '')} {shown or ''}".rstrip())


if __name__ == "__main__":
    main()
