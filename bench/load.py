"""A load generator: ready-made requests over so many connections, each waiting for its answer.

Connections are kept as long as the server keeps them.

Reads a pickled list of requests from standard input, sends every one once, and prints a line of JSON: seconds, statuses
with their numbers, and the sorted latencies in microseconds. It runs as a process of its own, so that what it costs is
not counted against the server, and signs nothing: signatures are in the requests.
"""

from __future__ import annotations

import json
import pickle
import re
import select
import socket
import sys
import time
from collections import Counter

_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RECEIVE = 256 * 1024
PATIENCE_S = 20


class Client:
    """One connection and the answer it is waiting for; a server that closes it costs a new one, as it should."""

    def __init__(self, host: str, port: int, poll: select.epoll, by_number: dict[int, Client]) -> None:
        self._address = (host, port)
        self._poll = poll
        self._by_number = by_number
        self._socket: socket.socket | None = None
        self._missing = -1
        self._head = b""
        self._sent = 0.0
        self._method = b""

    def send(self, request: bytes) -> None:
        """Begin an exchange."""
        self._missing, self._head, self._method = -1, b"", request[:4]
        self._sent = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(self._address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._by_number[self._socket.fileno()] = self
            self._poll.register(self._socket, select.EPOLLIN)
        self._socket.sendall(request)

    def receive(self) -> float:
        """Take what has come; the latency in seconds once the answer is whole, else 0."""
        if self._socket is None:
            return 0.0
        data = self._socket.recv(RECEIVE)
        if not data:
            raise SystemExit(f"The server closed the connection after {self._head!r}.")
        if self._missing < 0:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return 0.0
            length = _LENGTH.search(head)
            self._missing = (0 if length is None or self._method == b"HEAD" else int(length[1])) - len(body)
        else:
            self._missing -= len(data)
        if self._missing:
            return 0.0
        took = time.perf_counter() - self._sent
        if _CLOSE.search(self._head):
            self._poll.unregister(self._socket)
            self._socket.close()
            self._socket = None
        return took

    @property
    def status(self) -> str:
        """The status of the last answer."""
        return self._head[9:12].decode()


def play(host: str, port: int, connections: int, requests: list[bytes]) -> dict[str, object]:
    """Send every request once."""
    poll = select.epoll()
    by_number: dict[int, Client] = {}
    clients = [Client(host, port, poll, by_number) for _ in range(min(connections, len(requests)))]
    left = iter(requests)
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    started = time.perf_counter()
    for client in clients:
        client.send(next(left))
    waiting = len(clients)
    while waiting:
        ready = poll.poll(PATIENCE_S)
        if not ready:
            raise SystemExit("The server does not answer.")
        for number, _ in ready:
            client = by_number[number]
            took = client.receive()
            if not took:
                continue
            latencies.append(took)
            statuses[client.status] += 1
            request = next(left, None)
            if request is None:
                waiting -= 1
            else:
                client.send(request)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "statuses": statuses,
        "latencies": sorted(round(took * 1e6) for took in latencies),
    }


if __name__ == "__main__":
    given = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the script that started us
    json.dump(play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), given), sys.stdout)
