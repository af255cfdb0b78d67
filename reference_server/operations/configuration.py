"""A bucket's configuration: its default encryption (obs_04_0062 to 0064) and its policy (obs_04_0027 to 0029).

This module does not know what a default encryption does to an upload (that is `encryption`) nor what a policy means
(that is `policy`); it reads them, keeps them, shows them and removes them.

Decisions where the documents are silent (numbers are those of the protocol facts):

* Q-19: the configuration is shown as it was sent, its key id in the form that was chosen, with our namespace.
* Q-20: two rules, an empty rule and unknown elements are malformed XML; an unknown algorithm is an invalid argument;
  a key is checked when it is configured, as a live endpoint did (section 4.4).
* Q-21: removing what is not there is answered 204 as well, and takes effect at once.
* A policy is shown octet for octet as it was sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference_server.documents import children_of, document, leaves_of, read_document
from reference_server.encryption import DEFAULT_LEAVES, bucket_default, leaves_of_default
from reference_server.errors import ObsError
from reference_server.operations.common import Document, xml_response
from reference_server.policy import MAX_POLICY_BYTES, parse_policy
from reference_server.wire import Response

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from reference_server.world import Call, Outcome

_ROOT, _RULE, _DEFAULT = "ServerSideEncryptionConfiguration", "Rule", "ApplyServerSideEncryptionByDefault"


def put_encryption(call: Call) -> Outcome:
    """Set the default encryption, in place of any other: 200."""
    return Document(call, lambda body: _put_encryption(call, body))


def _put_encryption(call: Call, body: bytes) -> Response:
    rule = _only_child(read_document(body, _ROOT), _RULE)
    leaves = leaves_of(_only_child(rule, _DEFAULT), DEFAULT_LEAVES)
    default = bucket_default(leaves, call.world.keyring, call.caller)
    call.world.state.buckets.change(replace(call.bucket, default=default))
    return Response(200)


def _only_child(element: Element, name: str) -> Element:
    children = children_of(element, {name: False})
    if not children:
        raise ObsError("MalformedXML", f"{name} is missing.")
    return children[0]


def get_encryption(call: Call) -> Response:
    """Show the default encryption: 200, or 404 if there is none."""
    default = call.bucket.default
    if default is None:
        raise ObsError("NoSuchEncryptionConfiguration")
    return xml_response(document(_ROOT, ((_RULE, ((_DEFAULT, leaves_of_default(default)),)),)))


def delete_encryption(call: Call) -> Response:
    """Remove the default encryption, and nothing else: 204, whether there was one or not."""
    call.world.state.buckets.change(replace(call.bucket, default=None))
    return Response(204)


def put_policy(call: Call) -> Outcome:
    """Set the policy, in place of any other: 204 (S-31), or 400 MalformedPolicy, from 20 KB on as well."""
    return Document(call, lambda body: _put_policy(call, body), limit=MAX_POLICY_BYTES, code="MalformedPolicy")


def _put_policy(call: Call, body: bytes) -> Response:
    parsed = parse_policy(body, call.bucket.name)
    call.world.state.buckets.change(replace(call.bucket, policy_text=body, policy=parsed))
    return Response(204)


def get_policy(call: Call) -> Response:
    """Show the policy: 200, or 404 if there is none."""
    if not call.bucket.policy_text:
        raise ObsError("NoSuchBucketPolicy")
    return Response(200, (("Content-Type", "application/json"),), call.bucket.policy_text)


def delete_policy(call: Call) -> Response:
    """Remove the policy: 204, whether there was one or not."""
    call.world.state.buckets.change(replace(call.bucket, policy_text=b"", policy=None))
    return Response(204)
