"""The second front end: every case a pytest item.

Active only for ``pytest --pyargs conformance``; in any other pytest run it adds its options and nothing else.
Plays through the same campaign as the command line; does not judge.
"""

from __future__ import annotations

import contextlib
import html
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.campaign import Campaign
    from conformance.casefile import Library
    from conformance.results import Redactor
    from conformance.verdict import Tally
    from conformance.vocabulary import Case, CaseResult

_HERE = Path(__file__).resolve().parent
_ANCHOR = _HERE / "pytest_plugin.py"
ATTACH_ALL = 1000
"""pytest-html makes 3 kB of page and 10 kB of memory of each attached kB."""

_SHOWN = 400
"""Bytes of a body in the HTML table: it has to stay light with a thousand cases."""
_FAILING = frozenset({"fail", "harness_error", "setup_failed", "blocked", "not_run"})
_RUN: pytest.StashKey[Run] = pytest.StashKey()
_LIBRARY: pytest.StashKey[Library] = pytest.StashKey()


class NotConformingError(Exception):
    """A case that did not pass; carries its result."""

    def __init__(self, result: CaseResult) -> None:
        super().__init__(result.reason)
        self.result = result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    group = parser.getgroup("obs-conformance")
    group.addoption("--obs-target", metavar="FILE.toml", help="target file (default: the bundled reference server)")
    group.addoption("--obs-profile", metavar="NAME", help="profile to judge by (default: the target file's)")
    group.addoption("--obs-seed", type=int, metavar="N", help="seed of generated names")
    group.addoption("--obs-no-doctor", action="store_true", help="skip the pre-flight")
    group.addoption(
        "--obs-attach",
        type=int,
        default=ATTACH_ALL,
        metavar="N",
        help=f"in a run of more than N cases only those that fail carry their exchanges (default: {ATTACH_ALL})",
    )


def _asked_for(config: pytest.Config) -> bool:
    """Whether the package itself, not its tests, was named to pytest."""
    return bool(config.option.pyargs) and any(str(argument).split("::")[0] == "conformance" for argument in config.args)


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marks that come from the data."""
    for name, text in (("level", "level of a conformance case"), ("area", "area of a conformance case")):
        config.addinivalue_line("markers", f"{name}(name): {text}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the suite's own unit tests out of a conformance run."""
    return True if _asked_for(config) and collection_path == _HERE / "tests" else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Stand the case library where this module would be collected."""
    if file_path.resolve() == _ANCHOR and _asked_for(parent.config):
        collector: pytest.Collector = CaseLibrary.from_parent(parent, path=file_path, nodeid="cases")
        return collector
    return None


class CaseLibrary(pytest.File):
    """Collects a file node for each case file."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Read the library once and group its cases by file."""
        from conformance.casefile import load_library
        from conformance.vocabulary import CaseError

        try:
            library = load_library()
        except CaseError as error:
            raise self.CollectError(str(error)) from error
        self.config.stash[_LIBRARY] = library
        of_file: dict[str, list[Case]] = {}
        for case in library.cases:
            of_file.setdefault(case.file, []).append(case)
        for file, cases in of_file.items():
            yield CaseFile.from_parent(self, name=file, nodeid=file, cases=cases)


class CaseFile(pytest.Collector):
    """The cases of one file."""

    def __init__(self, *, cases: list[Case], **kwargs: Any) -> None:  # noqa: ANN401 - pytest's node arguments
        super().__init__(**kwargs)
        self._cases = cases

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each case."""
        for case in self._cases:
            yield CaseItem.from_parent(self, name=case.id, case=case)


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: Case, **kwargs: Any) -> None:  # noqa: ANN401 - pytest's node arguments
        super().__init__(**kwargs)
        self.case = case
        self.result: CaseResult | None = None
        self.add_marker(pytest.mark.level(case.level))
        self.add_marker(pytest.mark.area(case.area))

    def runtest(self) -> None:
        """Play the case; a gap of the target is a skip with its reason, everything that is not a verdict an error."""
        run = _the_run(self.config)
        if self.case.id not in run.cases:
            pytest.skip(f"profile {run.campaign.plan.profile.name} has no clause that this case exercises")
        self.case = run.cases[self.case.id]
        self.result = run.campaign.play_case(self.case)
        run.tally.add(self.result)
        if self.result.rung == "not_applicable":
            pytest.skip(self.result.reason)
        if self.result.rung in _FAILING:
            raise NotConformingError(self.result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        """The differences in English; a traceback only for a bug of ours."""
        if isinstance(excinfo.value, NotConformingError):
            return _without_secrets(excinfo.value.result, _the_run(self.config).redact)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the case stands and what it says."""
        return _HERE.parent / self.case.file, self.case.line - 1, f"{self.case.id}: {self.case.says}"


def _without_secrets(result: CaseResult, redact: Any) -> str:  # noqa: ANN401 - a Redactor, imported late
    """A failed case as text; what was sent goes through the redactor with it, for an answer may repeat a signature."""
    sent = "".join(exchange.request.head.decode("latin-1") for _, exchange in result.played.exchanges)
    return str(redact.text(f"{describe(result)}\0{sent}")).partition("\0")[0]


def describe(result: CaseResult) -> str:
    """A failed case as text: rung, reason, each difference with its clauses and both sides."""
    lines = [f"{result.case.id} {result.rung}: {result.case.says}", f"  {result.reason}"]
    for finding in (finding for finding in result.played.findings if not finding.held):
        lines += [f"  {finding.step} [{', '.join(finding.clauses)}; {finding.level}] {finding.says}"]
        lines += [f"    wanted: {finding.wanted}", f"    got:    {finding.got}"]
    return "\n".join(lines)


@dataclass(slots=True)
class Run:
    """The campaign of this session, its cases as its profile sees them, and what it gave so far."""

    campaign: Campaign
    cases: dict[str, Case]
    notes: list[str]
    tally: Tally
    redact: Redactor
    close: contextlib.ExitStack


def _the_run(config: pytest.Config) -> Run:
    if _RUN not in config.stash:
        config.stash[_RUN] = _start(config)
    return config.stash[_RUN]


def _start(config: pytest.Config) -> Run:
    from conformance import gate
    from conformance.bundled import bundled_server
    from conformance.campaign import Campaign, make_plan
    from conformance.journal import Journal
    from conformance.results import Redactor
    from conformance.target import load_target
    from conformance.transport import open_transport
    from conformance.verdict import Tally
    from conformance.vocabulary import TargetError
    from conformance.world import World

    library = config.stash[_LIBRARY]
    stack = contextlib.ExitStack()
    try:
        named = config.getoption("obs_target")
        target = load_target(Path(named) if named else stack.enter_context(bundled_server()))
        plan = make_plan(library, config.getoption("obs_profile") or target.profile)
    except (TargetError, KeyError) as error:
        stack.close()
        pytest.exit(f"obs-conformance: {error}", returncode=2)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="obs-conformance-")))
    journal = Journal(folder / "journal.jsonl", target.endpoint)
    stack.callback(journal.close)
    world = World.from_seed(config.getoption("obs_seed"))
    transport = open_transport(target)
    stack.callback(transport.close)
    campaign = Campaign(plan, library, target, world, journal, transport=transport)
    redactor, notes = Redactor(target.secrets()), list[str]()
    stack.callback(_clean_up, campaign, folder / "journal.jsonl")
    skipped = config.getoption("obs_no_doctor")
    checks = () if skipped else gate.examine(target, world, journal, transport)
    refusal = gate.admit(campaign, checks, notes.append)
    if refusal:
        stack.close()
        pytest.exit(f"obs-conformance: {redactor.text(refusal)}", returncode=3)
    campaign.prepare()
    return Run(campaign, {case.id: case for case in plan.cases}, notes, Tally(), redactor, stack)


def _clean_up(campaign: Campaign, journal: Path) -> None:
    """Remove what the session created; where something stays, the journal stays too, for ``sweep``."""
    left = campaign.clean_up().left
    if left:
        kept = shutil.copy(journal, f"obs-conformance-{campaign.world.run}.journal.jsonl")
        sys.stderr.write(f"obs-conformance: left behind on the target: {', '.join(left)} (see {kept})\n")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: Any,  # noqa: ANN401 - pytest's reporter
    config: pytest.Config,
) -> Iterator[None]:
    """The conclusion over the clauses of the profile, after pytest's own texts of the failures.

    For each failure pytest looks through every report of a phase that passed for something that was printed in it:
    with many cases that takes longer than the run. The reports in which nothing was printed are dropped before.
    """
    if _RUN not in config.stash:
        yield
        return
    quiet = terminalreporter.stats.get("", [])
    quiet[:] = [report for report in quiet if report.sections]
    yield
    run = config.stash[_RUN]
    summary = run.tally.conclude(run.campaign.plan.requirements, declared=run.campaign.declared())
    terminalreporter.section("obs-conformance")
    for note in run.notes:
        terminalreporter.line(run.redact.text(note))
    terminalreporter.line(summary.headline)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the run created and stop the server."""
    if _RUN in config.stash:
        config.stash[_RUN].close.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Give the report the case's clauses, level and exchanges."""
    outcome: Any = yield
    if not isinstance(item, CaseItem) or call.when != "call":
        return
    report = outcome.get_result()
    report.obs_clauses, report.obs_level = ", ".join(item.case.clauses()), item.case.level
    result, item.result = item.result, None
    if result is None:
        return
    report.obs_verdict = result.rung
    few = len(item.session.items) <= item.config.getoption("obs_attach")
    if (few or report.failed) and item.config.getoption("htmlpath", None):
        from pytest_html import extras

        text = html.escape(wire(result, _the_run(item.config).redact))
        report.extras = [*getattr(report, "extras", []), extras.html(f"<pre>{text}</pre>")]


def wire(result: CaseResult, redact: Redactor) -> str:
    """The exchanges of a case without secrets: heads as they went, bodies by size and by beginning where it is text."""
    parts = []
    for step, exchange in result.played.exchanges:
        for sign, head, body in (
            (">", exchange.request.head, exchange.request.body if exchange.sent_body else b""),
            ("<", exchange.received_head, exchange.received_body),
        ):
            lines = redact.text(head.decode("latin-1")).rstrip("\r\n").split("\r\n")
            lines += [_body(body, redact)] if body else []
            parts += [f"{sign} {ascii(line)[1:-1]}" for line in lines]
        parts += [f"* {step}: {exchange.outcome}, {exchange.ms:.1f} ms", ""]
    return "\n".join(parts)


def _body(body: bytes, redact: Redactor) -> str:
    """A body in a line: its beginning if it is ASCII, and its size."""
    size = f"({len(body)} bytes)"
    return f"{redact.text(body[:_SHOWN].decode())} {size}" if body[:_SHOWN].isascii() else size


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_table_header(cells: list[str]) -> None:
    """Columns for clauses, level and verdict."""
    cells[2:2] = ["<th>Clauses</th>", "<th>Level</th>", "<th>Verdict</th>"]


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_table_row(report: Any, cells: list[str]) -> None:  # noqa: ANN401 - pytest-html's report
    """Their cells."""
    words = (getattr(report, f"obs_{name}", "") for name in ("clauses", "level", "verdict"))
    cells[2:2] = [f"<td>{html.escape(word)}</td>" for word in words]
