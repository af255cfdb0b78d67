"""What chooses an operation, and what never falls through to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from reference_server.tests.conftest import Rig


@pytest.mark.parametrize(
    ("method", "target", "sub", "expected"),
    [
        ("GET", "/bucket?lifecycle", "lifecycle", (501, "ServiceNotImplemented")),
        ("GET", "/bucket/o?torrent", "torrent", (501, "ServiceNotImplemented")),
        ("GET", "/bucket/o?attname=a", "attname=a", (501, "ServiceNotImplemented")),
        ("POST", "/bucket/o?rename&name=a", "name=a&rename", (400, "InvalidArgument")),
        ("GET", "/bucket/o?nonsense", "", (501, "ServiceNotImplemented")),
        ("GET", "/bucket/o?ACL=x", "ACL=x", (501, "ServiceNotImplemented")),
        ("DELETE", "/bucket/o?Tagging", "Tagging", (501, "ServiceNotImplemented")),
        ("GET", "/bucket/o?x-image-process=a", "x-image-process=a", (501, "ServiceNotImplemented")),
        ("PUT", "/bucket?versioning", "versioning", (501, "ServiceNotImplemented")),
        ("OPTIONS", "/bucket/o", "", (501, "ServiceNotImplemented")),
        ("DELETE", "/bucket/o?acl", "acl", (405, "MethodNotAllowed")),
        ("PUT", "/bucket/o?partNumber=1", "partNumber=1", (400, "InvalidArgument")),
        ("PUT", "/bucket/o?position=1", "position=1", (400, "InvalidArgument")),
        ("PUT", "/bucket/o?uploadId=7", "uploadId=7", (400, "InvalidArgument")),
        ("GET", "/bucket/o?acl&uploadId=7", "acl&uploadId=7", (400, "InvalidArgument")),
    ],
)
def test_request_that_asks_for_something_else_touches_no_object(
    rig: Rig, method: str, target: str, sub: str, expected: tuple[int, str]
) -> None:
    rig.ask("PUT", "/bucket/o", (), b"body")
    answer = rig.ask(method, target, (), b"" if method != "PUT" else b"other", sub=sub)
    status, code = expected
    assert (answer.status, f"<Code>{code}</Code>".encode() in answer.content()) == (status, True)
    assert rig.ask("GET", "/bucket/o").content() == b"body"


@pytest.mark.parametrize("host", ["bucket.obs.example.com", "bucket.obs.example.com:8080", "BUCKET.obs.example.com"])
def test_host_with_and_without_port_addresses_the_bucket(rig: Rig, host: str) -> None:
    rig.ask("PUT", "/bucket/o", (), b"body")
    assert rig.ask("GET", "/o", host=host, resource="/bucket/o").content() == b"body"


def test_versions_are_the_objects_page_by_page(rig: Rig) -> None:
    for name in ("a/1", "a/2", "b"):
        rig.ask("PUT", f"/bucket/{name}", (), b"x")
    whole = rig.ask("GET", "/bucket?versions", sub="versions").content().decode()
    assert whole.count("<Version>") == 3
    assert "<Key>a/1</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>" in whole
    page = rig.ask("GET", "/bucket?versions&max-keys=1", sub="versions").content().decode()
    assert "<NextKeyMarker>a/1</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>" in page
    rest = rig.ask("GET", "/bucket?versions&key-marker=a/1&version-id-marker=null&delimiter=/", sub="versions")
    assert b"<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>" not in rest.content()
    assert rest.content().count(b"<Version>") == 1
    assert rig.ask("GET", "/bucket?versions&version-id-marker=null", sub="versions").status == 400
    assert rig.ask("GET", "/bucket?versions", sub="versions", role="other_account").status == 403


@pytest.mark.parametrize(
    ("target", "expected"), [("/?apiversion", 200), ("/bucket?apiversion", 200), ("/no-such-bucket?apiversion", 404)]
)
def test_dialect_is_told_to_everybody(rig: Rig, target: str, expected: int) -> None:
    answer = rig.bare("HEAD", target, (("Host", "obs.example.com"),))
    assert (answer.status, answer.first("x-obs-api")) == (expected, "3.0" if expected == 200 else None)


def test_redirect_location_of_a_website_stays_with_the_object(rig: Rig) -> None:
    said = ("x-obs-website-redirect-location", "http://www.example.com/")
    rig.ask("PUT", "/bucket/o", (said,), b"x")
    assert rig.ask("HEAD", "/bucket/o").first(said[0]) == said[1]


@pytest.mark.parametrize("name", ["x-obs-expires", "x-obs-tagging", "x-obs-object-lock-mode"])
def test_upload_that_asks_for_what_is_not_done_here_stores_nothing(rig: Rig, name: str) -> None:
    rig.ask("PUT", "/bucket/source", (), b"x")
    copy = ("x-obs-copy-source", "/bucket/source")
    answers = [
        rig.ask("PUT", "/bucket/o", ((name, "1"),), b"x"),
        rig.ask("PUT", "/bucket/o", ((name, "1"), copy)),
        rig.ask("PUT", "/bucket/o", ((name, "1"), copy, ("x-obs-metadata-directive", "REPLACE"))),
        rig.ask("POST", "/bucket/o?uploads", ((name, "1"),), sub="uploads"),
    ]
    assert [answer.status for answer in answers] == [501] * 4
    assert rig.ask("HEAD", "/bucket/o").status == 404


@pytest.mark.parametrize(
    "header", [("x-obs-fs-file-interface", "Enabled"), ("x-obs-server-side-encryption-bucket-key-enabled", "true")]
)
def test_bucket_of_a_kind_that_is_not_had_here_is_not_made(rig: Rig, header: tuple[str, str]) -> None:
    assert rig.ask("PUT", "/other", (header, ("x-obs-server-side-encryption", "kms"))).status == 501
    assert rig.ask("HEAD", "/other").status == 404
