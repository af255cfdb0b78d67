"""Minimal reproductions of what docs/peers.md lists, with boto3 alone: reproduce.py ENDPOINT ACCESS_KEY SECRET_KEY.

Prints what each call was answered; works in a bucket of its own, which it does not remove.
"""

from __future__ import annotations

import io
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "11111111-2222-3333-4444-555555555555"
OTHER = "66666666-7777-8888-9999-000000000000"


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
    say("a policy that is no JSON", lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{not json"))


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
