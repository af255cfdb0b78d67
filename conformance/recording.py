"""A ``requests`` adapter that writes header lines exactly as given and keeps every byte that is read.

Knows the seams of requests, urllib3 and http.client that make this possible and nothing else.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

LINES = "X-Lines"
"""Carrier of the request's header lines through the library; it never reaches the wire."""


class Recorder:
    """The bytes of one answer as they were read."""

    def __init__(self) -> None:
        self.raw = bytearray()
        self.interim: list[int] = []

    def headers(self, head: bytes) -> Iterator[tuple[str, str]]:
        """Names and values of the final answer's header lines."""
        final = head.rstrip(b"\r\n").split(b"\r\n\r\n")[-1]
        for line in final.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            yield name.decode("latin-1"), value.decode("latin-1").strip(" \t")


class _Tee(io.RawIOBase):
    """A readable stream that copies what is read to a recorder."""

    def __init__(self, source: Any, recorder: Recorder) -> None:  # noqa: ANN401 - a buffered socket reader
        self._source, self._recorder = source, recorder

    def _keep(self, data: bytes) -> bytes:
        self._recorder.raw += data
        return data

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._keep(self._source.readline(-1 if size is None else size))

    def read(self, size: int = -1, /) -> bytes:
        return self._keep(self._source.read(size))

    def read1(self, size: int = -1, /) -> bytes:
        return self._keep(self._source.read1(size))

    def peek(self, size: int = 0, /) -> bytes:
        data: bytes = self._source.peek(size)
        return data

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - the buffer protocol
        count: int = self._source.readinto(buffer)
        self._keep(bytes(buffer[:count]))
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Bounded(io.RawIOBase):
    """A socket's stream with one time-out for the whole answer, where libraries have one for each piece of it."""

    def __init__(self, source: Any, connection: socket.socket) -> None:  # noqa: ANN401 - a raw socket reader
        self._source, self._connection = source, connection
        timeout = connection.gettimeout()
        self._until = None if timeout is None else time.perf_counter() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - the buffer protocol
        if self._until is not None:
            left = self._until - time.perf_counter()
            if left <= 0:
                raise TimeoutError("no complete answer in time")
            self._connection.settimeout(left)
        count: int | None = self._source.readinto(buffer)
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _RecordingResponse(http.client.HTTPResponse):
    """An answer whose stream is bounded and copied, interim answers included."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - http.client's own signature
        super().__init__(sock, *args, **kwargs)
        self.recorder = Recorder()
        bounded = io.BufferedReader(_Bounded(self.fp.detach(), sock))
        self.fp = _Tee(bounded, self.recorder)  # type: ignore[assignment]

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if status == http.client.CONTINUE:
            self.recorder.interim.append(status)
        return version, status, reason


class _ExactLines:
    """Overrides how a connection writes a request: the given lines, nothing added."""

    response_class = _RecordingResponse

    def putrequest(self, method: str, url: str, **_: Any) -> None:  # noqa: ANN401 - http.client's own signature
        super().putrequest(method, url, skip_host=True, skip_accept_encoding=True)  # type: ignore[misc]

    def putheader(self, header: Any, *values: Any) -> None:  # noqa: ANN401 - http.client's own signature
        """Write the carried lines; lines that the libraries would add themselves are left out."""
        if header == LINES:
            connection: Any = self
            for line in str(values[0]).split("\r\n"):
                connection._output(line.encode())  # noqa: SLF001 - the only way past http.client's re-spelling

    def getresponse(self) -> Any:  # noqa: ANN401 - urllib3's response
        answer = super().getresponse()  # type: ignore[misc]
        answer.recorder = answer._original_response.recorder  # noqa: SLF001 - urllib3 keeps http.client's answer there
        return answer


class _Plain(_ExactLines, HTTPConnection):  # type: ignore[misc]  # the overrides take less than they are given
    pass


class _Secure(_ExactLines, HTTPSConnection):  # type: ignore[misc]  # as above
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class RecordingAdapter(HTTPAdapter):
    """Mount it on a session; it retries nothing."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - requests' own signature
        """Let the pools make connections that record."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
