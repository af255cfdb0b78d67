"""Literal tests of a page's text with the clauses that claim its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.model import read_results
from reports.page import Paragraph, Sentence, judge_page, mark
from reports.tests import samples

if TYPE_CHECKING:
    from pathlib import Path

    from reports.model import Header

TEXT = "Title\nWriting\n  The first\tsaying. The second saying.\n12\n\nReading\nThe first saying.\n"


def header(tmp_path: Path, claims: dict[int, list[str]]) -> Header:
    records = samples.run()
    records[0]["pages"] = {
        "sse-kms": {"title": "SSE", "sections": ["Writing", "Reading"]}, "other": {"title": "O", "sections": []},
    }  # fmt: skip
    for place, marks in claims.items():
        records[0]["clauses"][place]["claims"] = marks
    return read_results(samples.write(tmp_path / "results", records)).header


def test_sentences_carry_the_clauses_that_claim_them_section_by_section(tmp_path: Path) -> None:
    first, reading = mark("Writing", "The first saying."), mark("Reading", "The first saying.")
    page = judge_page(TEXT, header(tmp_path, {0: [first], 1: [first], 2: [reading, "gone"]}))
    assert page is not None
    assert (page.name, page.title, page.found, page.claimed) == ("sse-kms", "SSE", 2, 3)
    assert page.paragraphs == (
        Paragraph(heading=False, sentences=(Sentence("Title", ()),)),
        Paragraph(heading=True, sentences=(Sentence("Writing", ()),)),
        Paragraph(
            heading=False,
            sentences=(Sentence("The first saying.", ("K-1", "K-2")), Sentence("The second saying.", ())),
        ),
        Paragraph(heading=True, sentences=(Sentence("Reading", ()),)),
        Paragraph(heading=False, sentences=(Sentence("The first saying.", ("K-3",)),)),
    )


def test_a_text_no_clause_claims_is_no_page_of_the_profile(tmp_path: Path) -> None:
    assert judge_page("Something else.", header(tmp_path, {0: [mark("Writing", "The first saying.")]})) is None
    assert judge_page(TEXT, header(tmp_path, {})) is None


def test_fingerprint_is_that_of_the_schema() -> None:
    assert mark("A  section", "A sentence.") == "8d9cb7d034ab32c6"
