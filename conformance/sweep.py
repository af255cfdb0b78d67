"""Removing what runs left behind, from their journals alone.

A journal is a list of names that a run of ours was about to create; nothing else is touched: not a bucket that looks
alike, not an object that somebody else put into one of ours. Single deletes only. Knows journals on disk and the
campaign's clean-up; does not list buckets and guesses nothing.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.campaign import Campaign, Plan
from conformance.casefile import Library
from conformance.journal import Journal, still_standing
from conformance.play import Scene, assemble
from conformance.vocabulary import Profile, RequestTemplate, TargetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from conformance.journal import Kind
    from conformance.removal import CleanUp
    from conformance.transport import Transport
    from conformance.vocabulary import Target
    from conformance.world import World

OURS = re.compile(r"obsc-[0-9a-f]{10}(-[a-z0-9]+)?")
"""The names of buckets that runs create; a journal that names another is not a journal of ours."""
PASSES, SETTLE_S = 4, 0.2
"""A request that was under way when its sender was killed may still be carried out while we look."""
_KINDS = frozenset({"key", "bucket", "object", "upload"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal: a resource that was to be created, or one that is gone."""

    created: bool
    kind: Any
    bucket: str
    name: str


def read_journal(path: Path) -> tuple[frozenset[str], tuple[Entry, ...]]:
    """The endpoints a journal is of, and its entries in order. A last line cut off by a crash is left out.

    :raises TargetError: unreadable, or not a journal of ours.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise TargetError(f"{path}: cannot be read: {error.strerror}") from error
    endpoints, entries = set(), []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            if "endpoint" in value:
                endpoints.add(str(value["endpoint"]))
            else:
                entries.append(_entry(value))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            where = f"{path}, line {number}"
            raise TargetError(f"{where}: not a line of a journal; give a journal.jsonl of a run") from error
    if not endpoints:
        raise TargetError(f"{path}: names no endpoint; give a journal.jsonl of a run")
    return frozenset(endpoints), tuple(entries)


def _entry(value: Mapping[str, str]) -> Entry:
    created = "create" in value
    kind, bucket, name = value["create" if created else "removed"], value["bucket"], value["name"]
    if kind not in _KINDS or not OURS.fullmatch(bucket) or not isinstance(name, str):
        raise ValueError(bucket)
    return Entry(created, kind, bucket, name)


def reopen(path: Path, target: Target) -> Journal:
    """A run's journal as the run left it, to go on with.

    :raises TargetError: it is of another endpoint: the same names there are not ours.
    """
    endpoints, entries = read_journal(path)
    if endpoints != {target.endpoint}:
        raise TargetError(f"{path}: is of {', '.join(sorted(endpoints))}, and the target is {target.endpoint}")
    journal = Journal(path, target.endpoint)
    journal.recall(_in_order(entries))
    return journal


def holds(path: Path) -> bool:
    """Whether a run's journal names anything that may still exist.

    :raises TargetError: as ``read_journal``.
    """
    return bool(still_standing(_in_order(read_journal(path)[1])))


def _in_order(entries: Iterable[Entry]) -> Iterator[tuple[bool, Kind, str, str]]:
    return ((entry.created, entry.kind, entry.bucket, entry.name) for entry in entries)


def sweep(journal: Journal, target: Target, world: World, transport: Transport) -> CleanUp:
    """Remove what a journal holds, and look again: what is back or still there is removed once more."""
    nothing = Library({}, {}, {}, {}, (), {}, "")
    campaign = Campaign(Plan(Profile("", "", ()), (), ()), nothing, target, world, journal, transport=transport)
    entries = tuple(journal.standing())
    for _ in range(PASSES):
        cleaned = campaign.clean_up(target.jobs)
        if not entries:
            break
        time.sleep(SETTLE_S)
        buckets = {bucket for kind, bucket, _ in entries if kind == "bucket"}
        here = {bucket for bucket in buckets if not _gone(bucket, target, world, transport)}
        entries = tuple(entry for entry in entries if entry[1] in here)
        for entry in entries:
            journal.will_create(*entry)
    return cleaned


def _gone(bucket: str, target: Target, world: World, transport: Transport) -> bool:
    scene = Scene(target, bucket, "", world.now, {})
    response = transport.exchange(assemble(RequestTemplate("HEAD", bucket, None), scene, scene.values(), None)).response
    return response is not None and response.status == 404  # noqa: PLR2004 - Not Found
