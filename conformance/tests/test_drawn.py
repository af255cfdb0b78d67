"""Drawn cases as the profile of a dialect sees them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from conformance.casefile import load_library
from conformance.explore.search import drawn_cases
from conformance.exploring import drawn
from conformance.profiles import as_seen

if TYPE_CHECKING:
    from conformance.vocabulary import Case

LIBRARY = load_library()
CASES = drawn_cases(40, 1)


def played(profile: str, case: Case) -> Any:
    """What a campaign under a profile is given to play, or the result where it is given nothing."""
    plan = SimpleNamespace(profile=LIBRARY.profiles[profile])
    return drawn(cast("Any", SimpleNamespace(plan=plan, play_case=lambda seen: seen)), case)


def test_in_obs_a_drawn_case_is_played_as_it_is() -> None:
    assert tuple(played("sse-kms-2024-01", case) for case in CASES) == CASES


def test_in_a_dialect_it_is_weighed_as_there_and_left_out_with_the_mode_in_a_query() -> None:
    profile, left_out, changed = LIBRARY.profiles["aws-s3"], 0, 0
    for case in CASES:
        seen = played("aws-s3", case)
        in_a_query = any("x-obs-server-side-encryption=kms" in step.request.query for step in case.steps)
        if in_a_query:
            left_out += 1
            assert (seen.rung, "query parameter" in seen.reason) == ("not_applicable", True)
        else:
            changed += seen != case
            assert seen == as_seen(case, profile)
    assert 0 < left_out < len(CASES)
    assert changed
