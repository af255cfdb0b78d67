"""A watched honest server answers as ever, and knows which wrong ones would have decided otherwise."""

from __future__ import annotations

import pytest

from reference_server.defects import DEFECTS
from reference_server.tests.conftest import Rig
from reference_server.watch import Notes, watched

MODE = "x-obs-server-side-encryption"
NAMES = (
    "kms-header-missing-on-put",  # another answer of a function
    "unknown-key-accepted",  # another outcome of a refusal
    "copy-moves",  # touches the state, so that reaching it is enough
    "wrong-bytes-read-back",  # its argument is used up by who looks at it
    "policy-survives-delete",  # another operation
    "content-md5-refused",  # another operation that says when it applies
    "disabled-key-accepted",  # a key ring that is asked
    "new-default-key-per-upload",  # a key ring that makes keys
)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def rig(notes: Notes) -> Rig:
    rig = Rig(seams=watched({name: DEFECTS[name].change for name in NAMES}, notes))
    assert rig.ask("PUT", "/bucket").status == 200
    notes.take()
    return rig


def test_a_plain_upload_shows_hardly_anything(rig: Rig, notes: Notes) -> None:
    assert rig.ask("PUT", "/bucket/a", (), b"bytes").status == 200
    assert notes.take() == {"copy-moves"}


def test_an_encrypted_upload_shows_what_would_be_answered_otherwise(rig: Rig, notes: Notes) -> None:
    response = rig.ask("PUT", "/bucket/a", ((MODE, "kms"),), b"bytes")
    assert response.first(MODE) == "kms"
    assert notes.take() == {"copy-moves", "kms-header-missing-on-put", "new-default-key-per-upload"}


def test_a_refusal_is_an_outcome_as_well(rig: Rig, notes: Notes) -> None:
    unknown = (f"{MODE}-kms-key-id", rig.made.keys["unknown"])
    assert rig.ask("PUT", "/bucket/a", ((MODE, "kms"), unknown), b"bytes").status == 400
    assert {"unknown-key-accepted"} <= notes.take()


def test_a_key_ring_is_asked_with_the_same_keys(rig: Rig, notes: Notes) -> None:
    disabled = (f"{MODE}-kms-key-id", rig.made.keys["disabled"])
    assert rig.ask("PUT", "/bucket/a", ((MODE, "kms"), disabled), b"bytes").status == 400
    assert "disabled-key-accepted" in notes.take()
    custom = (f"{MODE}-kms-key-id", rig.made.keys["custom"])
    assert rig.ask("PUT", "/bucket/a", ((MODE, "kms"), custom), b"bytes").status == 200
    assert "disabled-key-accepted" not in notes.take()


def test_an_operation_is_noted_when_it_is_reached_and_applies(rig: Rig, notes: Notes) -> None:
    rig.ask("DELETE", "/bucket?policy", sub="policy")
    assert notes.take() == {"copy-moves", "policy-survives-delete"}
    rig.ask("PUT", "/bucket/a", (("Content-MD5", "6Afx/PgtEy+bsBjKZzihnw=="),), b"1234567890")
    assert notes.take() == {"copy-moves", "content-md5-refused"}


def test_what_looks_at_bytes_is_noted_wherever_bytes_go_out(rig: Rig, notes: Notes) -> None:
    rig.ask("PUT", "/bucket/a", (), b"bytes")
    notes.take()
    assert rig.ask("GET", "/bucket/a").content() == b"bytes"
    assert notes.take() == {"copy-moves", "wrong-bytes-read-back"}
