"""What a recording shows: the passive rules over all its exchanges, summed up.

Pure: rules and exchanges in, a summary and its text out. Does not read files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.passive import judge_traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.passive import Rule, Side
    from conformance.recordings import Recorded

_EXAMPLES = 3


@dataclass(slots=True)
class RuleTally:
    """How often a rule held, and where it did not: (exchange, difference)."""

    rule: Rule
    held: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """``not seen``, ``respected``, or what breaking it means at the rule's level."""
        if not self.held and not self.broken:
            return "not seen"
        return {"must": "BROKEN", "should": "weak", "observe": "noted"}[self.rule.level] if self.broken else "respected"


@dataclass(frozen=True, slots=True)
class Heard:
    """All rules over a recording of so many exchanges."""

    exchanges: int
    tallies: tuple[RuleTally, ...]

    def exit_code(self) -> int:
        """0 nothing broken, 1 a must broken, 3 nothing to judge."""
        if not any(tally.held or tally.broken for tally in self.tallies):
            return 3
        return int(any(tally.broken and tally.rule.level == "must" for tally in self.tallies))

    def lines(self) -> tuple[str, ...]:
        """The summary as text."""
        found = [f"{self.exchanges} exchanges, {len(self.tallies)} rules"]
        for tally in self.tallies:
            cites = ", ".join(tally.rule.cites)
            found.append(f"{tally.verdict:>10}  {tally.rule.id}  {tally.rule.says}  [{cites}; {tally.rule.level}]")
            found += [f"            {where}: {says}" for where, says in tally.broken[:_EXAMPLES]]
            more = len(tally.broken) - _EXAMPLES
            found += [f"            and {more} more"] if more > 0 else []
        return tuple(found)

    def document(self) -> dict[str, Any]:
        """The summary as a JSON value."""
        return {
            "exchanges": self.exchanges,
            "rules": [
                {
                    "id": tally.rule.id,
                    "says": tally.rule.says,
                    "side": tally.rule.side,
                    "clauses": list(tally.rule.cites),
                    "level": tally.rule.level,
                    "verdict": tally.verdict,
                    "held": tally.held,
                    "broken": [{"exchange": where, "difference": says} for where, says in tally.broken],
                }
                for tally in self.tallies
            ],
        }


def hear(
    rules: Sequence[Rule], shapes: Mapping[str, str], recording: Iterable[Recorded], side: Side | None = None
) -> Heard:
    """Judge every exchange of a recording, on one side or on both."""
    tallies = {rule.id: RuleTally(rule) for rule in rules if side in {None, rule.side}}
    exchanges = 0
    for recorded in recording:
        exchanges += 1
        for rule, finding in judge_traffic(rules, shapes, recorded.traffic, side):
            if finding.held:
                tallies[rule.id].held += 1
            else:
                tallies[rule.id].broken.append((recorded.name, finding.says))
    return Heard(exchanges, tuple(tallies.values()))
