"""multipart/form-data as it streams by (RFC 7578): fields whole, the one file in pieces.

Memory stays flat however large the file is. This module does not know what any field means, and stops looking after
the field named `file`, which is the last one that counts (section 3.3); the documents' own samples send a `submit`
field after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from reference_server.errors import ObsError
from reference_server.wire import decode_octets

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FIELDS_BYTES = 256 * 1024
"""What all fields before the file may take together; the policy alone may have 64 KB."""

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r';\s*name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_FILE_NAME = re.compile(r';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_ESCAPES = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"), ('\\"', '"'))
_FILE = "file"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that came before the file."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileBegins:
    """The file comes now; its name as the client knows it."""

    name: str


Event = Field | FileBegins | bytes
"""A field, the beginning of the file, or a piece of it."""


class _State(Enum):
    BOUNDARY = auto()
    AFTER_BOUNDARY = auto()
    HEAD = auto()
    VALUE = auto()
    FILE = auto()
    DONE = auto()


def _wrong(message: str) -> ObsError:
    return ObsError("InvalidArgument", f"The form cannot be read: {message}")


def boundary_of(content_type: str) -> bytes:
    """The boundary a Content-Type names; anything but multipart/form-data is refused."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise _wrong("its Content-Type must be multipart/form-data.")
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise _wrong("its Content-Type names no boundary.")
    return (match[1] or match[2]).encode("utf-8", "surrogateescape")


class FormReader:
    """Takes octets, gives events."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # The first boundary may stand at the very beginning, without the line end that belongs to all others.
        self._buffer = bytearray(b"\r\n")
        self._state = _State.BOUNDARY
        self._name = ""
        self._taken = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the octets so far bring to light."""
        self._buffer += data
        self._count(len(data))
        while True:
            before = self._state
            event = self._step()
            if event is not None:
                yield event
            elif self._state is before:
                return

    def finish(self) -> None:
        """Refuse a form that ended before its file did."""
        if self._state is not _State.DONE:
            raise _wrong("it has no file, or ends before the file does.")

    def _count(self, length: int) -> None:
        if self._state in (_State.FILE, _State.DONE):
            return
        # The newest piece is not counted: it may hold the last fields and much of the file.
        if self._taken > MAX_FIELDS_BYTES:
            raise ObsError("MaxMessageLengthExceeded", "The fields of the form are too large.")
        self._taken += length

    def _step(self) -> Event | None:
        """One event, or one change of state, or neither when more octets are needed."""
        match self._state:
            case _State.BOUNDARY:
                if self._until(self._delimiter) is not None:
                    self._state = _State.AFTER_BOUNDARY
            case _State.AFTER_BOUNDARY:
                self._after_boundary()
            case _State.HEAD:
                return self._head()
            case _State.VALUE:
                value = self._until(self._delimiter)
                if value is not None:
                    self._state = _State.AFTER_BOUNDARY
                    return Field(self._name, decode_octets(value))
            case _State.FILE:
                return self._piece()
            case _State.DONE:
                self._buffer.clear()
        return None

    def _until(self, mark: bytes) -> bytes | None:
        at = self._buffer.find(mark)
        if at < 0:
            return None
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    def _after_boundary(self) -> None:
        if self._buffer.startswith(b"--"):
            raise _wrong("it has no file.")
        padding = self._until(b"\r\n") if len(self._buffer) > 1 else None
        if padding is not None:
            if padding.strip(b" \t"):
                raise _wrong("a boundary is followed by other text.")
            # A part without any header has its empty line at once.
            self._buffer[:0] = b"\r\n"
            self._state = _State.HEAD

    def _head(self) -> Event | None:
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        disposition = _disposition(decode_octets(head))
        name = _NAME.search(disposition)
        if name is None:
            raise _wrong("a part has no name.")
        self._name = _unescaped(name[1])
        if self._name.lower() != _FILE:
            # The value may be empty, and its delimiter then begins where it would.
            self._state = _State.VALUE
            return None
        self._state = _State.FILE
        file_name = _FILE_NAME.search(disposition)
        return FileBegins("" if file_name is None else _unescaped(file_name[1]))

    def _piece(self) -> bytes | None:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            self._state = _State.DONE
        else:
            at = len(self._buffer) - len(self._delimiter) + 1
        if at <= 0:
            return None
        piece = bytes(memoryview(self._buffer)[:at])
        del self._buffer[:at]
        return piece


def _disposition(head: str) -> str:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition" and value.strip().lower().startswith("form-data"):
            return value
    raise _wrong("a part has no Content-Disposition: form-data.")


def _unescaped(text: str) -> str:
    """As browsers write names (RFC 7578, 4.2, and HTML) and as older clients do."""
    for escape, symbol in _ESCAPES:
        text = text.replace(escape, symbol)
    return text
