"""A page's own text with the verdicts of the clauses that claim its sentences.

Knows how clauses claim sentences (results.schema.json, ``claims``) and how a text falls into sentences.  Does not know
where the text comes from, and keeps none of it anywhere but in the report it was given for.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reports.model import Header

_LAYOUT = re.compile(r"\s*\d{1,3}\s*")
_END = re.compile(r"(?<=\.)\s+(?=[A-Za-z])")
_BEFORE_ANY_HEADING = "(head)"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, the section it stands in, and the ids of the clauses that claim it."""

    text: str
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A line of the page; a heading has no sentences that are judged."""

    heading: bool
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class JudgedPage:
    """A page with its claims, and how many of the profile's claims found their sentence."""

    name: str
    title: str
    paragraphs: tuple[Paragraph, ...]
    found: int
    claimed: int


def judge_page(text: str, header: Header) -> JudgedPage | None:
    """The page of the profile that *text* is: the one most of whose claims it holds; None when it holds none."""
    judged = [_judged(name, text, header) for name in header.pages]
    best = max(judged, key=lambda page: page.found, default=None)
    return best if best is not None and best.found else None


def _judged(name: str, text: str, header: Header) -> JudgedPage:
    claims: dict[str, tuple[str, ...]] = {}
    for clause in header.clauses:
        if clause.page == name:
            for mark in clause.claims:
                claims[mark] = (*claims.get(mark, ()), clause.id)
    seen: set[str] = set()
    paragraphs = tuple(_paragraphs(text, frozenset(header.pages[name].sections), claims, seen))
    return JudgedPage(name, header.pages[name].title, paragraphs, len(seen), len(claims))


def _paragraphs(
    text: str, headings: frozenset[str], claims: Mapping[str, tuple[str, ...]], seen: set[str]
) -> Iterator[Paragraph]:
    section = _BEFORE_ANY_HEADING
    for line in text.splitlines():
        folded = " ".join(line.split())
        if not folded or _LAYOUT.fullmatch(line):
            continue
        section = folded if folded in headings else section
        marked = [(sentence, mark(section, sentence)) for sentence in _END.split(folded)]
        seen.update(found for _, found in marked if found in claims)
        sentences = tuple(Sentence(sentence, claims.get(found, ())) for sentence, found in marked)
        yield Paragraph(folded in headings, sentences)


def mark(section: str, sentence: str) -> str:
    """The fingerprint by which a clause claims a sentence."""
    return hashlib.sha256(f"{' '.join(section.split())}\n{sentence}".encode()).hexdigest()[:16]
