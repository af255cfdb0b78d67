"""What is remembered of a case at an endpoint, run after run. Pure.

A flip is a change between passing and failing. Rungs that judge nothing (blocked, not run, ...) neither flip nor end a
row of failures: they say something about the run, not about the endpoint.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

FAILING = frozenset({"fail"})
JUDGED = frozenset({"pass", "fail", "warn", "observed"})


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything up to a run; ``since_run`` is the first of the row of runs that agree with the last judged one."""

    judged: int = 0
    flips: int = 0
    rung: str = ""
    since_run: int | None = None
    first_failed_run: int | None = None
    total_ms: float = 0.0
    slowest_ms: float = 0.0


def fold(before: Summary, run: int, rung: str, duration_ms: float) -> Summary:
    """The summary with one more run, which is later than those it has; durations in milliseconds."""
    if rung not in JUDGED:
        return before
    failing = rung in FAILING
    changed = before.judged > 0 and failing != (before.rung in FAILING)
    return dataclasses.replace(
        before,
        judged=before.judged + 1,
        flips=before.flips + changed,
        rung=rung,
        since_run=run if changed or not before.judged else before.since_run,
        first_failed_run=run if failing and before.first_failed_run is None else before.first_failed_run,
        total_ms=before.total_ms + duration_ms,
        slowest_ms=max(before.slowest_ms, duration_ms),
    )
