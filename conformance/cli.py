"""The command line: the one place that sees several rooms.

Reads options, wires library, target, transport, campaign and renderers together, prints, and exits with the codes of
``verdict.EXIT``. Decides nothing about conformance.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import sys
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import __version__, exploring, verdict
from conformance.casefile import load_library, with_cases_of
from conformance.vocabulary import CaseError, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.campaign import Campaign, CleanUp, Plan
    from conformance.casefile import Library
    from conformance.doctor import Check
    from conformance.gate import Known
    from conformance.parts import Resumed
    from conformance.results import ResultsFile
    from conformance.vocabulary import CaseResult, Target

FORMATS = ("json", "sarif", "har", "markdown", "badge")
COMPARE_FORMATS = ("text", "json", "markdown", "html")
_NAMED = 3
_MARKS = {"pass": "ok", "observed": "seen", "not_applicable": "n/a"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (UsageError, CaseError, TargetError) as error:
        print(f"obs-conformance: {error}", file=sys.stderr)
        return verdict.USAGE_EXIT
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="obs-conformance",
        description="Play documented cases against an OBS endpoint and report clause by clause what holds.",
        epilog="Exit codes: 0 conformant, 1 not conformant, 2 usage error, 3 inconclusive, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"obs-conformance {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="play the cases; without a target against the bundled reference server")
    _add_target_options(run)
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
    _add_report_options(run)
    _add_format(run)
    _add_gate_options(run)
    run.set_defaults(command=_run)
    _add_gate_commands(commands)
    for name, command, text in (
        ("list", _list, "list the cases"),
        ("check", _check, "check the case library"),
    ):
        commands.add_parser(name, help=text).set_defaults(command=command)
    explain = commands.add_parser("explain", help="a case or clause in English")
    explain.add_argument("id", metavar="ID")
    explain.set_defaults(command=_explain)
    coverage = commands.add_parser("coverage", help="clauses and the cases that exercise them")
    coverage.add_argument("--json", action="store_true", help="as JSON")
    coverage.set_defaults(command=_coverage)
    spec = commands.add_parser("spec", help="compare a page's text with the clauses that claim it")
    spec.add_argument("page", type=Path, metavar="PAGE.txt")
    spec.add_argument("--page-name", default="sse-kms", metavar="NAME", help="page of the library (default: sse-kms)")
    spec.add_argument(
        "--list", action="store_true", dest="list_sentences", help="print every sentence with its fingerprint"
    )
    spec.set_defaults(command=_spec)
    defects = commands.add_parser("defects", help="play the library against every planted defect, in process")
    defects.add_argument("names", nargs="*", metavar="NAME", help="only these defects and harmless variants")
    defects.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all)")
    defects.add_argument("--json", type=Path, metavar="FILE", help="write the matrix as JSON")
    defects.add_argument("--html", type=Path, metavar="FILE", help="write the matrix as a page")
    defects.add_argument("--pairs", type=int, default=0, metavar="N", help="also N pairs of defects, drawn by lot")
    defects.add_argument("--over-http", type=int, default=0, metavar="N", help="also N servers through sockets")
    defects.add_argument("--write", action="store_true", help="refresh proofs and matrix of a checkout")
    defects.set_defaults(command=_defects)
    _add_evidence_commands(commands)
    report = commands.add_parser("report", help="render a results file again; several: compare the endpoints")
    report.add_argument("results", type=Path, nargs="+", metavar="RESULTS.jsonl")
    report.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: beside the first)")
    _add_report_options(report)
    _add_format(report)
    report.set_defaults(command=_report)
    _add_sign(commands)
    exploring.add_commands(commands, _add_target_options)
    for name, explore in (
        ("probe", _probe),
        ("shell", _shell),
        ("explore", _explore),
        ("diff", _diff),
        ("client", exploring.run_client),
    ):
        commands.choices[name].set_defaults(command=explore)
    return parser


def _add_sign(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sign = commands.add_parser("sign", help="sign a request of your own; credentials from the environment")
    sign.add_argument("method", nargs="?", metavar="METHOD")
    sign.add_argument("url", nargs="?", metavar="URL")
    sign.add_argument(
        "-H", action="append", default=[], dest="headers", metavar="LINE", help="header line it will have"
    )
    sign.add_argument("--as-url", action="store_true", help="print a signed URL instead of header lines")
    sign.add_argument("--raw", type=Path, metavar="FILE", help="sign the raw request in FILE again and print it")
    sign.add_argument("--virtual-host", action="store_true", help="the bucket is the first label of the host")
    sign.add_argument(
        "--identity", default="owner", metavar="NAME", help="owner, or other_account for OBS_OTHER_ACCOUNT_*"
    )
    sign.set_defaults(command=_sign)


def _add_gate_options(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--budget", type=float, default=math.inf, metavar="S", help="seconds for the run; then cases are not run"
    )
    _add_baseline(run)
    run.add_argument("--shard", type=shard_of, metavar="I/N", help="play every N-th case from the I-th on; see merge")
    run.add_argument("--resume", type=Path, metavar="RESULTS.jsonl", help="go on with an interrupted run")
    run.add_argument("--annotations", choices=("github",), help="print what did not pass as annotations of a build")
    run.add_argument("--no-doctor", action="store_true", help="skip the pre-flight")


def _add_gate_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser("doctor", help="pre-flight: is it your set-up or your server?")
    _add_target_options(doctor)
    doctor.add_argument("--out", type=Path, metavar="DIR", help="folder for journal.jsonl")
    doctor.set_defaults(command=_doctor)
    merge = commands.add_parser("merge", help="put the shards of one run together")
    merge.add_argument("results", type=Path, nargs="+", metavar="RESULTS.jsonl", help="of every shard, or its folder")
    merge.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the merged run")
    merge.add_argument("--strict", action="store_true", help="a broken SHOULD fails the target too")
    _add_baseline(merge)
    _add_report_options(merge)
    merge.set_defaults(command=_merge)
    sweep = commands.add_parser("sweep", help="remove what runs left on a target, from their journals")
    sweep.add_argument("journals", type=Path, nargs="+", metavar="JOURNAL", help="its journal.jsonl or its folder")
    _add_target_options(sweep, required=True)
    sweep.set_defaults(command=_sweep)


def _add_target_options(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--target", type=Path, metavar="FILE.toml", help="target file")
    where.add_argument("--endpoint", metavar="URL", help="endpoint alone; credentials from the environment")


def _probe(options: argparse.Namespace) -> int:
    with _target(options) as target:
        return exploring.run_probe(options, target)


def _explore(options: argparse.Namespace) -> int:
    from conformance.selftest import campaign_in_process
    from conformance.world import World
    from reference_server.defects import DEFECTS
    from reference_server.service import HONEST

    seed = World.from_seed(options.seed).seed
    if options.target is not None or options.endpoint is not None:
        if options.defect is not None:
            raise UsageError("--defect is for the server in process; start obs-reference-server --defect instead")
        with _target(options) as target, exploring.over_http(target, seed, options.rate or 50.0) as campaign:
            return exploring.run_explore(options, campaign, seed)
    if options.defect is not None and options.defect not in DEFECTS:
        raise UsageError(f"no defect named {options.defect}; obs-reference-server --list-defects shows them")
    seams = HONEST if options.defect is None else DEFECTS[options.defect].seams()
    with campaign_in_process(load_library(), seams, seed) as campaign:
        return exploring.run_explore(options, campaign, seed)


def _diff(options: argparse.Namespace) -> int:
    from conformance.bundled import bundled_server
    from conformance.target import load_target

    if not 1 <= len(options.target) <= 2:  # noqa: PLR2004 - two sides
        raise UsageError("diff: give --target twice, or once to compare with the bundled server")
    with contextlib.ExitStack() as stack:
        files = options.target if len(options.target) > 1 else [stack.enter_context(bundled_server()), *options.target]
        first, second = map(load_target, files)
        return exploring.run_diff(options, first, second)


def _shell(options: argparse.Namespace) -> int:
    with _target(options) as target:
        return exploring.run_shell(target)


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--previous", type=Path, metavar="RESULTS", help="results of an earlier run to compare with")
    parser.add_argument(
        "--page", type=Path, action="append", default=[], metavar="PAGE.txt", help="text of a page, to show it judged"
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        action="append",
        default=[],
        choices=FORMATS,
        help="also write this, beside report.html and junit.xml; may be given several times",
    )


def _add_evidence_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser(
        "compare", help="what changed from one run to a newer one; exit code 1 if it is worse"
    )
    compare.add_argument("old", type=Path, metavar="OLD.jsonl")
    compare.add_argument("new", type=Path, metavar="NEW.jsonl")
    compare.add_argument("--format", choices=COMPARE_FORMATS, default="text", help="default: text")
    compare.add_argument("--out", type=Path, metavar="FILE", help="write it there instead of printing it")
    compare.set_defaults(command=_compare)
    rejudge = commands.add_parser("rejudge", help="judge recorded evidence again, without network")
    rejudge.add_argument("results", type=Path, metavar="RESULTS.jsonl", help="results, or a recording (HAR)")
    rejudge.add_argument("--profile", metavar="NAME", help="judge by this profile (default: the recorded one)")
    rejudge.add_argument("--cases", type=Path, metavar="DIR|FILE", help="judge with this case library or file")
    rejudge.add_argument("--out", type=Path, metavar="FILE.jsonl", help="write the results with the new verdicts")
    rejudge.set_defaults(command=_rejudge)
    statement = commands.add_parser("statement", help="sign a one-page statement about a results file")
    statement.add_argument("results", type=Path, nargs="?", metavar="RESULTS.jsonl")
    statement.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key (Ed25519, PEM)")
    statement.add_argument(
        "--new-key", action="store_true", help="make the key first; its public half goes to FILE.pub"
    )
    statement.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: beside the results)")
    statement.set_defaults(command=_statement)
    verify = commands.add_parser("verify", help="check a statement against its evidence, judged again")
    verify.add_argument("statement", type=Path, metavar="STATEMENT.json")
    verify.add_argument("results", type=Path, metavar="RESULTS.jsonl")
    verify.add_argument("--public-key", metavar="FILE|BASE64", help="the key it must be signed with")
    verify.add_argument("--cases", type=Path, metavar="DIR|FILE", help="judge with this case library or file")
    verify.set_defaults(command=_verify)


def _rejudge(options: argparse.Namespace) -> int:
    from conformance.attest import run_rejudge
    from conformance.recordings import is_recording

    if is_recording(options.results):
        if options.profile or options.cases or options.out:
            raise UsageError("a recording is judged by the passive rules; --profile, --cases and --out are of results")
        return exploring.run_recording(options.results)
    return run_rejudge(options.results, profile=options.profile, cases=options.cases, out=options.out, say=print)


def _statement(options: argparse.Namespace) -> int:
    from conformance.attest import run_statement

    return run_statement(options.results, key=options.key, new_key=options.new_key, out=options.out, say=print)


def _verify(options: argparse.Namespace) -> int:
    from conformance.attest import run_verify

    return run_verify(options.statement, options.results, trusted=options.public_key, cases=options.cases, say=print)


def shard_of(text: str) -> tuple[int, int]:
    """The value of --shard; named for the message of argparse."""
    from conformance.parts import shard_of as parse

    return parse(text)


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
    with _target(options) as target:
        plan, resumed = _plan(library, target, options), None
        out = _out_folder(options.out or (options.resume and options.resume.parent))
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
            code = _play(campaign, library, options, out, known=known, examine=examine, resumed=resumed)
        finally:
            transport.close()
            journal.close()
    _render(out / "results.jsonl", out, options)
    _write_formats(out / "results.jsonl", out, options.format)
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


@contextlib.contextmanager
def _target(options: argparse.Namespace) -> Iterator[Target]:
    from conformance.bundled import bundled_server
    from conformance.target import load_target, target_from_endpoint

    if options.target is not None:
        yield load_target(options.target)
    elif options.endpoint is not None:
        yield target_from_endpoint(options.endpoint)
    else:
        with bundled_server() as target_file:
            yield load_target(target_file)


def _plan(library: Library, target: Target, options: argparse.Namespace) -> Plan:
    from conformance.campaign import make_plan
    from conformance.parts import part_of

    profile, select = options.profile or target.profile, options.select
    try:
        plan = make_plan(library, profile, select)
    except KeyError as error:
        raise UsageError(f"no profile named {profile!r}; there are: {', '.join(library.profiles)}") from error
    if not plan.cases:
        raise UsageError(f"no case matches --select {' '.join(select)}; obs-conformance list shows them all")
    return part_of(plan, options.shard)


def _out_folder(chosen: Path | None) -> Path:
    folder = chosen or Path("conformance-results") / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from error
    return folder


def _play(  # noqa: PLR0913 - a run has this many parts
    campaign: Campaign,
    library: Library,
    options: argparse.Namespace,
    out: Path,
    *,
    known: Known | None,
    examine: Callable[[], tuple[Check, ...]],
    resumed: Resumed | None,
) -> int:
    from conformance import annotations, gate
    from conformance.progress import Progress
    from conformance.results import Redactor, ResultsFile, footer_line

    plan, target, world = campaign.plan, campaign.target, campaign.world
    path, redactor = out / "results.jsonl", Redactor(target.secrets())
    if resumed is not None:
        resumed.begin(path)
    results_file = ResultsFile(path, redactor, append=resumed is not None)
    interrupted = False
    try:
        checks = examine()
    except KeyboardInterrupt:
        checks, interrupted = (), True
    refusal = gate.refusal(checks)
    if resumed is None:
        results_file.header(
            library=library,
            profile=plan.profile,
            requirements=plan.requirements,
            target=target,
            cases=plan.cases,
            seed=world.seed,
            started=world.stamp(),
            strict=options.strict,
            doctor=gate.log_of(checks),
            shard=options.shard,
        )
    progress = Progress(target.name, len(plan.cases), sys.stdout, live=sys.stdout.isatty())
    say = _redacted(redactor.text, progress.say)
    playing = partial(_play_cases, campaign, options, results_file, refusal, say=say, step=progress.step)
    results, stopped = ([], True) if interrupted else playing()
    progress.close()
    cleaned = campaign.clean_up()
    cases = plan.cases
    if resumed is not None:
        results, cases = resumed.in_order(results), resumed.whole.cases
    declared = campaign.declared(cases)
    summary = verdict.conclude(
        plan.requirements, results, declared=declared, strict=options.strict, interrupted=stopped
    )
    code, settled = verdict.EXIT[summary.conclusion], None
    if known is not None and not stopped:
        ids = {case.id for case in library.cases}
        settled = known.settle(
            plan.requirements, results, ids, declared=declared, strict=options.strict, redact=redactor.text
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
    if options.annotations is not None:
        for line in annotations.github(results, () if settled is None else settled.known):
            say(line)
    for line in (*(() if settled is None else settled.lines), summary.headline):
        say(line)
    return code


def _redacted(redact: Callable[[str], str], say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: say(redact(line))


def _play_cases(  # noqa: PLR0913 - as above
    campaign: Campaign,
    options: argparse.Namespace,
    results_file: ResultsFile,
    refusal: str,
    *,
    say: Callable[[str], None],
    step: Callable[[str], None],
) -> tuple[list[CaseResult], bool]:
    """The results so far, and whether the user stopped the run."""
    from conformance.proofs import load_proofs
    from conformance.source import case_source

    proofs = load_proofs()
    results: list[CaseResult] = []
    try:
        if refusal:
            campaign.refuse(refusal)
        else:
            campaign.prepare()
        for result in campaign.run(options.jobs or campaign.target.jobs):
            name = result.case.id
            reason = results_file.case(
                result,
                source=case_source(result.case),
                proofs=proofs.get(name, proofs.get(name.partition("/")[0], ())),
            )
            # The exchanges of all cases together would not fit into memory.
            played = dataclasses.replace(result.played, exchanges=())
            results.append(dataclasses.replace(result, reason=reason, played=played))
            if result.rung != "pass":
                say(f"{_MARKS.get(result.rung, result.rung.upper()):>14}  {result.case.id}  {reason}")
            step(result.rung)
    except KeyboardInterrupt:
        return results, True
    return results, False


def _tell_left(cleaned: CleanUp, out: Path) -> None:
    if cleaned.left:
        named = ", ".join(cleaned.left[-_NAMED:])
        print(
            f"left behind on the target: {len(cleaned.left)} resources, among them {named}; "
            f"obs-conformance sweep {out / 'journal.jsonl'} removes them",
            file=sys.stderr,
        )


def _render(results: Path, out: Path, options: argparse.Namespace) -> None:
    from reports.html import write_html
    from reports.junit import write_junit
    from reports.model import ResultsError, read_results

    try:
        write_html(results, out / "report.html", previous=options.previous, pages=options.page)
        write_junit(read_results(results), out / "junit.xml")
    except ResultsError as error:
        raise UsageError(str(error)) from error


def _doctor(options: argparse.Namespace) -> int:
    from conformance import doctor, gate
    from conformance.journal import Journal
    from conformance.results import Redactor
    from conformance.transport import open_transport
    from conformance.world import World

    with _target(options) as target:
        redact = Redactor(target.secrets()).text
        journal = Journal(_out_folder(options.out) / "journal.jsonl", target.endpoint)
        with contextlib.closing(journal), contextlib.closing(open_transport(target)) as transport:
            checks = []
            for check in doctor.Doctor(target, World.from_seed(), journal, transport).examine():
                checks.append(check)
                gate.show(check, lambda line: print(redact(line), flush=True))
    stop = doctor.diagnosis(tuple(checks))
    print("Ready: nothing stands in the way of a run." if stop is None else f"Not ready: {stop.name}.")
    return 0 if stop is None else verdict.EXIT["inconclusive"]


def _merge(options: argparse.Namespace) -> int:
    from conformance import gate, parts

    known = gate.Known.asked_for(options)
    merged = parts.merge([path / "results.jsonl" if path.is_dir() else path for path in options.results])
    out = _out_folder(options.out)

    def settle(run: parts.Merged) -> gate.Settled | None:
        if known is None:
            return None
        ids = {case.id for case in load_library().cases}
        requirements = run.parts[0].requirements()
        settled = known.settle(requirements, run.results, ids, declared=run.declared, strict=options.strict, redact=str)
        print("\n".join(settled.lines))
        return settled

    headline, code = parts.write(merged, out / "results.jsonl", settle, strict=options.strict)
    print(headline)
    _render(out / "results.jsonl", out, options)
    print(f"report: {out / 'report.html'}")
    return code


def _sweep(options: argparse.Namespace) -> int:
    from conformance.sweep import reopen, sweep
    from conformance.transport import open_transport
    from conformance.world import World

    left: list[str] = []
    with _target(options) as target, contextlib.closing(open_transport(target)) as transport:
        for path in options.journals:
            with contextlib.closing(reopen(path / "journal.jsonl" if path.is_dir() else path, target)) as journal:
                cleaned = sweep(journal, target, World.from_seed(), transport)
            left += cleaned.left
            print(f"{path}: {cleaned.removed} of {cleaned.created} resources removed", flush=True)
    for name in left:
        print(f"left behind: {name}", file=sys.stderr)
    return 1 if left else 0


def _report(options: argparse.Namespace) -> int:
    first, *others = options.results
    out = _out_folder(options.out or first.parent)
    if others:
        from conformance.outputs import run_comparison

        for name in ("format", "previous", "page"):
            if getattr(options, name):
                raise UsageError(f"--{name} is of one run; of several there is comparison.html, and compare for two")
        return run_comparison(options.results, out, say=print)
    _render(first, out, options)
    _write_formats(first, out, options.format)
    print(f"report: {out / 'report.html'}")
    return 0


def _sign(options: argparse.Namespace) -> int:
    from conformance.sign import header_pairs, signer_from

    signer = signer_from(os.environ, options.identity, virtual_host=options.virtual_host)
    if options.raw is not None:
        try:
            sys.stdout.buffer.write(signer.raw(options.raw.read_bytes()))
        except OSError as error:
            raise UsageError(f"--raw {options.raw}: cannot be read: {error.strerror}") from error
        return 0
    if options.url is None:
        raise UsageError("sign: give METHOD and URL, or --raw FILE")
    headers = header_pairs(options.headers)
    signed = signer.url(options.method, options.url, headers) if options.as_url else None
    print(signed or "\n".join(signer.header_lines(options.method, options.url, headers)))
    return 0


def _write_formats(results: Path, out: Path, names: Sequence[str]) -> None:
    if names:
        from conformance.outputs import write_formats

        write_formats(results, out, names)


def _compare(options: argparse.Namespace) -> int:
    from conformance.outputs import run_compare

    return run_compare(options.old, options.new, form=options.format, out=options.out, say=print)


def _list(_: argparse.Namespace) -> int:
    for case in load_library().cases:
        print(f"{case.id:24} {case.level:8} {case.area:12} {case.says}")
    return 0


def _check(_: argparse.Namespace) -> int:
    from conformance.passive import load_rules
    from conformance.vectors import judge_vector, load_vectors

    library = load_library()
    rules = load_rules(library)
    problems = list(_orphans(library))
    vectors = load_vectors()
    problems += [line for vector in vectors["vectors"] for line in judge_vector(vector, vectors["secret_key"])]
    if problems:
        raise CaseError("\n".join(problems))
    counts = f"{len(library.cases)} cases, {len(library.requirements)} clauses, {len(library.profiles)} profiles"
    print(f"{counts}, {len(vectors['vectors'])} signing vectors, {len(rules)} passive rules: sound")
    return 0


def _orphans(library: Library) -> Iterator[str]:
    """Clauses that no case exercises and that do not say why, and those that say so although a case does."""
    exercised = {clause for case in library.cases for clause in case.clauses()}
    for profile in library.profiles.values():
        for clause in profile.clauses:
            if clause not in exercised and library.requirements[clause].observable != "no":
                yield f"profile {profile.name}: no case exercises {clause}"
    for requirement in library.requirements.values():
        if requirement.id not in exercised and requirement.untested is None:
            yield f"{requirement.id}: no case exercises it; write one, or say why under untested"
        if requirement.id in exercised and requirement.untested is not None:
            yield f"{requirement.id}: says untested, but a case exercises it; remove the word"


def _defects(options: argparse.Namespace) -> int:
    from conformance.defects_command import run_defects, unknown_names

    unknown = unknown_names(options.names)
    if unknown:
        lists = "obs-reference-server --list-defects and --list-variants show them"
        raise UsageError(f"no defect or variant named {', '.join(unknown)}; {lists}")
    return run_defects(options)


def _explain(options: argparse.Namespace) -> int:
    from conformance.explain import explain_case, explain_clause
    from conformance.proofs import load_proofs

    library = load_library()
    if options.id in library.requirements:
        cases = [case for case in library.cases if options.id in case.clauses()]
        print(explain_clause(library.requirements[options.id], cases))
        return 0
    found = [case for case in library.cases if options.id in {case.id, case.id.partition("/")[0]}]
    if not found:
        raise UsageError(f"no case or clause has the id {options.id!r}; obs-conformance list shows the cases")
    proofs = load_proofs()
    print(
        "\n\n".join(
            explain_case(case, [library.requirements[clause] for clause in case.clauses()], proofs.get(case.id, ()))
            for case in found
        )
    )
    return 0


def _coverage(options: argparse.Namespace) -> int:
    library = load_library()
    matrix = {
        clause: [case.id for case in library.cases if clause in case.clauses()] for clause in library.requirements
    }
    if options.json:
        print(
            json.dumps(
                {"clauses": matrix, "cases": {case.id: list(case.clauses()) for case in library.cases}}, indent=1
            )
        )
        return 0
    for clause, cases in matrix.items():
        requirement = library.requirements[clause]
        print(f"{clause:12} {requirement.level:7} {', '.join(cases) or requirement.untested or '-'}")
    print()
    for case in library.cases:
        print(f"{case.id:24} {', '.join(case.clauses())}")
    return 0


def _spec(options: argparse.Namespace) -> int:
    from conformance.requirements import compare_page

    library = load_library()
    if options.page_name not in library.sections:
        raise UsageError(f"no page named {options.page_name!r}; there are: {', '.join(library.sections)}")
    try:
        text = options.page.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{options.page}: cannot be read as text: {error}") from error
    clauses = [requirement for requirement in library.requirements.values() if requirement.page == options.page_name]
    claims = {requirement.id: requirement.claims for requirement in clauses} | dict(
        library.informative[options.page_name]
    )
    found = compare_page(text, library.sections[options.page_name], claims)
    if options.list_sentences:
        for sentence in found.sentences:
            print(f"{sentence.fingerprint}  {sentence.section} {sentence.ordinal}: {sentence.text}")
    for sentence in found.unclaimed:
        print(f"unclaimed: {sentence.fingerprint}  {sentence.section} {sentence.ordinal}: {sentence.text}")
    for owner, mark in found.lost:
        print(f"lost: {owner} claims {mark}, which no sentence of this text has")
    print(f"{len(found.sentences)} sentences, {len(found.unclaimed)} unclaimed, {len(found.lost)} claims lost")
    return 1 if found.unclaimed or found.lost else 0
