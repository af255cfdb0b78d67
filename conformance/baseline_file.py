"""Baseline files: a YAML list that people edit and a command mends.

Reads with the line of whatever is wrong, and writes by changing as few lines as can be: comments, order and spelling
of what stays are the people's. Does not judge.
"""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING

import yaml

from conformance.baseline import Entry
from conformance.vocabulary import CaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from conformance.baseline import Row

_WORDS = ("id", "fingerprint", "reason", "owner", "link", "expires")
_MAY_BE_EMPTY = frozenset({"link"})
_PRINT = re.compile(r"[0-9a-f]{16}")
_HEAD = "# Failures that are known: obs-conformance run --baseline; docs/ci.md explains the fields.\n"


def read_baseline(path: Path) -> tuple[Entry, ...]:
    """The entries of a baseline file.

    :raises CaseError: unreadable, or an entry that is not complete; names file, line and remedy.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: cannot be read: {error}") from error
    return parse_baseline(text, str(path))


def parse_baseline(text: str, where: str) -> tuple[Entry, ...]:
    """The entries of a baseline's text."""
    entries: dict[str, Entry] = {}
    for node in _items(text, where):
        entry = _entry(node, where)
        if entry.id in entries:
            raise _error(where, node, f"{entry.id} stands here a second time; keep one")
        entries[entry.id] = entry
    return tuple(entries.values())


def _items(text: str, where: str) -> list[yaml.MappingNode]:
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise CaseError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return []
    if not isinstance(root, yaml.SequenceNode):
        raise _error(where, root, "a baseline is a list; begin each entry with '- id:'")
    if root.flow_style:
        raise _error(where, root, "write the list without brackets, each entry begun with '- id:'; empty is no line")
    for node in root.value:
        if not isinstance(node, yaml.MappingNode):
            raise _error(where, node, f"an entry has the words {', '.join(_WORDS)}")
    return list(root.value)


def _entry(node: yaml.MappingNode, where: str) -> Entry:
    values: dict[str, str] = {}
    for key, value in node.value:
        if key.value not in _WORDS:
            raise _error(where, key, f"unknown word {key.value}; known: {', '.join(_WORDS)}")
        if not isinstance(value, yaml.ScalarNode):
            raise _error(where, value, f"{key.value} is a text")
        values[key.value] = value.value.strip()
    for word in _WORDS:
        if not values.get(word) and word not in _MAY_BE_EMPTY:
            raise _error(where, node, f"{word} is missing; every known failure says who owns it, why, and until when")
    if not _PRINT.fullmatch(values["fingerprint"]):
        raise _error(where, node, f"fingerprint {values['fingerprint']} is not 16 hexadecimal digits as a run prints")
    try:
        expires = date.fromisoformat(values["expires"])
    except ValueError as error:
        raise _error(where, node, f"expires {values['expires']} is not a date such as 2027-01-31") from error
    return Entry(
        values["id"], values["fingerprint"], values["reason"], values["owner"], values.get("link", ""), expires
    )


def _error(where: str, node: yaml.Node, says: str) -> CaseError:
    return CaseError(f"{where}, line {node.start_mark.line + 1}: {says}")


def mended(text: str, rows: Iterable[Row], new: Mapping[str, Entry], where: str) -> str:
    """A baseline's text after a run: fixed and gone entries are cut out, changed prints replaced, new ones appended.

    :param new: the entries to append for rows that are new.
    """
    states = {row.id: row for row in rows}
    lines = text.splitlines(keepends=True)
    for node in reversed(_items(text, where)):
        row = states.get(_entry(node, where).id)
        if row is None:
            continue
        if row.state in {"fixed", "gone"}:
            del lines[node.start_mark.line : _last_line(node) + 1]
        elif row.state == "different":
            mark = next(value.start_mark for key, value in node.value if key.value == "fingerprint")
            old = lines[mark.line]
            lines[mark.line] = old[: mark.column] + _PRINT.sub(row.fingerprint, old[mark.column :], count=1)
    kept = "".join(lines)
    if kept and not kept.endswith("\n"):
        kept += "\n"
    return (kept or _HEAD) + "".join(map(_block, new.values()))


def _last_line(node: yaml.MappingNode) -> int:
    """The line on which an entry's last value ends; a block that ends at a line's start ends on the one before."""
    mark = node.value[-1][1].end_mark
    return int(mark.line if mark.column else mark.line - 1)


def _block(entry: Entry) -> str:
    """An entry as lines; a text in quotes is JSON, which is YAML too."""
    return (
        f"- id: {entry.id}\n"
        f"  fingerprint: {json.dumps(entry.fingerprint)}\n"
        f"  reason: {json.dumps(entry.reason, ensure_ascii=False)}\n"
        f"  owner: {json.dumps(entry.owner, ensure_ascii=False)}\n"
        f"  link: {json.dumps(entry.link, ensure_ascii=False)}\n"
        f"  expires: {entry.expires.isoformat()}\n"
    )
