"""What several commands share: options, the target they choose, the folder they write to, the files of a report.

Part of the composition root beside ``cli.py``: it sees the engine and the renderers. Decides nothing about conformance.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from conformance.vocabulary import Target

FORMATS = ("json", "sarif", "har", "markdown", "badge")


def add_target_options(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """The options that choose a target."""
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--target", type=Path, metavar="FILE.toml", help="target file")
    where.add_argument("--endpoint", metavar="URL", help="endpoint alone; credentials from the environment")


@contextlib.contextmanager
def chosen_target(options: argparse.Namespace) -> Iterator[Target]:
    """The target that the options choose; without one the bundled server, for as long as it is needed."""
    from conformance.bundled import bundled_server
    from conformance.target import load_target, target_from_endpoint

    if options.target is not None:
        yield load_target(options.target)
    elif options.endpoint is not None:
        yield target_from_endpoint(options.endpoint)
    else:
        with bundled_server() as target_file:
            yield load_target(target_file)


def out_folder(chosen: Path | None) -> Path:
    """The folder to write to, made if it is not there; named after the time if none is chosen.

    :raises UsageError: it cannot be made.
    """
    folder = chosen or Path("conformance-results") / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from error
    return folder


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """The options of a report."""
    parser.add_argument("--previous", type=Path, metavar="RESULTS", help="results of an earlier run to compare with")
    parser.add_argument(
        "--page", type=Path, action="append", default=[], metavar="PAGE.txt", help="text of a page, to show it judged"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """The option for files beside the report."""
    parser.add_argument(
        "--format",
        action="append",
        default=[],
        choices=FORMATS,
        help="also write this, beside report.html and junit.xml; may be given several times",
    )


def render(results: Path, out: Path, options: argparse.Namespace) -> None:
    """Write report and JUnit file of a results file.

    :raises UsageError: the results file cannot be read.
    """
    from reports.html import write_html
    from reports.junit import write_junit
    from reports.model import ResultsError, read_results

    try:
        write_html(results, out / "report.html", previous=options.previous, pages=options.page)
        write_junit(read_results(results), out / "junit.xml")
    except ResultsError as error:
        raise UsageError(str(error)) from error


def write_formats(results: Path, out: Path, names: Sequence[str]) -> None:
    """Write a results file in further formats."""
    if names:
        from conformance import outputs

        outputs.write_formats(results, out, names)
