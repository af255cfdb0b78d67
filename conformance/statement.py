"""A signed one-page statement about a results file, and what is wrong with one.

Knows which facts a statement makes, how they are written canonically and signed (Ed25519, RFC 8032), and how to name
what an evidence file and a statement disagree about. Reads no file, no clock and no results of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.evidence import Evidence
    from conformance.rejudge import Rejudged

KIND = "obs-conformance statement"
FORMAT = 1
ALGORITHM = "Ed25519"
_SHOWN = 12
"""Hexadecimal digits of a digest that are enough to tell two apart in a message."""
_FACTS = ("suite", "library", "profile", "target", "run", "conclusion", "headline", "counts", "exclusions")


def facts(evidence: Evidence, judged: Rejudged) -> dict[str, Any]:
    """What a statement says about a run, from its evidence and the judgement of it."""
    header, footer = evidence.header, evidence.footer or {}
    profile = header["profile"]
    clauses = judged.conclusion["clauses"]
    return {
        "suite": header["suite"],
        "library": header["library"],
        "profile": {
            "name": profile["name"],
            "title": profile["title"],
            "clauses": len(profile["clauses"]),
            "sha256": _digest("\n".join(profile["clauses"]).encode()),
        },
        "target": {name: header["target"][name] for name in ("name", "endpoint", "region", "dialect")},
        "run": {
            "started": header["started"],
            "ended": footer.get("ended"),
            "seed": header["seed"],
            "strict": header.get("strict", False),
        },
        "conclusion": judged.conclusion["conclusion"],
        "headline": judged.conclusion["headline"],
        "counts": judged.conclusion["counts"],
        "exclusions": {
            "declared": header["target"]["without"],
            "not_planned": header["library"]["cases"] - len(header["planned"]),
            "not_exercised": _clauses(clauses, "not_exercised"),
            "not_observable": _clauses(clauses, "not_observable"),
        },
    }


def _clauses(results: Mapping[str, Any], verdict: str) -> dict[str, str]:
    return {clause: result.get("reason", "") for clause, result in results.items() if result["verdict"] == verdict}


def digests(lines: Sequence[bytes]) -> dict[str, Any]:
    """The evidence by digest: of the whole file, and of each line with the name it goes by."""
    return {
        "sha256": _digest(b"".join(lines)),
        "bytes": sum(map(len, lines)),
        "lines": [[_name(line), _digest(line)] for line in lines],
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(line: bytes) -> str:
    """The case id of a line, or its kind; a line that cannot be read has none."""
    try:
        record = json.loads(line)
        return str(record.get("id") or record["kind"])
    except (ValueError, KeyError, AttributeError, RecursionError):
        return "?"


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: the document without its signature, keys sorted, no blanks, ASCII."""
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    return json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign(stated: Mapping[str, Any], evidence: Evidence, key: Ed25519PrivateKey, *, issued: str) -> dict[str, Any]:
    """The whole statement. ``issued`` is UTC, RFC 3339."""
    document = {
        "kind": KIND,
        "format": FORMAT,
        **stated,
        "evidence": digests(evidence.lines),
        "issued": issued,
        "algorithm": ALGORITHM,
        "public_key": public_text(key.public_key()),
    }
    return {**document, "signature": base64.b64encode(key.sign(canonical(document))).decode()}


def written(document: Mapping[str, Any]) -> bytes:
    """The bytes of statement.json: two levels of indentation, each evidence line on a line of its own."""
    text = json.dumps(document, indent=1, ensure_ascii=True)
    return (re.sub(r'\[\n +("[^"\n]*"),\n +("[0-9a-f]{64}")\n +\]', r"[\1, \2]", text) + "\n").encode()


def public_text(key: Ed25519PublicKey) -> str:
    """The 32 bytes of a public key in Base64."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def new_key() -> tuple[Ed25519PrivateKey, bytes, bytes]:
    """A fresh key, itself and its two halves as PEM (PKCS #8 and SubjectPublicKeyInfo)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key, private, public


def private_key(pem: bytes, where: str) -> Ed25519PrivateKey:
    """The key of a PEM file.

    :raises UsageError: not an unencrypted Ed25519 private key.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: not an unencrypted private key in PEM; --new-key makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{where}: not an Ed25519 key; --new-key makes one")
    return key


def public_key(data: bytes, where: str) -> Ed25519PublicKey:
    """The key of a PEM file or of a Base64 text.

    :raises UsageError: neither.
    """
    try:
        if b"-----BEGIN" in data:
            key = serialization.load_pem_public_key(data)
        else:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(data.strip(), validate=True))
    except ValueError as error:
        raise UsageError(f"{where}: not an Ed25519 public key, neither PEM nor Base64") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{where}: not an Ed25519 public key")
    return key


def read(text: str, where: str) -> dict[str, Any]:
    """A statement's document.

    :raises UsageError: not a statement of this format.
    """
    try:
        document = json.loads(text)
        sound = document["kind"] == KIND and document["format"] == FORMAT
        lines = [(str(name), str(digest)) for name, digest in document["evidence"]["lines"]]
        sound = (
            sound
            and isinstance(document["signature"], str)
            and isinstance(document["public_key"], str)
            and isinstance(document["issued"], str)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{where}: not a statement; give the statement.json that the statement command wrote"
        ) from error
    if not sound or not lines:
        raise UsageError(f"{where}: not a statement of format {FORMAT}; give the statement.json as it was written")
    return dict(document)


def wrong_signature(document: Mapping[str, Any], known: Ed25519PublicKey | None) -> Iterator[str]:
    """What is wrong with the signature; ``known`` is the key the reader trusts, if they have one."""
    try:
        stated = public_key(document["public_key"].encode(), "public_key")
        stated.verify(base64.b64decode(document["signature"], validate=True), canonical(document))
    except (UsageError, ValueError, InvalidSignature):
        yield "signature: it does not fit the statement, which was altered after it was signed"
    if known is not None and public_text(known) != document["public_key"]:
        yield f"signature: made with the key {document['public_key']}, not with {public_text(known)}"


def altered_lines(document: Mapping[str, Any], lines: Sequence[bytes]) -> Iterator[str]:
    """Every line of the evidence that is not what was signed, by number and name."""
    signed = [(str(name), str(digest)) for name, digest in document["evidence"]["lines"]]
    found = [(_name(line), _digest(line)) for line in lines]
    if found == signed:
        if document["evidence"].get("sha256") != _digest(b"".join(lines)):
            yield "evidence.sha256: not that of the lines, though each line is as it was signed"
        return
    signed_digest, names = dict(signed), {name for name, _ in found}
    digest_name = {digest: name for name, digest in signed}
    altered_here: set[str] = set()
    for number, (name, digest) in enumerate(found, 1):
        if digest in digest_name:
            continue
        at = signed[number - 1][0] if number <= len(signed) else ""
        known = name if name in signed_digest else at if at not in names else ""
        altered_here.add(known)
        if known:
            yield f"line {number}, {known}: altered (SHA-256 {digest[:_SHOWN]}, signed {signed_digest[known][:_SHOWN]})"
        else:
            yield f"line {number}, {name}: added, it was not there when the statement was signed"
    digests_found = {digest for _, digest in found}
    missing = [name for name, digest in signed if digest not in digests_found and name not in altered_here]
    yield from (f"{name}: dropped, the evidence has no line for it any more" for name in missing)
    seen: set[str] = set()
    for number, (name, digest) in enumerate(found, 1):
        if digest in seen and digest in digest_name:
            yield f"line {number}, {name}: there twice"
        seen.add(digest)
    order = [pair for pair in found if pair in set(signed)]
    if order != [pair for pair in signed if pair in set(order)] and len(order) == len(set(order)):
        yield "the lines are in another order than when the statement was signed"


def other_facts(document: Mapping[str, Any], stated: Mapping[str, Any]) -> Iterator[str]:
    """Every fact of a statement that its evidence does not give, named down to the member."""
    for name in _FACTS:
        yield from _differences(name, document.get(name), stated[name])


def _differences(where: str, said: object, given: object) -> Iterator[str]:
    if isinstance(said, dict) and isinstance(given, dict):
        for name in dict.fromkeys((*said, *given)):
            yield from _differences(f"{where}.{name}", said.get(name), given.get(name))
    elif said != given:
        yield f"{where}: the statement says {_shown(said)}, the evidence gives {_shown(given)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=True)
