"""Answers that are no verdict: the endpoint asks to slow down, or sends callers elsewhere.

A transport around a transport. A request that was not carried out is sent again, byte for byte, when the endpoint
says so and never more often than a few times; every attempt stays visible as an exchange of its own. What is still no
verdict then becomes an exchange without a response, so that no case is judged by it. Does not know cases.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.vocabulary import Exchange, Request, Response

ATTEMPTS = 4
FIRST_WAIT_S = 0.5
"""Where the endpoint does not say how long to wait; doubled each time."""
_SLOW_DOWN = frozenset({429, 503})
_ELSEWHERE = frozenset({301, 302, 307, 308})
"""303 is not among them: it is how a form upload answers that names a page to go to (obs_04_0081)."""
_LOCKED = b"<Code>TooManyWrongSignature</Code>"


class _Transport(Protocol):
    def exchange(self, request: Request) -> Exchange: ...

    def close(self) -> None: ...


class PatientTransport:
    """Waits when it is asked to, all callers together."""

    def __init__(
        self,
        transport: _Transport,
        longest_s: float,
        budget_s: float = math.inf,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wrap a transport.

        :param longest_s: the most that one request may wait over all its attempts.
        :param budget_s: from now on; nothing waits beyond it.
        """
        self._transport, self._longest_s = transport, longest_s
        self._clock, self._sleep = clock, sleep
        self._lock, self._not_before, self._end = threading.Lock(), 0.0, clock() + budget_s

    def exchange(self, request: Request) -> Exchange:
        """Send a request until it is carried out, refused for good, or patience ends."""
        earlier: list[Exchange] = []
        give_up = min(self._clock() + self._longest_s, self._end)
        while True:
            exchange = self._transport.exchange(request)
            wait = wait_s(exchange.response, len(earlier))
            if wait is None:
                return self._final(exchange, earlier)
            if len(earlier) + 1 == ATTEMPTS or self._clock() + wait > give_up:
                return self._final(_unanswered(exchange, len(earlier) + 1, wait), earlier)
            earlier.append(exchange)
            self._hold_back(wait)

    def _hold_back(self, wait: float) -> None:
        """Sleep as long as asked, or as long as another caller was asked to."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + wait)
            until = self._not_before
        self._sleep(max(0.0, min(until - self._clock(), self._longest_s)))

    @staticmethod
    def _final(exchange: Exchange, earlier: list[Exchange]) -> Exchange:
        response = exchange.response
        if response is not None and response.status in _ELSEWHERE:
            where = next(iter(response.values("location")), "an unnamed place")
            outcome = f"the target sends callers to {where} (status {response.status}), which is not followed"
            exchange = replace(exchange, response=None, outcome=outcome)
        elif response is not None and _LOCKED in response.body:
            outcome = "the target has locked the access key after wrong signatures (TooManyWrongSignature)"
            exchange = replace(exchange, response=None, outcome=outcome)
        return replace(exchange, earlier=tuple(earlier)) if earlier else exchange

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


def _unanswered(exchange: Exchange, attempts: int, wait: float) -> Exchange:
    status = 0 if exchange.response is None else exchange.response.status
    outcome = f"the target asked to slow down (status {status}) {attempts} times, the last time for {wait:g} s"
    return replace(exchange, response=None, outcome=outcome)


def wait_s(response: Response | None, attempt: int) -> float | None:
    """How long to wait before sending a request again, in seconds; None if its answer is not a plea to slow down.

    :param attempt: how often it was sent before.
    """
    if response is None or response.status not in _SLOW_DOWN:
        return None
    values = response.values("retry-after")
    stated = _stated_s(values[0], response) if values else None
    return FIRST_WAIT_S * 2.0**attempt if stated is None else max(0.0, stated)


def _stated_s(value: str, response: Response) -> float | None:
    """Retry-After: seconds, or a date as the endpoint's own clock counts (RFC 9110 section 10.2.3)."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value).timestamp()
        now = parsedate_to_datetime(next(iter(response.values("date")), "")).timestamp()
    except (ValueError, TypeError, IndexError):
        return None
    return until - now
