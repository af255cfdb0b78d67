"""The command line: every command by name, and those that ask the library or the planted defects.

Reads options, prints, and exits with the codes of ``verdict.EXIT``. Decides nothing about conformance.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import __version__, exploring, fleet_command, history_command, offline, running, verdict
from conformance.casefile import load_library
from conformance.outlet import outlets
from conformance.shared_options import add_target_options, chosen_target
from conformance.vocabulary import CaseError, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.casefile import Library


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    An error of our own is no verdict on a target: it exits as what could not be measured, not as what failed.
    """
    with outlets():
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        try:
            return command(options)
        except (UsageError, CaseError, TargetError) as error:
            print(f"obs-conformance: {error}", file=sys.stderr)
            return verdict.USAGE_EXIT
        except KeyboardInterrupt:
            print("obs-conformance: interrupted", file=sys.stderr)
            return verdict.EXIT["interrupted"]
        except OSError as error:
            print(f"obs-conformance: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
            return verdict.USAGE_EXIT
        except Exception as error:  # noqa: BLE001 - a user is told in a line, whoever mends it where
            *_, last = traceback.extract_tb(error.__traceback__)
            where = f"{Path(last.filename).name}, line {last.lineno}"
            print(
                f"obs-conformance: the suite failed, which is an error of its own: {error!r} ({where})", file=sys.stderr
            )
            return verdict.EXIT["inconclusive"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="obs-conformance",
        description="Play documented cases against an OBS endpoint and report clause by clause what holds.",
        epilog="Exit codes: 0 conformant, 1 not conformant, 2 usage error, 3 inconclusive, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"obs-conformance {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    running.add_commands(commands)
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
    defects.add_argument("--dialect", default="obs", metavar="NAME", help="spoken to the server (default: obs)")
    defects.add_argument("--write", action="store_true", help="refresh proofs and matrix of a checkout")
    defects.set_defaults(command=_defects)
    offline.add_commands(commands)
    fleet_command.add_command(commands)
    history_command.add_commands(commands)
    exploring.add_commands(commands, add_target_options)
    for name, explore in (
        ("probe", _probe),
        ("shell", _shell),
        ("explore", _explore),
        ("diff", _diff),
        ("client", exploring.run_client),
    ):
        commands.choices[name].set_defaults(command=explore)
    return parser


def _probe(options: argparse.Namespace) -> int:
    with chosen_target(options) as target:
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
        with chosen_target(options) as target, exploring.over_http(target, seed, options.rate or 50.0) as campaign:
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
    with chosen_target(options) as target:
        return exploring.run_shell(target)


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
    from conformance.dialectfile import OWN, names

    if options.dialect not in names():
        raise UsageError(f"no dialect named {options.dialect!r}; there are: {', '.join(names())}")
    if options.write and options.dialect != OWN:
        raise UsageError("--write refreshes what was found in OBS's own dialect; leave out --dialect")
    unknown = unknown_names(options.names)
    if unknown:
        lists = "obs-reference-server --list-defects and --list-variants show them"
        raise UsageError(f"no defect or variant named {', '.join(unknown)}; {lists}")
    return run_defects(options)


def _explain(options: argparse.Namespace) -> int:
    from conformance.explain import explain_id
    from conformance.proofs import load_proofs

    text = explain_id(load_library(), options.id, load_proofs())
    if text is None:
        raise UsageError(f"no case or clause has the id {options.id!r}; obs-conformance list shows the cases")
    print(text)
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
    if len(found.unclaimed) == len(found.sentences):  # then it is shown to nobody, for it may be anything
        raise UsageError(
            f"{options.page}: no clause claims a sentence of it; is it the text of page {options.page_name}?"
        )
    if options.list_sentences:
        for sentence in found.sentences:
            print(f"{sentence.fingerprint}  {sentence.section} {sentence.ordinal}: {sentence.text}")
    for sentence in found.unclaimed:
        print(f"unclaimed: {sentence.fingerprint}  {sentence.section} {sentence.ordinal}: {sentence.text}")
    for owner, mark in found.lost:
        print(f"lost: {owner} claims {mark}, which no sentence of this text has")
    print(f"{len(found.sentences)} sentences, {len(found.unclaimed)} unclaimed, {len(found.lost)} claims lost")
    return 1 if found.unclaimed or found.lost else 0
