"""Doing something again whenever files change.

Looks at names, sizes and times of modification a few times a second, which works on every file system. Does not know
what is done, nor what is in the files.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from conformance.vocabulary import CaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Stamps = dict[Path, tuple[int, int]]

EVERY_S = 0.25
INTERRUPTED = 130


def stamps(place: Path, suffix: str = ".yaml") -> Stamps:
    """Size in bytes and time of modification in nanoseconds of a file, or of every file below a folder."""
    found: Stamps = {}
    for path in place.rglob(f"*{suffix}") if place.is_dir() else (place,):
        try:
            status = path.stat()
        except OSError:  # an editor is about to put a new one in its place
            continue
        found[path] = (status.st_size, status.st_mtime_ns)
    return found


def changes(place: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[tuple[Path, ...]]:
    """The files that were changed, added or removed since the call, as often as that happens and has come to rest."""
    return _changes(place, stamps(place), sleep)


def _changes(place: Path, seen: Stamps, sleep: Callable[[float], None]) -> Iterator[tuple[Path, ...]]:
    while True:
        sleep(EVERY_S)
        now = stamps(place)
        if now == seen or not now:
            continue
        while True:
            sleep(EVERY_S)
            later = stamps(place)
            if later == now:
                break
            now = later
        changed = {path for path in seen.keys() | now.keys() if seen.get(path) != now.get(path)}
        seen = now
        yield tuple(sorted(changed))


def whenever_changed(
    place: Path, replay: Callable[[], int], say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> int:
    """Do it now and after every change until interrupted; the last exit code.

    Mistakes in the files are said and waited out; options that are wrong from the beginning are not.

    :raises UsageError: by the first time, of an option that no change of a file can mend.
    """
    watched = changes(place, sleep)
    code = _once(replay, say, CaseError)
    try:
        while code != INTERRUPTED:
            say("waiting for changes; Ctrl-C ends")
            say(f"changed: {', '.join(path.name for path in next(watched))}")
            code = _once(replay, say, CaseError, UsageError)
    except KeyboardInterrupt:
        return code
    return code


def _once(replay: Callable[[], int], say: Callable[[str], None], *mistakes: type[Exception]) -> int:
    try:
        return replay()
    except mistakes as error:
        say(str(error))
        return 2
