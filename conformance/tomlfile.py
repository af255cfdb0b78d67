"""TOML files of users: read or refused in a line, and a hint for a word that is not known. Knows no file's words."""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read_toml(path: Path, error: type[Exception]) -> dict[str, Any]:
    """What a file holds.

    :raises error: unreadable, or not TOML; names the file.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as unread:
        raise error(f"{path}: cannot be read: {unread.strerror}") from unread
    except UnicodeDecodeError as wrong:
        raise error(f"{path}: byte {wrong.start + 1} is no UTF-8; save the file as UTF-8") from wrong
    except tomllib.TOMLDecodeError as wrong:
        raise error(f"{path}: not TOML: {wrong}") from wrong


def hint(word: str, known: Sequence[str]) -> str:
    """What was meant by an unknown word, or else all that there are."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
