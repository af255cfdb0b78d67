"""The server without its socket: from the head of a request to a refusal, an answer, or an exchange that wants a body.

This module does not know sockets, nor what any operation does. `open` decides as much as the head allows, so that
whoever owns the socket sends `100 Continue` only for a body that will be read.
"""

from __future__ import annotations

import binascii
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from reference_server import access, dialect, encryption, forms, policy, signature
from reference_server.dates import http_date
from reference_server.documents import error_document
from reference_server.errors import DamagedStateError, ObsError
from reference_server.identities import Caller, Dice, Directory
from reference_server.keyring import Keyring
from reference_server.operations import common, multipart, objects
from reference_server.routes import ROUTES, route
from reference_server.s3_body import payload_of
from reference_server.wire import Head, Headers, Query, Request, Response, bucket_in_host, host_of, locate
from reference_server.world import Call, Receiver, Seams, World

if TYPE_CHECKING:
    from reference_server.s3_body import Payload
    from reference_server.state.store import State
    from reference_server.wire import Foreign

OnBug = Callable[[BaseException], None]

READY = "/-/ready"
"""Where the server says whether it serves; `-` can be no bucket, and no bucket's host is asked."""


def _form_caller(access_key: str, document: str, given: str, directory: Directory) -> Caller:
    caller = signature.verify_form(access_key, document, given, directory).caller
    return replace(caller, reading="form")


def finish(call: Call | None, response: Response) -> Response:
    """The last look at an answer: nothing is left to add."""
    del call
    return response


def frame(response: Response) -> Response:
    """How an answer goes onto the wire, in the words of its request by now: as it is, with its Content-Length."""
    return response


def refuse(method: str, error: ObsError, body: bytes) -> Response:
    """An error answer; without a body, for HEAD, the SDKs look for two headers instead (section 7.1, Q-29)."""
    head = (("x-obs-error-code", error.code), ("x-obs-error-message", one_line(error.message)))
    if method == "HEAD":
        return Response(error.status, head)
    return Response(error.status, (("Content-Type", "application/xml"),), body)


def one_line(text: str) -> str:
    """Text that can stand in a header."""
    return "".join(symbol if " " <= symbol <= "~" else "?" for symbol in text)


def identifiers(dice: Dice, now: float) -> tuple[str, str]:
    """`x-obs-request-id` (32 upper-case hex digits, milliseconds from digit 8 as in E-04) and `x-obs-id-2` (64)."""
    chance = dice(58)
    request_id = f"{chance[:4].hex()}{int(now * 1000):012x}{chance[4:10].hex()}".upper()
    return request_id, binascii.b2a_base64(chance[10:], newline=False).decode()


HONEST = Seams(
    routes=ROUTES,
    keyring=Keyring,
    authenticate=signature.authenticate,
    verify_form=_form_caller,
    check_form=forms.check_form,
    authorize=access.authorize,
    evaluate=policy.evaluate,
    wish_of_request=encryption.wish_of_request,
    wish_of_form=encryption.wish_of_form,
    decide=encryption.decide,
    lock=encryption.lock,
    unlock=encryption.unlock,
    recall=encryption.recall,
    response_fields=encryption.response_fields,
    etag=common.etag_of,
    keep=lambda _call, record: record,
    choose_parts=multipart.choose_parts,
    byte_range=objects.byte_range,
    outgoing=objects.outgoing,
    refuse=refuse,
    finish=finish,
    frame=frame,
    identifiers=identifiers,
)
"""The server as the documents want it."""


class Exchange:
    """A request whose body is wanted. Feed it, then finish it; or abort it."""

    def __init__(self, service: Service, call: Call, receiver: Receiver) -> None:
        self._service = service
        self._call = call
        self._receiver = receiver
        self._payload = service.payload(call)

    @property
    def call(self) -> Call:
        """The call this exchange answers."""
        return self._call

    def feed(self, data: bytes) -> Response | None:
        """More of the body; an answer already now means that the rest is not wanted."""
        try:
            self._receiver.feed(data if self._payload is None else self._payload.feed(data))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is answered, and bugs are reported
            self._receiver.abort()
            return self._service.failure(self._call, error)
        return None

    def finish(self) -> Iterator[Response | None]:
        """The answer, after any number of None from operations that take long."""
        try:
            if self._payload is not None:
                self._payload.finish()
            outcome = self._receiver.finish()
            if isinstance(outcome, Response):
                yield self._service.complete(self._call, outcome)
                return
            for response in outcome:
                yield None if response is None else self._service.complete(self._call, response)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is answered, and bugs are reported
            self._receiver.abort()
            yield self._service.failure(self._call, error)

    def abort(self) -> None:
        """The body will never be complete."""
        self._receiver.abort()


class Service:
    """One OBS endpoint."""

    def __init__(self, world: World, *, on_bug: OnBug | None = None) -> None:
        self.world = world
        self._on_bug = on_bug
        self._date = (0, "")
        self.stopping = False

    @classmethod
    def over(  # noqa: PLR0913 - the world has this many doors
        cls,
        state: State,
        *,
        now: Callable[[], float],
        dice: Dice,
        region: str = "region",
        hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
        seams: Seams = HONEST,
        require_https: bool = False,
        on_bug: OnBug | None = None,
    ) -> Self:
        """A service over a state: its keys and identities are whatever the state holds."""
        keyring = seams.keyring(state.master_keys, root=state.root_key, region=region, now=now, dice=dice)
        directory = Directory(state.identities.load())
        world = World(state, keyring, directory, region, hosts, now, dice, seams, require_https)
        return cls(world, on_bug=on_bug)

    def report(self, error: BaseException) -> None:
        """Tell whoever wants to know of an error that is no refusal."""
        if self._on_bug is not None:
            self._on_bug(error)

    def watch(self, watching: Callable[[Seams], Seams]) -> None:
        """The same service with somebody at its seams."""
        self.world = replace(self.world, seams=watching(self.world.seams))

    def respond(self, request: Request) -> Response:
        """The whole exchange at once."""
        opened = self.open(request.head)
        if isinstance(opened, Response):
            return opened
        refused = opened.feed(request.body) if request.body else None
        if refused is not None:
            return refused
        return next(response for response in opened.finish() if response is not None)

    def open(self, head: Head) -> Response | Exchange:
        """As much of a request as its head allows: an answer, or an exchange that wants the body."""
        request_id, host_id = self.world.seams.identifiers(self.world.dice, self.world.now())
        call: Call | None = None
        head = dialect.understood(head)
        try:
            if head.target == READY and not bucket_in_host(host_of(head), self.world.hosts):
                return self._readiness(head, request_id, host_id)
            address, query = locate(head, self.world.hosts)
            operation = route(self.world.seams.routes, head.method, address, query)
            call = Call(self.world, head, address, query, operation, request_id, host_id)
            outcome = self._admit(call)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is answered, and bugs are reported
            return self._early_failure(head, call, error, request_id, host_id)
        if isinstance(outcome, Response):
            return self.complete(call, outcome)
        try:
            return Exchange(self, call, outcome)
        except ObsError as error:
            outcome.abort()
            return self.failure(call, error)

    def _readiness(self, head: Head, request_id: str, host_id: str) -> Response:
        """200 while requests are served, 503 while the server ends or its database does not answer."""
        if head.method not in ("GET", "HEAD"):
            raise ObsError("MethodNotAllowed")
        status, text = (503, "stopping") if self.stopping else (200, "ready")
        try:
            self.world.state.check()
        except sqlite3.Error:
            status, text = 503, "the database does not answer"
        response = Response(status, (("Content-Type", "application/json"),), f'{{"status": "{text}"}}\n'.encode())
        framed = self._with_common_headers(response, request_id, host_id, method=head.method)
        return self._sent(None, framed, "", None)

    def _admit(self, call: Call) -> Response | Receiver:
        world, operation, foreign = self.world, call.operation, call.head.foreign
        if foreign is not None and foreign.fault is not None:
            raise foreign.fault
        refuse_unknown_parameters(call.query)
        if not operation.anonymous:
            call.caller = world.seams.authenticate(call.head, call.address, call.query, world.directory, world.now())
        dialect.refuse_mixture(call.head, call.query)
        if operation.needs_bucket:
            call.found_bucket = world.state.buckets.get(call.address.bucket)
            if call.found_bucket is None:
                raise ObsError("NoSuchBucket")
            if not operation.checks_itself:
                # Only a policy asks for facts.
                has_policy = call.found_bucket.policy is not None
                facts = access.facts_of_request(call.head, call.query, world.now()) if has_policy else {}
                world.seams.authorize(call, operation.action, facts)
        return operation.run(call)

    def complete(self, call: Call, response: Response) -> Response:
        """An operation's answer with the headers every answer has."""
        framed = self._with_common_headers(response, call.request_id, call.host_id, method=call.head.method)
        return self._sent(call, framed, call.operation.name, call.head.foreign)

    def _sent(self, call: Call | None, response: Response, operation: str, foreign: Foreign | None) -> Response:
        """An answer as it goes onto the wire: finished, then translated, then framed.

        Framed last, because a document in chunks is no document that could be translated.
        """
        finished = self.world.seams.finish(call, response)
        translated = finished if foreign is None else dialect.answered(finished, operation, foreign)
        return self.world.seams.frame(translated)

    def payload(self, call: Call) -> Payload | None:
        """How the body of a call is to be taken in if it is not just as it comes."""
        foreign = call.head.foreign
        if foreign is None:
            return None
        identity = self.world.directory.find(foreign.access_key)
        return payload_of(foreign, call.operation.name, "" if identity is None else identity.secret_key)

    def failure(self, call: Call, error: Exception) -> Response:
        """The answer to what went wrong while a call was being answered."""
        refusal = self._as_refusal(error)
        body = error_document(refusal, resource=call.address.resource, request_id=call.request_id, host_id=call.host_id)
        return self.complete(call, self.world.seams.refuse(call.head.method, refusal, body))

    def malformed(self, message: str, *, status_code: str = "BadRequest") -> Response:
        """The answer to bytes that are no request at all."""
        request_id, host_id = self.world.seams.identifiers(self.world.dice, self.world.now())
        error = ObsError(status_code, message)
        return self._early_failure(None, None, error, request_id, host_id)

    def _early_failure(
        self, head: Head | None, call: Call | None, error: Exception, request_id: str, host_id: str
    ) -> Response:
        if call is not None:
            return self.failure(call, error)
        refusal = self._as_refusal(error)
        resource = "" if head is None else head.target.partition("?")[0]
        body = error_document(refusal, resource=resource, request_id=request_id, host_id=host_id)
        method = "" if head is None else head.method
        response = self.world.seams.refuse(method, refusal, body)
        framed = self._with_common_headers(response, request_id, host_id, method=method)
        return self._sent(None, framed, "", None if head is None else head.foreign)

    def _as_refusal(self, error: Exception) -> ObsError:
        if isinstance(error, ObsError):
            return error
        if isinstance(error, DamagedStateError):
            return ObsError("InternalError", str(error))
        self.report(error)
        if isinstance(error, (OSError, sqlite3.Error)):
            return ObsError("ServiceUnavailable", "The store cannot be used at the moment.")
        return ObsError("InternalError")

    def _with_common_headers(self, response: Response, request_id: str, host_id: str, *, method: str) -> Response:
        """In the order of the samples: Server and request id first, id-2, Date and Content-Length last (S-41 to S-49).

        204 and 304 have no Content-Length (RFC 9110, 8.6), although two samples of other pages print one.
        """
        body = b"" if method == "HEAD" else response.body
        headers = [
            ("Server", "OBS"),
            ("x-obs-request-id", request_id),
            *response.headers,
            ("x-obs-id-2", host_id),
            ("Date", self._now_as_text()),
        ]
        without_length = response.status in (204, 304) or response.first("content-length") is not None
        if not without_length and isinstance(body, bytes):
            headers.append(("Content-Length", str(len(body))))
        return Response(response.status, tuple(headers), body, response.reason, response.close)

    def _now_as_text(self) -> str:
        second = int(self.world.now())
        if self._date[0] != second:
            self._date = (second, http_date(second))
        return self._date[1]


def refuse_unknown_parameters(query: Query) -> None:
    """An `x-obs-` parameter that nothing here reads is refused: ignoring it would do something else than was asked."""
    for name, _ in query.pairs:
        lower = name.lower()
        if lower.startswith("x-obs-") and name not in encryption.QUERY_FIELDS and name != signature.TOKEN:
            if lower.startswith(encryption.CUSTOMER):
                continue
            raise ObsError("InvalidArgument", f"{name} cannot be a query parameter here.")


__all__ = ["HONEST", "Exchange", "Headers", "Service", "finish", "frame", "identifiers", "one_line", "refuse"]
