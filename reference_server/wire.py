"""The messages themselves: heads, requests, responses, and what a request target addresses.

Header lines keep their order, their repetition and the case of their names, because all three are part of what is
judged. This module does not know sockets, signatures or operations.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote_to_bytes

from reference_server.errors import ObsError

if TYPE_CHECKING:
    from collections.abc import Iterator

Pairs = tuple[tuple[str, str], ...]

MAX_KEY_BYTES = 1024
"""An object name is 1 to 1,024 bytes of UTF-8 (obs_04_0080)."""

MAX_BUCKET_NAME = 63
MAX_HOST = 255
"""A name longer than this is no host's (RFC 1035, 2.3.4)."""

_LONGEST_SYMBOL = 4
"""The most bytes one character takes in UTF-8."""

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def decode_octets(raw: bytes) -> str:
    """Header octets as text from which `encode_octets` makes the same octets again (signatures cover octets)."""
    return raw.decode("utf-8", "surrogateescape")


def encode_octets(text: str) -> bytes:
    """The octets `decode_octets` was given."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Headers:
    """An ordered list of header lines, asked without regard to the case of names (RFC 9110, 5.1)."""

    pairs: Pairs
    _index: dict[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the lines once: every request is asked a dozen questions."""
        index: dict[str, list[str]] = {}
        for name, value in self.pairs:
            index.setdefault(name.lower(), []).append(value)
        object.__setattr__(self, "_index", index)

    def mentions(self, names: frozenset[str]) -> bool:
        """Whether any of some names, in lower case, is there: one question instead of a dozen."""
        return not names.isdisjoint(self._index)

    def every(self, name: str) -> list[str]:
        """All values of a name given in lower case, in the order sent."""
        return self._index.get(name, [])

    def first(self, name: str) -> str | None:
        """The first value of a name given in lower case, or None."""
        values = self._index.get(name)
        return values[0] if values else None

    def joined(self, name: str) -> str | None:
        """All values of a name joined with a comma, as the signature joins them (obs_04_0010), or None."""
        values = self._index.get(name)
        return ",".join(values) if values else None

    def names(self) -> list[str]:
        """The distinct names in lower case."""
        return list(self._index)


@dataclass(frozen=True, slots=True)
class Head:
    """Everything of a request that comes before its body."""

    method: str
    target: str
    headers: Headers
    secure: bool = False
    peer: str = "127.0.0.1"
    foreign: Foreign | None = None

    @property
    def declared_length(self) -> int | None:
        """The Content-Length, when there is one; its digits are vouched for by the parser."""
        value = self.headers.first("content-length")
        return int(value) if value is not None and value.isascii() and value.isdigit() else None

    @property
    def has_body(self) -> bool:
        """Whether the framing announces a body (RFC 9112, 6.3)."""
        return bool(self.declared_length) or self.headers.first("transfer-encoding") is not None


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a request was before it was translated: its head as sent, and what version of AWS's signature it has.

    `flavour` is `V2`, `V4` or nothing. Scope, signed headers, moment (`YYYYMMDDTHHMMSSZ`), payload hash, access key,
    signature and end (Unix seconds, of a URL) are those of version 4. The parameters are (name in our words or nothing,
    name and value as sent). `fault` is what makes it unreadable, to be said once it is known in which dialect.
    """

    head: Head
    flavour: str = ""
    scope: str = ""
    signed_headers: tuple[str, ...] = ()
    moment: str = ""
    payload: str = ""
    parameters: tuple[tuple[str, str, str | None], ...] = ()
    fault: ObsError | None = None
    access_key: str = ""
    signature: str = ""
    expires: str = ""

    def said(self, query: Query) -> Query:
        """The parameters as sent, without those that somebody has taken out of the translated ones."""
        kept = {name for name, _ in query.pairs}
        return Query(tuple((theirs, value) for ours, theirs, value in self.parameters if not ours or ours in kept))


@dataclass(frozen=True, slots=True)
class Request:
    """A head and a whole body, for use without a socket."""

    head: Head
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, headers: Pairs = (), body: bytes = b"") -> Self:
        """A request in one line, for callers who hold literals."""
        return cls(Head(method, target, Headers(headers)), body)


@dataclass(frozen=True, slots=True)
class Response:
    """A final answer. A body that is an iterator comes with its own Content-Length header.

    `inner` is what an answer was before it was translated into the dialect of its request and framed.
    """

    status: int
    headers: Pairs = ()
    body: bytes | Iterator[bytes] = b""
    reason: str = ""
    close: bool = False
    inner: Response | None = None

    def first(self, name: str) -> str | None:
        """The first value of a header, its name given in lower case."""
        for key, value in self.headers:
            if len(key) == len(name) and key.lower() == name:
                return value
        return None

    def content(self) -> bytes:
        """The whole body; an iterator is consumed by this."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a target, in order; a parameter without `=` has the value None."""

    pairs: tuple[tuple[str, str | None], ...] = ()

    def __contains__(self, name: str) -> bool:
        """Whether a parameter of that exact name is there."""
        return self.pairs != () and any(key == name for key, _ in self.pairs)

    def first(self, name: str) -> str | None:
        """The first value of a name; None when it is absent or has no `=`."""
        for key, value in self.pairs:
            if key == name:
                return value
        return None

    def every(self, name: str) -> list[str]:
        """All values of a name that have one."""
        return [value for key, value in self.pairs if key == name and value is not None]


NO_QUERY = Query()


@dataclass(frozen=True, slots=True)
class Address:
    """What a request is about: the service, a bucket, or an object.

    `encoded_key` is the object name as it stood in the target, which is what the vendor's SDKs sign.
    """

    bucket: str = ""
    key: str = ""
    encoded_key: str = ""
    virtual_host: bool = False

    @property
    def kind(self) -> str:
        """`service`, `bucket` or `object`."""
        return "object" if self.key else "bucket" if self.bucket else "service"

    @property
    def resource(self) -> str:
        """The name used in error documents and logs."""
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"


def is_bucket_name(name: str) -> bool:
    """Whether a name can be a bucket's: 3 to 63 of a-z 0-9 . -, no IP address, no `..`, `.-`, `-.` (obs_04_0021)."""
    return len(name) <= MAX_BUCKET_NAME and _is_bucket_name(name)


@lru_cache(maxsize=1024)
def _is_bucket_name(name: str) -> bool:
    if not _BUCKET_NAME.fullmatch(name) or any(pair in name for pair in ("..", ".-", "-.")):
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


def _decode_path(encoded: str) -> str:
    if "%" not in encoded and encoded.isascii() and "\0" not in encoded:
        return encoded
    try:
        decoded = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeError as error:
        raise ObsError("BadRequest", "The request target is not percent-encoded UTF-8.") from error
    if "\0" in decoded:
        raise ObsError("BadRequest", "The request target contains a NUL.")
    return decoded


def parse_query(text: str) -> Query:
    """Split and decode a query; `+` is a blank, so that an unescaped `+` in a signature fails (S-64)."""
    if not text:
        return NO_QUERY
    pairs: list[tuple[str, str | None]] = []
    for piece in text.split("&"):
        if piece:
            name, equals, value = piece.partition("=")
            pairs.append((_decode_parameter(name), _decode_parameter(value) if equals else None))
    return Query(tuple(pairs))


def _decode_parameter(text: str) -> str:
    if text.isascii() and "%" not in text and "+" not in text:
        return text
    return _decode_path(text.replace("+", " "))


def host_of(head: Head) -> str:
    """The host a request names, without port and in lower case; an absolute target wins over Host (RFC 9112, 3.2.2)."""
    authority = head.headers.first("host") or ""
    if not head.target.startswith("/") and "://" in head.target:
        authority = head.target.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0]
    if authority.startswith("["):
        return authority.partition("]")[0].lower() + "]"
    return authority.partition(":")[0].lower()


def bucket_in_host(host: str, bases: tuple[str, ...]) -> str:
    """The bucket a host name carries, or nothing.

    A host that ends in one of our own names carries what stands before it. Of any other host only the labels beyond
    the number our first name has can be a bucket, so that `Host: bucket.obs.region.example.com` reaches a server that
    listens on 127.0.0.1 (both have four labels below the bucket).
    """
    if len(host) > MAX_HOST:
        raise ObsError("BadRequest", "The Host header is not the name of a host.")
    return _bucket_in_host(host, bases)


@lru_cache(maxsize=1024)
def _bucket_in_host(host: str, bases: tuple[str, ...]) -> str:
    if host in bases:
        return ""
    for base in bases:
        if host.endswith("." + base):
            return host[: -len(base) - 1]
    if host.startswith("["):
        return ""
    labels = host.split(".")
    return ".".join(labels[: max(0, len(labels) - len(bases[0].split(".")))])


def locate(head: Head, bases: tuple[str, ...]) -> tuple[Address, Query]:
    """What a request addresses, in virtual-host or path style, and its parameters."""
    target = head.target
    if not target.startswith("/"):
        if "://" not in target:
            raise ObsError("BadRequest", "The request target is not an absolute path.")
        _, slash, rest = target.split("://", 1)[1].partition("/")
        target = slash + rest if slash else "/"
    path, _, query = target.partition("#")[0].partition("?")
    bucket = bucket_in_host(host_of(head), bases)
    if bucket:
        address = _object_address(bucket, path[1:], virtual_host=True)
    else:
        encoded_bucket, _, encoded_key = path[1:].partition("/")
        address = _object_address(_decode_path(encoded_bucket), encoded_key, virtual_host=False)
    return address, parse_query(query)


def _object_address(bucket: str, encoded_key: str, *, virtual_host: bool) -> Address:
    if bucket and not is_bucket_name(bucket):
        raise ObsError("InvalidBucketName")
    key = _decode_path(encoded_key)
    if not bucket and key:
        raise ObsError("InvalidBucketName")
    if len(key) * _LONGEST_SYMBOL > MAX_KEY_BYTES and len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise ObsError("KeyTooLongError")
    return Address(bucket, key, encoded_key, virtual_host)
