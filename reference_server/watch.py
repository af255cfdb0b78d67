"""An honest server that knows, while it answers, which wrong servers would have decided otherwise.

At every seam it asks the honest function and the replacements of all candidates with the same arguments, goes on with
the honest outcome, and notes the candidates whose outcome differs. A candidate that is not noted during an exchange
would have given the same answers in it, so nobody need ask it. Replacements that cannot be asked without consequences
(they use up their arguments, or touch the state) are noted wherever they are reached. Does not know who is asking.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reference_server.keyring import Keyring
from reference_server.routes import ROUTES
from reference_server.service import HONEST
from reference_server.world import Seams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_server.world import Operation, RouteKey

_NOT_ASKED_TWICE = frozenset({"outgoing"})
"""Seams whose arguments are used up by the first who looks at them."""
_QUESTIONS = frozenset({"find", "permit"})
"""Methods of the key ring that change nothing."""


class Notes:
    """Who has been noted in the exchanges at hand; whoever has been is not asked again until they are over."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def take(self) -> frozenset[str]:
        """The names so far, forgetting them."""
        taken, self.names = frozenset(self.names), set()
        return taken


def watched(candidates: Mapping[str, Mapping[str, object]], notes: Notes) -> Seams:
    """The honest seams, which note the name of every candidate that would decide otherwise.

    ``candidates`` are replaced seams by name, as `Defect.change` has them.
    """
    seams: dict[str, Any] = {}
    for field in fields(Seams):
        rivals: dict[str, Any] = {
            name: change[field.name] for name, change in candidates.items() if field.name in change
        }
        if field.name == "routes":
            seams["routes"] = _watched_routes(rivals, notes)
        elif field.name == "keyring":
            seams["keyring"] = _watched_keyring(rivals, notes)
        elif rivals:
            seams[field.name] = _watched_function(field.name, rivals, notes)
    return replace(HONEST, **seams)


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[object, Exception | None]:
    try:
        return function(*arguments), None
    except Exception as error:  # noqa: BLE001 - a refusal is an outcome, and so is a bug of a replacement
        return None, error


def _same(one: tuple[object, Exception | None], other: tuple[object, Exception | None]) -> bool:
    if one[1] is None or other[1] is None:
        return one == other
    return type(one[1]) is type(other[1]) and one[1].args == other[1].args and vars(one[1]) == vars(other[1])


def _given(outcome: tuple[object, Exception | None]) -> Any:  # noqa: ANN401 - whatever the honest one gave
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def _watched_function(seam: str, rivals: Mapping[str, Any], notes: Notes) -> Callable[..., Any]:
    honest = getattr(HONEST, seam)
    blind = frozenset(
        name
        for name, function in rivals.items()
        if seam in _NOT_ASKED_TWICE or getattr(function, "touches_state", False)
    )
    asked = tuple((name, function) for name, function in rivals.items() if name not in blind)

    def decide(*arguments: Any) -> Any:  # noqa: ANN401 - stands for a function of any type
        notes.names |= blind
        found = _outcome(honest, arguments)
        for name, function in asked:
            if name not in notes.names and not _same(found, _outcome(function, arguments)):
                notes.names.add(name)
        return _given(found)

    return decide


def _watched_routes(rivals: Mapping[str, Any], notes: Notes) -> Mapping[RouteKey, Operation]:
    """An operation that is run by another function is noted, unless the function says that it does not apply."""

    def watched_run(key: RouteKey, operation: Operation) -> Operation:
        others = tuple((name, theirs[key].run) for name, theirs in rivals.items() if theirs[key] is not operation)

        def run(call: Any) -> Any:  # noqa: ANN401 - as the operation it stands for
            for name, function in others:
                if name not in notes.names and getattr(function, "applies", _always)(call):
                    notes.names.add(name)
            return operation.run(call)

        return replace(operation, run=run)

    return MappingProxyType({key: watched_run(key, operation) for key, operation in ROUTES.items()})


def _always(_: object) -> bool:
    return True


def _watched_keyring(rivals: Mapping[str, type[Keyring]], notes: Notes) -> type[Keyring]:
    """Questions are put to rivals too, as if they had the same keys; what makes a key is noted where it is reached."""

    def watching(method: str, asked: Mapping[str, type[Keyring]]) -> Callable[..., Any]:
        honest = getattr(Keyring, method)

        def call(self: Keyring, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the method it stands for
            found = _outcome(partial(honest, **named), (self, *arguments))
            for name, theirs in asked.items():
                if name not in notes.names:
                    rival = theirs.__new__(theirs)
                    rival.__dict__ = self.__dict__
                    if method not in _QUESTIONS or not _same(found, _outcome(getattr(rival, method), arguments)):
                        notes.names.add(name)
            return _given(found)

        return call

    methods = {
        method: {name: theirs for name, theirs in rivals.items() if method in vars(theirs)}
        for theirs in rivals.values()
        for method in vars(theirs)
        if not method.startswith("__")
    }
    return type("WatchedKeyring", (Keyring,), {method: watching(method, asked) for method, asked in methods.items()})
