"""Writes the conclusion as a badge (SVG): profile on the left, conclusion and share of MUST clauses on the right.

Knows colours and widths.  The words say all that the colour says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reports.model import Results

COLOURS: Mapping[str, str] = {
    "conformant": "#1a7f37",
    "non-conformant": "#b3261e",
    "inconclusive": "#7a5c00",
    "interrupted": "#57606a",
}
"""White text on each has a contrast of at least 4.5."""
_LABEL = "#3d444d"
_UNFINISHED = "unfinished"
_CHARACTER = 6.6
_MARGIN = 14


def write_badge(results: Results, path: Path) -> None:
    """Write *results* to *path*."""
    path.write_text(badge(results), "utf-8", newline="\n")


def badge(results: Results) -> str:
    """The picture."""
    footer = results.footer
    conclusion = footer.conclusion if footer else _UNFINISHED
    musts = [clause.id for clause in results.header.clauses if clause.level == "must" and clause.observable != "no"]
    share = ""
    if footer is not None:
        held = sum(footer.clauses[name].verdict == "holds" for name in musts if name in footer.clauses)
        share = f" {held}/{len(musts)}"
    return _svg(visible(results.header.profile.name), f"{conclusion}{share}", COLOURS.get(conclusion, _LABEL))


def _svg(label: str, message: str, colour: str) -> str:
    left, right = (round(len(text) * _CHARACTER) + _MARGIN for text in (label, message))
    title = f"{label}: {message}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quoteattr(title)}>"
        f"<title>{escape(title)}</title>"
        f'<rect width="{left}" height="20" fill="{_LABEL}"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f"{_text(label, left / 2, left)}{_text(message, left + right / 2, right)}</g></svg>\n"
    )


def _text(text: str, middle: float, width: int) -> str:
    return f'<text x="{middle}" y="14" textLength="{width - _MARGIN}">{escape(text)}</text>'
