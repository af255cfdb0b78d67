"""The vendor's Node SDK, unchanged and in virtual-host style, against the server: one fact, one test.

`tests/node/clients.mjs` does what an application would and prints what came of it; what had to come of it stands here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reference_server.tests.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE = Path(__file__).parents[2] / "tests" / "node"
HOST = "obs.region.example.com"

KMS = [200, "kms", "{long}"]

EXPECTED: dict[str, Any] = {
    # Without a bucket to ask, the SDK asks the service which dialect it speaks.
    "negotiation_and_creation": [200, ["HEAD /?apiversion", "PUT /"]],
    "host_without_port": f"node-sdk-bucket.{HOST}",
    "head_bucket": 200,
    "head_bucket_that_is_not_there": 404,
    "buckets_are_listed": [["node-sdk-bucket", "region"]],
    "location": "region",
    "string_under_default_key": [200, "kms", True],
    "default_key_is_named_alike_by_put_head_and_get": [True, 1],
    "string_under_bare_key": [200, "kms", True],
    "bare_key_is_named_alike_by_put_head_and_get": ["{long}", 1],
    "string_under_long_key": [200, "kms", True],
    "long_key_is_named_alike_by_put_head_and_get": ["{long}", 1],
    # The caller said text/plain; what the SDK sends is what is stored.
    "content_type_is_forced_by_the_sdk": ["application/json", "application/json"],
    "stream_is_sent_chunked": ["chunked", None, *KMS],
    "stream_is_read_back_as_stream": True,
    "file_is_sent_chunked": ["chunked", *KMS],
    "file_is_saved": [200, True],
    "stream_with_a_length": ["1000", 200, True],
    "range": [206, "16", "abcdef0123456789", "kms"],
    "unchanged": 304,
    "precondition": [412, "PreconditionFailed"],
    "overridden_content_type": "text/x-changed",
    "name_with_blanks": [200, True],
    "name_with_han": [200, True],
    "name_with_marks": [200, True],
    "name_with_percent": [200, True],
    "metadata": [{"author": "%E9%94%AE & wert"}, "no-cache"],
    "copy_under_bare_key": [*KMS, "a b+c", True, True],
    "copy_under_long_key": [*KMS, "a b+c", True, True],
    "copy_source_as_sent": "node-sdk-bucket%2Fnames%2Fa%20b%2Bc",
    "copy_onto_itself_replaces_metadata": [200, {"author": "b"}],
    "customer_key": [200, "AES256", "secret"],
    "customer_key_is_missing": 400,
    "upload_is_initiated": [*KMS, "node-sdk-bucket", "parts.bin"],
    "parts_are_uploaded": [KMS, KMS, 200],
    "parts_are_listed": [["1", "2097152"], ["2", "1048593"], ["3", "100"]],
    "uploads_are_listed": [["parts.bin", True]],
    "upload_is_completed": [*KMS, True],
    "whole_is_read_back": True,
    "upload_is_aborted": 204,
    "file_by_tasks": [200, True],
    "file_by_tasks_and_back": [200, True],
    "object_is_appended": [200, "kms", 200, "7", "one two", "kms"],
    "signed_url_with_the_mode": KMS,
    "signed_url_of_another_mode": 403,
    "signed_url_reads": [200, True],
    "form_by_signature": [201, "kms", "signature"],
    "form_by_token": [201, "kms", "token"],
    "default_encryption_is_set": 200,
    "default_encryption_is_shown": {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "kms", "KMSMasterKeyID": "{bare}"}
    },
    "default_encryption_is_inherited": KMS,
    "default_encryption_is_removed": 204,
    "no_default_encryption": [404, "NoSuchEncryptionConfiguration"],
    "policy_is_set_as_json": [204, "application/json"],
    "policy_is_shown": True,
    "policy_denies": [403, "AccessDenied"],
    "policy_lets_pass": 200,
    "policy_is_removed": 204,
    "malformed_policy": [400, "MalformedPolicy"],
    "acl": [200, 2],
    "missing_object": [404, "NoSuchKey"],
    "missing_object_by_head": [404, "NoSuchKey"],
    "unknown_key": [400, "KMS.NotFoundException"],
    "wrong_secret": [403, "SignatureDoesNotMatch"],
    "first_page": [["up/bare", "up/default"], "true", "up/default"],
    "next_page": [["up/long"], "false"],
    "common_prefixes": ["by url/", "copies/", "names/", "up/"],
    "versions": [["up/bare", "null", "true"], ["up/default", "null", "true"], ["up/long", "null", "true"]],
    "object_is_deleted": 204,
    "bucket_is_not_empty": [409, "BucketNotEmpty"],
    "objects_are_deleted": [200, True, 0],
    "bucket_is_deleted": 204,
}


def pinned(lock: Path) -> dict[str, str]:
    """The packages of a lock file and their digests."""
    if not lock.exists():
        return {}
    packages = json.loads(lock.read_text("utf-8"))["packages"]
    return {name: entry["integrity"] for name, entry in packages.items() if name}


def fetch_packages() -> None:
    """See to it that the packages of the lock file are there; npm keeps a lock of its own beside what it has fetched."""
    if pinned(NODE / "node_modules" / ".package-lock.json") != pinned(NODE / "package-lock.json"):
        fetched = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=NODE, capture_output=True, text=True)
        assert fetched.returncode == 0, f"npm ci in tests/node failed:\n{fetched.stderr}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the script found out."""
    for program in ("node", "npm"):
        assert shutil.which(program), f"{program} is needed by this test: apt-get install nodejs npm"
    fetch_packages()
    folder = tmp_path_factory.mktemp("node")
    server = Server(folder / "server", "--domain", HOST)
    try:
        owner, bare = server.target["identities"]["owner"], server.target["keys"]["custom"]
        known = {"bare": bare, "long": f"region:{owner['domain_id']}:key/{bare}"}
        settings = {
            **known,
            "host": HOST,
            "port": server.port,
            "folder": str(folder),
            "region": "region",
            "access_key": owner["access_key"],
            "secret_key": owner["secret_key"],
        }
        script = subprocess.run(
            ["node", "clients.mjs"],
            cwd=NODE,
            input=json.dumps(settings),
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        ending = server.stop()
    lines = [json.loads(line) for line in script.stdout.splitlines()]
    facts = {line["fact"]: line["got"] for line in lines}
    return {"known": known, "endings": [script.returncode, script.stderr, ending], **facts}


def filled(value: Any, known: Mapping[str, str]) -> Any:
    """An expectation with what only the run knows filled in."""
    if isinstance(value, str):
        return known.get(value.strip("{}"), value) if value.startswith("{") else value
    if isinstance(value, list):
        return [filled(entry, known) for entry in value]
    if isinstance(value, dict):
        return {name: filled(entry, known) for name, entry in value.items()}
    return value


def test_script_tells_exactly_the_expected_facts(told: Mapping[str, Any]) -> None:
    assert told["endings"] == [0, "", (0, "")]
    assert set(told) == {"known", "endings", "missing_object_has_a_request_id", *EXPECTED}


@pytest.mark.parametrize("fact", EXPECTED)
def test_node_sdk(told: Mapping[str, Any], fact: str) -> None:
    assert told.get(fact, "not told") == filled(EXPECTED[fact], told["known"])


def test_sdk_reads_the_request_id_of_an_error(told: Mapping[str, Any]) -> None:
    assert len(told["missing_object_has_a_request_id"]) == 32


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text("utf-8"))
    assert len(pinned(NODE / "package-lock.json")) > 1
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
