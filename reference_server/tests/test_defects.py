"""Planted defects: each is a working server, says what it breaks, and is told from the honest one by its answers."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from reference_server.defects import _LIST, DEFECTS, together
from reference_server.keystates import KEY_STATES
from reference_server.service import HONEST
from reference_server.slips import SLIPS
from reference_server.stateful import STATEFUL
from reference_server.tests.test_defects_areas import LONGER, SEEN
from reference_server.two_modes import TWO_MODES
from reference_server.variants import VARIANTS
from reference_server.world import Seams

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Rig
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
HOST = (("Host", "obs.example.com"),)
BODY = b"5242 bytes of the sample" * 10


def script(rig: Rig) -> list[Response]:
    """The four samples with their readings back, and a few wrong signatures."""
    custom = (KEY_ID, rig.made.keys["custom"])
    long_name = (KEY_ID, rig.long_name("custom"))
    kms = (MODE, "kms")
    url = rig.signed_target("PUT", "/bucket/url", f"{MODE}=kms")
    stale = ("Date", formatdate(rig.clock.seconds - 3600, usegmt=True))
    return [
        rig.ask("PUT", "/bucket"),
        rig.ask("PUT", "/bucket/default", (kms,), BODY),
        rig.ask("PUT", "/bucket/again", (kms,), BODY),
        rig.ask("PUT", "/bucket/custom", (kms, custom), BODY),
        rig.ask("PUT", "/bucket/plain", (), BODY),
        rig.ask("PUT", "/bucket/copy", (("x-obs-copy-source", "/bucket/plain"), kms, long_name)),
        rig.bare("PUT", url, HOST, BODY),
        rig.bare("PUT", url, (*HOST, stale), BODY),
        *(
            rig.ask(method, f"/bucket/{key}")
            for key in ("default", "custom", "copy", "url")
            for method in ("HEAD", "GET")
        ),
        rig.ask("GET", "/bucket/none"),
        rig.ask("GET", "/bucket/plain", spoil=lambda _: "AAAA"),
        rig.bare("GET", rig.signed_target("GET", "/bucket/plain").partition("Signature=")[0] + "Signature=AAAA", HOST),
        rig.ask("GET", "/bucket"),
    ]


def transcript(rig: Rig) -> list[tuple[int, tuple[tuple[str, str], ...], bytes]]:
    """The answers with everything that is drawn by lot replaced by when it was first seen."""
    numbers: dict[str, str] = {
        identity: role for role, identity in (*rig.made.keys.items(), *rig.made.identities.items())
    }
    numbers |= {rig.identity(role).caller.domain_id: f"domain of {role}" for role in rig.made.identities}
    pattern = re.compile(
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a key id
        r"|(?<![0-9A-Za-z+/])(?:[0-9A-F]{32}|[0-9a-f]{32}|[A-Za-z0-9+/]{64}|[A-Z0-9]{20}|[A-Za-z0-9+/]{27}=)"
        r"(?![0-9A-Za-z+/])"
    )

    def plain(text: str) -> str:
        return pattern.sub(lambda match: numbers.setdefault(match[0], f"#{len(numbers)}"), text)

    return [
        (
            response.status,
            tuple((name, plain(value)) for name, value in response.headers if name != "Content-Length" or value == "0"),
            plain(response.content().decode("latin-1")).encode(),
        )
        for response in script(rig)
    ]


@pytest.fixture(scope="module")
def honest_transcripts() -> dict[int, object]:
    return {}


def test_names_are_unique_kebab_case_words() -> None:
    names = [defect.name for defect in (*_LIST, *SLIPS, *STATEFUL, *KEY_STATES, *TWO_MODES)] + list(VARIANTS)
    assert len(set(names)) == len(names) == len(DEFECTS) + len(VARIANTS)
    for name in names:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_says_what_it_breaks(name: str) -> None:
    defect = DEFECTS[name]
    assert defect.breaks
    for clause in defect.breaks:
        assert re.fullmatch(r"[A-Z]+[0-9]*-[A-Z][0-9]+", clause)
    assert re.fullmatch(r"[A-Z].*\.", defect.says)
    assert defect.realism == "plausible slip" or re.match(r"(seen in the wild: |as )", defect.realism)


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_replaces_one_or_two_seams(name: str) -> None:
    defect = DEFECTS[name]
    assert 1 <= len(defect.change) + (defect.reads is not None) <= 2
    assert set(defect.change) <= set(Seams.__dataclass_fields__)
    seams = defect.seams()
    changed = [field for field in Seams.__dataclass_fields__ if getattr(seams, field) is not getattr(HONEST, field)]
    assert set(changed) == set(defect.change)


def test_honest_server_is_told_from_itself_by_nothing(new_rig: Callable[..., Rig]) -> None:
    assert transcript(new_rig(seed=1)) == transcript(new_rig(seed=2))


@pytest.mark.parametrize("name", sorted({defect.name for defect in _LIST} - set(SEEN) - LONGER))
def test_defect_shows_in_an_answer(new_rig: Callable[..., Rig], name: str) -> None:
    wrong = new_rig(seams=DEFECTS[name].seams())
    assert transcript(wrong) != transcript(new_rig())
    assert wrong.bugs == []


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_says_what_allows_it_and_replaces_a_seam(name: str) -> None:
    variant = VARIANTS[name]
    assert re.fullmatch(r"[A-Z].*\.", variant.says)
    assert variant.allowed
    seams = variant.seams()
    changed = [field for field in Seams.__dataclass_fields__ if getattr(seams, field) is not getattr(HONEST, field)]
    assert set(changed) == set(variant.change) != set()


def test_two_defects_are_planted_together_unless_they_change_the_same_decision() -> None:
    both = together(DEFECTS["policy-survives-delete"], DEFECTS["default-survives-delete"])
    for name in ("policy", "encryption"):
        key = ("DELETE", "bucket", name)
        assert both.routes[key].run is not HONEST.routes[key].run
    assert both.finish is HONEST.finish
    mixed = together(DEFECTS["etag-weak"], DEFECTS["signed-url-refused"])
    assert mixed.finish is not HONEST.finish
    assert mixed.authenticate is not HONEST.authenticate
    for one, other in (("etag-weak", "etag-unquoted"), ("policy-survives-delete", "delete-policy-deletes-bucket")):
        with pytest.raises(ValueError, match=r"change the same decision"):
            together(DEFECTS[one], DEFECTS[other])
