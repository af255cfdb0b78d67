"""Writes results as JUnit XML for build servers.

Knows which rung of the ladder is which JUnit element.  Does not know a build server's product, and does not grade:
a planned case without a line counts as an error, because silence must never look green.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.model import Case, Check, Observation, Results, Rung

ELEMENTS: Mapping[Rung, str] = {
    "pass": "",
    "fail": "failure",
    "harness_error": "error",
    "setup_failed": "error",
    "blocked": "error",
    "not_run": "error",
    "not_applicable": "skipped",
    "warn": "system-out",
    "observed": "system-out",
}
COUNTED: Mapping[str, str] = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def write_junit(results: Results, path: Path | str) -> None:
    """Write *results* to *path*.

    There is no XML declaration, so that the first line of the file is the one that carries the headline.
    """
    root = _root(results)
    ET.indent(root)
    Path(path).write_text(ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8", newline="\n")


def _root(results: Results) -> ET.Element:
    root = ET.Element("testsuites", {"name": visible(results.headline)})
    header = results.header
    name = f"{header.profile.name} on {header.target.name}" + ("" if results.finished else ": run did not finish")
    suite = ET.SubElement(root, "testsuite", {"name": visible(name), "timestamp": visible(header.started)})
    _properties(suite, results)
    if not results.finished:
        _plain_error(suite, name="the run finished", area="run", message=results.headline)
    for case in results.cases:
        _testcase(suite, case)
    for missing in results.missing:
        _plain_error(suite, name=missing, area="not_run", message="The case was planned and has no result.")
    _count(suite, seconds=sum(case.duration_ms for case in results.cases) / 1000)
    return root


def _properties(suite: ET.Element, results: Results) -> None:
    header = results.header
    values = {
        "conclusion": results.footer.conclusion if results.footer else "none: the run did not finish",
        "headline": results.headline,
        "profile": header.profile.name,
        "target": header.target.name,
        "endpoint": header.target.endpoint,
        "suite": f"{header.suite.name} {header.suite.version}",
        "library": header.library.digest,
        "seed": str(header.seed),
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", {"name": name, "value": visible(value)})


def _plain_error(suite: ET.Element, *, name: str, area: str, message: str) -> None:
    """Add a test case that is an error and has no evidence."""
    attributes = {"name": visible(name), "classname": area, "time": "0.000"}
    element = ET.SubElement(suite, "testcase", attributes)
    ET.SubElement(element, "error", {"type": "not_run", "message": visible(message)}).text = visible(message)


def _testcase(suite: ET.Element, case: Case) -> None:
    attributes = {"name": case.id, "classname": case.area, "time": f"{case.duration_ms / 1000:.3f}"}
    element = ET.SubElement(suite, "testcase", {name: visible(value) for name, value in attributes.items()})
    tag = ELEMENTS[case.rung]
    if not tag:
        return
    outcome = ET.SubElement(element, tag)
    outcome.text = visible(_text(case))
    if tag != "system-out":
        outcome.set("message", visible(_message(case)))
        outcome.set("type", case.rung)


def _message(case: Case) -> str:
    """Return the reason and every expectation that was not met, in one line."""
    return "; ".join([case.reason or case.says, *map(_check, case.unmet)])


def _text(case: Case) -> str:
    """Return what a reader of the build log needs to see of the case."""
    lines = [f"{case.rung}: {case.says}", case.reason, f"{case.level}, cites {', '.join(case.cites)}"]
    lines += map(_check, case.unmet)
    lines += map(_observation, case.observations)
    lines.append(f"case file: {case.file}, line {case.line}")
    return "\n".join(filter(None, lines))


def _check(check: Check) -> str:
    clauses = f" [{', '.join(check.clauses)}]" if check.clauses else ""
    says = f" ({check.says})" if check.says else ""
    return f"{check.step}, {check.subject}: wanted {check.wanted}, got {check.got}{says}{clauses}"


def _observation(observation: Observation) -> str:
    return f"{observation.step}, observed {observation.name}: {observation.value}"


def _count(suite: ET.Element, *, seconds: float) -> None:
    """Set the totals from what was written, so that they cannot disagree with it."""
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, tag in COUNTED.items():
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("time", f"{seconds:.3f}")
