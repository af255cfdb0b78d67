"""A request of the reader's own, signed: what the commands that a report offers for copying call.

Takes method, URL and header lines, or a whole raw request; gives back what authorizes it now. Sends nothing. Secrets
come from the environment and never leave this module.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from conformance import signing
from conformance.vocabulary import Identity, TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXPIRES_IN_S = 3600
_OF_THE_SIGNATURE = frozenset({"AccessKeyId", "Expires", "Signature"})
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as one identity at one moment (seconds since 1970)."""

    identity: Identity
    now: float
    virtual_host: bool = False

    def header_lines(self, method: str, url: str, headers: Pairs) -> tuple[str, ...]:
        """The lines to add: Date unless one is given, and Authorization."""
        names = {name.lower() for name, _ in headers}
        dated = {"date", "x-obs-date"} & names
        added: Pairs = () if dated else (("Date", formatdate(self.now, usegmt=True)),)
        text = signing.string_to_sign(method, (*headers, *added), self._resource(url))
        signature = signing.signature(self.identity.secret_key, text)
        added = (*added, ("Authorization", f"OBS {self.identity.access_key}:{signature}"))
        return tuple(f"{name}: {value}" for name, value in added)

    def url(self, method: str, url: str, headers: Pairs) -> str:
        """The URL with AccessKeyId, Expires and Signature, in the place of any it had."""
        parts = urlsplit(url)
        query = [item for item in _query(parts.query) if item[0] not in _OF_THE_SIGNATURE]
        expires = str(int(self.now) + EXPIRES_IN_S)
        resource = signing.canonical_resource(*self._place(url), query)
        text = signing.string_to_sign(method, headers, resource, date_slot=expires)
        signed = sorted([("AccessKeyId", self.identity.access_key), ("Expires", expires), *query], key=lambda i: i[0])
        full = (*signed, ("Signature", signing.signature(self.identity.secret_key, text)))
        return parts._replace(query=signing.encode_query(full)).geturl()

    def raw(self, request: bytes) -> bytes:
        """A whole request with the dates, signature lines or signature parameters it has made anew.

        :raises TargetError: no request line, no Host line or no empty line after the head.
        """
        head, gap, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words, host = first.split(" "), next((_value(line) for line in lines if _name(line) == "host"), "")
        if not gap or len(words) != len(("method", "target", "version")) or not host:
            raise TargetError(
                "not a whole request: it takes a request line, a Host line and an empty line, each ended by CR LF"
            )
        method, target, version = words
        lines = [self._dated(line) for line in lines]
        headers = tuple((_name(line), _value(line)) for line in lines)
        url = f"http://{host}{target}"
        if "Signature=" in target:
            parts = urlsplit(self.url(method, url, headers))
            first = f"{method} {parts.path}?{parts.query} {version}"
        fresh = self.header_lines(method, url, (*headers, ("date", dict(headers).get("date", ""))))[-1]
        lines = [fresh if _name(line) == "authorization" else line for line in lines]
        return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + body

    def _dated(self, line: str) -> str:
        name, colon, value = line.partition(":")
        now = formatdate(self.now, usegmt=True)
        return f"{name}{colon}{value[: len(value) - len(value.lstrip())]}{now}" if _name(line) in _DATES else line

    def _resource(self, url: str) -> str:
        return signing.canonical_resource(*self._place(url), _query(urlsplit(url).query))

    def _place(self, url: str) -> tuple[str | None, str | None]:
        """Bucket and object of a URL in the addressing style."""
        parts = urlsplit(url)
        if self.virtual_host:
            return (parts.hostname or "").partition(".")[0], unquote(parts.path[1:]) or None
        bucket, _, name = parts.path[1:].partition("/")
        return bucket or None, unquote(name) or None


_DATES = frozenset({"date", "x-obs-date"})


def _name(line: str) -> str:
    return line.partition(":")[0].strip().lower()


def _value(line: str) -> str:
    return line.partition(":")[2].strip()


def _query(text: str) -> list[tuple[str, str | None]]:
    parts = (item.partition("=") for item in text.split("&") if item)
    return [(unquote(name), unquote(value) if equals else None) for name, equals, value in parts]


def header_pairs(lines: Sequence[str]) -> Pairs:
    """Header lines as pairs; ``Name;`` is curl's way to write one without a value.

    :raises TargetError: a line without a colon.
    """
    written = tuple(f"{line[:-1]}:" if line.endswith(";") and ":" not in line else line for line in lines)
    wrong = next((line for line in written if ":" not in line), None)
    if wrong is not None:
        raise TargetError(f"-H {wrong!r}: not a header line; write it as 'Name: value'")
    return tuple((line.partition(":")[0].strip(), _value(line)) for line in written)


def identity_from(environment: Mapping[str, str], name: str) -> Identity:
    """The credentials of an identity: OBS_ACCESS_KEY_ID for owner, OBS_OTHER_ACCOUNT_ACCESS_KEY_ID for other_account.

    :raises TargetError: a variable is not set.
    """
    prefix = "OBS" if name == "owner" else f"OBS_{name.upper()}"
    variables = (f"{prefix}_ACCESS_KEY_ID", f"{prefix}_SECRET_ACCESS_KEY")
    missing = [variable for variable in variables if not environment.get(variable)]
    if missing:
        raise TargetError(f"sign: {' and '.join(missing)} is not set; credentials come from the environment")
    return Identity(*(environment[variable] for variable in variables))


def signer_from(environment: Mapping[str, str], name: str, *, virtual_host: bool) -> Signer:
    """A signer for now."""
    return Signer(identity_from(environment, name), time.time(), virtual_host)
