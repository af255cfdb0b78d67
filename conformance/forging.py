"""Which requests of a case carry a signature that is deliberately wrong, and how they are spread.

An endpoint locks an access key after many wrong signatures in a row (``TooManyWrongSignature``, obs_04_0115), and
every verdict after that would be about the lock. So at most one case at a time forges, and before it does, a request
with a right signature breaks the row. Knows templates; does not know servers.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.vocabulary import Case, RequestTemplate

    Gate = Callable[[], contextlib.AbstractContextManager[object]]


def forges(template: RequestTemplate) -> bool:
    """Whether a request brings a signature of its own, or one that what is changed after signing makes wrong."""
    if any(_name(line) == "authorization" and "{authorization}" not in line for line in template.headers):
        return True
    changed = {_name(text, "=") for text in template.add_after} | {name.lower() for name in template.remove_after}
    if template.sign == "url" and changed:
        return True
    fields = () if template.form is None else template.form.fields
    return template.sign != "form" and any(_name(field) == "signature" for field in fields)


def _name(text: str, separator: str = ":") -> str:
    return text.partition(separator)[0].strip().lower()


def forged_requests(case: Case) -> int:
    """How many requests of a case carry a wrong signature."""
    return sum(forges(step.request) for step in case.steps)


class Turns:
    """Lets one forging case at a time through, each after a right signature."""

    def __init__(self, break_the_row: Callable[[], object], gate: Gate = contextlib.nullcontext) -> None:
        """``gate`` opens what is entered for as long as a case forges: it keeps other processes out."""
        self._lock, self._break_the_row, self._gate = threading.Lock(), break_the_row, gate

    @contextlib.contextmanager
    def turn(self, case: Case) -> Iterator[None]:
        """Wait for a case's turn if it forges; any other case goes on at once."""
        if not forged_requests(case):
            yield
            return
        with self._lock, self._gate():
            self._break_the_row()
            yield
