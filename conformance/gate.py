"""What a gate wants around a run: the pre-flight before it and the baseline after it.

Brings the doctor, baseline files and the clock together for the command line. Plays no case and judges none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from conformance import baseline, baseline_file
from conformance.discovery import CAPABILITY, DANGER, DECLARED, Discovery, absent
from conformance.doctor import Doctor, diagnosis
from conformance.vocabulary import CaseError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from conformance.campaign import Campaign
    from conformance.doctor import Check
    from conformance.journal import Journal
    from conformance.transport import Transport
    from conformance.verdict import Tally
    from conformance.vocabulary import CaseResult, Requirement, Target
    from conformance.world import World

_MARKS = {"ok": "ok", "note": "note", "skipped": "-", "stop": "STOP"}
VALID_DAYS = 90
"""How long a failure stays known unless something else is said."""


def examine(target: Target, world: World, journal: Journal, transport: Transport) -> tuple[Check, ...]:
    """The pre-flight of a run; in another dialect than OBS's also what the endpoint has no part of."""
    checks = tuple(Doctor(target, world, journal, transport).examine())
    if target.spoken is None or diagnosis(checks) is not None:
        return checks
    return (*checks, *Discovery(target, world, journal, transport).find())


def log_of(checks: tuple[Check, ...]) -> list[dict[str, str]]:
    """The pre-flight as it stands in the results file."""
    return [
        {"check": check.name, "state": check.outcome, "says": check.says, "remedy": check.remedy} for check in checks
    ]


def refusal(checks: tuple[Check, ...]) -> str:
    """Why nothing can be measured, as one sentence with its remedy; empty when nothing stands in the way."""
    stop = diagnosis(checks)
    return "" if stop is None else f"{stop.name}: {stop.says}. Remedy: {stop.remedy}."


def admit(campaign: Campaign, checks: tuple[Check, ...], say: Callable[[str], None]) -> str:
    """Why nothing can be measured, or empty; the campaign goes without what probes have found absent.

    Said is what a reader must know before the cases: what is absent, declared otherwise or dangerous.
    """
    for check in checks:
        if check.name.startswith((CAPABILITY, DECLARED, DANGER)):
            show(check, say)
    campaign.target = narrowed(campaign.target, checks)
    return refusal(checks)


def narrowed(target: Target, checks: tuple[Check, ...]) -> Target:
    """The target without what probes have found absent; what its file says of a feature goes before."""
    return replace(target, without={**absent(checks), **target.without})


def show(check: Check, say: Callable[[str], None]) -> None:
    """One question of the pre-flight on a line, its remedy below."""
    say(f"{_MARKS[check.outcome]:>6}  {check.name:16} {check.says}")
    if check.remedy:
        say(f"{'':24} remedy: {check.remedy}")


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows of a baseline, the exit code under it, and how it stands in the results file."""

    exit: int
    record: dict[str, Any]
    lines: tuple[str, ...]
    known: frozenset[str]


class Known:
    """The baseline of a run: read before it, settled after it."""

    def __init__(self, options: argparse.Namespace, today: date) -> None:
        """Read the file the options name.

        :raises CaseError: it cannot be read, or is to be written and has no owner for what would be added.
        """
        self._writes, self._today = options.write_baseline is not None, today
        self._path: Path = options.write_baseline or options.baseline
        self._new = {"owner": options.owner, "reason": options.reason, "link": options.link}
        self._expires: date = options.expires or today + timedelta(days=VALID_DAYS)
        if self._writes and not options.owner:
            raise CaseError("--write-baseline needs --owner NAME: every known failure has somebody who looks after it")
        self._entries = () if self._writes and not self._path.exists() else baseline_file.read_baseline(self._path)
        self._ids = frozenset(entry.id for entry in self._entries)

    @classmethod
    def asked_for(cls, options: argparse.Namespace) -> Known | None:
        """The baseline of these options, or None without one."""
        asked = options.baseline is not None or options.write_baseline is not None
        return cls(options, date.today()) if asked else None  # noqa: DTZ011 - a day of the place where the gate stands

    def check_place(self) -> None:
        """Whether a baseline that is to be written can be, once the folder of the run is there.

        :raises CaseError: it cannot.
        """
        if self._writes and not os.access(self._path if self._path.exists() else self._path.parent, os.W_OK):
            raise CaseError(f"{self._path}: --write-baseline cannot write it; name a file in a folder that is there")

    def concerns(self, result: CaseResult, *, strict: bool) -> bool:
        """Whether the baseline has anything to say of a result."""
        return result.case.id in self._ids or baseline.failing(result, strict=strict)

    def settle(  # noqa: PLR0913 - what a conclusion depends on
        self,
        requirements: Sequence[Requirement],
        kept: Sequence[CaseResult],
        tally: Tally,
        library: Collection[str],
        *,
        declared: frozenset[str],
        strict: bool,
        redact: Callable[[str], str],
    ) -> Settled:
        """Hold a run against the baseline, after mending its file, without secrets, if that was asked for.

        :param kept: the results that :meth:`concerns` asks for.
        """
        rows = baseline.judge(self._entries, kept, library=library, today=self._today, strict=strict)
        lines = []
        if self._writes:
            lines.append(self._mend(rows, redact))
            entries = baseline_file.read_baseline(self._path)
            rows = baseline.judge(entries, kept, library=library, today=self._today, strict=strict)
        lines += [baseline.sentence(row, self._today) for row in rows if row.state != "not_judged"]
        code = baseline.exit_code(rows, requirements, kept, tally, declared=declared, strict=strict)
        record = {"file": self._path.name, "rows": [_record(row) for row in rows]}
        known = frozenset(row.id for row in rows if row.state == "known")
        return Settled(code, record, (*lines, baseline.headline(rows)), known)

    def _mend(self, rows: Sequence[baseline.Row], redact: Callable[[str], str]) -> str:
        new = {
            row.id: baseline.Entry(
                row.id,
                row.fingerprint,
                self._new["reason"] or redact(row.reason),
                self._new["owner"],
                self._new["link"],
                self._expires,
            )
            for row in rows
            if row.state == "new"
        }
        text = self._path.read_text("utf-8") if self._path.exists() else ""
        written = baseline_file.mended(text, rows, new, str(self._path))
        try:
            self._path.write_text(written, "utf-8")
        except OSError as error:
            raise CaseError(f"{self._path}: cannot be written: {error.strerror}") from error
        cut = sum(row.state in {"fixed", "gone"} for row in rows)
        changed = sum(row.state == "different" for row in rows)
        return f"{self._path}: {len(new)} added, {changed} changed, {cut} removed"


def _record(row: baseline.Row) -> dict[str, str]:
    entry = row.entry
    about = {} if entry is None else {"owner": entry.owner, "reason": entry.reason, "link": entry.link}
    until = {} if entry is None else {"expires": entry.expires.isoformat()}
    return {"id": row.id, "state": row.state, "fingerprint": row.fingerprint, **about, **until}
