"""Doing the same to many things, several at a time. Does not know what is done, nor to what."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_AHEAD = 1024
"""What may be finished while something earlier is still at it: results wait in memory."""


def side_by_side(do: Callable[[_Item], _Result], items: Iterable[_Item], jobs: int) -> Iterator[_Result]:
    """What ``do`` returns for each item, in their order, so many at a time."""
    if jobs <= 1:
        yield from map(do, items)
        return
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        begun: deque[Future[_Result]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(do, item))
                if len(begun) > _AHEAD:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
