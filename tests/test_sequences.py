"""Defects that need a history: exploration finds each from nothing, narrows it down, and what it exports tells them apart."""

import os

import pytest

from conformance.casefile import load_library, with_cases_of
from conformance.explore.casewriter import case_yaml
from conformance.explore.model import Complete, Copy, Delete, DropDefault, Initiate, Put, Read, SetDefault, case_of
from conformance.explore.search import explore, key_sequences, mode_sequences, sequences, shorter
from conformance.selftest import campaign_in_process
from reference_server.keystates import KEY_STATES
from reference_server.service import HONEST
from reference_server.stateful import STATEFUL
from reference_server.two_modes import TWO_MODES

LIBRARY = load_library()
DEFECTS = {defect.name: defect for defect in (*STATEFUL, *KEY_STATES, *TWO_MODES)}
REQUESTS = 40_000
"""What a minute is worth on a machine that has nothing else to do; most are found within the first two seconds."""
SHORTEST = {
    "removed-default-lives-on": 4,
    "first-default-stays": 3,
    "named-key-unsets-default-key": 3,
    "default-waits-for-uploads": 3,
    "default-goes-with-last-object": 4,
    "policy-write-loses-default": 4,
    "default-removal-lifts-policy": 4,
    "removed-policy-refuses-once-more": 3,
    "overwriting-evades-policy": 3,
    "overwriting-keeps-key": 3,
    "copying-over-keeps-key": 3,
    "key-outlives-its-object": 4,
    "copied-key-is-next": 3,
    "second-copy-onto-itself-loses-key": 3,
    "parts-meet-default-late": 4,
    "default-overrules-parts": 3,
    "completion-keeps-key": 3,
    "old-ranges": 4,
    "deletion-aborts-uploads": 4,
    "upload-holds-object": 3,
}
"""How many calls the shortest sequence known has; each stands in the library as one of KMS-SEQ-001 to 020."""
KEY_SHORTEST = {
    "disabling-unnoticed": 2,
    "refusal-remembered": 3,
    "refused-key-remembered": 4,
    "scheduling-destroys-key": 2,
    "disabled-key-reads": 3,
    "disabled-default-falls-back": 3,
}
"""The same where the state of a key has to change."""
MODES_SHORTEST = {
    "copies-of-sse-obs-stay-so": 2,
    "overwritten-sse-obs-stays-so": 2,
    "sse-obs-unsets-default": 3,
}
"""The same where SSE-OBS stands beside SSE-KMS."""
SEED = 1
SLOW = frozenset(
    {
        "deletion-aborts-uploads",
        "key-outlives-its-object",
        "old-ranges",
        "parts-meet-default-late",
        "upload-holds-object",
    }
)
"""What takes more than 3 s; the environment `nightly` plays them too."""
PLAYED = [name for name in SHORTEST if name not in SLOW or os.environ.get("OBS_TEST_SEQUENCES") == "all"]


def test_the_shortest_sequence_is_known_for_every_such_defect():
    assert {*SHORTEST, *KEY_SHORTEST, *MODES_SHORTEST} == set(DEFECTS)


@pytest.mark.parametrize(
    ("name", "source", "shortest"),
    [(name, sequences(), SHORTEST[name]) for name in PLAYED]
    + [(name, key_sequences(), shortest) for name, shortest in KEY_SHORTEST.items()]
    + [(name, mode_sequences(), shortest) for name, shortest in MODES_SHORTEST.items()],
    ids=[*PLAYED, *KEY_SHORTEST, *MODES_SHORTEST],
)
def test_a_defect_is_found_narrowed_down_and_exported_as_a_case_that_tells_right_from_wrong(
    name, source, shortest, tmp_path
):
    seams = DEFECTS[name].seams()
    with campaign_in_process(LIBRARY, seams, SEED) as wrong:
        searched = list(
            explore(wrong.play_case, [source], first_seed=SEED, seconds=3600.0, steps=REQUESTS, stop_after=1)
        )
        assert len(searched) == 2, f"not found in {searched[0].steps} requests"
        found = searched[0]
        assert found.stable
        assert len(found.drawn) == shortest
        (tmp_path / "case.yaml").write_text(case_yaml(found.case), "utf-8")
        (exported,) = with_cases_of(LIBRARY, tmp_path / "case.yaml").cases
        assert wrong.play_case(exported).rung in {"fail", "warn"}
    with campaign_in_process(LIBRARY, HONEST, SEED) as honest:
        assert honest.play_case(exported).rung == "pass"


KMS = Put(0, mode=True, key=None, via="header", size=17)
PLAIN = Put(1, mode=False, key=None, via="header", size=0)


def test_simpler_sequences_are_shorter_or_ask_for_less():
    calls = (KMS, Copy(0, 1, "custom"), PLAIN)
    found = list(shorter(calls))
    assert (KMS,) in found
    assert (KMS, PLAIN) in found
    assert (KMS, Put(1, mode=True, key="custom", via="header", size=0), PLAIN) in found
    assert (KMS, Put(1, mode=True, key=None, via="header", size=0)) in found
    assert calls not in found
    assert list(shorter((DropDefault(),))) == []


@pytest.mark.parametrize(
    "calls",
    [
        (SetDefault("custom"), Initiate(0, mode=True, key="custom", size=17), Complete()),
        (KMS, Read(0, "anonymous", 5), Delete(0)),
        (Put(0, mode=True, key="second", via="form", size=70_000), Copy(0, 0, "second")),
    ],
)
def test_making_simpler_comes_to_an_end(calls):
    rounds = 0
    while calls:
        calls = next(iter(reversed(list(shorter(calls)))), ())
        rounds += 1
    assert rounds < 40


def test_an_empty_sequence_is_no_case():
    assert case_of(()) is None
