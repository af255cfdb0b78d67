"""The signer against published strings to sign, against the vendor's own client, and against what may not matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obs import convertor
from obs.auth import Authentication

from conformance import signing
from conformance.vectors import judge_vector, load_vectors

VECTORS = load_vectors()
SECRET = VECTORS["secret_key"]
MODE = "x-obs-server-side-encryption"


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_published_string_to_sign_and_signature(vector):
    assert judge_vector(vector, SECRET) == ()


@pytest.mark.parametrize("word", ["string_to_sign", "signature"])
def test_a_wrong_vector_is_told(word):
    vector = VECTORS["vectors"][0]
    (line,) = judge_vector({**vector, word: "x"}, SECRET)
    assert line.startswith(f"{vector['id']}: {word} is ")


def test_third_party_primitive_vector():
    """The algorithm under another vendor's names, with that vendor's published example secret."""
    text = "GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg"
    assert signing.signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", text) == "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="


values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
names = st.sampled_from([MODE, f"{MODE}-kms-key-id", "x-obs-acl", "x-obs-storage-class", "x-obs-meta-a"])


@given(
    method=st.sampled_from(["PUT", "GET", "HEAD", "POST", "DELETE"]),
    headers=st.dictionaries(names, values),
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
    query=st.dictionaries(st.sampled_from(["acl", "uploads", "encryption", MODE, f"{MODE}-kms-key-id"]), values),
    expires=st.none() | st.just("1534152518"),
)
def test_agrees_with_the_vendors_client(method, headers, name, query, expires):
    client = Authentication("AK", SECRET, False, convertor.Adapter("obs"), "server", False)
    sent = headers if expires else {**headers, "Date": "Wed, 06 Jun 2018 09:08:21 GMT"}
    theirs = client.getSignature(method, "bucket", name, dict(query), sent, expires)
    resource = signing.canonical_resource("bucket", name, list(query.items()))
    ours = signing.string_to_sign(method, sent.items(), resource, date_slot=expires)
    assert ours == theirs["CanonicalString"]
    assert signing.signature(SECRET, ours) == theirs["Signature"]


def test_blanks_order_and_case_of_header_lines_do_not_matter():
    spellings = ([("X-OBS-A", "1"), ("x-obs-b", "2")], [("x-obs-b", "  2 "), ("x-obs-a", "1\t")])
    assert len({signing.string_to_sign("PUT", lines, "/b/o") for lines in spellings}) == 1


def test_repeated_lines_are_joined_with_a_comma_in_order():
    text = signing.string_to_sign("PUT", [("x-obs-a", "2"), ("X-Obs-A", " 1")], "/")
    assert text == "PUT\n\n\n\nx-obs-a:2,1\n/"


def test_first_of_two_equal_parameters_counts_and_unsigned_ones_do_not():
    query = [("acl", None), ("acl", "x"), ("prefix", "p"), ("Signature", "s"), ("Expires", "1"), ("AccessKeyId", "a")]
    assert signing.canonical_resource("b", None, query) == "/b/?acl"


def test_query_is_percent_encoded_for_the_wire_and_signed_decoded():
    query = [(f"{MODE}-kms-key-id", "r:d:key/1 +")]
    assert signing.encode_query(query) == f"{MODE}-kms-key-id=r%3Ad%3Akey%2F1%20%2B"
    assert signing.canonical_resource("b", "o", query).endswith("=r:d:key/1 +")
