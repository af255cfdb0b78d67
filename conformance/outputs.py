"""The commands that turn results files into other files: ``report`` of several runs, ``compare``, and the formats.

Part of the composition root beside ``cli.py``: the only thing here that knows which renderer writes which file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.verdict import EXIT
from conformance.vocabulary import UsageError
from reports.badge import write_badge
from reports.changed import FORMATS as COMPARE_FORMATS
from reports.changed import changed
from reports.comparison import write_comparison
from reports.har import write_har
from reports.markdown import write_markdown
from reports.model import ResultsError, read_results
from reports.sarif import write_sarif
from reports.summary import write_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from reports.model import Results

    Say = Callable[[str], None]

WRITERS: Mapping[str, tuple[str, Callable[[Results, Path], None]]] = {
    "json": ("summary.json", write_summary),
    "sarif": ("results.sarif", write_sarif),
    "har": ("exchanges.har", write_har),
    "markdown": ("summary.md", write_markdown),
    "badge": ("badge.svg", write_badge),
}
"""What ``--format`` takes: the file it makes and its writer."""


def write_formats(results: Path, out: Path, names: Sequence[str]) -> None:
    """Write the further formats that were asked for beside the report."""
    read = _read(results)
    for name in dict.fromkeys(names):
        file, write = WRITERS[name]
        try:
            write(read, out / file)
        except OSError as error:
            raise UsageError(f"{out / file}: cannot be written: {error.strerror}") from error


def run_comparison(results: Sequence[Path], out: Path, *, say: Say) -> int:
    """Write the matrix of several runs to comparison.html."""
    path = out / "comparison.html"
    runs = [_read(file) for file in results]
    try:
        write_comparison(runs, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    say(f"comparison: {path}")
    return 0


def run_compare(old: Path, new: Path, *, form: str, out: Path | None, say: Say) -> int:
    """Say what changed from one run to the other; 1 when the newer is worse, 3 when it did not finish."""
    found = changed(_read(old), _read(new))
    text = COMPARE_FORMATS[form](found)
    if out is None:
        say(text.removesuffix("\n"))
    else:
        try:
            out.write_text(text, "utf-8", newline="\n")
        except OSError as error:
            raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
        say(found.sentence)
    if found.changes.regressed:
        return EXIT["non-conformant"]
    return EXIT["conformant"] if found.new.finished else EXIT["inconclusive"]


def _read(path: Path) -> Results:
    try:
        return read_results(path)
    except ResultsError as error:
        raise UsageError(str(error)) from error
