"""No room imports another, and inside a room modules import only downwards."""

import ast
import graphlib

import pytest
from commands import ROOT

ROOMS = ("conformance", "reference_server", "reports")
SEES_SEVERAL = {
    f"conformance/{name}.py"
    for name in (
        "cli",
        "selftest",
        "detection",
        "over_http",
        "defects_command",
        "attest",
        "outputs",
        "shared_options",
        "history_command",
    )
}
FLOORS = {
    "conformance": [
        {"__init__", "vocabulary", "outlet"},
        {
            "signing",
            "placeholders",
            "translation",
            "bodies",
            "requirements",
            "verdict",
            "world",
            "journal",
            "cache",
            "strictyaml",
            "tomlfile",
            "example_database",
        },
        {
            "signing_s3",
            "dialectfile",
            "baseline",
            "patience",
            "forging",
            "annotations",
            "progress",
            "readback",
            "watching",
            "workers",
        },
        {"speaking", "judge", "target", "wire", "recording", "casefile", "baseline_file", "keyservice"},
        {"proofs", "profiles"},
        {
            "counterparts",
            "explain",
            "play",
            "transport",
            "results",
            "bundled",
            "vectors",
            "source",
            "sign",
            "passive",
            "annotate",
        },
        {"removal"},
        {"campaign", "recordings", "evidence", "doctor"},
        {"probe", "heard", "model", "casewriter", "polite", "differential"},
        {"properties"},
        {"search"},
        {"exploring", "discovery"},
        {"selftest", "rejudge", "outputs", "gate", "sweep"},
        {"statement", "detection", "parts"},
        {"attest", "matrix", "over_http"},
        {"defects_command", "shared_options", "history_command", "engines", "fleet_file"},
        {"running", "offline"},
        {"fleet_worker"},
        {"fleet"},
        {"fleet_command"},
        {"cli", "pytest_plugin"},
        {"__main__"},
    ],
    "reports": [
        {"__init__", "text", "evidence", "make", "r0001_first", "r0002_large_packs", "summaries", "tables", "vault"},
        {"model"},
        {"changes", "page", "junit", "badge", "markdown", "har", "sarif", "selfcontained", "summary", "env", "store"},
        {"causes", "changed", "comparison", "matrix", "statement", "queries"},
        {"html", "site"},
    ],
}


def modules(room):
    return [path for path in (ROOT / room).rglob("*.py") if "tests" not in path.parts]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_another(room):
    others = set(ROOMS) - {room}
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in modules(room)
        for name in imported(path)
        if name.split(".")[0] in others
    }
    assert {path for path, _ in found} <= SEES_SEVERAL


def test_the_check_would_see_a_breach():
    assert {name.split(".")[0] for name in imported(ROOT / "conformance" / "shared_options.py")} & {"reports"}


@pytest.mark.parametrize("room", FLOORS)
def test_modules_import_only_downwards(room):
    floor_of = {name: number for number, names in enumerate(FLOORS[room]) for name in names}
    assert {path.stem for path in modules(room)} == set(floor_of)
    upwards = []
    for path in modules(room):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] != room:
                continue
            below = next((part for part in parts[1:3] if part in floor_of), "__init__")
            if floor_of[below] >= floor_of[path.stem] and below != path.stem:
                upwards.append(f"{path.stem} imports {below}")
    assert upwards == []


def imported_at_once(path):
    """What a module imports when it is itself imported: not for types alone, and not late."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_imports_itself_by_a_detour(room):
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in modules(room)}
    graph = {
        name: {
            known for found in imported_at_once(path) for known in (found, found.rpartition(".")[0]) if known in names
        }
        for name, path in names.items()
    }
    assert sum(map(len, graph.values())) >= len(graph) // 2
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


def test_the_two_readings_share_no_protocol_code():
    """Neither spells the other's names: a function of ten lines that stands in both rooms would be a shared misreading."""

    def bodies(room):
        for path in modules(room):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef) and len(node.body) > 3:
                    yield ast.dump(ast.Module(node.body, []))

    assert not set(bodies("conformance")) & set(bodies("reference_server"))
