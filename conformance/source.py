"""A case as its author wrote it: the lines of one case, as a case file of its own.

Reads case files and nothing else. Does not know YAML beyond indentation, and does not judge what it copies.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.casefile import LIBRARY_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.vocabulary import Case


def case_source(case: Case) -> str:
    """The case as a file that ``run --cases`` plays; empty when its file is no longer there.

    A row of an each-table comes with the whole table: ``--select`` picks the row.
    """
    lines = _lines(case.file)
    return f"format: 1\narea: {case.area}\ncases:\n{excerpt(lines, case.line)}" if lines else ""


@functools.cache
def _lines(file: str) -> tuple[str, ...]:
    path = Path(file)
    try:
        return tuple((path if path.is_absolute() else LIBRARY_ROOT.parent / path).read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


def excerpt(lines: Sequence[str], first: int) -> str:
    """The list item that begins at line *first* (from 1), up to the next one of its depth or a shallower line."""
    start = first - 1
    depth = _depth(lines[start])
    after = next(
        (
            number
            for number in range(start + 1, len(lines))
            if lines[number].strip() and _depth(lines[number]) <= depth and not lines[number].lstrip().startswith("#")
        ),
        len(lines),
    )
    while not lines[after - 1].strip() or lines[after - 1].lstrip().startswith("#"):
        after -= 1
    return "".join(f"{line}\n" for line in lines[start:after])


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
