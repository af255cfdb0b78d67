"""A proxy between the suite and an honest server that does what one is told on the way."""

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Seen:
    """One request as it came in: number on this box (from 1), on its connection (from 1), head and body."""

    number: int
    turn: int
    head: bytes
    body: bytes

    @property
    def method(self):
        return self.head.split(b" ", 1)[0].decode()

    @property
    def path(self):
        return self.head.split(b" ", 2)[1].decode()


@dataclass
class UnderWay:
    """Hooks that count: when each request came, and how many were under way at once at most."""

    times: list = field(default_factory=list)
    most: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begun(self, _seen, _connection):
        with self.lock:
            self.times.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)

    def ended(self, _seen, head, body):
        time.sleep(0.02)  # so that whatever may be under way at once is
        with self.lock:
            self.now -= 1
        return head + body


@dataclass
class Middlebox:
    """Hooks: what is done with a request's head, with an answer, and instead of forwarding.

    ``instead`` gets the request and the client's connection and returns None to forward, or bytes to answer with.
    An empty ``bytes`` closes the connection; True says that it has answered itself and the connection goes on.
    """

    upstream: int
    request_head: object = staticmethod(lambda head: head)
    answer: object = staticmethod(lambda _seen, head, body: head + body)
    instead: object = staticmethod(lambda _seen, _connection: None)
    accept: object = staticmethod(lambda _number: True)
    seen: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    connections: int = 0

    @contextlib.contextmanager
    def running(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    self.connections += 1
                    if not self.accept(self.connections):
                        connection.close()
                        continue
                    threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.close()

    def _relay(self, client):
        turn = 0
        upstream = ("127.0.0.1", self.upstream)
        with contextlib.suppress(OSError, EOFError), client, socket.create_connection(upstream) as server:
            while True:
                head = read_head(client)
                turn += 1
                waits = re.search(rb"\r\nexpect:\s*100-continue", head, re.IGNORECASE)
                if waits:
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = re.sub(rb"\r\nexpect:[^\r]*", b"", head, flags=re.IGNORECASE)
                body = read_body(client, head)
                with self.lock:
                    seen = Seen(len(self.seen) + 1, turn, head, body)
                    self.seen.append(seen)
                told = self.instead(seen, client)
                if told is None:
                    server.sendall(self.request_head(head) + body)
                    answer_head = read_head(server)
                    bodiless = seen.method == "HEAD" or answer_head.split(b" ")[1] in {b"204", b"304"}
                    answer_body = b"" if bodiless else read_body(server, answer_head)
                    client.sendall(self.answer(seen, answer_head, answer_body))
                elif told is True:
                    continue
                elif told:
                    client.sendall(told)
                else:
                    return


def read_head(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise EOFError
        data += piece
    return data


def read_body(connection, head):
    """The body as on the wire, by length or by chunks."""
    length = re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.IGNORECASE)
    if re.search(rb"\r\ntransfer-encoding:\s*chunked", head, re.IGNORECASE):
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(1) or _ended()
        return data
    data, wanted = b"", int(length[1]) if length else 0
    while len(data) < wanted:
        data += connection.recv(min(65536, wanted - len(data))) or _ended()
    return data


def _ended():
    raise EOFError


def answer(status, body=b"", *headers):
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def error(status, code, *headers):
    """The bytes of a refusal with an error document."""
    document = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message></Error>'.encode()
    return answer(status, document, "x-obs-request-id: 1", "Content-Type: application/xml", *headers)


def without(pattern):
    """A hook for heads that removes header lines whose name matches."""
    line = re.compile(rb"\r\n(?:%b)[^\r]*" % pattern.encode(), re.IGNORECASE)
    return lambda head: line.sub(b"", head)
