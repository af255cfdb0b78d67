"""Makes the example reports of this folder anew: the reference server, and three planted defects.

Drives the installed commands.  Bodies are cut to 64 bytes before the pages are made, to keep this folder small; a
report of one's own keeps more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
DEFECTS = ("key-id-header-missing", "stores-in-the-clear", "copy-forgets-encryption")
KEPT = 64


def main() -> None:
    """Make one page for the reference server and one for each defect; the latter say what changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = _play(folder / "reference-server", [])
        _page(sound, HERE / "reference-server.html", [])
        for defect in DEFECTS:
            results = _play(folder / defect, ["--defect", defect])
            _page(results, HERE / f"{defect}.html", ["--previous", str(sound)])


def _play(folder: Path, options: list[str]) -> Path:
    folder.mkdir()
    target = folder / "target.toml"
    command = [str(BIN / "obs-reference-server"), "--target-file", str(target), "--exit-with-parent", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101 - asked for above
        server.stdout.readline()
        subprocess.run(
            [BIN / "obs-conformance", "run", "--target", target, "--seed", "1", "--out", folder], check=False
        )
        server.terminate()
    return _cut(folder / "results.jsonl")


def _cut(results: Path) -> Path:
    lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    for exchange in (exchange for line in lines for exchange in line.get("exchanges", ())):
        for message in (exchange["sent"], exchange["received"]):
            text = message["body"][:5] in {"<?xml", "<Erro", "<Copy", "<Init", "<Comp", "<Serv"}
            message["body"] = message["body"] if text else message["body"][:KEPT]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return results


def _page(results: Path, page: Path, options: list[str]) -> None:
    subprocess.run([BIN / "obs-conformance", "report", results, *options], check=True)
    (results.parent / "report.html").replace(page)


if __name__ == "__main__":
    main()
