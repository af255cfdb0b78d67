"""The commands that need no target: report, compare, rejudge, statement, verify, sign.

Part of the composition root beside ``cli.py``. Decides nothing about conformance.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import exploring
from conformance.shared_options import add_format, add_report_options, out_folder, render, write_formats
from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    import argparse

    from conformance.sign import DialectSigner, Signer

COMPARE_FORMATS = ("text", "json", "markdown", "html")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parsers of these commands."""
    _add_evidence_commands(commands)
    report = commands.add_parser("report", help="render a results file again; several: compare the endpoints")
    report.add_argument("results", type=Path, nargs="+", metavar="RESULTS.jsonl")
    report.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: beside the first)")
    add_report_options(report)
    add_format(report)
    report.set_defaults(command=_report)
    _add_sign(commands)


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
    sign.add_argument("--dialect", default="obs", metavar="NAME", help="whose signatures (default: obs)")
    sign.add_argument("--region", metavar="NAME", help="that a signature of version 4 is bound to")
    sign.add_argument("--body", metavar="FILE", help="that a signature of version 4 covers; - is standard input")
    sign.add_argument("--target", type=Path, metavar="FILE.toml", help="takes credentials and all of this from there")
    sign.add_argument(
        "--identity", default="owner", metavar="NAME", help="owner, or other_account for OBS_OTHER_ACCOUNT_*"
    )
    sign.set_defaults(command=_sign)


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


def _report(options: argparse.Namespace) -> int:
    first, *others = options.results
    out = out_folder(options.out or first.parent)
    if others:
        from conformance.outputs import run_comparison

        for name in ("format", "previous", "page"):
            if getattr(options, name):
                raise UsageError(f"--{name} is of one run; of several there is comparison.html, and compare for two")
        return run_comparison(options.results, out, say=print)
    render(first, out, options)
    write_formats(first, out, options.format)
    print(f"report: {out / 'report.html'}")
    return 0


def _sign(options: argparse.Namespace) -> int:
    from conformance.sign import header_pairs

    if options.raw is None and options.url is None:
        raise UsageError("sign: give METHOD and URL, or --raw FILE")
    signer = _signer(options)
    if options.raw is not None:
        sys.stdout.buffer.write(signer.raw(_bytes_of("--raw", str(options.raw))))
        return 0
    headers = header_pairs(options.headers)
    signed = signer.url(options.method, options.url, headers) if options.as_url else None
    print(signed or "\n".join(signer.header_lines(options.method, options.url, headers)))
    return 0


def _signer(options: argparse.Namespace) -> Signer | DialectSigner:
    from conformance import dialectfile, sign
    from conformance.target import load_target

    body = None if options.body is None else _bytes_of("--body", options.body)
    if options.target is not None:
        if options.dialect != dialectfile.OWN or options.region or options.virtual_host:
            raise UsageError("sign: --target says it all; leave out --dialect, --region and --virtual-host")
        return sign.signer_for(load_target(options.target), options.identity, body)
    if options.dialect not in dialectfile.names():
        raise UsageError(f"no dialect named {options.dialect!r}; there are: {', '.join(dialectfile.names())}")
    dialect = dialectfile.load_dialect(options.dialect)
    if dialect is None:
        return sign.signer_from(os.environ, options.identity, virtual_host=options.virtual_host)
    return sign.spoken_signer_from(
        os.environ, options.identity, dialect, region=options.region, virtual_host=options.virtual_host, body=body
    )


def _bytes_of(option: str, name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{option} {name}: cannot be read: {error.strerror}") from error


def _compare(options: argparse.Namespace) -> int:
    from conformance.outputs import run_compare

    return run_compare(options.old, options.new, form=options.format, out=options.out, say=print)
