"""A simulated endpoint far away: the reference server behind a relay that gives each answer so many seconds later.

`late_server.py TARGET.toml SECONDS` writes the target file and prints a line when it is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, late_s: float) -> None:
    """Pass bytes on at once, and answers as they come but late."""
    near, far = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        with contextlib.suppress(ConnectionError):  # of an endpoint that hangs up
            while piece := await reader.read(1 << 16):
                far.write(piece)
        far.close()

    asking = asyncio.create_task(ask())
    with contextlib.suppress(ConnectionError):
        while piece := await near.read(1 << 16):
            loop.call_later(late_s, writer.write, piece)
    await asyncio.sleep(late_s)
    writer.close()
    asking.cancel()


def write_target(target: Path, text: str) -> None:
    """Write a target file that only its owner reads."""
    target.touch(mode=0o600)
    target.write_text(text, "utf-8")


async def main(target: Path, late_s: float) -> None:
    """Start server and relay; until killed."""
    behind = target.with_suffix(".behind")
    command = [sys.executable, "-P", "-m", "reference_server", "--port", "0", "--exit-with-parent"]
    command += ["--target-file", str(behind)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - once
    assert server.stdout is not None  # noqa: S101 - asked for above
    port = int(server.stdout.readline().strip().rpartition(":")[2])
    listener = await asyncio.start_server(lambda r, w: relay(r, w, port, late_s), "127.0.0.1", 0)
    own = listener.sockets[0].getsockname()[1]
    write_target(target, behind.read_text("utf-8").replace(f":{port}", f":{own}"))
    print("ready", flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
