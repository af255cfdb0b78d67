"""Bucket policies: reading the JSON, refusing what cannot be evaluated, and the verdict on one question.

The grammar is that of obs_04_0027 and the permission guide (protocol facts, section 8). This module does not know
requests, ACLs or who owns what; it is asked with plain facts and answers allow, deny or nothing.

Decisions where the documents are silent:

* A negated operator is satisfied by an absent value, a plain one is not; `${null}` in a list stands for the absent
  value and for an empty one (E-01, Q-23).
* StringEquals and StringLike are case-sensitive, their ...IgnoreCase forms are not.
* A document that names something this server cannot evaluate (operator, condition key, field, a number that is none)
  is refused with MalformedPolicy, because a policy that is stored and not enforced is worse than none.
* `domain/ID` alone is the account as such, like `domain/ID:root`; that is how the newest edition uses it beside a user
  (obs_40_0041). Of users and agencies, all or one can be named. Nobody here ever acts for an agency.
* `{"AWS": ...}` and `{"CanonicalUser": ...}`, the S3 dialect's principals, name the same accounts and users.
* The three spellings of an encryption key, `x-obs-server-side-encryption`, `server-side-encryption` and
  `s3:x-amz-server-side-encryption` (value `aws:kms`), are one condition.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from reference_server.dates import parse_iso_date
from reference_server.errors import ObsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reference_server.identities import Caller

MAX_POLICY_BYTES = 20 * 1024
"""obs_04_0027."""

_VERSIONS = ("2008-10-17", "2012-10-17")
_TOP_FIELDS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_FIELDS = frozenset(
    "Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split()  # noqa: SIM905 - as words
)
_PRINCIPAL_ID = re.compile(r"\*|domain/[^:/*?]+(?::(?:root|(?:user|agency)/(?:\*|[^:/*?]+)))?")
_IAM = "arn:aws:iam::"
_NULL = "${null}"
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,9})?", re.ASCII)


class Verdict(Enum):
    """What a policy says to a question."""

    ALLOW = "allow"
    DENY = "deny"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Question:
    """May this caller do this, to this resource, with these facts?"""

    caller: Caller
    action: str
    resource: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key: `holds` is asked with the value of the fact, or None."""

    fact: str
    negated: bool
    wants_null: bool
    values: tuple[str, ...]
    matches: Callable[[str, str], bool]

    def holds(self, facts: Mapping[str, str]) -> bool:
        """Whether the condition is met; absence satisfies only negated operators and `${null}`."""
        value = facts.get(self.fact)
        if value is None or (not value and self.wants_null):
            return self.wants_null != self.negated
        return any(self.matches(value, wanted) for wanted in self.values) != self.negated


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; a `not_` flag turns its list round."""

    allows: bool
    principals: tuple[str, ...]
    not_principals: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    conditions: tuple[Condition, ...]

    def applies(self, question: Question) -> bool:
        """Whether all parts of the statement meet the question."""
        return (
            any(_is_principal(wanted, question.caller) for wanted in self.principals) != self.not_principals
            and any(_glob(wanted, question.action.lower()) for wanted in self.actions) != self.not_actions
            and any(_glob(wanted, question.resource) for wanted in self.resources) != self.not_resources
            and all(condition.holds(question.facts) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A bucket policy, ready to be asked."""

    statements: tuple[Statement, ...]


def evaluate(policy: Policy, question: Question) -> Verdict:
    """Explicit Deny over Allow over nothing; the order of statements does not matter (section 8)."""
    applying = [statement for statement in policy.statements if statement.applies(question)]
    if any(not statement.allows for statement in applying):
        return Verdict.DENY
    return Verdict.ALLOW if applying else Verdict.NOTHING


def _is_principal(wanted: str, caller: Caller) -> bool:
    if wanted == "*":
        return True
    if caller.anonymous:
        return False
    domain, _, who = wanted.partition(":")
    if domain != f"domain/{caller.domain_id}":
        return False
    if who in ("", "root"):
        return caller.administrator
    return who in ("user/*", f"user/{caller.user_id}", f"user/{caller.user_name}")


def _glob(pattern: str, text: str) -> bool:
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


# ---- conditions --------------------------------------------------------------------------------------------------


def _fold(compare: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    return lambda value, wanted: compare(value.lower(), wanted.lower())


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _like(value: str, wanted: str) -> bool:
    return _glob(wanted, value)


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def matches(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return matches


def _moment(text: str) -> float | None:
    """A moment as a date, or as the Unix seconds that EpochTime counts."""
    return float(text) if _NUMBER.fullmatch(text) else parse_iso_date(text)


def _dates(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def matches(value: str, wanted: str) -> bool:
        left, right = _moment(value), _moment(wanted)
        return left is not None and right is not None and compare(left, right)

    return matches


def _address(value: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_COMPARISONS: Mapping[tuple[str, str], Callable[[float, float], bool]] = {
    ("equals", "eq"): lambda left, right: left == right,
    ("lessthan", "lt"): lambda left, right: left < right,
    ("lessthanequals", "lteq"): lambda left, right: left <= right,
    ("greaterthan", "gt"): lambda left, right: left > right,
    ("greaterthanequals", "gteq"): lambda left, right: left >= right,
}


def _ordered(
    long: str, short: str, kind: Callable[[Callable[[float, float], bool]], Callable[[str, str], bool]]
) -> dict[str, tuple[Callable[[str, str], bool], bool]]:
    """The operators on what has an order, in both spellings, and the negated one of them."""
    equal = kind(lambda left, right: left == right)
    found = {f"{long}notequals": (equal, True), f"{short}neq": (equal, True)}
    for (long_end, short_end), test in _COMPARISONS.items():
        found |= {long + long_end: (kind(test), False), short + short_end: (kind(test), False)}
    return found


OPERATORS: Mapping[str, tuple[Callable[[str, str], bool], bool]] = {
    # operator (in lower case): (comparison, negated)
    "stringequals": (_equal, False),
    "streq": (_equal, False),
    "stringnotequals": (_equal, True),
    "strneq": (_equal, True),
    "stringequalsignorecase": (_fold(_equal), False),
    "streqi": (_fold(_equal), False),
    "stringnotequalsignorecase": (_fold(_equal), True),
    "strneqi": (_fold(_equal), True),
    "stringlike": (_like, False),
    "strl": (_like, False),
    "stringnotlike": (_like, True),
    "strnl": (_like, True),
    **_ordered("numeric", "num", _numbers),
    **_ordered("date", "date", _dates),
    "bool": (_fold(_equal), False),
    "ipaddress": (_address, False),
    "notipaddress": (_address, True),
}
"""The operators of section 8; those on strings, numbers and dates in both spellings (obs_03_0120)."""


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


_KINDS: Mapping[str, tuple[str, Callable[[str], bool], frozenset[str]]] = {
    # how the operator begins: (what its values must be, the test of that, the facts it can be asked of if not of any)
    "num": ("a number", lambda text: bool(_NUMBER.fullmatch(text)), frozenset()),
    "date": ("a date or Unix seconds", lambda text: _moment(text) is not None, frozenset(("currenttime", "epochtime"))),
    "bool": ("true or false", lambda text: text.lower() in ("true", "false"), frozenset(("securetransport",))),
    "ipaddress": ("an IP address or network", _is_network, frozenset(("sourceip",))),
    "notipaddress": ("an IP address or network", _is_network, frozenset(("sourceip",))),
}
"""What operators other than those on strings can be given; anything else could never be met, or never be missed."""

_PLAIN_FACTS = frozenset(
    """
    sourceip referer useragent securetransport currenttime epochtime prefix delimiter max-keys versionid
    """.split()  # noqa: SIM905 - as words
)
_HEADER_FACTS = frozenset(
    """
    acl copy-source metadata-directive server-side-encryption server-side-encryption-kms-key-id storage-class
    grant-read grant-write grant-read-acp grant-write-acp grant-full-control
    """.split()  # noqa: SIM905 - as words
)


def fact_name(key: str) -> str | None:
    """The one name under which all spellings of a condition key are asked, or None for a key nobody knows.

    Any request header that begins `x-obs-` can be a condition (S-30); its bare form only if it is a known one.
    """
    lower = key.lower().removeprefix("s3:").removeprefix("obs:")
    if lower in _PLAIN_FACTS:
        return lower
    bare = lower.removeprefix("x-amz-").removeprefix("x-obs-").replace("-aws-kms-key-id", "-kms-key-id")
    if bare in _HEADER_FACTS or (lower != bare and bare):
        return bare
    return None


def header_facts(headers: Mapping[str, str]) -> dict[str, str]:
    """`x-obs-` request headers under the names conditions ask for; none of them can stand for another kind of fact."""
    bare = {name.removeprefix("x-obs-"): value for name, value in headers.items()}
    return {name: value for name, value in bare.items() if name not in _PLAIN_FACTS}


# ---- reading -----------------------------------------------------------------------------------------------------


def _malformed(message: str) -> ObsError:
    return ObsError("MalformedPolicy", message)


def parse_policy(document: bytes, bucket: str) -> Policy:
    """Read a policy for one bucket, or refuse it and say what is wrong."""
    if len(document) > MAX_POLICY_BYTES:
        raise _malformed("The policy is larger than 20 KB.")
    try:
        tree = json.loads(document.decode("utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _malformed(
            f"The policy is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise _malformed("The policy is not JSON.") from error
    top = _object(tree, "The policy", _TOP_FIELDS)
    if "Version" in top and top["Version"] not in _VERSIONS:
        raise _malformed("Version is not known.")
    statements = top.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _malformed("Statement must be a list with at least one statement.")
    return Policy(tuple(_numbered(number, entry, bucket) for number, entry in enumerate(statements, 1)))


def _numbered(number: int, value: Any, bucket: str) -> Statement:  # noqa: ANN401 - JSON can be anything
    try:
        return _statement(value, bucket)
    except ObsError as error:
        raise _malformed(f"Statement {number}: {error.message}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _object(value: Any, what: str, fields: frozenset[str]) -> dict[str, Any]:  # noqa: ANN401 - JSON can be anything
    if not isinstance(value, dict):
        raise _malformed(f"{what} must be an object.")
    unknown = sorted(set(value) - fields)
    if unknown:
        raise _malformed(f"{what} has an unknown field: {unknown[0]}.")
    return value


def _statement(value: Any, bucket: str) -> Statement:  # noqa: ANN401 - JSON can be anything
    fields = _object(value, "A statement", _STATEMENT_FIELDS)
    if "Sid" in fields and not isinstance(fields["Sid"], str):
        raise _malformed("Sid must be a string.")
    effect = fields.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise _malformed("Effect must be Allow or Deny.")
    principals, not_principals = _either(fields, "Principal", _principals)
    actions, not_actions = _either(fields, "Action", _actions)
    resources, not_resources = _either(fields, "Resource", lambda entry: _resources(entry, bucket))
    return Statement(
        effect == "Allow",
        principals,
        not_principals,
        actions,
        not_actions,
        resources,
        not_resources,
        _conditions(fields.get("Condition", {})),
    )


def _either(fields: dict[str, Any], name: str, read: Callable[[Any], tuple[str, ...]]) -> tuple[tuple[str, ...], bool]:
    if (name in fields) == ("Not" + name in fields):
        raise _malformed(f"A statement has either {name} or Not{name}.")
    negated = name not in fields
    return read(fields["Not" + name if negated else name]), negated


def _strings(value: Any, what: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON can be anything
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(entry, str) for entry in values):
        raise _malformed(f"{what} must be a string or a list of strings.")
    return tuple(values)


def _principals(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON can be anything
    if value == "*":
        return ("*",)
    said = _object(value, "Principal", frozenset(("ID", *_PRINCIPAL_WORDS)))
    if len(said) != 1:
        raise _malformed("Principal must be * or an object with ID.")
    (word, given), *_ = said.items()
    names = _strings(given, "Principal")
    if word in _PRINCIPAL_WORDS:
        names = tuple(_PRINCIPAL_WORDS[word](name) for name in names)
    for name in names:
        if not _PRINCIPAL_ID.fullmatch(name):
            raise _malformed(
                f"Invalid principal: {name}. It is * or domain/ID, followed by :root, :user/* or :agency/*, or by one"
                " user or agency."
            )
    return names


def _of_arn(text: str) -> str:
    """`arn:aws:iam::account:user/name` and its like as `domain/account:user/name`; the account alone is its root."""
    account, _, who = text.removeprefix(_IAM).partition(":")
    return text if text == "*" else f"domain/{account}:{who}" if who else f"domain/{account}"


_PRINCIPAL_WORDS: Mapping[str, Callable[[str], str]] = {
    "AWS": _of_arn,
    "CanonicalUser": lambda text: text if text == "*" else f"domain/{text}",
}
"""The words for principals in the S3 dialect, and what they name in the server's own."""


def _actions(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON can be anything
    names = tuple(name.lower().removeprefix("s3:") for name in _strings(value, "Action"))
    for name in names:
        if not any(_glob(name, known) for known in _ACTION_NAMES):
            raise _malformed(f"Unknown action: {name}.")
    return names


def _resources(value: Any, bucket: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON can be anything
    names = tuple(name.removeprefix("arn:aws:s3:::") for name in _strings(value, "Resource"))
    for name in names:
        if name != bucket and not name.startswith(bucket + "/"):
            raise _malformed(f"The resource {name} is not in this bucket.")
    return names


def _conditions(value: Any) -> tuple[Condition, ...]:  # noqa: ANN401 - JSON can be anything
    if not isinstance(value, dict):
        raise _malformed("Condition must be an object.")
    found: list[Condition] = []
    for operator, keys in value.items():
        if operator.lower() not in OPERATORS:
            raise _malformed(f"Unknown condition operator: {operator}.")
        if not isinstance(keys, dict):
            raise _malformed(f"The operator {operator} must have an object of keys.")
        found += [_condition(operator, key, wanted) for key, wanted in keys.items()]
    return tuple(found)


def _condition(operator: str, key: str, wanted: Any) -> Condition:  # noqa: ANN401 - JSON can be anything
    fact = fact_name(key)
    if fact is None:
        raise _malformed(f"Unknown condition key: {key}.")
    if isinstance(wanted, (bool, int, float)):
        wanted = json.dumps(wanted)
    values: Sequence[str] = _strings(wanted, f"The value of {key}")
    if "x-amz-" in key.lower():
        values = ["kms" if value == "aws:kms" else value.removeprefix("arn:aws:kms:") for value in values]
    matches, negated = OPERATORS[operator.lower()]
    plain = tuple(value for value in values if value != _NULL)
    _check_kind(operator, key, fact, plain)
    return Condition(fact, negated, _NULL in values, plain, matches)


def _check_kind(operator: str, key: str, fact: str, values: tuple[str, ...]) -> None:
    kind = next((kind for begin, kind in _KINDS.items() if operator.lower().startswith(begin)), None)
    if kind is None:
        return
    name, fits, facts = kind
    if facts and fact not in facts:
        raise _malformed(f"{operator} cannot be used on {key}.")
    for value in values:
        if not fits(value):
            raise _malformed(f"{operator} on {key} needs {name}, not {value}.")


ACTIONS = (
    # Bucket and object actions of the permission guide (OTC-PERM, bucket_policy_parameters).
    *"""
    AbortMultipartUpload CreateBucket DeleteBucket DeleteBucketCustomDomainConfiguration
    DeleteBucketInventoryConfiguration DeleteBucketPolicy DeleteBucketWebsite DeleteObject DeleteObjectVersion
    GetBucketAcl GetBucketCORS GetBucketCustomDomainConfiguration GetBucketInventoryConfiguration GetBucketLocation
    GetBucketLogging GetBucketNotification GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock
    GetBucketQuota GetBucketStorage GetBucketStoragePolicy GetBucketTagging GetBucketVersioning GetBucketWebsite
    GetEncryptionConfiguration GetLifecycleConfiguration GetObject GetObjectAcl GetObjectVersion GetObjectVersionAcl
    GetReplicationConfiguration HeadBucket ListBucket ListBucketMultipartUploads ListBucketVersions
    ListMultipartUploadParts ModifyObjectMetaData PutBucketAcl PutBucketCORS PutBucketCustomDomainConfiguration
    PutBucketInventoryConfiguration PutBucketLogging PutBucketNotification PutBucketPolicy PutBucketPublicAccessBlock
    PutBucketQuota PutBucketStoragePolicy PutBucketTagging PutBucketVersioning PutBucketWebsite
    PutEncryptionConfiguration PutLifecycleConfiguration PutObject PutObjectAcl PutObjectVersionAcl
    PutReplicationConfiguration RestoreObject
    """.split(),  # noqa: SIM905 - as words
)
"""Every action a policy may name; those this server has no operation for can be named but never happen."""

_ACTION_NAMES = tuple(action.lower() for action in ACTIONS)
