"""The second port: the key service and the administration of users, over the same sockets as the storage.

It stands on a port of its own because `/v1.0/...` is a path that a bucket could have (`v1.0` is a bucket name). Two
kinds of proof are taken: SDK-HMAC-SHA256 with any access key (what the vendor's KMS clients send), which acts as that
user in that user's project; and `X-Auth-Token` with the token the server drew at this start and wrote into its admin
file, which acts for any project and may administer users. This module does not know what the calls do.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference_server import iam_api, kms_api
from reference_server.access_log import Told
from reference_server.dates import http_date
from reference_server.errors import ObsError
from reference_server.gateway_signature import NotProvenError, prove
from reference_server.iam_api import IamError
from reference_server.kms_api import KmsError
from reference_server.wire import Response, encode_octets, parse_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference_server.identities import Caller
    from reference_server.wire import Head
    from reference_server.world import World

MAX_BODY = 64 * 1024
_KMS_PATH = re.compile(r"/v1\.0/([0-9A-Za-z_-]{1,64})/kms/([a-z-]{1,64})")
TOKEN_HEADER = "x-auth-token"  # noqa: S105 - the name of a header, not a secret


@dataclass(slots=True)
class _Exchange:
    """A call whose body is being read."""

    service: AdminService
    head: Head
    body: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Response | None:
        """More of the body; an answer already now means that the rest is not wanted."""
        if len(self.body) + len(data) > MAX_BODY:
            return self.service.refuse(self.head, KmsError("KMS.0203"))
        self.body += data
        return None

    def finish(self) -> Iterator[Response | None]:
        """The answer."""
        yield self.service.respond(self.head, bytes(self.body))

    def abort(self) -> None:
        """Nothing has been done yet."""


class AdminService:
    """The key service and the user administration of one server."""

    def __init__(
        self,
        world: World,
        token: str,
        *,
        on_bug: Callable[[BaseException], None],
        on_answer: Callable[[Told], None] = lambda _told: None,
    ) -> None:
        self._world = world
        self._token = token.encode()
        self._on_bug = on_bug
        self._on_answer = on_answer

    def open(self, head: Head) -> Response | _Exchange:
        """Nothing is decided before the body is there: it is signed too, and short."""
        if (head.declared_length or 0) > MAX_BODY:
            return self.refuse(head, KmsError("KMS.0203"))
        return _Exchange(self, head)

    def malformed(self, message: str, *, status_code: str = "BadRequest") -> Response:
        """The answer to bytes that are no request at all."""
        return self._answer(None, ObsError(status_code).status, _kms_error("KMS.0201", message), error="KMS.0201")

    def respond(self, head: Head, body: bytes) -> Response:
        """The answer to a whole request."""
        path = head.target.partition("?")[0]
        try:
            if iam_api.is_iam(path):
                return self._administer(head, path, body)
            return self._ask(head, path, body)
        except (KmsError, IamError) as error:
            return self.refuse(head, error)
        except ObsError as error:
            return self.refuse(head, KmsError("KMS.0201", error.message.removesuffix(".")))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is answered, and bugs are reported
            self._on_bug(error)
            return self.refuse(head, KmsError("KMS.0101"))

    def _ask(self, head: Head, path: str, body: bytes) -> Response:
        """A call of the key service."""
        match = _KMS_PATH.fullmatch(path)
        if match is None or match[2] not in kms_api.OPERATIONS or head.method != "POST":
            raise KmsError("KMS.0201")
        project_id, operation = match.groups()
        caller, world = self._caller(head, body, project_id), self._world
        in_default_project = project_id == world.directory.default_project(caller.domain_id)
        question = kms_api.Question(world.keyring, caller, project_id, in_default_project, world.now(), _document(body))
        document = kms_api.answer(operation, question)
        return self._answer(head, 200, document, operation=operation, caller=caller.principal)

    def _caller(self, head: Head, body: bytes, project_id: str) -> Caller:
        """Who asks about the keys of a project."""
        if head.headers.first(TOKEN_HEADER) is not None:
            self._check_token(head)
            stand_in = self._world.directory.of_project(project_id)
            if stand_in is None:
                raise KmsError("KMS.0306", "nobody here has that project")
            return stand_in
        try:
            caller = prove(head, body, self._world.directory, self._world.now()).caller
        except NotProvenError as error:
            raise KmsError("APIGW.0301", str(error)) from error
        if caller.project_id != project_id:
            raise KmsError("KMS.0306", "the project is not the caller's")
        return caller

    def _check_token(self, head: Head) -> None:
        values = head.headers.every(TOKEN_HEADER)
        if len(values) != 1 or not hmac.compare_digest(encode_octets(values[0]), self._token):
            raise KmsError("KMS.0301")

    def _administer(self, head: Head, path: str, body: bytes) -> Response:
        self._check_token(head)
        query = parse_query(head.target.partition("?")[2])
        parameters = {name: value or "" for name, value in query.pairs}
        question = iam_api.Question(head.method, path, parameters, _document(body))
        status, document = iam_api.answer(self._world, question)
        return self._answer(head, status, document, operation=f"{head.method} {path}")

    def refuse(self, head: Head, error: KmsError | IamError) -> Response:
        """The answer to what may not be done."""
        if isinstance(error, IamError):
            return self._answer(head, error.status.value, error.document(), error=str(error.status.value))
        return self._answer(head, error.status, _kms_error(error.code, error.message), error=error.code)

    def _answer(  # noqa: PLR0913 - an answer and what a log may know of it
        self,
        head: Head | None,
        status: int,
        document: dict[str, Any] | None,
        *,
        operation: str = "",
        caller: str = "",
        error: str = "",
    ) -> Response:
        request_id = self._world.dice(16).hex()
        body = b"" if document is None else json.dumps(document).encode()
        headers = [("Server", "OBS"), ("X-Request-Id", request_id), ("Date", http_date(self._world.now()))]
        if document is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if head is not None and head.method == "HEAD":
            body = b""
        response = Response(status, tuple(headers), body)
        self._on_answer(Told(response, head, request_id, operation, caller, error, signed=_proof(head)))
        return response


def _proof(head: Head | None) -> str:
    """By what a request means to prove who makes it, as logs name it."""
    if head is None or head.headers.first(TOKEN_HEADER) is not None:
        return "" if head is None else "token"
    return "sdk" if head.headers.first("authorization") is not None else "anonymous"


def _kms_error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"error_code": code, "error_msg": message}}


def _document(body: bytes) -> dict[str, Any]:
    """The JSON object of a call; no body at all counts as an empty one."""
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise KmsError("KMS.0202") from error
    if not isinstance(document, dict):
        raise KmsError("KMS.0202")
    return document
