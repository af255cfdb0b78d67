"""Signing vectors: documented requests whose string to sign and signature are known.

Judges the signer without a server. Does not know cases or targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import signing
from conformance.casefile import LIBRARY_ROOT
from conformance.strictyaml import SchemaCheck, parse
from conformance.vocabulary import CaseError

if TYPE_CHECKING:
    from pathlib import Path


def load_vectors(root: Path = LIBRARY_ROOT) -> dict[str, Any]:
    """The vector file, checked against its schema.

    :raises CaseError: one line for each thing wrong.
    """
    document = parse((root / "signing" / "vectors.yaml").read_text("utf-8"), "cases/signing/vectors.yaml")
    problems = tuple(SchemaCheck(root / "vectors.schema.json").errors(document))
    if problems:
        raise CaseError("\n".join(problems))
    value: dict[str, Any] = document.value
    return value


def judge_vector(vector: dict[str, Any], secret_key: str) -> tuple[str, ...]:
    """What our signer makes differently of a vector; empty when nothing."""
    headers = [(name, value) for name, _, value in (line.partition(":") for line in vector["headers"])]
    query = [(name, value if equals else None) for name, equals, value in (t.partition("=") for t in vector["query"])]
    resource = signing.canonical_resource(vector["bucket"], vector.get("object"), query)
    text = signing.string_to_sign(vector["method"], headers, resource, date_slot=vector.get("date_slot"))
    made = {"string_to_sign": text, "signature": signing.signature(secret_key, text)}
    return tuple(
        f"{vector['id']}: {word} is {made[word]!r}, due is {vector[word]!r}"
        for word in made
        if made[word] != vector[word]
    )
