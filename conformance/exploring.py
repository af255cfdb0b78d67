"""The commands of an explorer: one request, a shell of requests, and what a recording shows.

Front end: reads words, prints, remembers a history. What a request is and how it is judged lies in ``probe``,
``passive`` and ``heard``, which are imported when a command needs them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from conformance.casefile import load_library
from conformance.example_database import open_database
from conformance.vocabulary import CaseError, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.campaign import Campaign
    from conformance.casefile import Library
    from conformance.differential import Group, Names
    from conformance.explore.search import Source
    from conformance.passive import Side
    from conformance.probe import Probe, ProbeSession
    from conformance.transport import Transport
    from conformance.vocabulary import Case, CaseResult, Target
    from conformance.world import World

_MODE, _MODE_IN_QUERY = "x-obs-server-side-encryption", "SSEKMS-S63"
"""The header that names the mode, and the clause that it may stand in the query of a URL."""
METHODS = ("PUT", "GET", "HEAD", "POST", "DELETE")
_HEADERS = (
    "x-obs-server-side-encryption:",
    "x-obs-server-side-encryption-kms-key-id:",
    "x-obs-copy-source:",
    "x-obs-metadata-directive:",
    "Content-Type:",
    "Content-MD5:",
    "Expect:",
    "Range:",
)
_SHELL_HELP = """\
  PUT {bucket}/{object} -H 'x-obs-server-side-encryption: kms' --size 5242      send a request (options as of probe)
  ... --keep key='header x-obs-server-side-encryption-kms-key-id'               keep a part of the answer as {key}
  values            what {placeholders} stand for
  explain ID        a clause or case in English
  write FILE.yaml   all requests so far as a case file; obs-conformance run --cases plays it
  help, quit"""


class _Parser(argparse.ArgumentParser):
    """Complains instead of leaving."""

    def error(self, message: str) -> NoReturn:
        from conformance.probe import ProbeError

        raise ProbeError(message)


def add_probe_words(parser: argparse.ArgumentParser) -> None:
    """The words that describe one request, the same on the command line and in the shell."""
    parser.add_argument("method", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("place", metavar="PLACE", help="{bucket} or {bucket}/{object}; any object name will do")
    parser.add_argument("-H", dest="headers", action="append", default=[], metavar="LINE", help="header line, as sent")
    parser.add_argument("-q", dest="query", action="append", default=[], metavar="NAME=VALUE", help="query parameter")
    body = parser.add_mutually_exclusive_group()
    body.add_argument("--size", type=int, metavar="N", help="a body of N bytes")
    body.add_argument("--text", metavar="TEXT", help="a body of this text")
    parser.add_argument("--sign", choices=("header", "url", "none"), default="header", help="how it is authorized")
    parser.add_argument("--as", dest="identity", default="owner", metavar="NAME", help="identity of the target file")
    parser.add_argument("--omit", action="append", default=[], metavar="NAME", help="leave out a standard header line")
    parser.add_argument("--keep", action="append", default=[], metavar="NAME=PART", help="keep a part of the answer")


def parse_probe(line: str) -> argparse.Namespace:
    """A probe as typed.

    :raises ProbeError: what is wrong with it.
    """
    from conformance.probe import ProbeError

    parser = _Parser(prog="", add_help=False)
    add_probe_words(parser)
    try:
        return parser.parse_args(shlex.split(line))
    except ValueError as error:
        raise ProbeError(f"{error}; close every quote") from error


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser], target: Callable[..., None]) -> None:
    """The parsers of ``probe``, ``shell`` and ``client``.

    :param target: adds the options that choose a target.
    """
    probe = commands.add_parser("probe", help="send one request and see which clauses it and its answer bear on")
    target(probe)
    add_probe_words(probe)
    probe.add_argument("--save", type=Path, metavar="FILE.yaml", help="write the request as a case file")
    shell = commands.add_parser("shell", help="probes one after the other, with history and completion")
    target(shell)
    explore = commands.add_parser("explore", help="draw requests nobody wrote down; without a target in process")
    target(explore)
    explore.add_argument("--defect", metavar="NAME", help="in process: against this planted defect")
    explore.add_argument("--seconds", type=float, default=30.0, metavar="S", help="how long (default: 30)")
    explore.add_argument("--requests", type=int, metavar="N", help="at most about so many requests")
    explore.add_argument("--rate", type=float, metavar="R", help="requests a second, over HTTP (default: 50)")
    explore.add_argument("--seed", type=int, metavar="N", help="seed of everything drawn")
    explore.add_argument("--only", action="append", default=[], metavar="NAME", help="sequences, or a property's id")
    explore.add_argument("--stop-after", type=int, metavar="N", help="end after so many causes")
    explore.add_argument(
        "--database",
        metavar="PLACE",
        help="folder, redis://HOST, or env:NAME for a URL with a password, that keeps examples for the next",
    )
    explore.add_argument("--out", type=Path, metavar="DIR", help="folder for the cases that were found")
    diff = commands.add_parser("diff", help="the same requests to two targets: what does the second do otherwise?")
    diff.add_argument(
        "--target", type=Path, action="append", default=[], metavar="FILE.toml", help="twice; once: against the bundled"
    )
    diff.add_argument("--select", action="append", default=[], metavar="TEXT", help="only these cases, as of run")
    diff.add_argument("--generated", type=int, default=50, metavar="N", help="drawn sequences besides (default: 50)")
    diff.add_argument("--seed", type=int, metavar="N", help="seed of names and of what is drawn")
    diff.add_argument(
        "--rate", type=float, default=0.0, metavar="R", help="requests a second to each (default: no limit)"
    )
    diff.add_argument("--wires", action="store_true", help="show both answers of each group's first difference")
    diff.add_argument("--json", action="store_true", help="as JSON")
    client = commands.add_parser("client", help="which request-side clauses does the client of a recording respect?")
    client.add_argument("recording", type=Path, metavar="RECORDING", help="HAR file, or one HAR entry a line")
    client.add_argument("--side", choices=("request", "answer", "both"), default="request", help="what is judged")
    client.add_argument("--host", metavar="NAME", help="host name of the endpoint; other hosts are left out")
    client.add_argument("--json", action="store_true", help="as JSON")


@contextlib.contextmanager
def _session(target: Target) -> Iterator[ProbeSession]:
    """Probes in a bucket on the target for as long as they go on."""
    from conformance.passive import load_rules
    from conformance.probe import ProbeSession
    from conformance.transport import open_transport
    from conformance.world import World

    if target.spoken is not None:
        raise UsageError(
            f"{target.name} speaks {target.dialect}, and the rules for single exchanges read OBS's own dialect alone; "
            "write a case and play it: obs-conformance run --cases FILE.yaml"
        )
    library = load_library()
    with _campaign(library, target, World.from_seed(), open_transport(target)) as campaign:
        yield ProbeSession(campaign, library, load_rules(library))


@contextlib.contextmanager
def over_http(target: Target, seed: int, rate: float) -> Iterator[Campaign]:
    """A campaign without cases of its own against a target, for whoever plays cases one by one.

    :raises TargetError: its bucket cannot be made.
    """
    from conformance.world import World

    library = load_library()
    with _campaign(library, target, World.from_seed(seed), _paced(target, rate)) as campaign:
        yield campaign


@contextlib.contextmanager
def _campaign(library: Library, target: Target, world: World, transport: Transport) -> Iterator[Campaign]:
    """A bucket on the target for as long as it is needed, and a journal until nothing is left there."""
    from conformance.campaign import Campaign, Plan
    from conformance.journal import Journal

    journal_file = Path(f"obs-conformance-{world.run}.journal.jsonl")
    journal = Journal(journal_file, target.endpoint)
    plan = Plan(library.profiles[target.profile], (), ())
    campaign = Campaign(plan, library, target, world, journal, transport=transport)
    try:
        campaign.prepare()
        if campaign.refused is not None:
            raise TargetError(campaign.refused[1])
        yield campaign
    finally:
        left = campaign.clean_up().left
        journal.close()
        transport.close()
        if left:
            print(f"left behind on the target: {', '.join(left)} (see {journal_file})", file=sys.stderr)
        else:
            journal_file.unlink()


def run_explore(options: argparse.Namespace, campaign: Campaign, seed: int) -> int:
    """Search until the budget is spent; 1 if something differs, 3 if nothing could be played."""
    from conformance.explore.casewriter import case_yaml
    from conformance.explore.search import Different, Search, explore

    library = load_library()
    if options.database is not None and "://" in options.database and "@" in options.database:
        raise UsageError("--database holds a password, which others can read there; use --database env:NAME")
    database = None if options.database is None else open_database(options.database)
    folder = options.out or Path("conformance-results") / f"explore-{campaign.world.run}"
    print(f"exploring {campaign.target.name} for {options.seconds:g} s, seed {seed}", flush=True)
    results = explore(
        functools.partial(drawn, campaign),
        sources_of(library, campaign.target, options.only),
        first_seed=seed,
        seconds=options.seconds,
        steps=options.requests,
        database=database,
        stop_after=options.stop_after,
    )
    found: list[Different] = []
    tally = Search(seed)
    with contextlib.suppress(KeyboardInterrupt):
        for result in results:
            if isinstance(result, Search):
                tally = result
                continue
            found.append(result)
            file = next(
                path for number in itertools.count(1) if not (path := folder / f"finding-{number}.yaml").exists()
            )
            again = "" if result.stable else "; it did not differ when it was played again"
            remarks = (f"found by obs-conformance explore --seed {seed}, {result.source}", result.cause + again)
            folder.mkdir(parents=True, exist_ok=True)
            _write(file, case_yaml(result.case, remarks))
            print(f"{len(found)}. {result.cause} ({len(result.case.steps)} requests{again})\n   {result.result.reason}")
    print(f"{tally.examples} cases, {tally.steps} requests, {len(found)} causes; {tally.unplayed} could not be judged")
    if found:
        return 1
    return 0 if tally.examples > tally.unplayed else 3


def drawn(campaign: Campaign, case: Case) -> CaseResult:
    """Play a drawn case as the campaign's profile sees it; what its dialect has no words for is left out."""
    from conformance.profiles import as_seen
    from conformance.vocabulary import CaseResult, Played

    profile = campaign.plan.profile
    queries = [text for step in case.steps for text in step.request.query]
    if _MODE_IN_QUERY in profile.lacks and any(text.startswith(_MODE) for text in queries):
        return CaseResult(case, "not_applicable", profile.lacks[_MODE_IN_QUERY], Played((), (), ()), 0.0)
    return campaign.play_case(as_seen(case, profile))


def run_diff(options: argparse.Namespace, first: Target, second: Target) -> int:
    """Play the same cases against both, the first one twice; 1 if anything differs, 3 if nothing could be compared."""
    from conformance.differential import Difference, differences, grouped
    from conformance.explore.search import drawn_cases
    from conformance.world import World

    if first.dialect != second.dialect:
        raise UsageError(
            f"diff compares what the wire says, and {first.name} speaks {first.dialect}, {second.name} {second.dialect}"
        )
    library = load_library()
    world = World.from_seed(options.seed)
    cases = (*_selected(library, first, options.select), *drawn_cases(options.generated, world.seed))
    found: list[Difference] = []
    requests = 0
    with contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(_campaign(library, target, of_one_base, _paced(target, options.rate)))
            for target, of_one_base in ((first, world), (second, World(world.seed, f"{world.run}b", world.run)))
        )
        for case in cases:
            runs = tuple(campaign.play_case(dataclasses.replace(case, own_bucket=True)) for campaign in (one, one, two))
            names = tuple(_names(run, campaign) for run, campaign in zip(runs, (one, one, two), strict=True))
            requests += sum(len(run.played.exchanges) for run in runs)
            found += differences(case, runs, names)
    groups = grouped(found)
    if options.json:
        print(json.dumps([group.document() for group in groups], indent=1))
    else:
        print("\n".join(line for group in groups for line in _group_lines(group, wires=options.wires)))
        tally = f"{len(groups)} causes, {len(found)} differences"
        print(f"{len(cases)} cases, {requests} requests, {tally}; seed {world.seed}")
    return int(bool(found)) if requests else 3


def _selected(library: Library, target: Target, select: list[str]) -> tuple[Case, ...]:
    """The cases that apply to the target; none at all if nothing is selected but an empty text."""
    from conformance.campaign import lacking, make_plan

    plan = make_plan(library, target.profile, select)
    if not plan.cases:
        raise CaseError(f"no case matches --select {' '.join(select)}; obs-conformance list shows them all")
    return tuple(case for case in plan.cases if lacking(case, target) is None)


def _paced(target: Target, rate: float) -> Transport:
    from conformance.polite import PoliteTransport
    from conformance.transport import open_transport

    transport = open_transport(target)
    return PoliteTransport(transport, rate) if rate else transport


def _names(run: CaseResult, campaign: Campaign) -> Names:
    """What stands for the target's and the run's own names in a case that was played."""
    from conformance.differential import Names

    exchanges, target = run.played.exchanges, campaign.target
    bucket = exchanges[0][1].request.bucket if exchanges else ""
    values = {f"keys.{name}": key for name, key in target.keys.items()}
    values |= {"bucket": bucket, "bucket.shared": campaign.bucket, "fresh": campaign.world.token(run.case.id)}
    for name, identity in target.identities.items():
        values |= {f"access_key.{name}": identity.access_key, f"domain.{name}": identity.domain_id or ""}
    return Names.of(values | {"host": urlsplit(target.endpoint).netloc, "region": target.region or ""})


def _group_lines(group: Group, *, wires: bool) -> Iterator[str]:
    from conformance.annotate import annotated

    cases = ", ".join(dict.fromkeys(one.case.id for one in group.differences[:5]))
    more = f" and {len(group.differences) - 5} more" if len(group.differences) > 5 else ""  # noqa: PLR2004 - as above
    yield f"{group.cause}  [{', '.join(group.clauses) or 'no clause'}]  {len(group.differences)} times: {cases}{more}"
    example = group.differences[0]
    yield f"    first:  {example.first or '(absent)'}"
    yield f"    second: {example.second or '(absent)'}"
    yield f"    again:  obs-conformance diff --generated 0 --select {example.case.id} --wires, and the targets"
    for name, exchange in zip(("first", "second"), example.exchanges, strict=True):
        if wires and exchange is not None:
            yield f"    ---- {name}, {example.case.id} {example.step}"
            yield from (f"    {line}" for line in annotated(exchange, ()))


def sources_of(library: Library, target: Target, only: list[str]) -> list[Source]:
    """What is drawn from: sequences every other turn, between them those of two modes, key states and properties."""
    from conformance.explore.properties import load_properties
    from conformance.explore.search import key_sequences, mode_sequences, of_property, sequences

    with_modes = [] if "sse-obs" in target.without else [mode_sequences()]
    with_keys = [] if target.kms is None else [key_sequences()]
    sources = (sequences(), *with_modes, *with_keys, *map(of_property, load_properties(library)))
    everything = {source.name: source for source in sources}
    unknown = [name for name in only if name not in everything]
    if unknown:
        raise CaseError(f"--only {unknown[0]}: there are {', '.join(everything)}")
    if only:
        return [everything[name] for name in only]
    first, *others = everything.values()
    return [source for other in others for source in (first, other)]


def run_probe(options: argparse.Namespace, target: Target) -> int:
    """Send one request; 1 if a must is broken, 3 if no answer came."""
    from conformance.probe import ProbeError, case_text

    with _session(target) as session:
        try:
            probe = session.send(options)
        except ProbeError as error:
            raise CaseError(f"probe: {error}") from error
        _show(probe, session)
        print(f"again: {_command(options)}")
        if options.save is not None and probe.exchange.response is not None:
            _write(options.save, case_text([probe], f"A {options.method} probe of {options.place}"))
        if probe.exchange.response is None:
            return 3
        return int(any(not finding.held and finding.level == "must" for finding in probe.findings))


def _command(options: argparse.Namespace) -> str:
    """The probe as one types it again."""
    words = ["obs-conformance", "probe", options.method, options.place]
    for flag, values in (("-H", options.headers), ("-q", options.query), ("--omit", options.omit)):
        words += [word for value in values for word in (flag, value)]
    words += ["--size", str(options.size)] if options.size is not None else []
    words += ["--text", options.text] if options.text is not None else []
    words += ["--sign", options.sign] if options.sign != "header" else []
    words += ["--as", options.identity] if options.identity != "owner" else []
    words += ["--target", str(options.target)] if options.target is not None else []
    words += ["--endpoint", options.endpoint] if options.endpoint is not None else []
    return shlex.join(words)


def _show(probe: Probe, session: ProbeSession) -> None:
    from conformance.annotate import annotated

    for line in annotated(probe.exchange, probe.findings):
        print(session.redact(line))
    held = sum(finding.held for finding in probe.findings)
    print(f"{held} expectations hold, {len(probe.findings) - held} do not; {probe.exchange.ms:.1f} ms")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise CaseError(f"{path}: cannot be written: {error.strerror}") from error
    print(f"saved: {path}; play it with obs-conformance run --cases {path}")


def run_shell(target: Target) -> int:
    """Read and do one line after the other until quit or the end of input."""
    with _session(target) as session:
        print(f"{target.name}, bucket {session.values['bucket']}; help shows what can be typed")
        for line in _typed(session):
            if line.strip() in {"quit", "exit"}:
                break
            try:
                _do(line.strip(), session)
            except (CaseError, TargetError) as error:
                print(error)
    return 0


def _do(line: str, session: ProbeSession) -> None:
    from conformance.probe import ProbeError, case_text

    word, _, rest = line.partition(" ")
    simple: dict[str, Callable[[], None]] = {
        "": lambda: None,
        "help": lambda: print(_SHELL_HELP),
        "values": lambda: print("\n".join(f"  {{{name}}}  {value}" for name, value in sorted(session.values.items()))),
        "explain": lambda: print(session.explain(rest.strip())),
        "write": lambda: _write(Path(rest.strip()), case_text(session.probes, "What a session of probes did")),
    }
    try:
        if word in simple:
            simple[word]()
        elif word in METHODS:
            _show(session.send(parse_probe(line)), session)
        else:
            print(f"{word!r} is no command; help shows what there is")
    except ProbeError as error:
        print(error)


def _typed(session: ProbeSession) -> Iterator[str]:
    """Lines from a terminal with history and completion, or from whatever standard input is."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    import platformdirs
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory

    folder = platformdirs.user_state_path("obs-conformance", appauthor=False, ensure_exists=True)

    def words() -> list[str]:
        places = [f"{{{name}}}" for name in session.values if not name.startswith("shape.")]
        options = ["-H", "-q", "--size", "--text", "--sign", "--as", "--omit", "--keep"]
        return [*METHODS, "help", "values", "explain", "write", "quit", *options, *_HEADERS, *places, "{object}"]

    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(folder / "shell-history")),
        completer=WordCompleter(words, WORD=True),
        complete_while_typing=False,
    )
    while True:
        try:
            yield prompt.prompt("obs> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def run_client(options: argparse.Namespace) -> int:
    """Judge a recording by the passive rules; 1 if a must is broken, 3 if there was nothing to judge."""
    side = None if options.side == "both" else options.side
    return run_recording(options.recording, side=side, host=options.host, as_json=options.json)


def run_recording(recording: Path, *, side: Side | None = None, host: str | None = None, as_json: bool = False) -> int:
    """Judge somebody's traffic by the passive rules of one side, or of both; exit codes as of ``client``."""
    from conformance.heard import hear
    from conformance.passive import load_rules
    from conformance.recordings import in_own_words, read_recording

    library = load_library()
    heard = hear(load_rules(library), library.shapes, in_own_words(read_recording(recording, host), recording), side)
    print(json.dumps(heard.document(), indent=1) if as_json else "\n".join(heard.lines()))
    return heard.exit_code()
