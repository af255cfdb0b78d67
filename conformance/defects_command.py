"""The command ``defects``: what the library can see, printed, and written as JSON, as a page and beside the cases.

Part of the composition root: it sees the engine, the reference server and the renderers. Judges nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.casefile import LIBRARY_ROOT
from conformance.detection import DefectResult, draw_pairs, ground_of, run_all
from conformance.dialectfile import OWN
from conformance.matrix import matrix_document, proofs_of, proofs_text
from conformance.proofs import PROOFS
from reference_server.defects import DEFECTS
from reference_server.variants import VARIANTS

if TYPE_CHECKING:
    import argparse

    from conformance.detection import VariantResult

DOCS = LIBRARY_ROOT.parent / "docs"
SEED = 1


def unknown_names(names: list[str]) -> list[str]:
    """Names that are neither a defect's nor a variant's."""
    return sorted(set(names) - set(DEFECTS) - set(VARIANTS))


def run_defects(options: argparse.Namespace) -> int:
    """Play what was asked for; 0 if every defect was killed or it is said why not, and no variant was accused."""
    wanted = options.names or [*DEFECTS, *VARIANTS]
    work = [("defect" if name in DEFECTS else "variant", name) for name in wanted]
    results: list[DefectResult | VariantResult] = []
    for result in run_all(LIBRARY_ROOT, work, max(1, options.jobs), options.dialect):
        results.append(result)
        print(f"{result.name:40} {_told(result)}", flush=True)
    _write(options, results)
    defects = [result for result in results if isinstance(result, DefectResult)]
    variants = [result for result in results if not isinstance(result, DefectResult)]
    killed = sum(result.killed for result in defects)
    accused = sum(bool(result.accused) for result in variants)
    print(f"{killed} of {len(defects)} defects killed by a case that cites a clause they break")
    if options.dialect != OWN:
        absent = sum(bool(result.no_counterpart) for result in defects)
        missed = sum(not (result.killed or result.survives or result.no_counterpart) for result in defects)
        print(f"{absent} have no counterpart in {options.dialect}, {missed} are missed")
    print(f"{accused} of {len(variants)} harmless variants accused")
    masked = _pairs(options)
    disagreeing = _over_http(options)
    fine = all(result.as_planned for result in defects) and not accused and not masked and not disagreeing
    return 0 if fine else 1


def _told(result: DefectResult | VariantResult) -> str:
    if not isinstance(result, DefectResult):
        return f"wrongly accused by {', '.join(result.accused)}" if result.accused else "harmless, accused by nobody"
    if result.killed:
        return f"killed by {len({case for cases in result.killers.values() for case in cases})}"
    if result.no_counterpart:
        return f"no counterpart, {result.no_counterpart}"
    return f"survived, {result.survives or f'noticed by {len(result.noticed)}'}"


def _write(options: argparse.Namespace, results: list[DefectResult | VariantResult]) -> None:
    document = matrix_document(ground_of(LIBRARY_ROOT, options.dialect, ()).stage.plan, results)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if options.html is not None:
        from reports.matrix import write_matrix

        write_matrix(document, options.html)
    if options.write:
        from reports.matrix import matrix_text

        PROOFS.write_text(proofs_text(proofs_of(document)), "utf-8")
        Path(DOCS / "detection-matrix.md").write_text(matrix_text(document), "utf-8")


def _pairs(options: argparse.Namespace) -> int:
    """Play pairs of defects drawn by lot; how many of them hid both."""
    pairs = draw_pairs(options.pairs, SEED)
    masked = 0
    for names, killers in zip(
        pairs,
        run_all(LIBRARY_ROOT, [("pair", names) for names in pairs], max(1, options.jobs), options.dialect),
        strict=True,
    ):
        if not killers:
            masked += 1
            print(f"{' + '.join(names)}: neither was seen")
    if pairs:
        print(f"{masked} of {len(pairs)} pairs of defects hid both of them")
    return masked


def _over_http(options: argparse.Namespace) -> int:
    """Play a sample through sockets; how many cases got another rung there."""
    if not options.over_http:
        return 0
    from conformance.over_http import disagreements, sample

    found = 0
    chosen = sample(options.over_http, SEED)
    for name in chosen:
        for case, here, there in disagreements(name):
            found += 1
            print(f"{name}: {case} is {here} in process and {there} over HTTP")
    print(f"{len(chosen)} servers over HTTP, {found} disagreements")
    return found
