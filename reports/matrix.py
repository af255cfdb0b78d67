"""Renders the detection matrix: clause by clause, which planted defect breaks it and which case caught that defect.

Reads the document that ``obs-conformance defects --json`` writes, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = Path(__file__).parent / "templates"
_NAMED = 6
"""How many cases a row of the text version names; the page names all."""


@dataclass(frozen=True, slots=True)
class Row:
    """A clause and the defects that break it, each with the cases that caught it there."""

    clause: Mapping[str, str]
    defects: tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The document in the order in which it is read."""

    rows: tuple[Row, ...]
    unseen: tuple[Mapping[str, str], ...]
    survivors: tuple[Mapping[str, Any], ...]
    variants: tuple[Mapping[str, Any], ...]
    defects: int
    killed: int
    proven: int
    cases: int


def read_matrix(document: Mapping[str, Any]) -> Matrix:
    """The clauses that some defect breaks, those that none does, the survivors and the harmless variants."""
    rows = []
    for clause in document["clauses"]:
        broken = tuple(
            (defect, tuple(defect["killers"][clause["id"]]))
            for defect in document["defects"]
            if clause["id"] in defect["killers"]
        )
        rows.append(Row(clause, broken))
    killers = [case for defect in document["defects"] for cases in defect["killers"].values() for case in cases]
    return Matrix(
        rows=tuple(row for row in rows if row.defects),
        unseen=tuple(row.clause for row in rows if not row.defects),
        survivors=tuple(defect for defect in document["defects"] if not defect["killers"]),
        variants=tuple(document["variants"]),
        defects=len(document["defects"]),
        killed=sum(bool(defect["killers"]) for defect in document["defects"]),
        proven=len(set(killers)),
        cases=sum(case["level"] != "observe" for case in document["cases"]),
    )


def write_matrix(document: Mapping[str, Any], path: Path) -> None:
    """Write the matrix as one HTML page that needs nothing else."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("matrix.html.j2").render(matrix=read_matrix(document))
    path.write_text(page, encoding="utf-8", newline="\n")


def matrix_text(document: Mapping[str, Any]) -> str:
    """The matrix as Markdown for the documentation."""
    matrix = read_matrix(document)
    lines = [
        "# Detection matrix",
        "",
        "<!-- Made by `obs-conformance defects --write`; a test compares it with what is found. -->",
        "",
        _headline(matrix),
        "",
        "## Clauses",
        "",
        "| clause | level | planted defect | caught by |",
        "|---|---|---|---|",
    ]
    for row in matrix.rows:
        for number, (defect, cases) in enumerate(row.defects):
            first = f"{row.clause['id']} | {row.clause['level']}" if not number else " | "
            lines.append(f"| {first} | {defect['name']} | {_some(cases)} |")
    lines += ["", "## Defects that nobody can honestly condemn", "", "| defect | what it does | why |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['says']} | {row['survives']} |" for row in matrix.survivors]
    lines += ["", "## Harmless variants", "", "| variant | what it does | what allows it |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['says']} | {row['allowed']} |" for row in matrix.variants]
    lines += ["", "## Planted defects", "", "| defect | what it does | how realistic |", "|---|---|---|"]
    seen = dict.fromkeys(
        (defect["name"], defect["says"], defect["realism"]) for row in matrix.rows for defect, _ in row.defects
    )
    lines += [f"| {name} | {says} | {realism} |" for name, says, realism in seen]
    return "\n".join(lines) + "\n"


def _headline(matrix: Matrix) -> str:
    accused = sum(bool(variant["accused"]) for variant in matrix.variants)
    return (
        f"{matrix.killed} of {matrix.defects} planted defects are caught by a case that cites a clause they break; "
        f"{matrix.proven} of {matrix.cases} judging cases have caught one; "
        f"{accused} of {len(matrix.variants)} harmless variants are accused."
    )


def _some(cases: tuple[str, ...]) -> str:
    more = f" and {len(cases) - _NAMED} more" if len(cases) > _NAMED else ""
    return ", ".join(cases[:_NAMED]) + more
