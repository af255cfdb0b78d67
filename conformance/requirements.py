"""The clauses of a page, and the page itself as numbered, fingerprinted sentences.

Knows how a page's text falls into sections and sentences and how a clause claims them.
Does not know cases, verdicts, the network or where the page's text comes from.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_LINE_NUMBER = re.compile(r"\s*\d{1,3}\s*")
_SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Za-z])")

HEAD = "(head)"
"""Section of what stands before the first heading."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, table cell, policy line or sample line of a page."""

    section: str
    ordinal: int
    text: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SpecReport:
    """What a page's text and the clauses say about each other."""

    sentences: tuple[Sentence, ...]
    unclaimed: tuple[Sentence, ...]
    lost: tuple[tuple[str, str], ...]
    """(owner, fingerprint) of claims whose sentence is gone from the page or was changed."""


def normalise(text: str) -> str:
    """Fold white space: a page re-wrapped or re-indented is still the same page."""
    return " ".join(text.split())


def fingerprint(section: str, text: str) -> str:
    """First 16 hex digits of the SHA-256 over section and sentence, white space folded.

    The section is part of it because the page repeats whole lines, for instance one empty-body line per sample.
    """
    return hashlib.sha256(f"{normalise(section)}\n{normalise(text)}".encode()).hexdigest()[:16]


def split_page(text: str, headings: Collection[str]) -> tuple[Sentence, ...]:
    """The sentences of a page in order, numbered from 1 within their section.

    Line numbers printed beside the samples are layout and left out.
    A line that stands twice in one section is counted once: it has one fingerprint.
    """
    return tuple(_sentences(text.splitlines(), headings))


def _sentences(lines: Iterable[str], headings: Collection[str]) -> Iterator[Sentence]:
    section, seen = HEAD, dict[str, int]()
    for line in lines:
        folded = normalise(line)
        if folded in headings:
            section, seen = folded, {}
        if not folded or _LINE_NUMBER.fullmatch(line):
            continue
        for sentence in _SENTENCE_END.split(folded):
            mark = fingerprint(section, sentence)
            if mark not in seen:
                seen[mark] = len(seen) + 1
                yield Sentence(section, seen[mark], sentence, mark)


def compare_page(text: str, headings: Collection[str], claims: Mapping[str, Collection[str]]) -> SpecReport:
    """Match the page's text with what clauses and informative records claim.

    :param claims: owner (a clause id, or ``informative N``) to the fingerprints it claims.
    """
    sentences = split_page(text, headings)
    present = {sentence.fingerprint for sentence in sentences}
    claimed = {mark for marks in claims.values() for mark in marks}
    return SpecReport(
        sentences=sentences,
        unclaimed=tuple(sentence for sentence in sentences if sentence.fingerprint not in claimed),
        lost=tuple((owner, mark) for owner, marks in claims.items() for mark in marks if mark not in present),
    )
