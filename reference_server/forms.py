"""The policy document of a POST form: reading it and holding it against the form's fields (obs_04_0012).

This module does not know how a form is taken apart, who signed it, or what the fields do.

Where the documents contradict each other: section 6.5 wants the bucket matched exactly, but a sample of obs_04_0081
and the vendor's Python SDK write `["starts-with", "$bucket", ""]`; both are accepted.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from reference_server.dates import parse_iso_date
from reference_server.errors import ObsError

if TYPE_CHECKING:
    from reference_server.wire import Headers

_UNCOVERED = frozenset(
    """accesskeyid obsaccesskeyid awsaccesskeyid signature x-amz-signature file policy token submit""".split()  # noqa: SIM905
) | {"field names"}
"""Form items that need no condition (section 6.5); the newer samples call the access key ObsAccessKeyId."""

_MAX_POLICY = 64 * 1024


def _wrong(message: str) -> ObsError:
    return ObsError("InvalidPolicyDocument", message)


def check_form(policy: bytes, fields: Headers, bucket: str, now: float) -> tuple[int, int] | None:
    """Refuse a form that its policy does not cover; the size range the policy sets, if any."""
    document = _read(policy)
    expiration = document.get("expiration")
    moment = parse_iso_date(expiration) if isinstance(expiration, str) else None
    if moment is None:
        raise _wrong("The policy has no valid expiration.")
    if moment < now:
        raise ObsError("AccessDenied", "The policy of the form has expired.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise _wrong("The policy has no list of conditions.")
    covered: set[str] = set()
    size: tuple[int, int] | None = None
    for condition in conditions:
        if isinstance(condition, list) and condition and _is(condition[0], "content-length-range"):
            low, high = _size_range(condition)
            size = (low, high) if size is None else (max(low, size[0]), min(high, size[1]))
            continue
        for operator, name, wanted in _simple(condition):
            covered.add(name)
            _hold(operator, name, wanted, fields, bucket)
    for name in fields.names():
        if name not in covered and name not in _UNCOVERED and not name.startswith("x-ignore-"):
            raise _wrong(f"The policy has no condition for the field {name}.")
    return size


def _read(policy: bytes) -> dict[str, Any]:
    if len(policy) > _MAX_POLICY:
        raise _wrong("The policy is too large.")
    try:
        octets = base64.b64decode(policy, validate=True)
        document = json.loads(_unescape_dollar(octets.decode("utf-8")))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _wrong("The policy is not Base64 of JSON.") from error
    if not isinstance(document, dict):
        raise _wrong("The policy is not an object.")
    return document


def _unescape_dollar(text: str) -> str:
    r"""JSON knows all escapes of section 6.5 but `\$` and `\v`; an escaped backslash before them stays one."""
    pieces = text.split("\\\\")
    return "\\\\".join(piece.replace("\\$", "$").replace("\\v", "\\u000b") for piece in pieces)


def _is(value: object, word: str) -> bool:
    return isinstance(value, str) and value.lower() == word


def _simple(condition: object) -> list[tuple[str, str, str]]:
    if isinstance(condition, dict):
        found = [("eq", name.lower(), value) for name, value in condition.items() if isinstance(value, str)]
        if len(found) == len(condition) and found:
            return found
    elif isinstance(condition, list) and len(condition) == 3:  # noqa: PLR2004 - operator, field, value
        operator, name, value = condition
        known = _is(operator, "eq") or _is(operator, "starts-with")
        if known and isinstance(name, str) and name.startswith("$") and isinstance(value, str):
            return [(operator.lower(), name[1:].lower(), value)]
    raise _wrong("The policy has a condition that is neither exact, starts-with nor content-length-range.")


def _hold(operator: str, name: str, wanted: str, fields: Headers, bucket: str) -> None:
    values = [bucket] if name == "bucket" else fields.every(name)

    def matches(value: str) -> bool:
        return value == wanted if operator == "eq" else value.startswith(wanted)

    if not (values or operator == "starts-with") or not all(matches(value) for value in values):
        raise _wrong(f"The form does not meet the condition on {name}.")


def _size_range(condition: list[Any]) -> tuple[int, int]:
    numbers = [number for number in condition[1:] if isinstance(number, int) and not isinstance(number, bool)]
    if len(condition) != 3 or len(numbers) != 2:  # noqa: PLR2004 - the name and two numbers
        raise _wrong("content-length-range needs two numbers.")
    return numbers[0], numbers[1]
