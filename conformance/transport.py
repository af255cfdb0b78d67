"""The two ways to the target: our own wire, and one over ``requests`` for networks that need what it brings.

Both turn a Request into the same Exchange. Knows transports by name; does not know cases or judgements.
"""

from __future__ import annotations

import http.client
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from conformance.patience import PatientTransport
from conformance.vocabulary import ANSWERED, Exchange, Response
from conformance.wire import MAX_BODY, WireTransport, split_raw, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conformance.vocabulary import Request, Target


class Transport(Protocol):
    """Sends a request, returns what came of it, never raises for what the other side does."""

    def exchange(self, request: Request) -> Exchange:
        """Send a request and read its answer."""

    def close(self) -> None:
        """Close every connection."""


def open_transport(
    target: Target, budget_s: float = math.inf, around: Callable[[Transport], Transport] = lambda bare: bare
) -> Transport:
    """The transport the target file asks for, patient with an endpoint that asks to slow down.

    :param budget_s: from now on; nothing waits beyond it.
    :param around: what goes between patience and wire, so that it sees every attempt.
    :raises TargetError: certificates that cannot be used.
    """
    if target.endpoint.startswith("https:"):
        tls_context(target)
    storage = PatientTransport(around(_TRANSPORTS[target.transport](target)), target.case_timeout_s, budget_s)
    if target.kms is None:
        return storage
    beside = open_transport(replace(target, endpoint=target.kms.endpoint, kms=None), budget_s, around)
    return ByService({"obs": storage, "kms": beside})


class ByService:
    """Hands each request to the transport of the service that it is for."""

    def __init__(self, transports: Mapping[str, Transport]) -> None:
        self._transports = transports

    def exchange(self, request: Request) -> Exchange:
        """Send a request and read its answer."""
        return self._transports[request.service].exchange(request)

    def close(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            transport.close()


class RequestsTransport:
    """Exchanges through a ``requests`` session: its proxies, adapters and certificates, our bytes.

    The session's connection class is replaced by one that writes the request's own header lines and keeps what is
    read. ``requests`` sends the body without waiting for 100, so ``continued`` tells only what the server sent.
    """

    def __init__(self, target: Target) -> None:
        import requests
        from urllib3.exceptions import ReadTimeoutError

        from conformance.recording import LINES, RecordingAdapter

        self._target = target
        self._session = requests.Session()
        self._session.mount("http://", RecordingAdapter())
        self._session.mount("https://", RecordingAdapter())
        self._session.verify = target.ca_bundle or True
        self._session.cert = target.client_certificate
        self._requests: Any = requests
        self._lines = LINES
        self._late = (requests.ReadTimeout, ReadTimeoutError)

    def exchange(self, request: Request) -> Exchange:
        """Send a request and read its answer."""
        started = time.perf_counter()
        request_line, *lines = request.head[:-4].decode().split("\r\n")
        path = request_line.split(" ")[1]
        prepared = self._requests.Request(request.method, self._target.endpoint).prepare()
        prepared.url = self._target.endpoint.rstrip("/") + path
        # The length keeps requests from choosing chunks; the connection leaves it out again.
        prepared.headers = {self._lines: "\r\n".join(lines), "Content-Length": str(len(request.body))}
        prepared.body = request.body or None
        try:
            answer = self._session.send(prepared, allow_redirects=False, timeout=self._target.timeout_s, stream=True)
            answer.raw.decode_content = False
            body = self._body(answer.raw)
        except self._late as error:
            late = f"no complete answer within {self._target.timeout_s:g} s"
            return Exchange(request, b"", b"", None, f"the connection failed: {late}: {error}", _ms(started))
        except (self._requests.RequestException, OSError, ValueError, EOFError) as error:
            return Exchange(request, b"", b"", None, f"the connection failed: {error}", _ms(started))
        except Exception as error:  # noqa: BLE001 - urllib3 lets its own errors through while a body is read
            return Exchange(request, b"", b"", None, f"the answer is not HTTP/1.1: {error!r}", _ms(started))
        recorder: Any = getattr(answer.raw, "recorder")  # noqa: B009 - put there by the recording connection
        head, wire_body = split_raw(bytes(recorder.raw), len(recorder.interim))
        response = Response(
            answer.status_code,
            answer.reason or "",
            tuple((name, value.strip(" \t")) for name, value in recorder.headers(head)),
            body,
            tuple(recorder.interim),
        )
        answer.close()
        continued = http.client.CONTINUE in recorder.interim if request.expects_continue else None
        return Exchange(request, head, wire_body, response, ANSWERED, _ms(started), continued)

    def _body(self, raw: Any) -> bytes:  # noqa: ANN401 - urllib3's response
        """The whole body, if it ends within the size that the other transport reads; its stream ends it in time."""
        pieces, size = [], 0
        while piece := raw.read1(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY:
                raise OSError(f"the answer is larger than the limit ({size} bytes read)")
        return b"".join(pieces)

    def close(self) -> None:
        """Close every connection."""
        self._session.close()


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000


_TRANSPORTS: dict[str, Callable[[Target], Transport]] = {"wire": WireTransport, "requests": RequestsTransport}
