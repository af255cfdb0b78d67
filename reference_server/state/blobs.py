"""Large bodies, outside the database: as files that appear whole or not at all, or in memory.

This module does not know what the bytes mean nor whether they are sealed. A blob is written under a temporary name
and gets its own when it is complete; whether it belongs to anything is for the database to say.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, BinaryIO, Protocol

from reference_server.errors import DamagedStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class BlobWriter(Protocol):
    """A blob being written."""

    def write(self, octets: bytes | bytearray | memoryview) -> object:
        """Append."""

    def commit(self) -> str:
        """Complete the blob; its name."""

    def abort(self) -> None:
        """Forget it."""


class BlobReader(Protocol):
    """A blob being read; it stays readable when the blob is removed meanwhile."""

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from there; fewer is damage."""

    def close(self) -> None:
        """No more reading."""


class Blobs(Protocol):
    """A store of blobs."""

    def create(self) -> BlobWriter:
        """Begin a new blob."""

    def open(self, blob: str) -> BlobReader:
        """Read one."""

    def remove(self, blobs: Iterable[str]) -> None:
        """Delete some; those that are gone already do not matter."""

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Delete what is unfinished or unknown."""


class _FileWriter:
    __slots__ = ("_durable", "_file", "_final", "_name", "_temporary")

    def __init__(self, folder: Path, name: str, *, durable: bool) -> None:
        self._name = name
        self._durable = durable
        self._temporary = folder / f"{name}.part"
        self._final = folder / name
        self._file: BinaryIO = self._temporary.open("wb", buffering=0)

    def write(self, octets: bytes | bytearray | memoryview) -> None:
        view = memoryview(octets)
        while view:
            view = view[self._file.write(view) :]

    def commit(self) -> str:
        if self._durable:
            os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.rename(self._final)
        if self._durable:
            _flush_folder(self._final.parent)
        return self._name

    def abort(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """A name is on the disk when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _FileReader:
    __slots__ = ("_descriptor",)

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise DamagedStateError("A stored body is missing.") from error

    def read(self, offset: int, length: int) -> bytes:
        octets = os.pread(self._descriptor, length, offset)
        if len(octets) != length:
            raise DamagedStateError("A stored body has been cut off.")
        return octets

    def close(self) -> None:
        os.close(self._descriptor)


class FileBlobs:
    """Blobs as files in one folder, spread over 256 sub-folders; durable ones are on the disk once complete."""

    def __init__(self, folder: Path, dice: Callable[[int], bytes], *, durable: bool = False) -> None:
        self._folder = folder
        self._dice = dice
        self._durable = durable

    def _shelf(self, blob: str) -> Path:
        return self._folder / blob[:2]

    def create(self) -> BlobWriter:
        """Begin a new file."""
        name = self._dice(16).hex()
        shelf = self._shelf(name)
        if not shelf.is_dir():
            shelf.mkdir(parents=True, exist_ok=True)
            if self._durable:
                _flush_folder(self._folder)
        return _FileWriter(shelf, name, durable=self._durable)

    def open(self, blob: str) -> BlobReader:
        """Read a file."""
        return _FileReader(self._shelf(blob) / blob)

    def remove(self, blobs: Iterable[str]) -> None:
        """Delete files."""
        for blob in blobs:
            with contextlib.suppress(FileNotFoundError):
                (self._shelf(blob) / blob).unlink()

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Delete what a killed process left half-written or unreferenced."""
        if self._folder.exists():
            for shelf in self._folder.iterdir():
                for path in shelf.iterdir():
                    if not known(path.name):
                        path.unlink()


class _MemoryWriter:
    __slots__ = ("_buffer", "_name", "_shelf")

    def __init__(self, shelf: dict[str, bytes], name: str) -> None:
        self._shelf = shelf
        self._name = name
        self._buffer = bytearray()

    def write(self, octets: bytes | bytearray | memoryview) -> None:
        self._buffer += octets

    def commit(self) -> str:
        self._shelf[self._name] = bytes(self._buffer)
        return self._name

    def abort(self) -> None:
        self._buffer.clear()


class _MemoryReader:
    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def read(self, offset: int, length: int) -> bytes:
        piece = self._octets[offset : offset + length]
        if len(piece) != length:
            raise DamagedStateError("A stored body has been cut off.")
        return piece

    def close(self) -> None:
        pass


class MemoryBlobs:
    """Blobs in memory, for services that live as long as a test."""

    def __init__(self, dice: Callable[[int], bytes]) -> None:
        self._shelf: dict[str, bytes] = {}
        self._dice = dice

    def create(self) -> BlobWriter:
        """Begin a new buffer."""
        return _MemoryWriter(self._shelf, self._dice(16).hex())

    def open(self, blob: str) -> BlobReader:
        """Read a buffer."""
        if blob not in self._shelf:
            raise DamagedStateError("A stored body is missing.")
        return _MemoryReader(self._shelf[blob])

    def remove(self, blobs: Iterable[str]) -> None:
        """Drop buffers."""
        for blob in blobs:
            self._shelf.pop(blob, None)

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Drop buffers nobody knows."""
        self.remove([blob for blob in self._shelf if not known(blob)])
