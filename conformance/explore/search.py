"""Drawing sequences of calls, and narrowing what differs to the shortest that still does.

Hypothesis draws, and narrows what has no order of its own; the model says what is due; whoever plays a case is handed
in. A difference counts once for its cause and only after it was played and judged again. Does not know transports,
files or the command line.
"""

from __future__ import annotations

import functools
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, Unsatisfiable

from conformance.explore import model, properties
from conformance.passive import operation_of_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hypothesis.database import ExampleDatabase

    from conformance.vocabulary import Case, CaseResult

    Play = Callable[[Case], CaseResult]
    _Calls = Mapping[bool, Mapping[type[model.Call], st.SearchStrategy[model.Call]]]

CHUNK = 200
"""Examples drawn from one seed before the next is taken."""
LONGEST = 16
_SIZES = (0, 1, 17, 5242, 70_000)
_COUNTED = frozenset({"fail", "warn"})
_UNPLAYED = frozenset({"not_run", "setup_failed", "blocked", "harness_error", "not_applicable"})

_slots = st.integers(0, 1)
_sizes = st.sampled_from(_SIZES)
_ways = st.sampled_from(["header", "url", "query", "form"])
_readers = st.sampled_from(["owner", "owner", "other_account", "anonymous"])
_firsts = st.sampled_from([None, 0, 1, 5000])


def _calls(*named: model.KeyName) -> dict[type[model.Call], st.SearchStrategy[model.Call]]:
    """A strategy for each kind of call, where these keys can be named."""
    keys = st.sampled_from([None, *named])
    return {
        model.Put: st.builds(model.Put, _slots, st.booleans(), keys, _ways, _sizes),
        model.SetDefault: st.builds(model.SetDefault, keys),
        model.Copy: st.builds(model.Copy, _slots, _slots, keys),
        model.Initiate: st.builds(model.Initiate, _slots, st.booleans(), keys, _sizes),
        model.Complete: st.builds(model.Complete),
        model.DropDefault: st.builds(model.DropDefault),
        model.SetPolicy: st.builds(model.SetPolicy),
        model.DropPolicy: st.builds(model.DropPolicy),
        model.Delete: st.builds(model.Delete, _slots),
        model.Read: st.builds(model.Read, _slots, _readers, _firsts),
    }


_CALLS = {False: _calls("custom", "second"), True: _calls("custom", "second", "default")}
"""By whether an answer has named the default key, which nobody can name before."""
_MIXED = {False: _calls("custom", "obs"), True: _calls("custom", "default", "obs")}
"""The same where objects can be under the service's own key."""
_SWITCHED = {False: _calls("custom", "switched"), True: _calls("custom", "switched", "default")}
"""The same where the state of a key changes."""
_switches = {state: st.builds(model.Switch, st.sampled_from(sorted(all_))) for state, all_ in model.SWITCHES.items()}
_lengths = st.integers(LONGEST // 2, LONGEST)
_kinds = functools.cache(st.sampled_from)
"""One strategy for each set of calls that make sense somewhere: making one costs more than drawing from it."""


@st.composite
def _sequences(draw: st.DrawFn, known: _Calls) -> tuple[model.Call, ...]:
    """Calls each of which makes sense after the ones before it, as far as its kind can tell."""
    so_far, calls = model.Model(), []
    for _ in range(draw(_lengths)):
        call = draw(known[so_far.default_seen][draw(_kinds(model.sensible(so_far)))])
        model.apply(call, so_far)
        calls.append(call)
    return tuple(calls)


@st.composite
def _key_sequences(draw: st.DrawFn) -> tuple[model.Call, ...]:
    """The same with calls that change a key's state."""
    so_far, calls = model.Model(), []
    for _ in range(draw(_lengths)):
        kind = draw(_kinds(model.sensible_with_keys(so_far)))
        known = _SWITCHED[so_far.default_seen]
        call = draw(_switches[so_far.key_state] if kind is model.Switch else known[kind])
        model.apply(call, so_far)
        calls.append(call)
    return tuple(calls)


SEQUENCES = _sequences(_CALLS)
MODE_SEQUENCES = _sequences(_MIXED)
KEY_SEQUENCES = _key_sequences()


@dataclass(frozen=True, slots=True)
class Source:
    """Something to draw from: a strategy, the case that a draw is, and how a draw is made simpler.

    ``simpler`` gives draws that are simpler than one, the much simpler ones first; None leaves that to Hypothesis.
    """

    name: str
    strategy: st.SearchStrategy[Any]
    case_of: Callable[[Any], Case | None]
    simpler: Callable[[Any], Iterator[Any]] | None = None


def sequences() -> Source:
    """Sequences of calls, judged by the model."""
    return Source("sequences", SEQUENCES, model.case_of, shorter)


def mode_sequences() -> Source:
    """Sequences in which SSE-OBS stands beside SSE-KMS; for targets that have both."""
    return Source("two-modes", MODE_SEQUENCES, model.case_of, shorter)


def key_sequences() -> Source:
    """Sequences in which a key's state changes; for targets that name a key service."""
    return Source("key-states", KEY_SEQUENCES, model.case_of, shorter)


def shorter(calls: Sequence[model.Call]) -> Iterator[tuple[model.Call, ...]]:
    """The sequence without a part of it, large parts first, or with calls made plainer.

    Two calls can be one: a default and an upload that inherits it are an upload that names its key.
    """
    calls = tuple(calls)
    size = len(calls) // 2
    while size:
        yield from ((*calls[:start], *calls[start + size :]) for start in range(0, len(calls), size))
        size //= 2
    for one, other in itertools.combinations(range(len(calls)), 2):
        yield (*calls[:one], *calls[one + 1 : other], *calls[other + 1 :])
    switching = any(isinstance(call, model.Switch) for call in calls)
    for number, call in enumerate(calls):
        for bolder in model.bolder(call, switching=switching):
            changed = (*calls[:number], bolder, *calls[number + 1 :])
            yield from ((*changed[:other], *changed[other + 1 :]) for other in range(len(calls)) if other != number)
    for number, call in enumerate(calls):
        yield from ((*calls[:number], plain, *calls[number + 1 :]) for plain in model.plainer(call))


def of_property(property_: properties.Property) -> Source:
    """Draws for one property of ``properties.yaml``."""
    return Source(property_.id, properties.draws(property_), functools.partial(properties.case_of, property_))


@dataclass(frozen=True, slots=True)
class Different:
    """A difference with its cause, in the shortest form known, played and judged once more.

    ``stable`` tells whether it differed in the same way then; ``drawn`` is what the case was made of.
    """

    cause: str
    source: str
    case: Case
    result: CaseResult
    stable: bool
    drawn: Any


@dataclass(slots=True)
class Search:
    """What a search has done so far. ``unplayed`` counts cases that could not be judged."""

    seed: int
    examples: int = 0
    steps: int = 0
    unplayed: int = 0
    found: dict[str, Different] = field(default_factory=dict)


class _DifferenceError(Exception):
    """Tells Hypothesis that a sequence is interesting."""


def drawn_cases(number: int, first_seed: int) -> tuple[Case, ...]:
    """So many cases drawn from the sequences, the same for the same seed."""
    found: dict[tuple[model.Call, ...], Case] = {}

    @settings(
        max_examples=number + 1,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @seed(first_seed)
    @given(SEQUENCES)
    def draw(calls: list[model.Call]) -> None:
        case = model.case_of(calls, id_=f"EXPLORE-{len(found) + 1:03}")
        if case is not None and len(found) < number:
            found.setdefault(tuple(calls), case)

    if number:
        draw()
    return tuple(found.values())


def cause_of(result: CaseResult) -> str | None:
    """What went wrong first, without what is drawn anew in every sequence; None if nothing did."""
    judged = (finding for finding in result.played.findings if finding.level != "observe")
    broken = next((finding for finding in judged if not finding.held), None)
    if result.rung not in _COUNTED or broken is None:
        return None
    request = next(step.request for step in result.case.steps if step.name == broken.step)
    return f"{operation_of_template(request)}: {broken.word} {broken.subject}"


def explore(  # noqa: PLR0913 - the budget has three sides
    play: Play,
    sources: Sequence[Source],
    *,
    first_seed: int,
    seconds: float,
    steps: int | None = None,
    database: ExampleDatabase | None = None,
    stop_after: int | None = None,
) -> Iterator[Different | Search]:
    """Search until the budget is spent; yields each difference when it is narrowed down, and the tally at the end.

    The sources take turns, each with a seed of its own that follows from the first.

    :param steps: how many requests of cases may be sent, without limit if None; narrowing a difference may exceed it.
    :param stop_after: end after so many causes.
    """
    search = Search(first_seed)
    deadline = time.perf_counter() + seconds

    def spent() -> bool:
        return time.perf_counter() >= deadline or (steps is not None and search.steps >= steps)

    for number in itertools.count():
        if spent() or (stop_after is not None and len(search.found) >= stop_after):
            break
        turn = _Turn(play, sources[number % len(sources)], search, spent, database)
        found = turn.take(first_seed + number)
        if found is not None:
            search.found[found.cause] = found
            yield found
    yield search


@dataclass(slots=True)
class _Turn:
    """One source drawn from with one seed."""

    play: Play
    source: Source
    search: Search
    spent: Callable[[], bool]
    database: ExampleDatabase | None

    def take(self, turn_seed: int) -> Different | None:
        """Draw until something new differs, and narrow that down; None if nothing did."""
        best: list[tuple[str, Any]] = []

        def attempt(drawn: Any) -> None:  # noqa: ANN401 - what the source draws
            if not best and self.spent():
                return
            cause = self.cause(drawn)
            if cause is not None and cause not in self.search.found and (not best or best[0][0] == cause):
                best[:] = [(cause, drawn)]
                raise _DifferenceError(cause)

        # Hypothesis keys its database by the test function's name; one that stays keeps what earlier runs have found.
        attempt.__qualname__ = f"explore.{self.source.name}"
        try:
            self._settings(turn_seed, attempt)()
        except (_DifferenceError, Flaky):
            return self._confirmed(*best[0])
        except Unsatisfiable:
            return None
        return None

    def _settings(self, turn_seed: int, attempt: Callable[[Any], None]) -> Callable[[], None]:
        chosen = settings(
            max_examples=CHUNK,
            deadline=None,
            database=self.database,
            phases=(Phase.reuse, Phase.generate, *((Phase.shrink,) if self.source.simpler is None else ())),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            print_blob=False,
        )
        test: Callable[[], None] = chosen(seed(turn_seed)(given(self.source.strategy)(attempt)))
        return test

    def cause(self, drawn: Any) -> str | None:  # noqa: ANN401 - what the source draws
        """Why the case that was drawn fails, None if it does not or is none."""
        case = self.source.case_of(drawn)
        return None if case is None else cause_of(self._played(case))

    def _played(self, case: Case) -> CaseResult:
        result = self.play(case)
        self.search.examples += 1
        self.search.steps += len(result.played.exchanges)
        self.search.unplayed += result.rung in _UNPLAYED
        return result

    def _confirmed(self, cause: str, drawn: Any) -> Different | None:  # noqa: ANN401 - what the source draws
        """The simplest draw, played and judged once more: only that is reported."""
        while self.source.simpler is not None:
            tried = ((draw, self.cause(draw)) for draw in self.source.simpler(drawn))
            simpler = next(((draw, why) for draw, why in tried if why is not None and self._alike(why, cause)), None)
            if simpler is None:
                break
            drawn, cause = simpler
        case = self.source.case_of(drawn)
        if case is None:
            return None
        result = self._played(case)
        return Different(cause, self.source.name, case, result, stable=cause_of(result) == cause, drawn=drawn)

    def _alike(self, cause: str, other: str) -> bool:
        """Whether it is the same difference, be it that another call or another expectation shows it first."""
        if cause == other:
            return True
        return _subject(cause) == _subject(other) and cause not in self.search.found


def _subject(cause: str) -> str:
    """What a cause is about, without the operation and the word of ``cause_of``."""
    return cause.partition(": ")[2].partition(" ")[2]
