"""The pre-flight: is it your set-up or your server?

Asks one question after the other, each only makes sense when those before it were answered well, and stops at the
first that names something wrong with the set-up, with a remedy. What may just as well be the server's own fault is
left to the cases and at most noted. Whatever it creates is journalled first and removed at once. Judges nothing.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from conformance.judge import http_date, parse_xml
from conformance.play import Scene, assemble
from conformance.removal import Remover
from conformance.translation import answer as in_our_words
from conformance.translation import header_line
from conformance.vectors import judge_vector, load_vectors
from conformance.vocabulary import BodySpec, RequestTemplate
from conformance.wire import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.journal import Journal
    from conformance.transport import Transport
    from conformance.vocabulary import Exchange, Request, Response, Target
    from conformance.world import World

MAX_SKEW_S = 15 * 60
"""What a request's date may be off before it is refused (obs_04_0010)."""
NOTED_SKEW_S = 60
_REFUSED = range(400, 500)
_OK, _CREATED = (200,), (200, 201)
_REMEDIES: tuple[tuple[str, str, str], ...] = (
    ("answer", "sends callers to", "write that address as endpoint"),
    ("answer", "asked to slow down", "run later, or with a smaller limits.jobs"),
    ("credentials", "locked the access key", "wait and run again"),
)
"""What to do about an HTTP answer that is no verdict, by the words in which the transport tells of it."""
_META = "x-obs-meta-obs-conformance"
_MODE = "x-obs-server-side-encryption"
_KEY_ID = f"{_MODE}-kms-key-id"
_UNUSABLE = frozenset({"KMS.NotFoundException", "KMS.DisabledException", "AccessDenied"})
_OTHER_STYLE: Mapping[str, Literal["path", "virtual-host"]] = {"path": "virtual-host", "virtual-host": "path"}


@dataclass(frozen=True, slots=True)
class Check:
    """One question and how it was answered: ``ok``, ``note`` (said, not stopped for), ``skipped`` or ``stop``."""

    name: str
    outcome: Literal["ok", "note", "skipped", "stop"]
    says: str
    remedy: str = ""


class _StopError(Exception):
    """Something is wrong with the set-up: what, and what to do; ``name`` when it belongs to another question."""

    def __init__(self, says: str, remedy: str, name: str = "") -> None:
        super().__init__(says)
        self.says, self.remedy, self.name = says, remedy, name


class _SkipError(Exception):
    """The question does not arise here, and why."""


@dataclass(frozen=True, slots=True)
class _Note:
    """Worth saying and no reason to stop."""

    says: str
    remedy: str = ""


class Doctor:
    """Examines one target."""

    def __init__(self, target: Target, world: World, journal: Journal, transport: Transport) -> None:
        self._target, self._world, self._journal, self._transport = target, world, journal, transport
        self._bucket = f"obsc-{world.run}-doctor"
        self._parts = urlsplit(target.endpoint)
        self._port = self._parts.port or (443 if self._parts.scheme == "https" else 80)
        self._first: Response | None = None

    def examine(self) -> Iterator[Check]:
        """The questions in order, each as soon as it is answered; a ``stop`` is the last but for the clean-up."""
        stopped = False
        for name, ask in self._questions():
            check = self._ask(name, ask)
            yield check
            if check.outcome == "stop":
                stopped = True
                break
        if self._journal.owns_bucket(self._bucket):
            check = self._ask("clean-up", self._clean_up)
            yield replace(check, outcome="note") if stopped and check.outcome == "stop" else check

    def _questions(self) -> tuple[tuple[str, Callable[[], str | _Note]], ...]:
        return (
            ("signature", self._signer),
            ("name-resolution", self._resolve),
            ("connect", self._connect),
            ("tls", self._tls),
            ("answer", self._answers),
            ("clock", self._clock),
            ("credentials", self._credentials),
            ("bucket-rights", self._bucket_rights),
            ("headers", self._headers_survive),
            ("keys", self._keys),
        )

    def _ask(self, name: str, ask: Callable[[], str | _Note]) -> Check:
        try:
            answer = ask()
        except _StopError as stop:
            return Check(stop.name or name, "stop", stop.says, stop.remedy)
        except _SkipError as skip:
            return Check(name, "skipped", str(skip))
        return (
            Check(name, "note", answer.says, answer.remedy) if isinstance(answer, _Note) else Check(name, "ok", answer)
        )

    # ---- this machine and the way there ---------------------------------------------------------------------------

    def _signer(self) -> str:
        vectors = load_vectors()
        wrong = [line for vector in vectors["vectors"] for line in judge_vector(vector, vectors["secret_key"])]
        if wrong:
            raise _StopError(
                f"this installation signs wrongly: {wrong[0]}", "install obs-conformance again; obs-conformance check"
            )
        return f"{len(vectors['vectors'])} documented signatures come out right"

    def _resolve(self) -> str:
        self._skip_behind_a_proxy()
        host = self._parts.hostname or ""
        try:
            found = socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _StopError(
                f"the name {host} does not resolve: {error}",
                "check the endpoint for a typing error, then this machine's DNS and VPN",
            ) from error
        return f"{host} is {', '.join(dict.fromkeys(str(entry[4][0]) for entry in found))}"

    def _connect(self) -> str:
        self._skip_behind_a_proxy()
        self._socket().close()
        return f"port {self._port} accepts connections"

    def _tls(self) -> str:
        self._skip_behind_a_proxy()
        if self._parts.scheme != "https":
            raise _SkipError("the endpoint is plain http")
        host = self._parts.hostname or ""
        try:
            with self._socket() as plain, tls_context(self._target).wrap_socket(plain, server_hostname=host) as secure:
                return f"{secure.version()}, certificate for {host} verified"
        except ssl.SSLCertVerificationError as error:
            raise _StopError(
                f"the certificate is not trusted: {error.verify_message}",
                "use the name that the certificate is for, or give its authority: [tls] ca_bundle in the target file",
            ) from error
        except OSError as error:
            raise _StopError(
                f"no TLS connection on port {self._port}: {error}",
                "if the endpoint speaks plain HTTP there, write http://; if it asks for a client certificate, "
                "give [tls] client_certificate",
            ) from error

    def _skip_behind_a_proxy(self) -> None:
        proxied = self._target.transport == "requests" and self._parts.scheme in getproxies()
        if proxied and not proxy_bypass(self._parts.hostname or ""):
            raise _SkipError("a proxy of the environment does this")

    def _socket(self) -> socket.socket:
        try:
            return socket.create_connection((self._parts.hostname or "", self._port), self._target.timeout_s)
        except OSError as error:
            raise _StopError(
                f"port {self._port} of {self._parts.hostname} cannot be reached: {error}",
                "check the port, that the server runs, and the firewall between it and this machine",
            ) from error

    # ---- what answers ---------------------------------------------------------------------------------------------

    def _answers(self) -> str:
        """Any HTTP answer at all to a signed ``GET /``, which is the same request in both addressing styles."""
        response = self._answered(self._list_buckets("owner"))
        self._first = response
        return f"HTTP, status {response.status}"

    def _clock(self) -> str | _Note:
        values = () if self._first is None else self._first.values("date")
        theirs = http_date(values[0]) if len(values) == 1 else None
        refused = self._first is not None and code_of(self._first) == "RequestTimeTooSkewed"
        off = None if theirs is None else theirs - self._world.now()
        apart = "" if off is None else f"the endpoint's clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}"
        if refused:
            raise _StopError(
                f"the endpoint refuses this machine's time{f': {apart}' if apart else ''}",
                f"set the clock of this machine, or of the endpoint (NTP); more than {MAX_SKEW_S // 60} minutes apart "
                "no signature is accepted",
            )
        if off is None:
            return _Note("the answer has no Date in the HTTP form; the clocks cannot be compared")
        if abs(off) > MAX_SKEW_S:
            return _Note(f"{apart} by its Date, yet it accepts this machine's time: left to the cases")
        return _Note(apart, "set the clocks by NTP") if abs(off) > NOTED_SKEW_S else "within a minute of this machine's"

    def _credentials(self) -> str:
        for name in self._target.identities:
            response = self._answered(self._list_buckets(name))
            where, key = f"identities.{name}", self._target.identities[name].access_key
            stops = {
                "InvalidAccessKeyId": _StopError(
                    f"{where}: the endpoint does not know the access key {key}", "check access_key and the endpoint"
                ),
                "SignatureDoesNotMatch": _StopError(
                    f"{where}: the signature made with secret_key is not accepted",
                    f"check that secret_key belongs to the access key {key}, without a blank or line end too many",
                ),
            }
            stop = stops.get(code_of(response))
            if stop is not None:
                raise stop
        return f"{', '.join(self._target.identities)} accepted"

    # ---- what may be done -----------------------------------------------------------------------------------------

    def _bucket_rights(self) -> str:
        response = self._answered(self._create(self._target))
        code = code_of(response)
        if response.status in _CREATED:
            return "a bucket can be created"
        if code == "AccessDenied" or (response.status == 403 and not code):  # noqa: PLR2004 - Forbidden
            raise _StopError(
                "the owner may not create buckets (status 403)",
                "give identities.owner the right to create and delete buckets whose names begin with obsc-",
            )
        if code == "TooManyBuckets":
            raise _StopError(
                "the owner's account has all the buckets it may have",
                "delete buckets that are not needed, sweep those of old runs, or raise the quota",
            )
        other = replace(self._target, addressing=_OTHER_STYLE[self._target.addressing])
        again = self._answered(self._create(other))
        if again.status in _CREATED:
            self._target = other
            raise _StopError(
                f"the endpoint does not understand {_OTHER_STYLE[other.addressing]} addressing",
                f'write addressing = "{other.addressing}" in the target file',
                "addressing",
            )
        if code_of(response) or response.values("x-obs-request-id"):
            return f"creating a bucket was answered {response.status} {code}: left to the cases".replace("  ", " ")
        raise _StopError(
            f"what answers at {self._target.endpoint} is no object storage: creating a bucket was answered "
            f"{response.status} without an error document",
            "check host and port of the endpoint, and whether a proxy or a login page answers instead",
            "service",
        )

    def _headers_survive(self) -> str | _Note:
        """``x-obs-`` headers reach the server, and its own reach us.

        A request that is accepted only when signed without its x-obs- header, and whose header then is not stored, lost
        it on the way; a server that merely forgets to sign the header would have stored it.
        """
        self._need_bucket()
        template = RequestTemplate(
            "PUT", self._bucket, "headers", headers=(f"{_META}:kept",), body=BodySpec("body", text="kept")
        )
        sent = self._answered(self._put(template))
        head = None
        if code_of(sent) == "SignatureDoesNotMatch":
            bare = self._assembled(replace(template, headers=()))
            line = f"{_META}:kept"
            line = line if self._target.spoken is None else header_line(self._target.spoken, line)
            added = replace(bare, head=bare.head[:-2] + f"{line}\r\n\r\n".encode())
            if self._answered(self._send(added)).status in _CREATED:
                head = self._answered(self._get("HEAD", "headers"))
                if not head.values(_META):
                    raise _StopError(
                        "something between here and the server removes x-obs-* headers from requests",
                        "let the proxy or gateway pass every header that begins with x-obs-, or go round it",
                    )
            return _Note("a request with an x-obs- header is refused for its signature: left to the cases")
        if sent.status not in _CREATED:
            return _Note(f"an upload was answered {sent.status} {code_of(sent)}: left to the cases")
        got = self._answered(self._get("GET", "headers"))
        stored = got.status in _OK and got.body == b"kept"
        if stored and not any(name.lower().startswith("x-obs-") for name, _ in (*got.headers, *sent.headers)):
            raise _StopError(
                "something between the server and here removes x-obs-* headers from answers",
                "let the proxy or gateway pass every header that begins with x-obs-, or go round it",
            )
        return (
            "an x-obs- header goes there and back"
            if got.values(_META) == ("kept",)
            else _Note("an x-obs- header did not come back with the object: left to the cases")
        )

    def _keys(self) -> str:
        self._need_bucket()
        named = {name: self._target.keys[name] for name in ("custom", "second") if name in self._target.keys}
        if not named:
            raise _SkipError("the target file names no key; cases that need one do not apply")
        plain = self._answered(self._encrypted(()))
        if plain.status not in _CREATED:
            raise _SkipError(f"encryption without a key id was answered {plain.status}: left to the cases")
        for name, key in named.items():
            response = self._answered(self._encrypted((f"{_KEY_ID}:{key}",)))
            code = code_of(response)
            if code in _UNUSABLE:
                raise _StopError(
                    f"keys.{name} cannot be used: the endpoint answers {response.status} {code} to {key}",
                    "give the id of a key that exists in the endpoint's region, is enabled, "
                    "and that identities.owner may use",
                )
        return f"{' and '.join(named)} can encrypt"

    def _need_bucket(self) -> None:
        if not self._journal.owns_bucket(self._bucket):
            raise _SkipError("there is no bucket to try it in")

    def _clean_up(self) -> str:
        refused = Remover(self._journal, self._exchange).remove(self._bucket, policy=False)
        if refused is None:
            return "bucket and objects of the pre-flight are deleted again"
        exchange, says = refused.exchange, "nothing"
        if exchange is not None:
            answer = exchange.response
            says = exchange.outcome if answer is None else f"{answer.status} {code_of(answer)}".strip()
        raise _StopError(
            f"what the owner creates it may not delete: deleting {refused.kind} {refused.name or refused.bucket} "
            f"was answered {says}",
            "give identities.owner the right to delete buckets and objects; then obs-conformance sweep",
            "bucket-rights",
        )

    # ---- requests -------------------------------------------------------------------------------------------------

    def _answered(self, exchange: Exchange) -> Response:
        if exchange.response is not None:
            spoken = self._target.spoken
            return exchange.response if spoken is None else in_our_words(spoken, exchange.response, content=False)
        for name, words, remedy in _REMEDIES:
            if words in exchange.outcome:
                raise _StopError(exchange.outcome, remedy, name)
        if self._parts.scheme == "https" and not exchange.received_head and "ssl" in exchange.outcome.lower():
            raise _StopError(
                f"the endpoint ends the TLS connection as soon as it is made: {exchange.outcome}",
                "if it asks for a client certificate, give [tls] client_certificate, a PEM file with its key",
                "tls",
            )
        hint = (
            "the port speaks TLS: write https://"
            if exchange.received_head[:1] == b"\x15"
            else ("check that host and port are those of the object storage, and limits.timeout_s")
        )
        raise _StopError(f"no HTTP answer from {self._target.endpoint}: {exchange.outcome}", hint, "answer")

    def _list_buckets(self, identity: str) -> Exchange:
        scene = self._scene(replace(self._target, addressing="path"))
        template = RequestTemplate("GET", "", None, identity=identity)
        return self._send(assemble(template, scene, scene.values(), None))

    def _create(self, target: Target) -> Exchange:
        self._journal.will_create("bucket", self._bucket)
        scene = self._scene(target)
        exchange = self._send(assemble(RequestTemplate("PUT", self._bucket, None), scene, scene.values(), None))
        if exchange.response is not None and exchange.response.status in _REFUSED:
            self._journal.removed("bucket", self._bucket)
        return exchange

    def _encrypted(self, headers: tuple[str, ...]) -> Exchange:
        body = BodySpec("body", text="encrypted")
        return self._put(RequestTemplate("PUT", self._bucket, "key", headers=(f"{_MODE}:kms", *headers), body=body))

    def _put(self, template: RequestTemplate) -> Exchange:
        self._journal.will_create("object", self._bucket, template.object or "")
        return self._send(self._assembled(template))

    def _get(self, method: str, name: str) -> Exchange:
        return self._exchange(method, self._bucket, name)

    def _exchange(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        return self._send(self._assembled(RequestTemplate(method, bucket, name, query)))

    def _assembled(self, template: RequestTemplate) -> Request:
        scene = self._scene(self._target)
        body = None if template.body is None else (template.body.text or "").encode()
        return assemble(template, scene, scene.values(), body)

    def _scene(self, target: Target) -> Scene:
        return Scene(target, self._bucket, "", self._world.now, {})

    def _send(self, request: Request) -> Exchange:
        return self._transport.exchange(request)


def code_of(response: Response) -> str:
    """The error code of an answer, of its document or of the header that stands in for it; empty without one."""
    root = parse_xml(response.body) if response.body else None
    found = None if root is None else root.find("{*}Code")
    return (found.text or "").strip() if found is not None else next(iter(response.values("x-obs-error-code")), "")


def diagnosis(checks: tuple[Check, ...]) -> Check | None:
    """The one thing to put right before anything can be measured, if there is one."""
    return next((check for check in checks if check.outcome == "stop"), None)
