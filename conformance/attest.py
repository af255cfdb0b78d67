"""The commands about evidence that is there already: ``rejudge``, ``statement`` and ``verify``.

Part of the composition root beside ``cli.py``: reads and writes the files, prints, and gives exit codes. Judges
nothing and decides nothing itself.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import statement as statements
from conformance.casefile import LIBRARY_ROOT, load_library, with_cases_of
from conformance.evidence import EvidenceError, read_evidence, read_lines
from conformance.rejudge import rejudge, rewritten
from conformance.vocabulary import UsageError
from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from conformance.casefile import Library
    from conformance.evidence import Evidence
    from conformance.rejudge import Rejudged

    Say = Callable[[str], None]

SAME, CHANGED = 0, 1
PRIVATE = 0o600


def run_rejudge(results: Path, *, profile: str | None, cases: Path | None, out: Path | None, say: Say) -> int:
    """Judge a results file again; says each row that changed and why. 0: all as recorded, 1: something changed."""
    say, evidence, library = _seen(say), read_evidence(results), _library(cases)
    judged = _rejudged(evidence, library, profile)
    if library.digest != evidence.header["library"]["digest"]:
        say(f"case library: now {library.digest}, recorded {evidence.header['library']['digest']}")
    for line in _changes(judged):
        say(line)
    if out is not None:
        _write(out, b"".join(rewritten(evidence, judged, library)), "--out")
    say(f"{len(judged.rows)} cases judged again, {len(judged.changed)} changed")
    say(str(judged.conclusion["headline"]))
    return CHANGED if judged.changed or judged.dropped or not judged.same_conclusion else SAME


def _seen(say: Say) -> Say:
    """Say foreign text without what a terminal would obey."""
    return lambda text: say(visible(text))


def _changes(judged: Rejudged) -> Iterator[str]:
    for row in judged.changed:
        yield f"{row.id} (line {row.line}): {row.then['rung']} -> {row.now['rung']}"
        yield from (f"    {why}" for why in row.why)
    for name in judged.dropped:
        yield f"{name}: recorded, and not a case of this library and profile"
    for name in judged.unrecorded:
        yield f"{name}: a case of profile {judged.profile.name}, and not recorded"
    if judged.then is None:
        yield "the run did not finish: there is no recorded conclusion"
    elif not judged.same_conclusion:
        words = [word for word, value in judged.conclusion.items() if judged.then.get(word) != value]
        yield f"the conclusion differs in {', '.join(words)}; recorded was: {judged.then.get('headline')}"


def _library(cases: Path | None) -> Library:
    if cases is not None and not cases.is_dir():
        return with_cases_of(load_library(), cases)
    return load_library(cases or LIBRARY_ROOT)


def _rejudged(evidence: Evidence, library: Library, profile: str | None) -> Rejudged:
    name = profile or evidence.header["profile"]["name"]
    if name not in library.profiles:
        raise UsageError(f"this library has no profile named {name!r}; there are: {', '.join(library.profiles)}")
    return rejudge(evidence, library, profile)


def _write(path: Path, data: bytes, option: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written: {error.strerror}") from error


def run_statement(results: Path | None, *, key: Path, new_key: bool, out: Path | None, say: Say) -> int:
    """Sign what a results file shows; writes statement.json and statement.html. 1: the evidence does not show it."""
    from reports.statement import page, text

    say = _seen(say)
    if new_key:
        say(f"key: {key}, its public half {_make_key(key)}")
    elif results is None:
        raise UsageError("statement: give the RESULTS to make a statement about, or --new-key to make a key alone")
    if results is None:
        return SAME
    signing_key, evidence = _read_key(key), read_evidence(results)
    if evidence.footer is None:
        raise UsageError(f"{results}: the run did not finish, so there is nothing to state")
    library = _library(None)
    problems = [*_other_library(evidence, library), *_changes(_rejudged(evidence, library, None))]
    if problems:
        for line in problems:
            say(line)
        say("not signed: judged again, the evidence does not give what was recorded")
        return CHANGED
    stated = statements.facts(evidence, _rejudged(evidence, library, None))
    issued = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = statements.sign(stated, evidence, signing_key, issued=issued)
    folder = out or results.parent
    _write(folder / "statement.json", statements.written(document), "--out")
    _write(folder / "statement.html", page(document).encode(), "--out")
    say(text(document))
    say(f"statement: {folder / 'statement.json'}, to read or print: {folder / 'statement.html'}")
    return SAME


def _make_key(path: Path) -> Path:
    """Write a new key, readable by its owner only, and its public half beside it; no file is ever replaced."""
    _, private, public = statements.new_key()
    half = path.with_name(f"{path.name}.pub")
    for file, data, mode in ((path, private, PRIVATE), (half, public, 0o644)):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
                opened.write(data)
        except FileExistsError as error:
            raise UsageError(f"--key {file}: is there already; --new-key replaces no key, give another name") from error
        except OSError as error:
            raise UsageError(f"--key {file}: cannot be written: {error.strerror}") from error
    return half


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        data, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise UsageError(f"--key {path}: cannot be read: {error.strerror}; --new-key makes one") from error
    if os.name == "posix" and mode & 0o077:
        raise UsageError(f"--key {path}: others can read it (mode {mode:04o}); run: chmod 600 {path}")
    return statements.private_key(data, f"--key {path}")


def _other_library(evidence: Evidence, library: Library) -> Iterator[str]:
    recorded, suite = evidence.header["library"]["digest"], evidence.header["suite"]
    if recorded != library.digest:
        yield (
            f"the case library is not the one of the run: {library.digest} here, {recorded} there; "
            f"use {suite['name']} {suite['version']} as it was, or --cases"
        )


def run_verify(statement: Path, results: Path, *, trusted: str | None, cases: Path | None, say: Say) -> int:
    """Check a statement against its evidence, judged again; says every disagreement. 0: it holds, 1: it does not."""
    say = _seen(say)
    try:
        document = statements.read(statement.read_text("utf-8"), str(statement))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{statement}: cannot be read: {error}; give a statement.json") from error
    known = None if trusted is None else statements.public_key(_key_data(trusted), f"--public-key {trusted}")
    problems = [*statements.wrong_signature(document, known), *statements.altered_lines(document, read_lines(results))]
    problems += _judged_again(document, results, _library(cases))
    for line in problems:
        say(line)
    if problems:
        say(f"not verified: {len(problems)} disagreements between {statement} and {results}")
        return CHANGED
    trust = "the key you gave" if known else "a key that nothing here vouches for; give the signer's with --public-key"
    say(f"verified: {document['headline']}")
    say(f"signed {document['issued']} with {document['public_key']}, {trust}")
    return SAME


def _key_data(trusted: str) -> bytes:
    path = Path(trusted)
    try:
        return path.read_bytes() if path.is_file() else trusted.encode()
    except OSError as error:
        raise UsageError(f"--public-key {trusted}: cannot be read: {error.strerror}") from error


def _judged_again(document: dict[str, object], results: Path, library: Library) -> Iterator[str]:
    try:
        evidence = read_evidence(results)
    except EvidenceError as error:
        yield f"{error}"
        return
    other = list(_other_library(evidence, library))
    if other:
        yield from other
        return
    profile = evidence.header["profile"]["name"]
    if profile not in library.profiles:
        yield f"profile: the evidence is of {profile!r}, which the library does not have"
        return
    judged = _rejudged(evidence, library, None)
    yield from _changes(judged)
    yield from statements.other_facts(document, statements.facts(evidence, judged))
