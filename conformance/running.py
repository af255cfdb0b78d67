"""The commands that talk to a target as a gate does: run, doctor, merge, sweep.

Part of the composition root beside ``cli.py``: wires library, target, transport, campaign and results together and
prints. Decides nothing about conformance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import verdict
from conformance.casefile import load_library, with_cases_of
from conformance.shared_options import (
    add_format,
    add_report_options,
    add_target_options,
    chosen_target,
    out_folder,
    render,
    write_formats,
)
from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from conformance.campaign import Campaign, Plan
    from conformance.casefile import Library
    from conformance.doctor import Check
    from conformance.gate import Known
    from conformance.parts import Resumed
    from conformance.progress import Progress
    from conformance.removal import CleanUp
    from conformance.results import ResultsFile
    from conformance.vocabulary import CaseResult, Target

_NAMED = 3
_MARKS = {"pass": "ok", "observed": "seen", "not_applicable": "n/a"}
_QUIET = frozenset(_MARKS)
"""Rungs that nobody has to look at."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parsers of these commands."""
    run = commands.add_parser("run", help="play the cases; without a target against the bundled reference server")
    add_target_options(run)
    run.add_argument("--profile", metavar="NAME", help="profile to judge by (default: the target file's)")
    run.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="TEXT",
        help="only cases whose id contains TEXT, or of that area or clause",
    )
    run.add_argument("--jobs", type=int, metavar="N", help="cases at a time (default: the target file's limit, 8)")
    run.add_argument("--seed", type=int, metavar="N", help="seed of generated names")
    run.add_argument("--strict", action="store_true", help="a broken SHOULD fails the target too")
    run.add_argument(
        "--cases", type=Path, metavar="FILE.yaml", help="play this case file instead of the library's cases"
    )
    run.add_argument("--watch", action="store_true", help="play again whenever a case file changes, until Ctrl-C")
    run.add_argument("--out", type=Path, metavar="DIR", help="folder for results.jsonl, report.html, junit.xml")
    add_report_options(run)
    add_format(run)
    _add_gate_options(run)
    run.set_defaults(command=_run)
    _add_gate_commands(commands)


def _add_gate_options(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--budget", type=float, default=math.inf, metavar="S", help="seconds for the run; then cases are not run"
    )
    _add_baseline(run)
    run.add_argument("--shard", type=_shard_of, metavar="I/N", help="play every N-th case from the I-th on; see merge")
    run.add_argument("--resume", type=Path, metavar="RESULTS.jsonl", help="go on with an interrupted run")
    run.add_argument("--annotations", choices=("github",), help="print what did not pass as annotations of a build")
    run.add_argument("--no-doctor", action="store_true", help="skip the pre-flight")


def _add_gate_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser("doctor", help="pre-flight: is it your set-up or your server?")
    add_target_options(doctor)
    doctor.add_argument("--out", type=Path, metavar="DIR", help="folder for journal.jsonl")
    doctor.set_defaults(command=_doctor)
    merge = commands.add_parser("merge", help="put the shards of one run together")
    merge.add_argument("results", type=Path, nargs="+", metavar="RESULTS.jsonl", help="of every shard, or its folder")
    merge.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the merged run")
    merge.add_argument("--strict", action="store_true", help="a broken SHOULD fails the target too")
    _add_baseline(merge)
    add_report_options(merge)
    merge.set_defaults(command=_merge)
    sweep = commands.add_parser("sweep", help="remove what runs left on a target, from their journals")
    sweep.add_argument("journals", type=Path, nargs="+", metavar="JOURNAL", help="its journal.jsonl or its folder")
    add_target_options(sweep, required=True)
    sweep.set_defaults(command=_sweep)


def _shard_of(text: str) -> tuple[int, int]:
    import argparse

    from conformance.parts import shard_of

    try:
        return shard_of(text)
    except ValueError as error:
        says = f"{text!r} is no shard; write I/N, such as 1/3 for the first of three"
        raise argparse.ArgumentTypeError(says) from error


def _add_baseline(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--baseline", type=Path, metavar="FILE.yaml", help="failures that are known; exit 1 for others")
    which.add_argument("--write-baseline", type=Path, metavar="FILE.yaml", help="mend this baseline, then judge by it")
    parser.add_argument("--owner", default="", metavar="NAME", help="owner of entries that --write-baseline adds")
    parser.add_argument("--reason", default="", metavar="TEXT", help="their reason (default: how the case fails)")
    parser.add_argument("--link", default="", metavar="URL", help="their link, for instance an issue")
    parser.add_argument(
        "--expires", type=date.fromisoformat, metavar="YYYY-MM-DD", help="their last day (default: in 90 days)"
    )


def _run(options: argparse.Namespace) -> int:
    if not options.watch:
        return _run_once(options)
    from conformance.bundled import bundled_server
    from conformance.casefile import LIBRARY_ROOT
    from conformance.watching import whenever_changed

    with contextlib.ExitStack() as stack:
        if options.target is None and options.endpoint is None:
            options.target = stack.enter_context(bundled_server())
        return whenever_changed(options.cases or LIBRARY_ROOT, lambda: _run_once(options), _say)


def _say(line: str) -> None:
    print(line, flush=True)


def _run_once(options: argparse.Namespace) -> int:
    from conformance import gate
    from conformance.campaign import Campaign
    from conformance.journal import Journal
    from conformance.transport import open_transport
    from conformance.world import World

    library = load_library() if options.cases is None else with_cases_of(load_library(), options.cases)
    _check_run(options)
    known = gate.Known.asked_for(options)
    with chosen_target(options) as target:
        plan, resumed = _plan(library, target, options), None
        out = out_folder(options.out or (options.resume and options.resume.parent))
        if known is not None:
            known.check_place()
        if options.resume is not None:
            resumed = _resume(options, library, target, plan)
            plan = resumed.rest()
        world = World.from_seed(options.seed)
        journal = Journal(out / "journal.jsonl", target.endpoint)
        transport = open_transport(target, options.budget)
        try:
            campaign = Campaign(plan, library, target, world, journal, transport=transport, budget_s=options.budget)
            print(f"{target.name}: {len(plan.cases)} cases, profile {plan.profile.name}, seed {world.seed}", flush=True)
            examine = tuple if options.no_doctor else partial(gate.examine, target, world, journal, transport)
            code = play_run(campaign, library, options, out, known=known, examine=examine, resumed=resumed)
        finally:
            transport.close()
            journal.close()
    render(out / "results.jsonl", out, options)
    write_formats(out / "results.jsonl", out, options.format)
    print(f"report: {out / 'report.html'}")
    return code


def _check_run(options: argparse.Namespace) -> None:
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: at least one case plays at a time")
    if not options.budget > 0:
        raise UsageError(f"--budget {options.budget:g}: seconds, more than 0")
    if options.resume is not None:
        if options.shard or options.select or options.cases:
            raise UsageError(
                "--resume goes on with the cases of its results file; leave out --shard, --select, --cases"
            )
        if options.target is None and options.endpoint is None:
            raise UsageError("--resume needs the --target or --endpoint of its run")


def _resume(options: argparse.Namespace, library: Library, target: Target, plan: Plan) -> Resumed:
    """What an interrupted run left to go on with; what it left on the target is removed."""
    from conformance.parts import resume
    from conformance.sweep import reopen, sweep
    from conformance.transport import open_transport
    from conformance.world import World

    resumed = resume(options.resume, plan, library.digest, target.endpoint)
    old = options.resume.parent / "journal.jsonl"
    if old.exists():
        with (
            contextlib.closing(reopen(old, target)) as journal,
            contextlib.closing(open_transport(target, options.budget)) as transport,
        ):
            sweep(journal, target, World.from_seed(), transport)
    return resumed


def _plan(library: Library, target: Target, options: argparse.Namespace) -> Plan:
    from conformance.campaign import make_plan
    from conformance.parts import part_of

    profile, select = options.profile or target.profile, options.select
    try:
        plan = make_plan(library, profile, select)
    except KeyError as error:
        raise UsageError(f"no profile named {profile!r}; there are: {', '.join(library.profiles)}") from error
    if not all(text.strip() for text in select):
        raise UsageError("--select is empty; leave it out to play every case")
    if not plan.cases:
        raise UsageError(f"no case matches --select {' '.join(select)}; obs-conformance list shows them all")
    _check_target(library, target, plan)
    return part_of(plan, options.shard)


def _check_target(library: Library, target: Target, plan: Plan) -> None:
    """What a target file says must be of this library, and its secrets must not hide what the results are about."""
    from conformance.tomlfile import hint

    features = sorted({need for case in library.cases for need in case.needs})
    for word in target.without:
        if word not in features:
            raise UsageError(f"{target.name}: no case needs without.{word}; {hint(word, features)}")
    for case in plan.cases:
        if any(secret in case.id for secret in target.secrets()):
            says = f"a secret of the target is part of the name {case.id}, which results could not tell then"
            raise UsageError(f"{target.name}: {says}; use another secret")


def play_run(  # noqa: PLR0913 - a run has this many parts
    campaign: Campaign,
    library: Library,
    options: argparse.Namespace,
    out: Path,
    *,
    known: Known | None,
    examine: Callable[[], tuple[Check, ...]],
    resumed: Resumed | None = None,
    progress: Progress | None = None,
) -> int:
    """Examine, play, clean up and leave ``results.jsonl`` in a folder; the exit code.

    :param options: ``jobs`` (None: the target's), ``strict``, ``shard`` and ``annotations`` are asked.
    :param progress: told of every case and given every line; by default lines go to the terminal.
    """
    from conformance import annotations, gate
    from conformance.progress import Progress as Terminal
    from conformance.results import Redactor, ResultsFile, footer_line

    plan, world = campaign.plan, campaign.world
    path, redactor = out / "results.jsonl", Redactor(campaign.target.secrets())
    if resumed is not None:
        resumed.begin(path)
    results_file = ResultsFile(path, redactor, append=resumed is not None)
    interrupted = False
    try:
        checks = examine()
    except KeyboardInterrupt:
        checks, interrupted = (), True
    refusal = gate.admit(campaign, checks, _redacted(redactor.text, _say if progress is None else progress.say))
    if resumed is None:
        results_file.header(
            library=library,
            profile=plan.profile,
            requirements=plan.requirements,
            target=campaign.target,
            cases=plan.cases,
            seed=world.seed,
            started=world.stamp(),
            strict=options.strict,
            doctor=gate.log_of(checks),
            shard=options.shard,
            places=plan.places,
        )
    if progress is None:
        progress = Terminal(campaign.target.name, len(plan.cases), sys.stdout, live=sys.stdout.isatty())
    say = _redacted(redactor.text, progress.say)
    seen = _Seen(options, known)
    stopped = interrupted or _play_cases(campaign, options, results_file, refusal, seen, say=say, step=progress.step)
    progress.close()
    cleaned = campaign.clean_up(options.jobs or campaign.target.jobs)
    cases = plan.cases
    if resumed is not None:
        seen, cases = _Seen.of(resumed.results(path), options, known), resumed.whole.cases
    declared = campaign.declared(cases)
    summary = seen.tally.conclude(plan.requirements, declared=declared, strict=options.strict, interrupted=stopped)
    code, settled = verdict.EXIT[summary.conclusion], None
    if known is not None and not stopped:
        ids = {case.id for case in library.cases}
        settled = known.settle(
            plan.requirements,
            seen.kept,
            seen.tally,
            ids,
            declared=declared,
            strict=options.strict,
            redact=redactor.text,
        )
        code = settled.exit
    results_file.footer(
        footer_line(
            summary,
            code,
            cleanup=dataclasses.asdict(cleaned),
            ended=world.stamp(),
            declared=declared,
            baseline=None if settled is None else settled.record,
        )
    )
    if resumed is not None:
        resumed.arrange(path)
    _tell_left(cleaned, out)
    known_ids, told = (frozenset(), ()) if settled is None else (settled.known, settled.lines)
    annotated = annotations.github(seen.kept, known_ids) if options.annotations else ()
    for line in (*annotated, *told, summary.headline):
        say(line)
    return code


def _redacted(redact: Callable[[str], str], say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: say(redact(line))


class _Seen:
    """What a run remembers of its results: a tally of all, and those that baseline and annotations will ask for.

    With all exchanges, or even all findings, a long run would not fit into memory; the results file has them.
    """

    def __init__(self, options: argparse.Namespace, known: Known | None) -> None:
        self.tally = verdict.Tally()
        self.kept: list[CaseResult] = []
        self._strict, self._annotated, self._known = options.strict, options.annotations is not None, known

    @classmethod
    def of(cls, results: Iterable[CaseResult], options: argparse.Namespace, known: Known | None) -> _Seen:
        """What would be remembered of results that are there already."""
        seen = cls(options, known)
        for result in results:
            seen.add(result)
        return seen

    def add(self, result: CaseResult) -> None:
        """Count a result and keep it, without its exchanges, if anybody will ask for it."""
        self.tally.add(result)
        noted = self._annotated and result.rung not in _QUIET
        if noted or (self._known is not None and self._known.concerns(result, strict=self._strict)):
            self.kept.append(dataclasses.replace(result, played=dataclasses.replace(result.played, exchanges=())))


def _play_cases(  # noqa: PLR0913 - as above
    campaign: Campaign,
    options: argparse.Namespace,
    results_file: ResultsFile,
    refusal: str,
    seen: _Seen,
    *,
    say: Callable[[str], None],
    step: Callable[[str], None],
) -> bool:
    """Play, write and show the cases; whether the user stopped the run."""
    from conformance.proofs import load_proofs
    from conformance.source import case_source

    proofs = load_proofs()
    try:
        if refusal:
            campaign.refuse(refusal)
        else:
            campaign.prepare()
        if campaign.refused is not None:
            rung, reason = campaign.refused
            say(f"{rung.upper():>14}  {len(campaign.plan.cases)} cases  {reason}")
        gc.freeze()  # what is loaded stays to the end; to look through it again and again is a tenth of a long run
        for result in campaign.run(options.jobs or campaign.target.jobs):
            name = result.case.id
            reason = results_file.case(
                result,
                source=case_source(result.case),
                proofs=proofs.get(name, proofs.get(name.partition("/")[0], ())),
            )
            seen.add(dataclasses.replace(result, reason=reason))
            if result.rung != "pass" and campaign.refused != (result.rung, result.reason):
                say(f"{_MARKS.get(result.rung, result.rung.upper()):>14}  {name}  {reason}")
            step(result.rung)
    except KeyboardInterrupt:
        return True
    finally:
        gc.unfreeze()  # whoever plays one run after the other in this process would keep the garbage of each
    return False


def _tell_left(cleaned: CleanUp, out: Path) -> None:
    if cleaned.left:
        named = ", ".join(cleaned.left[-_NAMED:])
        print(
            f"left behind on the target: {len(cleaned.left)} resources, among them {named}; "
            f"obs-conformance sweep {out / 'journal.jsonl'} removes them",
            file=sys.stderr,
        )


def _doctor(options: argparse.Namespace) -> int:
    from conformance import doctor, gate
    from conformance.journal import Journal
    from conformance.results import Redactor
    from conformance.transport import open_transport
    from conformance.world import World

    with chosen_target(options) as target:
        redact, out = Redactor(target.secrets()).text, out_folder(options.out)
        journal = Journal(out / "journal.jsonl", target.endpoint)
        with contextlib.closing(journal), contextlib.closing(open_transport(target)) as transport:
            checks = []
            for check in doctor.Doctor(target, World.from_seed(), journal, transport).examine():
                checks.append(check)
                gate.show(check, lambda line: print(redact(line), flush=True))
        if options.out is None and next(iter(journal.standing()), None) is None:  # nothing to sweep, nothing to keep
            (out / "journal.jsonl").unlink()
            out.rmdir()
    stop = doctor.diagnosis(tuple(checks))
    print("Ready: nothing stands in the way of a run." if stop is None else f"Not ready: {stop.name}.")
    return 0 if stop is None else verdict.EXIT["inconclusive"]


def _merge(options: argparse.Namespace) -> int:
    from conformance import gate, parts

    known = gate.Known.asked_for(options)
    merged = parts.merge([path / "results.jsonl" if path.is_dir() else path for path in options.results])
    out = out_folder(options.out)

    def settle(run: parts.Merged, tally: verdict.Tally) -> gate.Settled | None:
        if known is None:
            return None
        ids = {case.id for case in load_library().cases}
        requirements = run.parts[0].requirements()
        settled = known.settle(
            requirements,
            run.results,
            tally,
            ids,
            declared=run.declared,
            strict=options.strict,
            redact=str,
        )
        print("\n".join(settled.lines))
        return settled

    headline, code = parts.write(merged, out / "results.jsonl", settle, strict=options.strict)
    print(headline)
    render(out / "results.jsonl", out, options)
    print(f"report: {out / 'report.html'}")
    return code


def _sweep(options: argparse.Namespace) -> int:
    from conformance.sweep import reopen, sweep
    from conformance.transport import open_transport
    from conformance.world import World

    left: list[str] = []
    with chosen_target(options) as target, contextlib.closing(open_transport(target)) as transport:
        for path in options.journals:
            with contextlib.closing(reopen(path / "journal.jsonl" if path.is_dir() else path, target)) as journal:
                cleaned = sweep(journal, target, World.from_seed(), transport)
            left += cleaned.left
            print(f"{path}: {cleaned.removed} of {cleaned.created} resources removed", flush=True)
    for name in left:
        print(f"left behind: {name}", file=sys.stderr)
    return 1 if left else 0
