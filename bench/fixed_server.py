"""A server of fixed answers: whatever is asked, one answer for each method. Prints its port when ready."""

from __future__ import annotations

import asyncio

import httptools

KEY = "region:783fc6652cf246c096ea836694f71855:key/522d6070-5ad3-4765-9737-9312ddc72cdb"
COMMON = (
    "HTTP/1.1 200 OK\r\nServer: OBS\r\nx-obs-request-id: 8DF400000163D45AA81D038B6AE4C482\r\n"
    'ETag: "d8bffdfbab5345d91ac05141789d2477"\r\nx-obs-server-side-encryption: kms\r\n'
    f"x-obs-server-side-encryption-kms-key-id: {KEY}\r\nDate: Wed, 06 Jun 2018 09:08:21 GMT\r\n"
)
ANSWERS = {b"HEAD": f"{COMMON}Content-Length: 5242\r\n\r\n".encode()}
OTHER = f"{COMMON}Content-Length: 0\r\n\r\n".encode()


class Fixed(asyncio.Protocol):
    """Answers each request when it is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._transport.write(ANSWERS.get(self._parser.get_method(), OTHER))  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Fixed, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
