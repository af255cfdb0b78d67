"""Where explorations keep what they found for each other: Hypothesis' example database, in a folder or a Redis.

Knows the spellings of a place. Does not know what an example is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hypothesis.database import ExampleDatabase

ENV = "env:"
"""Before the name of an environment variable that holds a place, because an URL may hold a password."""
SCHEMES = ("redis", "rediss")
_PATIENCE_S = 5.0


def fault_of(place: str) -> str:
    """What is wrong with the spelling of a place that is not in the environment; nothing if it can be used.

    Of an URL that is not understood nothing is said: any part of it may be a password.
    """
    if "://" not in place:
        return ""
    try:
        parts = urlsplit(place)
        if "@" in parts.path + parts.query + parts.fragment:
            return "has an @ behind the host; if it ends a password, write / as %2F, ? as %3F and # as %23 in that"
        _ = parts.port
    except ValueError:
        return "is no URL; write redis://HOST:PORT/NUMBER, with special characters of a password as %XX"
    if parts.scheme in SCHEMES:
        return ""
    return f"{place.partition('?')[0].rpartition('@')[2]!r} is no folder and no redis://; write one of these"


def open_database(place: str, environment: Mapping[str, str] = os.environ) -> ExampleDatabase:
    """The database at a place: a folder, or a Redis that answers; either may be spelt ``env:NAME``.

    :raises UsageError: no such place or variable, an URL that is none, the extra is not installed, or no Redis
        answers; without the URL's password.
    """
    place = _said(place, environment)
    fault = fault_of(place)
    if fault:
        raise UsageError(f"database: {fault}")
    if "://" not in place:
        from hypothesis.database import DirectoryBasedExampleDatabase

        return _kept(DirectoryBasedExampleDatabase(place))
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis, RedisError
    except ImportError as error:
        raise UsageError("database: redis://: pip install 'obs-conformance[redis]' first") from error
    address = urlsplit(place).netloc.rpartition("@")[2]
    try:
        client = Redis.from_url(place, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S)
        client.ping()
    except (RedisError, ValueError) as error:
        raise UsageError(f"database: no Redis can be used at {address}: {error}") from error
    return _kept(RedisExampleDatabase(client))


def _kept(database: ExampleDatabase) -> ExampleDatabase:
    """The database without deletions.

    Hypothesis deletes an example that fails no more; here it may fail at the next endpoint, and at this one again.
    """
    from hypothesis.database import ExampleDatabase as Base

    class Kept(Base):
        def fetch(self, key: bytes) -> Iterable[bytes]:
            return database.fetch(key)

        def save(self, key: bytes, value: bytes) -> None:
            database.save(key, value)

        def delete(self, key: bytes, value: bytes) -> None:
            """Nothing is forgotten."""

    return Kept()


def _said(place: str, environment: Mapping[str, str]) -> str:
    if not place.startswith(ENV):
        return place
    variable = place.removeprefix(ENV)
    if not environment.get(variable):
        raise UsageError(f"database: the environment variable {variable} is not set")
    return environment[variable]
