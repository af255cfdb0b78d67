"""Results as annotations of a build server, each at the line of its case in the case file.

Knows the workflow commands of GitHub Actions and their escapes. Does not judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from conformance.vocabulary import CaseResult

_COMMANDS: Mapping[str, str] = {
    "fail": "error",
    "harness_error": "error",
    "warn": "warning",
    "setup_failed": "warning",
    "blocked": "warning",
    "not_run": "warning",
}
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def github(results: Iterable[CaseResult], known: Collection[str] = ()) -> Iterator[str]:
    """A workflow command for each case that did not pass; a known failure is only a notice."""
    for result in results:
        command = _COMMANDS.get(result.rung)
        if command is None:
            continue
        command, remark = ("notice", ", known") if result.case.id in known else (command, "")
        file, title = result.case.file, f"{result.case.id} {result.rung.replace('_', ' ')}{remark}"
        where = f"file={_escaped(file, _PROPERTY)},line={result.case.line},title={_escaped(title, _PROPERTY)}"
        yield f"::{command} {where}::{_escaped(f'{result.case.says}: {result.reason}', _DATA)}"


def _escaped(text: str, table: Mapping[str, str]) -> str:
    return text.translate({ord(character): escape for character, escape in table.items()})
