"""Filling ``{name}`` in the texts of a case.

Knows the grammar of placeholders and nothing of what they stand for.
Braces that do not enclose a name, as in a regular expression's ``{32}`` or in JSON, are left alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)\}")


class UnknownPlaceholderError(KeyError):
    """A text names a placeholder that has no value; ``args[0]`` is its name."""


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with every placeholder replaced; inserted values are not searched again.

    :raises UnknownPlaceholderError: a name has no value.
    """
    if "{" not in text:
        return text
    filled = list(_parts(text))
    try:
        filled[1::2] = [values[name] for name in filled[1::2]]
    except KeyError as error:
        raise UnknownPlaceholderError(*error.args) from error
    return "".join(filled)


def names_in(text: str) -> frozenset[str]:
    """The placeholder names a text uses."""
    return frozenset(_parts(text)[1::2])


@lru_cache(maxsize=4096)
def _parts(text: str) -> tuple[str, ...]:
    """Literal texts and, between them, names."""
    return tuple(PLACEHOLDER.split(text))
