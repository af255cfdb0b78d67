"""Standard output and error whose readers may go away, as those of ``| head`` do.

A command has work to finish, resources to remove and an exit code that others go by; none of that may depend on who
still reads what it prints. From the moment on at which nobody does, it prints into nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Outlet:
    """A text stream that outlives its reader."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, if anybody reads it."""
        self._despite_nobody(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if anybody reads it."""
        self._despite_nobody(self._stream.flush)

    def _despite_nobody(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BrokenPipeError:
            # What the stream still holds has to go somewhere: it is written again at the next flush.
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else the stream has
        return getattr(self._stream, name)


@contextlib.contextmanager
def outlets() -> Iterator[None]:
    """Let what is printed meanwhile, on either stream, need no reader."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", Outlet(out)), cast("TextIO", Outlet(err))
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = out, err
