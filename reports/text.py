"""Makes text and bytes that an endpoint chose safe and honest to look at.

Knows which characters are invisible, illegal or reorder what is around them, how bytes are written down, and how
the head of an HTTP message falls into lines.  Does not know HTML or XML: escaping for a markup is the renderers'.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT_LIMIT = 8192
HEX_LIMIT = 512
HEX_WIDTH = 16

# Controls but tab and line feed, soft hyphen, zero-width and direction characters, surrogates, tags, non-characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_NAMED = {0x09: r"\t", 0x0A: r"\n", 0x0D: r"\r", 0x5C: r"\\"}
_PRINTABLE = frozenset(range(0x20, 0x7F))
_BYTES = tuple(_NAMED.get(byte, chr(byte) if byte in _PRINTABLE else f"\\x{byte:02x}") for byte in range(256))
_ENDS: Mapping[bytes, str] = {b"\r\n": "CR LF", b"\n": "LF", b"": "no line end"}


def visible(text: str) -> str:
    r"""Return *text* with every character that cannot be seen replaced by its escape, such as \x00 or \u202e."""
    return _UNSEEN.sub(lambda match: _escape(ord(match[0])), text)


def _escape(point: int) -> str:
    sizes = ((0xFF, "\\x{:02x}"), (0xFFFF, "\\u{:04x}"), (0x10FFFF, "\\U{:08x}"))
    return next(form for limit, form in sizes if point <= limit).format(point)


def written(data: bytes) -> str:
    """Return bytes as printable ASCII; all others, and the backslash, are escaped, so nothing reads two ways."""
    return "".join(map(_BYTES.__getitem__, data))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLine:
    """One line of the head of a message: its text, what ended it, and whether an expectation on it was not met."""

    text: str
    end: str
    marked: bool
    name: str


def head_lines(head: bytes, *, names: frozenset[str] = frozenset(), status: bool = False) -> tuple[HeadLine, ...]:
    """Return every line of *head*; those of the final answer with a name in *names* (lower case) are marked.

    With *status*, so is its status line.  Interim answers before the final one are never marked.
    """
    parts = [_split(line) for line in _LINE.findall(head)]
    final = _final([content for content, _ in parts])
    lines: list[HeadLine] = []
    for index, (content, end) in enumerate(parts):
        name = _name(content, lines)
        wrong = (status and index == final) or (index > final and name in names)
        lines.append(HeadLine(text=written(content), end=_ENDS[end], marked=wrong, name=name if index > final else ""))
    return tuple(lines)


def _split(line: bytes) -> tuple[bytes, bytes]:
    end = next(end for end in _ENDS if line.endswith(end))
    return line.removesuffix(end), end


def _final(contents: list[bytes]) -> int:
    """Return the index of the start line of the last answer in the head."""
    last = max((index for index, content in enumerate(contents) if content), default=0)
    return max((index + 1 for index, content in enumerate(contents[:last]) if not content), default=0)


def _name(content: bytes, before: list[HeadLine]) -> str:
    """Return the lower-case field name of a line; a folded line continues the one before."""
    if content[:1] in {b" ", b"\t"} and before:
        return before[-1].name
    name, colon, _ = content.partition(b":")
    return name.strip().decode("latin-1").lower() if colon else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """As much of a body as is worth showing."""

    form: str
    shown: str
    count: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return self.count == self.size


def excerpt(body: bytes, size: int) -> Excerpt:
    """Return the beginning of a body of *size* bytes, as text when it is text and as a hex dump when it is not."""
    head = body[:TEXT_LIMIT]
    text = _as_text(head, cut=len(head) < size)
    if text is not None:
        return Excerpt(form="text", shown=text.replace("\\", "\\\\"), count=len(head), size=size)
    return Excerpt(form="hex dump", shown=hex_dump(body[:HEX_LIMIT]), count=min(len(body), HEX_LIMIT), size=size)


def _as_text(data: bytes, *, cut: bool) -> str | None:
    """Return *data* as text, or None if it is not; when *cut*, half a character at the end is forgiven."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def hex_dump(data: bytes) -> str:
    """Return offset, hexadecimal and ASCII columns."""
    rows = (data[start : start + HEX_WIDTH] for start in range(0, len(data), HEX_WIDTH))
    return "\n".join(
        f"{number * HEX_WIDTH:08x}  {row.hex(' '):<{HEX_WIDTH * 3}} {_ascii(row)}" for number, row in enumerate(rows)
    )


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if byte in _PRINTABLE else "." for byte in row)
