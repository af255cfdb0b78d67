"""Where the evidence of the history is kept: a folder, or whatever location fsspec knows.

One pack for each run, the lines of its cases compressed one by one, so that a case is read without the rest; texts that
are long, which runs share (bodies, the source of a case), stand beside them, each once under its digest. Knows neither
runs nor tables.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
import zlib
from typing import TYPE_CHECKING, Any, Self

from fsspec.core import url_to_fs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

LONG = 512
"""Characters from which on a text stands by itself: below it, its entry in a table costs more than it saves."""
_DEEPEST = 100
"""Levels of lists and objects in a case; the schema has nine. Far deeper ones would end every walk over them."""
_SPOOLED = 1 << 22

Place = tuple[str | int, ...]


class EvidenceError(Exception):
    """Evidence that cannot be written or read, in a sentence."""


class DepthError(Exception):
    """A case with more levels than any has."""


class Vault:
    """A location with packs and texts; every error of its driver becomes an EvidenceError."""

    def __init__(self, location: str) -> None:
        try:
            self._system, self._root = url_to_fs(location)
        except Exception as error:
            raise EvidenceError(f"no evidence can be kept at {location}: {error}") from error
        self.location = location

    def prepare(self) -> None:
        """Make the folder, as every write does: a place where that fails is none to be remembered."""
        try:
            self._system.makedirs(self._root, exist_ok=True)
        except Exception as error:
            raise EvidenceError(f"no evidence can be kept at {self.location}: {error}") from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole; what stood there had the same digest."""
        path = f"{self._root}/{name}"
        try:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)
        except Exception as error:
            raise EvidenceError(f"evidence cannot be written to {self.location}: {error}") from error

    def upload(self, name: str, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        """Write a file piece by piece."""
        path = f"{self._root}/{name}"
        try:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._system.open(path, "wb") as there:
                while piece := file.read(1 << 20):
                    there.write(piece)
        except Exception as error:
            raise EvidenceError(f"evidence cannot be written to {self.location}: {error}") from error

    def case(self, run: str, at: int, size: int) -> Mapping[str, Any]:
        """The line of a case as it was in the results file.

        :param run: digest of the run.
        :param at: where in its pack the line begins, in bytes, and ``size``, how long it is there.
        """
        try:
            entry = json.loads(zlib.decompress(self._read(pack_name(run), at, at + size)))
            record: dict[str, Any] = entry["record"]
            for place, digest in entry["texts"]:
                _put(record, place, self._text(digest))
        except (ValueError, zlib.error, KeyError) as error:
            raise EvidenceError(f"the evidence of run {run[:12]} is damaged") from error
        return record

    def _text(self, digest: str) -> str:
        data = zlib.decompress(self._read(text_name(digest)))
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(digest)
        return data.decode("utf-8", "surrogatepass")

    def _read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        try:
            data: bytes = self._system.cat_file(f"{self._root}/{name}", start=start, end=end)
        except Exception as error:
            raise EvidenceError(f"the evidence is not where it was put ({type(error).__name__})") from error
        return data


def pack_name(run: str) -> str:
    """Where the pack of a run stands."""
    return f"runs/{run[:2]}/{run}.pack"


def text_name(digest: str) -> str:
    """Where a long text stands."""
    return f"texts/{digest[:2]}/{digest}"


class Packer:
    """Collects the evidence of one run in temporary files; nothing reaches the vault before ``store``.

    :param claim: told digest and size of a long text; whether it is new.
    """

    def __init__(self, claim: Callable[[str, int], bool]) -> None:
        self._claim = claim
        self._pack = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - closed by __exit__
        self._texts = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - as above
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pack.close()
        self._texts.close()

    def add(self, record: dict[str, Any]) -> tuple[int, int]:
        """Take a case, whose long texts are cut out of *record*; where in the pack it begins, and its size.

        :raises DepthError: when it is nested too deep.
        """
        texts = []
        for place, text in list(_long(record, ())):
            data = text.encode("utf-8", "surrogatepass")
            digest = hashlib.sha256(data)
            if self._claim(digest.hexdigest(), len(data)):
                packed = zlib.compress(data)
                self._texts.write(digest.digest() + struct.pack(">Q", len(packed)) + packed)
            _put(record, place, "")
            texts.append((place, digest.hexdigest()))
        packed = zlib.compress(json.dumps({"record": record, "texts": texts}, separators=(",", ":")).encode())
        self._pack.write(packed)
        at, self._at = self._at, self._at + len(packed)
        return at, len(packed)

    def store(self, vault: Vault, run: str) -> None:
        """Write everything, the texts first."""
        self._texts.seek(0)
        while head := self._texts.read(40):
            vault.write(text_name(head[:32].hex()), self._texts.read(struct.unpack(">Q", head[32:])[0]))
        self._pack.seek(0)
        vault.upload(pack_name(run), self._pack)


def _long(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    if len(place) > _DEEPEST:
        raise DepthError
    if isinstance(value, str):
        if len(value) >= LONG:
            yield place, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _long(member, (*place, name))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _long(member, (*place, number))


def _put(record: Any, place: Place, value: str) -> None:  # noqa: ANN401 - JSON
    for part in place[:-1]:
        record = record[part]
    record[place[-1]] = value
