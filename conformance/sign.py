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

from conformance import signing, speaking
from conformance.vocabulary import Identity, TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance.vocabulary import Dialect, Target

EXPIRES_IN_S = 3600
_OF_THE_SIGNATURE = frozenset({"AccessKeyId", "Expires", "Signature"})
_OF_ITS_SIGNATURES = frozenset(
    {"awsaccesskeyid", "expires", "signature"}
    | {f"x-amz-{name}" for name in ("algorithm", "credential", "date", "expires", "signedheaders", "signature")}
)
"""The same in the S3 dialects, of version 2 and 4, in lower case."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
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
        method, target, version, lines, body = _taken_apart(request)
        host = next(_value(line) for line in lines if _name(line) == "host")
        lines = [_dated(line, self.now, "x-obs-date") for line in lines]
        headers = tuple((_name(line), _value(line)) for line in lines)
        url = f"http://{host}{target}"
        if "Signature=" in target:
            parts = urlsplit(self.url(method, url, headers))
            target = f"{parts.path}?{parts.query}"
        fresh = self.header_lines(method, url, (*headers, ("date", dict(headers).get("date", ""))))[-1]
        lines = [fresh if _name(line) == "authorization" else line for line in lines]
        return _put_together(f"{method} {target} {version}", lines, body)

    def _resource(self, url: str) -> str:
        return signing.canonical_resource(*self._place(url), _query(urlsplit(url).query))

    def _place(self, url: str) -> tuple[str | None, str | None]:
        return _place(url, virtual_host=self.virtual_host)


@dataclass(frozen=True, slots=True)
class DialectSigner:
    """The same in another dialect, for requests that have its words: which version signs what, the dialect says.

    ``body`` is covered by a signature that covers bodies; None leaves it uncovered.
    """

    identity: Identity
    now: float
    dialect: Dialect
    region: str
    virtual_host: bool = False
    body: bytes | None = None

    def header_lines(self, method: str, url: str, headers: Pairs) -> tuple[str, ...]:
        """The lines to add: a date unless one is given, the digest of the body in version 4, and Authorization."""
        names = {name.lower() for name, _ in headers}
        added: Pairs = () if "host" in names else (("Host", _host(url)),)
        dated: Pairs = () if {"date", "x-amz-date"} & names else (("Date", formatdate(self.now, usegmt=True)),)
        given = tuple(f"{name}: {value}" for name, value in (*added, *headers))
        asked = (*given, *(f"{name}: {value}" for name, value in dated), f"Authorization: {speaking.AUTHORIZATION}")
        _, lines = self._said(method, url, asked, "header", self.body)
        return tuple(line for line in lines if line not in given)

    def url(self, method: str, url: str, headers: Pairs) -> str:
        """The URL with the parameters of a signature, in the place of any it had."""
        lines = (f"Host: {_host(url)}", *(f"{name}: {value}" for name, value in headers))
        query, _ = self._said(method, url, lines, "url", None)
        return urlsplit(url)._replace(query=signing.encode_query(query)).geturl()

    def raw(self, request: bytes) -> bytes:
        """A whole request with the dates, digest, signature line or signature parameters it has made anew.

        :raises TargetError: no request line, no Host line or no empty line after the head.
        """
        method, target, version, lines, body = _taken_apart(request)
        names = {_name(line) for line in lines}
        lines = [_dated(line, self.now, "x-amz-date") for line in lines if not _of_body(line, names)]
        lines = [
            f"{line.partition(':')[0]}: {speaking.AUTHORIZATION}" if _name(line) == "authorization" else line
            for line in lines
        ]
        how = "url" if "Signature=" in target else "header" if "authorization" in names else "none"
        query, signed = self._said(method, f"http://host{target}", tuple(lines), how, body)
        if how == "url":
            target = f"{target.partition('?')[0]}?{signing.encode_query(query)}"
        return _put_together(f"{method} {target} {version}", signed, body)

    def _said(
        self, method: str, url: str, lines: tuple[str, ...], how: str, body: bytes | None
    ) -> tuple[Sequence[tuple[str, str | None]], tuple[str, ...]]:
        host = next(_value(line) for line in lines if _name(line) == "host")
        parts = urlsplit(url)._replace(netloc=host)
        bucket, name = _place(parts.geturl(), virtual_host=self.virtual_host)
        query = tuple(item for item in _query(parts.query) if how != "url" or item[0].lower() not in _OF_ITS_SIGNATURES)
        speaker = speaking.Speaker(speaking.wordless(self.dialect), self.identity, self.now, self.region)
        nothing: tuple[tuple[str, str | None], ...] = ()
        said = speaking.Said(
            method, parts.path or "/", bucket or "", name, query, lines, body, how, EXPIRES_IN_S, nothing, frozenset()
        )
        return speaking.request(speaker, said)


def _of_body(line: str, names: set[str]) -> bool:
    """Whether a line is the digest of the body as it stands: no word in its place, and not of a body in chunks."""
    digest = _name(line) == speaking.DIGEST and len(_value(line)) == _DIGEST_LENGTH
    return digest and "transfer-encoding" not in names


def _host(url: str) -> str:
    """The Host line that clients send."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return host.removesuffix(f":{parts.port}") if parts.port == _DEFAULT_PORTS.get(parts.scheme) else host


def _place(url: str, *, virtual_host: bool) -> tuple[str | None, str | None]:
    """Bucket and object of a URL in the addressing style."""
    parts = urlsplit(url)
    if virtual_host:
        return (parts.hostname or "").partition(".")[0], unquote(parts.path[1:]) or None
    bucket, _, name = parts.path[1:].partition("/")
    return bucket or None, unquote(name) or None


def _taken_apart(request: bytes) -> tuple[str, str, str, list[str], bytes]:
    """Method, target, version, header lines and body of a whole request.

    :raises TargetError: no request line, no Host line or no empty line after the head.
    """
    head, gap, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if not gap or len(words) != len(("method", "target", "version")) or not any(map(_is_host, lines)):
        raise TargetError(
            "not a whole request: it takes a request line, a Host line and an empty line, each ended by CR LF"
        )
    method, target, version = words
    return method, target, version, lines, body


def _is_host(line: str) -> bool:
    return _name(line) == "host" and bool(_value(line))


def _put_together(first: str, lines: Sequence[str], body: bytes) -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + body


def _dated(line: str, now: float, other: str) -> str:
    """A line whose date, if it has one, is of now; blanks before it stay."""
    name, colon, value = line.partition(":")
    date = formatdate(now, usegmt=True)
    return f"{name}{colon}{value[: len(value) - len(value.lstrip())]}{date}" if _name(line) in {"date", other} else line


_DIGEST_LENGTH = 64


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
    """A signer for now, in OBS's own dialect."""
    return Signer(identity_from(environment, name), time.time(), virtual_host)


def spoken_signer_from(  # noqa: PLR0913 - as many things as a signature depends on
    environment: Mapping[str, str],
    name: str,
    dialect: Dialect,
    *,
    region: str | None,
    virtual_host: bool,
    body: bytes | None,
) -> DialectSigner:
    """A signer for now, in another dialect."""
    identity = identity_from(environment, name)
    return DialectSigner(identity, time.time(), dialect, region or dialect.region, virtual_host, body)


def signer_for(target: Target, name: str, body: bytes | None) -> Signer | DialectSigner:
    """A signer for now, as a target file says.

    :raises TargetError: it names no such identity.
    """
    if name not in target.identities:
        raise TargetError(f"sign: the target file has no identities.{name}; it has {', '.join(target.identities)}")
    identity, now, virtual_host = target.identities[name], time.time(), target.addressing == "virtual-host"
    if target.spoken is None:
        return Signer(identity, now, virtual_host)
    region = target.region or target.spoken.region
    return DialectSigner(identity, now, target.spoken, region, virtual_host, body)
