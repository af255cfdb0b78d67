"""What a results line says so that a request can be made again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from conformance.bodies import body_bytes
from conformance.casefile import load_library
from conformance.proofs import Proof
from conformance.results import Redactor, ResultsFile, _how_signed, _made
from conformance.source import case_source
from conformance.vocabulary import BODY_KEPT, BodySpec, CaseResult, Played, RequestTemplate

if TYPE_CHECKING:
    from pathlib import Path

LONG = BODY_KEPT + 1


def template(**parts: object) -> RequestTemplate:
    return RequestTemplate("PUT", "b", "k", **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "how"),
    [
        ({}, "header"),
        ({"sign": "url"}, "url"),
        ({"sign": "none"}, "none"),
        ({"headers": ("Date: {date}", "Authorization: {authorization}", "x-obs-date:{date}")}, "header"),
        ({"headers": ("date: {date.skewed}",)}, "altered"),
        ({"headers": ("Authorization: OBS nobody:x",)}, "altered"),
        ({"sign": "url", "add_after": ("x-obs-acl=public-read",)}, "altered"),
        ({"sign": "url", "remove_after": frozenset({"Expires"})}, "altered"),
        ({"omit": frozenset({"Date"})}, "altered"),
    ],
)
def test_a_signature_spoilt_on_purpose_is_told_from_one_that_can_be_made_again(
    parts: dict[str, object], how: str
) -> None:
    assert _how_signed(template(**parts)) == how


def test_a_body_too_long_to_keep_names_the_label_it_follows_from() -> None:
    spec = template(body=BodySpec("body", size=LONG))
    body = body_bytes("token/KMS-1/body", LONG)
    assert body == hashlib.shake_128(b"token/KMS-1/body").digest(LONG)
    assert _made(spec, body, "token/KMS-1") == {"made": {"label": "token/KMS-1/body", "size": LONG}}


@pytest.mark.parametrize(
    ("spec", "body"),
    [
        (BodySpec("body", size=LONG), b"x" * LONG),
        (BodySpec("body", size=LONG), b"framed"),
        (BodySpec("body", size=8), body_bytes("token/KMS-1/body", 8)),
        (BodySpec("body", text="x"), b"x"),
        (None, b""),
    ],
)
def test_a_body_that_is_kept_or_is_not_those_bytes_names_none(spec: BodySpec | None, body: bytes) -> None:
    assert _made(template(body=spec), body, "token/KMS-1") == {}


def test_a_line_has_the_source_of_its_case_and_the_defects_that_prove_it(tmp_path: Path) -> None:
    library = load_library()
    case = library.cases[0]
    file = ResultsFile(tmp_path / "results.jsonl", Redactor(()))
    proof = Proof("wrong", "It is wrong.", (), "plausible slip")
    file.case(CaseResult(case, "pass", "", Played((), (), ()), 1.0), source=case_source(case), proofs=[proof])
    file.case(CaseResult(case, "pass", "", Played((), (), ()), 1.0))
    file.close()
    proved, bare = map(json.loads, (tmp_path / "results.jsonl").read_text("utf-8").splitlines())
    assert proved["source"].startswith("format: 1\narea: ")
    assert proved["proofs"] == [{"name": "wrong", "says": "It is wrong."}]
    assert {"source", "proofs"}.isdisjoint(bare)
