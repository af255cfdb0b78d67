"""Wrong servers that mix up SSE-OBS and SSE-KMS: they show where objects of one mode follow, or come from, the other.

Nothing in the honest server knows this module.
"""

# ruff: noqa: D103 - the name says what goes wrong, and the registry below says it in a sentence

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference_server.defect import SLIP, Defect
from reference_server.encryption import KEY_ID, MODE, Method
from reference_server.misread import PUT
from reference_server.stateful import SET_DEFAULT, UPLOADS, Act, is_copy, said, sequence, with_default
from reference_server.wire import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.state.records import ObjectRecord
    from reference_server.stateful import Memory
    from reference_server.wire import Response
    from reference_server.world import Call


def _asks(call: Call, mode: Method) -> bool:
    return call.head.headers.first(MODE) == mode


def _is_obs(record: ObjectRecord | None) -> bool:
    return record is not None and record.envelope is not None and record.envelope.method is Method.OBS


def _as_obs(call: Call) -> None:
    """Let a request for SSE-KMS ask for SSE-OBS."""
    pairs = [pair for pair in call.head.headers.pairs if pair[0].lower() not in {MODE, KEY_ID}]
    call.head = replace(call.head, headers=Headers((*pairs, (MODE, Method.OBS))))


def _source(call: Call) -> ObjectRecord | None:
    """The object of the same bucket that is copied."""
    bucket, _, key = (call.head.headers.first("x-obs-copy-source") or "").removeprefix("/").partition("/")
    return call.world.state.objects.get(call.bucket.number, key) if bucket == call.bucket.name else None


def copies_stay_obs() -> Mapping[str, object]:
    def shows(call: Call) -> bool:
        return is_copy(call) and _asks(call, Method.KMS) and _is_obs(_source(call))

    def copy(call: Call, _kept: Memory) -> None:
        if shows(call):
            _as_obs(call)

    return sequence(Act((PUT,), before=copy, shows=shows))


def overwritten_stay_obs() -> Mapping[str, object]:
    def shows(call: Call) -> bool:
        return not is_copy(call) and _asks(call, Method.KMS) and _is_obs(call.existing())

    def upload(call: Call, _kept: Memory) -> None:
        if shows(call):
            _as_obs(call)

    return sequence(Act((PUT,), before=upload, shows=shows))


def obs_unsets_default() -> Mapping[str, object]:
    def meet(call: Call, kept: Memory) -> None:
        if kept.get("met") and not said(call):
            with_default(call, None)

    def note(call: Call, kept: Memory, _response: Response) -> None:
        if _asks(call, Method.OBS) and call.bucket.default is not None:
            kept["met"] = True

    def forget(_call: Call, kept: Memory, _response: Response) -> None:
        kept.pop("met", None)

    return sequence(
        Act(
            UPLOADS,
            before=meet,
            after=note,
            shows=lambda call: call.bucket.default is not None and _asks(call, Method.OBS),
        ),
        Act((SET_DEFAULT,), after=forget),
    )


TWO_MODES = (
    Defect(
        "copies-of-sse-obs-stay-so",
        "A copy that asks for SSE-KMS of an object under SSE-OBS is under SSE-OBS.",
        ("SSEKMS-S56", "SSEKMS-S60"),
        "as storage does that copies data keys without unlocking them",
        copies_stay_obs(),
    ),
    Defect(
        "overwritten-sse-obs-stays-so",
        "An upload with SSE-KMS over an object under SSE-OBS is under SSE-OBS.",
        ("SSEKMS-S18", "OBS0080-S05"),
        SLIP,
        overwritten_stay_obs(),
    ),
    Defect(
        "sse-obs-unsets-default",
        "Once an upload has asked for SSE-OBS, the bucket's default is forgotten.",
        ("SSEKMS-S11",),
        SLIP,
        obs_unsets_default(),
    ),
)
