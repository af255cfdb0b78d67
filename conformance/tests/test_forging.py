"""Which requests carry a wrong signature, and that one case at a time does."""

import threading

import pytest

from conformance.casefile import load_library
from conformance.forging import Turns, forged_requests, forges
from conformance.vocabulary import FormSpec, RequestTemplate

CASES = {case.id: case for case in load_library().cases}


@pytest.mark.parametrize(
    ("template", "due"),
    [
        ({}, False),
        ({"headers": ("Authorization: OBS {access_key}:AAAA",)}, True),
        ({"headers": ("AUTHORIZATION:OBS x:y",)}, True),
        ({"headers": ("authorization: {authorization}",)}, False),
        ({"sign": "url"}, False),
        ({"sign": "url", "add_after": ("Signature=x",)}, True),
        ({"sign": "url", "remove_after": frozenset({"Expires"})}, True),
        ({"sign": "none", "form": FormSpec(("key: a", "signature: x"))}, True),
        ({"sign": "form", "form": FormSpec(("key: a",))}, False),
        ({"sign": "none"}, False),
    ],
)
def test_a_wrong_signature_is_seen_in_the_data(template, due):
    assert forges(RequestTemplate("PUT", "b", "o", **template)) is due


def test_the_library_has_few_and_never_many_in_one_case():
    forging = {id_: forged_requests(case) for id_, case in CASES.items() if forged_requests(case)}
    assert forging["KMS-MULTIPART-030"] == max(forging.values()) == 4
    assert 10 < len(forging) < len(CASES) / 10


def test_one_at_a_time_and_each_after_a_right_signature():
    log, inside = [], threading.Lock()
    turns = Turns(lambda: log.append("right"))

    def play():
        with turns.turn(CASES["KMS-MULTIPART-030"]):
            assert inside.acquire(blocking=False)
            log.append("wrong")
            inside.release()

    threads = [threading.Thread(target=play) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log == ["right", "wrong"] * 8


def test_other_cases_do_not_wait():
    turns = Turns(lambda: None)
    with turns.turn(CASES["KMS-MULTIPART-030"]), turns.turn(CASES["KMS-PUT-001"]):
        pass
