"""Words of OBS into those of a dialect and back: headers, parameters, form fields, documents, policies, key ids.

A table of names and values is all it knows (``Dialect``). Does not know cases, signatures or what an answer should be.
What it does not know it passes on as it is, so that a case's malformed document stays malformed.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from conformance.vocabulary import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from conformance.vocabulary import Dialect, Response

_ERROR = 300


# ---- names and values ---------------------------------------------------------------------------------------------


def header_line(dialect: Dialect, line: str) -> str:
    """A header line with name and value of the wire; blanks, and capital letters throughout, stay."""
    name, colon, value = line.partition(":")
    return f"{name_sent(dialect, name)}{colon}{value_sent(dialect, name, value)}"


def name_sent(dialect: Dialect, name: str) -> str:
    """A header or form-field name of OBS as the wire has it, in the letters' case of the case."""
    found = _name(name.lower(), dialect.headers, dialect.prefix)
    if found is None:
        return name
    if name.isupper():
        return found.upper()
    return found if name.islower() else "-".join(part.capitalize() for part in found.split("-"))


def parameter_sent(dialect: Dialect, name: str, value: str | None) -> tuple[str, str | None]:
    """A query parameter as the wire has it."""
    found = _name(name.lower(), dialect.parameters, dialect.prefix) or name
    return found, None if value is None else value_sent(dialect, name, value)


def value_sent(dialect: Dialect, name: str, value: str) -> str:
    """The value of a header, parameter or field, by its OBS name, as the wire has it."""
    lowered, bare = name.strip().lower(), value.strip()
    if lowered in dialect.key_names:
        return key_sent(dialect, value)
    return value.replace(bare, dialect.values.get(lowered, {}).get(bare, bare), 1) if bare else value


def _name(name: str, exact: Mapping[str, str], prefix: tuple[str, str]) -> str | None:
    if name in exact:
        return exact[name]
    return prefix[1] + name[len(prefix[0]) :] if name.startswith(prefix[0]) else None


def header_answered(dialect: Dialect, name: str, value: str) -> tuple[str, str]:
    """A header of the wire as OBS would name it."""
    ours = _name(name.lower(), _reversed(dialect, "headers"), (dialect.prefix[1], dialect.prefix[0]))
    if ours is None:
        return name, value
    if ours in dialect.key_names:
        return ours, key_answered(dialect, value)
    return ours, _inverse(dialect.values.get(ours, {})).get(value, value)


def key_answered(dialect: Dialect, text: str) -> str:
    """The name of a key as OBS would write it; what is OBS's form on the wire is no form of the dialect."""
    return _first_rule(dialect.key_answered, text)


def key_sent(dialect: Dialect, text: str) -> str:
    """The name of a key as the dialect writes it, blanks around it kept."""
    return _first_rule(dialect.key_sent, text)


def _first_rule(rules: tuple[tuple[str, str], ...], text: str) -> str:
    for pattern, replacement in rules:
        made, count = re.subn(pattern, replacement, text, count=1)
        if count:
            return made
    return text


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {wire: ours for ours, wire in table.items()}


@lru_cache(maxsize=16)
def _reversed_table(items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {wire.lower(): ours for ours, wire in items}


def _reversed(dialect: Dialect, table: str) -> dict[str, str]:
    return _reversed_table(tuple(getattr(dialect, table).items()))


# ---- documents ----------------------------------------------------------------------------------------------------


def document_sent(dialect: Dialect, body: bytes) -> bytes:
    """A document of a request: a policy if it is JSON with statements, else XML, element by element."""
    text = body.decode("latin-1")
    policy = _policy(text)
    if policy is not None:
        return json.dumps(policy_sent(dialect, policy)).encode("latin-1")
    for ours, wire in dialect.texts:
        text = text.replace(ours, wire)
    for element, values in dialect.elements.items():
        text = _in_element(text, element, _through(values))
    for element in dialect.key_elements:
        text = _in_element(text, element, lambda value: key_sent(dialect, value))
    return text.encode("latin-1")


def document_answered(dialect: Dialect, body: bytes) -> bytes:
    """A document of an answer in the words of OBS."""
    text = body.decode("latin-1")
    policy = _policy(text)
    if policy is not None:
        return json.dumps(policy_answered(dialect, policy)).encode("latin-1")
    if "<" not in text:
        return body
    text = _in_element(text, "Code", lambda value: dialect.codes.get(value, value))
    for element, values in dialect.elements.items():
        text = _in_element(text, element, _through(_inverse(values)))
    for element in dialect.key_elements:
        text = _in_element(text, element, lambda value: key_answered(dialect, value))
    return text.encode("latin-1")


def _in_element(text: str, element: str, change: Callable[[str], str]) -> str:
    """The text of every element of this name changed, whatever namespace prefix it has."""
    pattern = rf"(<(?:\w+:)?{element}(?:\s[^<>]*)?>\s*)([^<>]*?)(\s*</)"
    return re.sub(pattern, lambda match: f"{match[1]}{change(match[2])}{match[3]}", text)


def _policy(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and "Statement" in document else None


def policy_sent(dialect: Dialect, policy: Mapping[str, Any]) -> dict[str, Any]:
    """A bucket policy of OBS in the grammar of the dialect; the version goes in front unless there is one."""
    made = {name: _statements(value, _statement_sent, dialect) for name, value in policy.items()}
    return made if "Version" in made else {"Version": dialect.policy["version"], **made}


def policy_answered(dialect: Dialect, policy: Mapping[str, Any]) -> dict[str, Any]:
    """A bucket policy of the dialect in the grammar of OBS, without the version that we put in front."""
    return {
        name: _statements(value, _statement_answered, dialect)
        for name, value in policy.items()
        if (name, value) != ("Version", dialect.policy["version"])
    }


def _statements(value: object, change: Callable[[Dialect, dict[str, Any]], dict[str, Any]], dialect: Dialect) -> object:
    if isinstance(value, list):
        return [_statements(item, change, dialect) for item in value]
    return change(dialect, value) if isinstance(value, dict) else value


def _statement_sent(dialect: Dialect, statement: dict[str, Any]) -> dict[str, Any]:
    words = dialect.policy
    changes: dict[str, Callable[[Any], Any]] = {
        "Action": lambda text: text if text == "*" or ":" in text else words["action"] + text,
        "NotAction": lambda text: text if text == "*" or ":" in text else words["action"] + text,
        "Resource": lambda text: text if text == "*" or text.startswith("arn:") else words["resource"] + text,
        "NotResource": lambda text: text if text == "*" or text.startswith("arn:") else words["resource"] + text,
    }
    return {
        name: _principal(value, {"ID": words["principal"]}, dialect.principal_sent)
        if name in {"Principal", "NotPrincipal"}
        else _conditions(value, lambda key: _condition_sent(dialect, key), dialect, back=False)
        if name == "Condition"
        else _each(value, changes.get(name))
        for name, value in statement.items()
    }


def _statement_answered(dialect: Dialect, statement: dict[str, Any]) -> dict[str, Any]:
    words = dialect.policy
    changes: dict[str, Callable[[Any], Any]] = {
        name: lambda text, prefix=words[kind]: text.removeprefix(prefix)  # type: ignore[misc]
        for name, kind in (
            ("Action", "action"),
            ("NotAction", "action"),
            ("Resource", "resource"),
            ("NotResource", "resource"),
        )
    }
    return {
        name: _principal(value, {words["principal"]: "ID"}, dialect.principal_answered)
        if name in {"Principal", "NotPrincipal"}
        else _conditions(value, lambda key: _condition_answered(dialect, key), dialect, back=True)
        if name == "Condition"
        else _each(value, changes.get(name))
        for name, value in statement.items()
    }


def _each(value: object, change: Callable[[Any], Any] | None) -> object:
    if change is None:
        return value
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _principal(value: object, words: Mapping[str, str], rules: tuple[tuple[str, str], ...]) -> object:
    if not isinstance(value, dict):
        return value
    return {words.get(kind, kind): _each(who, lambda text: _first_rule(rules, text)) for kind, who in value.items()}


def _condition_sent(dialect: Dialect, key: str) -> tuple[str, str]:
    """The key of the wire and the OBS name that its values go by."""
    lowered = key.lower()
    wire = _name(lowered, dialect.headers, dialect.prefix)
    return (key, lowered) if wire is None else (dialect.policy["condition"] + wire, lowered)


def _condition_answered(dialect: Dialect, key: str) -> tuple[str, str]:
    bare = key.removeprefix(dialect.policy["condition"])
    ours = _name(bare.lower(), _reversed(dialect, "headers"), (dialect.prefix[1], dialect.prefix[0]))
    return (key, key) if ours is None or bare == key else (ours, ours)


def _conditions(value: object, change: Callable[[str], tuple[str, str]], dialect: Dialect, *, back: bool) -> object:
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for operator, pairs in value.items():
        if not isinstance(pairs, dict):
            made[operator] = pairs
            continue
        made[operator] = {}
        for key, wanted in pairs.items():
            name, ours = change(key)
            table = dialect.values.get(ours, {})
            values = _inverse(table) if back else table
            made[operator][name] = _each(wanted, _through(values))
    return made


def _through(values: Mapping[str, str]) -> Callable[[str], str]:
    return lambda value: values.get(value, value)


def form_condition(dialect: Dialect, condition: object) -> object:
    """A condition of a form's policy: ``{name: value}`` or ``[operator, "$name", value]``."""
    if isinstance(condition, dict):
        return {
            name_sent(dialect, name): value_sent(dialect, name, value) if isinstance(value, str) else value
            for name, value in condition.items()
        }
    if isinstance(condition, list) and len(condition) == 3 and isinstance(condition[1], str):  # noqa: PLR2004 - as above
        operator, field, value = condition
        name = field.removeprefix("$")
        whole = str(operator).lower() == "eq"
        change = value_sent if whole else _beginning_sent
        return [
            operator,
            f"${name_sent(dialect, name)}",
            change(dialect, name, value) if isinstance(value, str) else value,
        ]
    return condition


def _beginning_sent(dialect: Dialect, name: str, beginning: str) -> str:
    """The beginning of a value, where the value of the wire is that of OBS with something before it."""
    if beginning:
        for ours, wire in dialect.values.get(name.lower(), {}).items():
            if ours.startswith(beginning) and wire.endswith(ours):
                return wire[: len(wire) - len(ours)] + beginning
    return beginning


# ---- answers ------------------------------------------------------------------------------------------------------


def answer(dialect: Dialect, response: Response, *, content: bool) -> Response:
    """An answer in the words of OBS, for whoever judges it; the exchange keeps the bytes of the wire.

    :param content: a successful answer has the bytes of an object, which are nobody's words.
    """
    headers = tuple(header_answered(dialect, name, value) for name, value in response.headers)
    made = replace(response, headers=_named(dialect, _codes(dialect, headers)))
    if (content and response.status < _ERROR) or not response.body or kept(response.body) != response.size:
        return made
    text, status = _refusal(dialect, response.body.decode("latin-1"), response.status)
    body = document_answered(dialect, text.encode("latin-1"))
    return made if body == response.body else replace(made, status=status, body=body, whole=None)


def _named(dialect: Dialect, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers with the key that an answer about an SSE-KMS object need not name, where that is the default key."""
    if not dialect.default_key:
        return headers
    found = {name.lower(): value for name, value in headers}
    mode = f"{dialect.prefix[0]}server-side-encryption"
    key = f"{mode}-kms-key-id"
    return headers if found.get(mode) != "kms" or key in found else (*headers, (key, dialect.default_key))


def _refusal(dialect: Dialect, text: str, status: int) -> tuple[str, int]:
    """An error document and its status, by its message where the code alone does not tell."""
    for wire, message, ours, ours_status in dialect.refusals:
        if f"<Code>{wire}</Code>" in text and re.search(rf"<Message>\s*{message}", text):
            return text.replace(f"<Code>{wire}</Code>", f"<Code>{ours}</Code>"), ours_status
    return text, status


def _codes(dialect: Dialect, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, dialect.codes.get(value, value) if name == f"{dialect.prefix[0]}error-code" else value)
        for name, value in headers
    )
