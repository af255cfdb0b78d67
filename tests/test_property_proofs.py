"""Every rule of ``cases/properties.yaml`` has a planted defect that makes it fail."""

import re

import pytest

from conformance.casefile import load_library
from conformance.explore.properties import load_properties
from conformance.explore.search import explore, of_property
from conformance.selftest import campaign_in_process
from reference_server.defects import DEFECTS
from reference_server.service import HONEST

LIBRARY = load_library()
PROPERTIES = {one.id: one for one in load_properties(LIBRARY)}
MODE = "x-obs-server-side-encryption"
KEY = f"{MODE}-kms-key-id"


def seams(name):
    """A defect that the server can be started with."""
    return DEFECTS[name].seams(), bytes


def loses(name, line):
    """A server to which a header of this name is not there unless its line is written so."""

    def reads(head):
        first, *lines = head.decode().split("\r\n")
        kept = (text for text in lines if text.partition(":")[0].lower() != name or re.fullmatch(line, text))
        return "\r\n".join([first, *kept]).encode()

    return HONEST, reads


WELL_FORMED = r"([^:]+:[0-9a-z]{32}:key/)?[0-9a-z]{8}(-[0-9a-z]{4}){3}-[0-9a-z]{12}"
PROOFS = {
    "PROPERTY-001": loses(MODE, f"{MODE}:.*"),
    "PROPERTY-002": loses(KEY, f"{KEY}:.*"),
    "PROPERTY-003": loses(MODE, ".*: kms"),
    "PROPERTY-004": loses(KEY, r".*: \S+"),
    "PROPERTY-005": seams("unknown-key-accepted"),
    "PROPERTY-006": loses(KEY, f".*: {WELL_FORMED}"),
    "PROPERTY-007": loses(KEY, f".*: {WELL_FORMED}"),
    "PROPERTY-008": seams("foreign-domain-accepted"),
    "PROPERTY-009": seams("key-id-in-form-ignored"),
}
"""Rule to the defect it fails on: seams of the server, and what becomes of the bytes of a head before it reads them."""


def test_the_table_names_every_rule():
    assert set(PROOFS) == set(PROPERTIES)


@pytest.mark.parametrize("rule", PROPERTIES)
def test_a_rule_fails_on_its_defect_and_not_on_the_honest_server(rule):
    wrong, reads = PROOFS[rule]

    def searched(seams, reads, steps):
        with campaign_in_process(LIBRARY, seams, 1, reads) as campaign:
            sources = [of_property(PROPERTIES[rule])]
            return list(explore(campaign.play_case, sources, first_seed=1, seconds=3600.0, steps=steps, stop_after=1))

    found = searched(wrong, reads, 1000)
    assert len(found) == 2
    assert found[0].stable
    assert len(searched(HONEST, bytes, 60)) == 1
