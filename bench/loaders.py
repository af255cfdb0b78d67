"""Reading and checking 10,000 cases: loaders and validators beside ours, each in a process of its own.

Times are of the work alone, without start-up and imports; the ratio is to ``json`` in the same round.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import jsonschema_rs
import yaml
import yaml_rs
from measure import HERE, PYTHON, measure, must
from suite import write_library

from conformance import strictyaml
from conformance.casefile import load_library

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Work = Callable[[], object]

BASE = "json"
OURS_COLD, OURS_KEPT = "ours: load and check, cold", "ours: load and check, from the cache"


def _texts(library: Path, form: str) -> list[str]:
    return [path.read_text("utf-8") for path in sorted((library / "bench").glob(f"*.{form}"))]


def _each(load: Callable[[str], object], form: str, library: Path) -> Work:
    texts = _texts(library, form)
    return lambda: [load(text) for text in texts]


def _uncollected(load: Callable[[str], object], library: Path) -> Work:
    texts = _texts(library, "yaml")
    gc.disable()
    return lambda: [load(text) for text in texts]


def _documents(library: Path) -> tuple[dict[str, Any], list[object]]:
    schema: dict[str, Any] = json.loads((library / "case.schema.json").read_text("utf-8"))
    return schema, [json.loads(text) for text in _texts(library, "json")]


def _checked(valid: Callable[[dict[str, Any]], Callable[[object], bool]], library: Path) -> Work:
    schema, documents = _documents(library)
    fits = valid(schema)

    def work() -> None:
        if not all(map(fits, documents)):
            raise SystemExit("a valid document was refused")

    return work


def _validated_anew(library: Path) -> Work:
    schema, documents = _documents(library)
    return lambda: [jsonschema.validate(document, schema) for document in documents]


def _pyyaml(loader: type[Any]) -> Callable[[str], object]:
    return partial(yaml.load, Loader=loader)


WORKS: Mapping[str, Callable[[Path], Work]] = {
    BASE: partial(_each, json.loads, "json"),
    "yaml-rs": partial(_each, yaml_rs.loads, "yaml"),
    "strictyaml.parse_fast (yaml-rs, strict)": partial(_each, lambda text: strictyaml.parse_fast(text, "f"), "yaml"),
    "strictyaml.parse (PyYAML's C scanner, strict)": partial(
        _each, lambda text: strictyaml.parse(text, "f").value, "yaml"
    ),
    "PyYAML, CSafeLoader": partial(_each, _pyyaml(yaml.CSafeLoader), "yaml"),
    "- collector off": partial(_uncollected, _pyyaml(yaml.CSafeLoader)),
    "PyYAML, SafeLoader": partial(_each, _pyyaml(yaml.SafeLoader), "yaml"),
    "jsonschema-rs": partial(_checked, lambda schema: jsonschema_rs.Draft202012Validator(schema).is_valid),
    "jsonschema, one validator": partial(_checked, lambda schema: jsonschema.Draft202012Validator(schema).is_valid),
    "jsonschema.validate() for each file": _validated_anew,
    OURS_COLD: lambda library: partial(load_library, library),
    OURS_KEPT: lambda library: partial(load_library, library),
}
BOUNDS = {OURS_COLD: "<= 0.7 s", OURS_KEPT: "<= 0.2 s"}


def one(name: str, library: Path) -> None:
    """Do one work and print its seconds."""
    work = WORKS[name](library)
    started = time.perf_counter(), time.process_time()
    kept = work()
    print(json.dumps([time.perf_counter() - started[0], time.process_time() - started[1]]))
    del kept


def main() -> None:
    """All works in turn, round after round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("WORK", "LIBRARY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], Path(options.one[1]))
        return
    spent: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WORKS}
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        library.mkdir()
        write_library(library, options.cases)
        size = 0
        for path in (library / "bench").glob("*.yaml"):
            text = path.read_text("utf-8")
            size += len(text)
            path.with_suffix(".json").write_text(json.dumps(strictyaml.parse_fast(text, path.name).value), "utf-8")
        for _ in range(options.rounds):
            for name in WORKS:
                cache = Path(folder) / "cache"
                if name == OURS_COLD and cache.exists():
                    for file in cache.rglob("*.pickle"):
                        file.unlink()
                command = (PYTHON, HERE / "loaders.py", "--one", name, library)
                done = must(measure(command, more={"XDG_CACHE_HOME": str(cache)}))
                wall, cpu = json.loads(done.said.splitlines()[-1])
                spent[name].append((wall, cpu, done.peak_mb))
    print(f"{options.cases} cases, {size / 1e6:.1f} MB of YAML, {options.rounds} rounds\n")
    print("| | s | CPU s | CPU ÷ json | peak MB | bound |\n|---|---|---|---|---|---|")
    for name, runs in spent.items():
        wall, cpu, peak = (statistics.median(run[index] for run in runs) for index in range(3))
        ratio = statistics.median(run[1] / base[1] for run, base in zip(runs, spent[BASE], strict=True))
        print(f"| {name} | {wall:.3f} | {cpu:.3f} | {ratio:.1f} | {peak:.0f} | {BOUNDS.get(name, '')} |")


if __name__ == "__main__":
    main()
