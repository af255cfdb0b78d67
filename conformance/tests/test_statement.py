"""Signing and what is found when evidence or statement are not what was signed."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from conformance import statement
from conformance.evidence import Evidence
from conformance.vocabulary import Target, UsageError

LINES = tuple(
    (json.dumps(record) + "\n").encode()
    for record in ({"kind": "header"}, {"kind": "case", "id": "A"}, {"kind": "case", "id": "B"}, {"kind": "footer"})
)
KEY, PRIVATE, PUBLIC = statement.new_key()
FACTS = dict.fromkeys(
    ("suite", "library", "profile", "target", "run", "conclusion", "headline", "counts", "exclusions"), "x"
)
DOCUMENT = statement.sign(
    FACTS, Evidence(None, LINES, {}, Target("t", "e", {}), (), None), KEY, issued="2024-01-02T03:04:05Z"
)


def test_a_signed_document_survives_being_written_and_read():
    again = statement.read(statement.written(DOCUMENT).decode(), "s")
    assert again == DOCUMENT
    assert list(statement.wrong_signature(again, statement.public_key(PUBLIC, "k"))) == []
    assert list(statement.altered_lines(again, LINES)) == []


def test_a_key_survives_its_file_and_its_text():
    assert statement.private_key(PRIVATE, "k").private_bytes_raw() == KEY.private_bytes_raw()
    text = statement.public_text(statement.public_key(PUBLIC, "k"))
    assert statement.public_text(statement.public_key(text.encode() + b"\n", "k")) == text == DOCUMENT["public_key"]


def changed(place, value):
    document = json.loads(json.dumps(DOCUMENT))
    at = document
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = value
    return document


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("headline",), "y"),
        (("evidence", "lines", 1, 1), "0" * 64),
        (("issued",), "2025-01-02T03:04:05Z"),
        (("new",), 1),
        (("signature",), "AAAA"),
        (("signature",), "!"),
        (("public_key",), "AAAA"),
    ],
)
def test_any_alteration_of_the_statement_breaks_its_signature(place, value):
    assert [line.partition(":")[0] for line in statement.wrong_signature(changed(place, value), None)] == ["signature"]


def test_a_statement_signed_by_somebody_else_is_told_from_the_known_signer():
    other, _, public = statement.new_key()
    forged = statement.sign(FACTS, Evidence(None, LINES, {}, Target("t", "e", {}), (), None), other, issued="x")
    assert list(statement.wrong_signature(forged, None)) == []
    (line,) = statement.wrong_signature(forged, statement.public_key(PUBLIC, "k"))
    assert line == f"signature: made with the key {forged['public_key']}, not with {DOCUMENT['public_key']}"
    assert statement.public_text(statement.public_key(public, "k")) == forged["public_key"]


ALTERED = LINES[1].replace(b"A", b"a", 1).replace(b'"a"', b'"A" ')
ALTERATIONS = {
    "a byte": ((LINES[0], ALTERED, *LINES[2:]), ["line 2, A: altered"]),
    "a byte of the id": ((LINES[0], LINES[1].replace(b'"A"', b'"Z"'), *LINES[2:]), ["line 2, A: altered"]),
    "no JSON any more": ((LINES[0], b"?\n", *LINES[2:]), ["line 2, A: altered"]),
    "the header": ((b'{"kind": "header", "profile": 1}\n', *LINES[1:]), ["line 1, header: altered"]),
    "a dropped case": ((*LINES[:1], *LINES[2:]), ["A: dropped"]),
    "a dropped footer": (LINES[:3], ["footer: dropped"]),
    "an added case": ((*LINES[:3], b'{"id": "C"}\n', LINES[3]), ["line 4, C: added"]),
    "a case twice": ((*LINES[:3], LINES[2], LINES[3]), ["line 4, B: there twice"]),
    "another order": ((LINES[0], LINES[2], LINES[1], LINES[3]), ["the lines are in another order"]),
    "a line end": ((LINES[0], LINES[1].replace(b"\n", b"\r\n"), *LINES[2:]), ["line 2, A: altered"]),
    "one altered, one dropped": ((LINES[0], ALTERED, LINES[3]), ["line 2, A: altered", "B: dropped"]),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_every_alteration_of_the_evidence_is_named(name):
    lines, says = ALTERATIONS[name]
    assert lines != LINES
    found = list(statement.altered_lines(DOCUMENT, lines))
    assert [line[: len(start)] for line, start in zip(found, says, strict=True)] == says


def test_a_fact_that_the_evidence_does_not_give_is_named_down_to_the_member():
    said, given = (
        dict(FACTS, profile={"name": "big", "clauses": 9}),
        dict(FACTS, profile={"name": "small", "clauses": 9}),
    )
    assert list(statement.other_facts(said, given)) == [
        'profile.name: the statement says "big", the evidence gives "small"'
    ]
    assert list(statement.other_facts(said, said)) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", '{"kind": "obs-conformance statement"}', "[" * 100000])
def test_what_is_no_statement_is_refused(text):
    with pytest.raises(UsageError, match="not a statement"):
        statement.read(text, "s")


def test_keys_of_another_kind_are_refused():
    pem = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data in (pem, b"x", PUBLIC):
        with pytest.raises(UsageError, match="--new-key makes one"):
            statement.private_key(data, "k")
    for data in (b"x", PRIVATE, b"AAAA"):
        with pytest.raises(UsageError, match="not an Ed25519 public key"):
            statement.public_key(data, "k")


def test_a_digest_of_the_whole_that_is_not_that_of_its_lines_is_named():
    document = changed(("evidence", "sha256"), "0" * 64)
    assert [line.partition(":")[0] for line in statement.altered_lines(document, LINES)] == ["evidence.sha256"]
