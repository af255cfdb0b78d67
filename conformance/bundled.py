"""The bundled reference server as a child process.

Talks to it through its command line and target file only, as any user would; does not import it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.vocabulary import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY_S = 15.0


@contextlib.contextmanager
def bundled_server(arguments: Sequence[str] = ()) -> Iterator[Path]:
    """Start the reference server on a free loopback port; yields its target file and always stops the server.

    :raises TargetError: it did not become ready.
    """
    with tempfile.TemporaryDirectory(prefix="obs-conformance-") as folder:
        target_file = Path(folder) / "target.toml"
        command = [sys.executable, "-P", "-m", "reference_server", "--port", "0", "--exit-with-parent"]
        command += ["--target-file", str(target_file), *arguments]
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        watchdog = threading.Timer(READY_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            line = process.stdout.readline()
            watchdog.cancel()
            if not line.startswith("http"):
                process.kill()
                said = process.communicate()[1].strip()
                raise TargetError(f"the bundled reference server did not start: {said or 'it said nothing'}")
            yield target_file
        finally:
            watchdog.cancel()
            process.terminate()
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
