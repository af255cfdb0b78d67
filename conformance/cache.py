"""Checked libraries kept between runs, keyed by the content of everything they were made from.

One file for each library folder in the user's own cache directory. A cache that cannot be read or written costs time
and nothing else. Does not know what it keeps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import os
import pickle
import sys
import tempfile
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from conformance import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAKERS = ("cache.py", "casefile.py", "dialectfile.py", "placeholders.py", "strictyaml.py", "vocabulary.py")
"""The modules that decide what a library becomes; another version of them makes another key."""


def key(*contents: bytes) -> bytes:
    """A digest of the contents, of the interpreter and of the modules that turn them into values."""
    digest = hashlib.sha256(f"{__version__}\0{sys.version}\0".encode())
    here = Path(__file__).parent
    for content in (*((here / name).read_bytes() for name in _MAKERS), *contents):
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()


def load(root: Path, wanted: bytes) -> object | None:
    """What was kept for a folder under this key, or None."""
    try:
        content = _file(root).read_bytes()
    except OSError:
        return None
    if not content.startswith(wanted):
        return None
    try:
        with nothing_is_garbage():
            value: object = pickle.loads(content[len(wanted) :])  # noqa: S301 - written by us into the user's own folder
    except Exception:  # noqa: BLE001 - a torn or foreign file is no cache
        return None
    return value


@contextlib.contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """While very much is loaded that stays: looking for garbage in it again and again costs more than loading."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def store(root: Path, wanted: bytes, value: object) -> None:
    """Keep a value for a folder in place of what was kept for it before."""
    file = _file(root)
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(wanted)
            _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(value)
        Path(beside).replace(file)


class _Pickler(pickle.Pickler):
    """Dataclasses as a call of their class, which loads in a third of the time of their own state protocol."""

    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - as pickle defines it
        """The class and its arguments, for an instance of a dataclass; anything else as usual."""
        kind = type(value)
        arguments = _ARGUMENTS.get(kind) or _arguments_of(kind)
        return NotImplemented if arguments is None else (kind, arguments(value))


_ARGUMENTS: dict[type, Callable[[Any], tuple[Any, ...]] | None] = {}


def _arguments_of(kind: type) -> Callable[[Any], tuple[Any, ...]] | None:
    """What makes an equal instance of a dataclass again, found out once for each class; None for any other class.

    Of a single field an attrgetter makes no tuple; such a class goes the usual way.
    """
    if kind not in _ARGUMENTS:
        names = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
        _ARGUMENTS[kind] = attrgetter(*names) if len(names) > 1 else None
    return _ARGUMENTS[kind]


def _file(root: Path) -> Path:
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("obs-conformance", appauthor=False)) / f"library-{name}.pickle"
