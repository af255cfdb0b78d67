"""Who may call: accounts (domains), users, projects, and the access keys by which they are known.

This module does not know signatures or permissions. How a principal is written in a bucket policy is
`domain/<domain id>:user/<user id or name>` (protocol facts, section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from string import ascii_letters, ascii_uppercase, digits

Dice = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request; the anonymous one has empty ids.

    `reading` says by which accepted reading of the signature rules it was proven (`signature.authenticate`), for the
    log; it is no part of who somebody is.
    """

    domain_id: str = ""
    user_id: str = ""
    user_name: str = ""
    project_id: str = ""
    administrator: bool = False
    reading: str = field(default="", compare=False)

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed."""
        return not self.user_id

    @property
    def principal(self) -> str:
        """The name of this caller in the Principal of a bucket policy."""
        return f"domain/{self.domain_id}:user/{self.user_id}"


ANONYMOUS = Caller()


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller together with the key pair that proves it."""

    access_key: str
    secret_key: str
    caller: Caller


class Directory:
    """All identities, found by access key."""

    def __init__(self, identities: Iterable[Identity] = ()) -> None:
        self._by_access_key = {identity.access_key: identity for identity in identities}

    def find(self, access_key: str) -> Identity | None:
        """The identity of an access key, or None."""
        return self._by_access_key.get(access_key)

    def add(self, identity: Identity) -> None:
        """Make an identity known."""
        self._by_access_key[identity.access_key] = identity

    def remove(self, access_key: str) -> None:
        """Make an access key unknown."""
        self._by_access_key.pop(access_key, None)

    def default_project(self, domain_id: str) -> str:
        """The default project of an account, which is that of its first administrator; empty for an unknown account."""
        return next((entry.caller.project_id for entry in self._of(domain_id) if entry.caller.administrator), "")

    def of_project(self, project_id: str) -> Caller | None:
        """Who stands for a project when nobody in particular asks: its first administrator, else its first user."""
        users = [entry.caller for entry in self if entry.caller.project_id == project_id]
        return next((user for user in users if user.administrator), users[0] if users else None)

    def _of(self, domain_id: str) -> Iterator[Identity]:
        return (entry for entry in self if entry.caller.domain_id == domain_id)

    def __iter__(self) -> Iterator[Identity]:
        """All identities, in the order they became known."""
        return iter(self._by_access_key.values())


def _word(dice: Dice, alphabet: str, length: int) -> str:
    # Four bytes a symbol make the bias of the remainder smaller than one in fifty million.
    return "".join(alphabet[int.from_bytes(dice(4), "big") % len(alphabet)] for _ in range(length))


def new_access_key(dice: Dice) -> str:
    """Twenty upper-case letters and digits, the shape of the documented access keys."""
    return _word(dice, ascii_uppercase + digits, 20)


def new_secret_key(dice: Dice) -> str:
    """Forty letters and digits."""
    return _word(dice, ascii_letters + digits, 40)


def new_id(dice: Dice) -> str:
    """A domain, project or user id: 32 characters of lower-case hex."""
    return dice(16).hex()
