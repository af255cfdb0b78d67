"""The signer by literals: every part of the string to sign, and which parameters are in it."""

import pytest

from conformance import signing
from conformance.placeholders import PLACEHOLDER, fill, names_in


@pytest.mark.parametrize(
    ("headers", "slot", "text"),
    [
        ([("Date", "D")], None, "PUT\n\n\nD\n/r"),
        ([("date", " D ")], None, "PUT\n\n\nD\n/r"),
        ([("Date", "D"), ("x-obs-date", "E")], None, "PUT\n\n\n\nx-obs-date:E\n/r"),
        ([("Date", "D")], "17", "PUT\n\n\n17\n/r"),
        ([("Content-MD5", "M"), ("Content-Type", "T")], None, "PUT\nM\nT\n\n/r"),
        ([("content-type", "T"), ("Content-Type", "U")], None, "PUT\n\nT\n\n/r"),
        ([(" X-Obs-B ", "2"), ("x-obs-a", "1"), ("x-amz-c", "3")], None, "PUT\n\n\n\nx-obs-a:1\nx-obs-b:2\n/r"),
        ([("x-obs-a", "1"), ("X-OBS-A", " 2")], None, "PUT\n\n\n\nx-obs-a:1,2\n/r"),
    ],
)
def test_string_to_sign(headers, slot, text):
    assert signing.string_to_sign("PUT", headers, "/r", date_slot=slot) == text


@pytest.mark.parametrize(
    ("bucket", "name", "query", "resource"),
    [
        (None, None, [], "/"),
        (None, "o", [], "/"),
        ("b", None, [], "/b/"),
        ("b", "", [], "/b/"),
        ("b", "a b/ü~", [], "/b/a%20b/%C3%BC~"),
        ("b", "o", [("acl", None)], "/b/o?acl"),
        ("b", "o", [("acl", "")], "/b/o?acl="),
        ("b", "o", [("uploadId", "u"), ("partNumber", "1")], "/b/o?partNumber=1&uploadId=u"),
        ("b", "o", [("acl", "1"), ("acl", "2")], "/b/o?acl=1"),
        ("b", "o", [("prefix", "p")], "/b/o"),
        ("b", "o", [("X-Obs-Any", "v")], "/b/o?X-Obs-Any=v"),
        ("b", "o", [("response-content-type", "a/b")], "/b/o?response-content-type=a/b"),
        ("b", "o", [("ACL", None)], "/b/o?ACL"),
        ("b", "o", [("Signature", "s"), ("Expires", "1"), ("AccessKeyId", "a"), ("x-obs-a", None)], "/b/o?x-obs-a"),
    ],
)
def test_canonical_resource(bucket, name, query, resource):
    assert signing.canonical_resource(bucket, name, query) == resource


def test_signature_is_over_utf8():
    assert signing.signature("clé", "schlüssel") == signing.signature("clé", "schlüssel")
    assert signing.signature("key", "The quick brown fox jumps over the lazy dog") == "3nybhbi3iqa8ino29wqQcBydtNk="


def test_parameters_for_the_wire():
    query = [("a b/", None), ("c/", "d&e=~/"), ("f", "")]
    assert signing.encode_query(query) == "a%20b%2F&c%2F=d%26e%3D~%2F&f="
    assert signing.encode_path("a/b c+-_.~") == "a/b%20c%2B-_.~"


@pytest.mark.parametrize("name", sorted(signing.SUB_RESOURCES))
def test_a_documented_parameter_is_signed(name):
    assert signing.is_signed_parameter(name)
    assert signing.is_signed_parameter(name.upper())


@pytest.mark.parametrize("name", ["AccessKeyId", "accesskeyid", "Expires", "Signature", "prefix", "x-amz-acl", "obs"])
def test_another_parameter_is_not_signed(name):
    assert not signing.is_signed_parameter(name)


def test_placeholders_are_names_in_braces():
    assert names_in("{a} {b.c_1} {D} {} {2} {a.b.c}") == frozenset({"a", "b.c_1", "a.b.c"})
    assert fill("{a}{b}", {"a": "{b}", "b": "1"}) == "{b}1"
    assert PLACEHOLDER.pattern == r"\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)\}"
