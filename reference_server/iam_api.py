"""Users and access keys: who may call the storage and the key service, changed while the server runs.

Follows the habits of the vendor's IAM API (paths, JSON shapes, statuses) as far as a developer's machine needs it. This
module does not know HTTP or signatures.

Decisions: only the server's own token may use it. A user is known by an access key and by nothing else, so making a
user makes a first access key with it, whose secret is told once, and deleting the last key of a user deletes the user.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reference_server.dates import iso_date
from reference_server.identities import Caller, Identity, new_access_key, new_id, new_secret_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.world import World

USERS = "/v3/users"
CREDENTIALS = "/v3.0/OS-CREDENTIAL/credentials"
_ID = re.compile(r"[0-9a-z]{32}")
_NAME = re.compile(r"[A-Za-z0-9 ._-]{1,64}")


class IamError(Exception):
    """A refusal."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)

    def document(self) -> dict[str, Any]:
        """The error document."""
        return {"error": {"code": self.status.value, "message": self.message, "title": self.status.phrase}}


@dataclass(frozen=True, slots=True)
class Question:
    """One call: verb, path without its query, parameters and document."""

    method: str
    path: str
    parameters: Mapping[str, str]
    document: Mapping[str, Any]

    def words(self, name: str) -> Mapping[str, Any]:
        """The object in the document that carries the words of the call."""
        value = self.document.get(name)
        if not isinstance(value, dict):
            raise IamError(HTTPStatus.BAD_REQUEST, f"The document has no object {name}.")
        return value


def is_iam(path: str) -> bool:
    """Whether a path is one of this interface."""
    return path in (USERS, CREDENTIALS) or path.startswith(CREDENTIALS + "/")


def answer(world: World, question: Question) -> tuple[int, dict[str, Any] | None]:
    """Status and document of the answer (IamError for a refusal)."""
    method, path = question.method, question.path
    if path == USERS and method == "GET":
        return 200, {"users": [_user(caller) for caller in _callers(world)]}
    if path == USERS and method == "POST":
        return 201, _create_user(world, question.words("user"))
    if path == CREDENTIALS and method == "GET":
        wanted = question.parameters.get("user_id")
        found = [entry for entry in world.directory if wanted in (None, entry.caller.user_id)]
        return 200, {"credentials": [_credential(entry) for entry in found]}
    if path == CREDENTIALS and method == "POST":
        return 201, _create_credential(world, question.words("credential"))
    if path.startswith(CREDENTIALS + "/") and method in ("GET", "DELETE"):
        return _one_credential(world, method, path.removeprefix(CREDENTIALS + "/"))
    raise IamError(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not known here.")


def _callers(world: World) -> list[Caller]:
    return list({entry.caller.user_id: entry.caller for entry in world.directory}.values())


def _user(caller: Caller) -> dict[str, Any]:
    return {
        "id": caller.user_id,
        "name": caller.user_name,
        "domain_id": caller.domain_id,
        "default_project_id": caller.project_id,
        "administrator": caller.administrator,
        "enabled": True,
    }


def _credential(entry: Identity) -> dict[str, Any]:
    return {"access": entry.access_key, "user_id": entry.caller.user_id, "status": "active"}


def _create_user(world: World, words: Mapping[str, Any]) -> dict[str, Any]:
    """A user of an account; without `default_project_id` in the account's default project."""
    name, domain_id = words.get("name"), words.get("domain_id")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise IamError(HTTPStatus.BAD_REQUEST, "name is 1 to 64 letters, digits, blanks and ._-")
    if domain_id is None:
        domain_id = new_id(world.dice)
    default = world.directory.default_project(str(domain_id)) or new_id(world.dice)
    project_id = words.get("default_project_id", default)
    for word, value in (("domain_id", domain_id), ("default_project_id", project_id)):
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise IamError(HTTPStatus.BAD_REQUEST, f"{word} is 32 characters of 0-9 and a-z.")
    if any(caller.domain_id == domain_id and caller.user_name == name for caller in _callers(world)):
        raise IamError(HTTPStatus.CONFLICT, f"The account has a user {name} already.")
    first = all(caller.domain_id != domain_id for caller in _callers(world))
    caller = Caller(domain_id, new_id(world.dice), name, project_id, administrator=first)
    return {"user": _user(caller), "credential": _add(world, caller)}


def _create_credential(world: World, words: Mapping[str, Any]) -> dict[str, Any]:
    caller = next((caller for caller in _callers(world) if caller.user_id == words.get("user_id")), None)
    if caller is None:
        raise IamError(HTTPStatus.NOT_FOUND, "There is no user with that user_id.")
    return {"credential": _add(world, caller)}


def _add(world: World, caller: Caller) -> dict[str, Any]:
    identity = Identity(new_access_key(world.dice), new_secret_key(world.dice), caller)
    world.state.identities.save(identity)
    world.directory.add(identity)
    return _credential(identity) | {"secret": identity.secret_key, "create_time": iso_date(world.now())}


def _one_credential(world: World, method: str, access_key: str) -> tuple[int, dict[str, Any] | None]:
    identity = world.directory.find(access_key)
    if identity is None:
        raise IamError(HTTPStatus.NOT_FOUND, "There is no such access key.")
    if method == "GET":
        return 200, {"credential": _credential(identity)}
    world.state.identities.delete(access_key)
    world.directory.remove(access_key)
    return 204, None
