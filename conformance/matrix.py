"""The detection matrix as one document: what planted defects, harmless variants and cases made of each other.

Turns results into plain data for ``reports/matrix.py`` and ``cases/proofs.json``. Plays nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from conformance.detection import DefectResult, VariantResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.campaign import Plan

Document = dict[str, Any]


def matrix_document(plan: Plan, results: Sequence[DefectResult | VariantResult]) -> Document:
    """Everything about a run, without times or anything else that differs from run to run."""
    return {
        "format": 1,
        "profile": plan.profile.name,
        "clauses": [
            {"id": clause.id, "level": clause.level, "observable": clause.observable, "says": clause.says}
            for clause in plan.requirements
        ],
        "cases": [{"id": case.id, "says": case.says, "level": case.level} for case in plan.cases],
        "defects": [asdict(result) for result in results if isinstance(result, DefectResult)],
        "variants": [asdict(result) for result in results if isinstance(result, VariantResult)],
    }


def proofs_of(document: Document) -> Document:
    """For each case the defects it was proven on, and what is worth knowing about each."""
    caught: dict[str, dict[str, None]] = {}
    for defect in document["defects"]:
        for cases in defect["killers"].values():
            for case in cases:
                caught.setdefault(case, {})[defect["name"]] = None
    return {
        "defects": {
            defect["name"]: {word: defect[word] for word in ("says", "breaks", "realism")}
            for defect in document["defects"]
            if defect["killers"]
        },
        "cases": {case["id"]: list(caught[case["id"]]) for case in document["cases"] if case["id"] in caught},
    }


def proofs_text(proofs: Document) -> str:
    """The proofs as JSON, a line for each defect and each case, so that a change shows as a change."""
    parts = [
        f" {json.dumps(kind)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in proofs[kind].items())
        + "\n }"
        for kind in ("defects", "cases")
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"
