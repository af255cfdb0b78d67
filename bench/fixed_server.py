"""Servers of fixed answers: whatever is asked, one answer for each method.

Prints one JSON line when ready: the port where every answer is right, for each header the port where HEAD answers it
wrong, and the port where one HEAD in ten is wrong. ``GET /counts`` tells how many exchanges and connections a port has
seen since it was last asked, so that a contestant is known to have done its work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass, field

import httptools
from work import BODY, MODE, RIGHT, WRONG

EVERY = 10


def _answer(given: dict[str, str], length: int, body: str = "") -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {length}\r\n\r\n{body}".encode()


@dataclass
class Port:
    """What one port answers to HEAD, in turn, and what it has counted."""

    to_head: tuple[bytes, ...]
    latency_s: float
    exchanges: int = 0
    connections: int = 0
    other: bytes = field(default_factory=lambda: _answer(dict(RIGHT), 0))

    def answer(self, method: bytes) -> bytes:
        """The answer that is due."""
        self.exchanges += 1
        return self.to_head[self.exchanges // 2 % len(self.to_head)] if method == b"HEAD" else self.other

    def counts(self) -> bytes:
        """What was counted since the last time, the asking itself left out."""
        text = json.dumps({"exchanges": self.exchanges, "connections": self.connections - 1})
        self.exchanges = self.connections = 0
        return _answer({}, len(text), text)


class Fixed(asyncio.Protocol):
    """Answers each request when it is whole, later if there is latency."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._port.connections += 1

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # schemathesis tries out what a server lets through
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """The target of a request."""
        self._url = url

    def on_message_complete(self) -> None:
        """A request is whole."""
        answer = self._port.counts() if self._url == b"/counts" else self._port.answer(self._parser.get_method())
        if self._port.latency_s:
            asyncio.get_running_loop().call_later(self._port.latency_s, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        self._transport.write(answer)  # type: ignore[attr-defined]
        if not self._parser.should_keep_alive():
            self._transport.close()


async def main() -> None:
    """Serve until the standard input ends, as it does when the starter is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="added to each answer")
    latency_s = parser.parse_args().latency / 1000
    right = _answer(dict(RIGHT), len(BODY))
    wrong = {name: _answer({**RIGHT, name: value}, len(BODY)) for name, value in WRONG.items()}

    async def listen(*to_head: bytes) -> int:
        port = Port(to_head, latency_s)
        server = await asyncio.get_running_loop().create_server(lambda: Fixed(port), "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    ports = {
        "right": await listen(right),
        "tenth": await listen(wrong[MODE], *[right] * (EVERY - 1)),
        "wrong": {name: await listen(answer) for name, answer in wrong.items()},
    }
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
