"""POST of an object by a browser's form (obs_04_0081, obs_04_0012).

This module does not know how a form is taken apart (`formdata`), what its policy demands (`forms`), how it is signed
(`signature`) or how encryption is decided; it knows the order of these things, and the answers a form can ask for.

Decisions where the documents are silent or contradict each other (numbers are those of the protocol facts):

* Q-15: the answer shows the encryption fields whatever its status, as the table of the page says.
* Q-23: for the conditions of a bucket policy a form field stands for the header of the same name.
* A form without a policy is anonymous, unless the request is signed in its head; both at once are refused.
* Fields after the file are not looked at, and need no condition.
* `Location` names the object in the style of the request, so that it can be fetched from where it was put.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from reference_server.access import facts_of_form
from reference_server.dialect import foreign_form, understood_form
from reference_server.documents import document
from reference_server.encryption import Occasion
from reference_server.errors import ObsError
from reference_server.formdata import Field, FileBegins, FormReader, boundary_of
from reference_server.operations.common import Intake, Labels, decide, labels_of, location_of, quoted, xml_response
from reference_server.signature import TOKEN
from reference_server.wire import MAX_KEY_BYTES, Headers, Response, encode_octets

if TYPE_CHECKING:
    from reference_server.state.records import ObjectRecord
    from reference_server.world import Call

_FILE_NAME = "${filename}"


class PostObject:
    """The receiver of a form: nothing is decided before the file begins, and everything before any of it is kept."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = FormReader(boundary_of(call.head.headers.first("content-type") or ""))
        self._pairs: list[tuple[str, str]] = []
        self._fields = Headers(())
        self._labels: Labels | None = None
        self._intake: Intake | None = None
        self._sizes: tuple[int, int] | None = None

    def feed(self, data: bytes) -> None:
        """More of the form."""
        for event in self._reader.feed(data):
            if isinstance(event, Field):
                self._pairs.append((event.name, event.value))
            elif isinstance(event, FileBegins):
                self._begin(event.name)
            elif self._intake is not None:
                self._intake.feed(event)
                if self._sizes is not None and self._intake.size > self._sizes[1]:
                    raise ObsError("EntityTooLarge")

    def _begin(self, file_name: str) -> None:
        """All fields are known: who sends the form, whether its policy and the bucket's let it pass, and how to store.

        The key becomes the call's, which from here on is like any upload of that object.
        """
        call, seams = self._call, self._call.world.seams
        said = Headers(tuple(self._pairs))
        call.head = replace(call.head, foreign=foreign_form(said, call.head))
        fields = self._fields = understood_form(said, call.head.foreign)
        key = _key(fields, file_name)
        call.address = replace(call.address, key=key, encoded_key=quote(key))
        policy = self._identify()
        if policy is not None:
            self._sizes = seams.check_form(encode_octets(policy), said, call.bucket.name, call.world.now())
        seams.authorize(call, call.operation.action, facts_of_form(call.head, fields, call.world.now()))
        self._labels = labels_of(fields, call.bucket)
        self._intake = Intake(call, Occasion.FORM, decide(call, Occasion.FORM, seams.wish_of_form(fields)))

    def _identify(self) -> str | None:
        """Find out who signed the form; its policy as it stands there, or None for a form that nobody signed."""
        call = self._call
        claim = _claim(self._fields)
        if claim is None:
            return None
        if not call.caller.anonymous:
            raise ObsError("InvalidArgument", "Only one way of signing can be used in one request.")
        if self._fields.first(TOKEN) is not None:
            raise ObsError("AccessDenied", "Temporary credentials are not known here.")
        access_key, signature, policy = claim
        call.caller = call.world.seams.verify_form(access_key, policy, signature, call.world.directory)
        return policy

    def finish(self) -> Response:
        """Store the object and answer as the form asked."""
        self._reader.finish()
        if self._intake is None or self._labels is None:
            raise ObsError("InvalidArgument", "The form has no file.")
        if self._sizes is not None and self._intake.size < self._sizes[0]:
            raise ObsError("EntityTooSmall")
        record = self._intake.store(self._call.address.key, self._labels)
        return _answer(self._call, self._fields, record, self._intake)

    def abort(self) -> None:
        """Forget the file."""
        if self._intake is not None:
            self._intake.abort()


def _key(fields: Headers, file_name: str) -> str:
    """The object's name; `${filename}` in it stands for the name the file has at the client."""
    key = fields.first("key")
    if not key:
        raise ObsError("InvalidArgument", "The form has no key.")
    key = key.replace(_FILE_NAME, file_name)
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ObsError("InvalidArgument", "The key is not UTF-8.") from error
    if length > MAX_KEY_BYTES:
        raise ObsError("KeyTooLongError")
    if not key or "\0" in key:
        raise ObsError("InvalidArgument", "The key cannot be the name of an object.")
    return key


def _claim(fields: Headers) -> tuple[str, str, str] | None:
    """Access key, signature and policy; `token` has all three and takes precedence (section 3.3)."""
    token = fields.first("token")
    if token is not None:
        access_key, signature, policy = (*token.split(":", 2), "", "")[:3]
    else:
        access_key = fields.first("accesskeyid") or fields.first("obsaccesskeyid") or ""
        signature, policy = fields.first("signature") or "", fields.first("policy") or ""
        if not (access_key or signature or policy):
            return None
    if not (access_key and signature and policy):
        raise ObsError("AccessDenied", "A signed form has an access key, a policy and a signature.")
    return access_key, signature, policy


def _answer(call: Call, fields: Headers, record: ObjectRecord, intake: Intake) -> Response:
    """204, or what `success_action_status` or `success_action_redirect` ask for (section 3.3)."""
    etag = quoted(record.etag)
    location = location_of(call)
    headers = (("Location", location), ("ETag", etag), *intake.fields)
    redirect = fields.first("success_action_redirect") or fields.first("redirect") or ""
    if redirect.startswith(("http://", "https://")) and redirect.isprintable():
        mark = "&" if "?" in redirect else "?"
        target = redirect + mark + urlencode((("bucket", call.bucket.name), ("key", record.key), ("etag", etag)))
        return Response(303, (("Location", target), *headers[1:]))
    status = fields.first("success_action_status")
    if status == "201":
        names = (("Location", location), ("Bucket", call.bucket.name), ("Key", record.key), ("ETag", etag))
        return xml_response(document("PostResponse", names), headers, status=201)
    return Response(200 if status == "200" else 204, headers)
