"""Filling ``{name}`` in the texts of a case.

Knows the grammar of placeholders and nothing of what they stand for.
Braces that do not enclose a name, as in a regular expression's ``{32}`` or in JSON, are left alone.
"""

from __future__ import annotations

import re
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

    def value_of(match: re.Match[str]) -> str:
        try:
            return values[match[1]]
        except KeyError as error:
            raise UnknownPlaceholderError(match[1]) from error

    return PLACEHOLDER.sub(value_of, text)


def names_in(text: str) -> frozenset[str]:
    """The placeholder names a text uses."""
    return frozenset(PLACEHOLDER.findall(text))
