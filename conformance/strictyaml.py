"""YAML without surprises: strings stay strings, no key stands twice, every place has a line and a column.

Two readers of one language. ``parse`` composes with PyYAML and knows where everything stands; it is the one that
explains what is wrong. ``parse_fast`` reads with a compiled YAML 1.2 loader and hands over to ``parse`` wherever the
text might not mean the same to both. Does not know what a case is.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, cast

import orjson
import yaml
import yaml_rs

from conformance.vocabulary import CaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Place = tuple[str | int, ...]

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_YAML11 = yaml.resolver.Resolver.yaml_implicit_resolvers
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_QUOTED = re.compile(r"""(?:(?<=[:\-,] )|(?<=[\[{]))(?:'[^'\n]*'|"[^"\\\n]*")(?=[,\]}:\n])""")
"""Most quoted scalars: what stands in them is text to everybody."""
_DOUBTFUL = re.compile(
    r"""
    [^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff] |  # not a printable character
    (?: (?<=[:\-?,]) [ \t]+ | (?<=[\[{]) [ \t]* | ^ [ \t]* )      # where a plain scalar can begin
    (?! -?(?:0|[1-9][0-9]*) [ \t]* (?:[,\]}\r\n]|\Z|[ ]\#) )         # an integer means the same to everybody
    (?: [-+]?\.?[0-9][^ \t,\]}\r\n]*                              # numbers, times and dates of either version
      | (?i:y|n|yes|no|on|off|null|~|=|<<|[-+]?\.(?:inf|nan))
      | True | TRUE | False | FALSE
      | (?:true|false)? (?= [ \t]* :[ \r\n] )                       # a key is a string
      | [!&*%] )                                                  # tags, anchors, aliases, directives
    (?= [ \t]* (?:[,\]}\r\n]|:[ \r\n]|\Z|[ ]\#) | (?<=[!&*%]) )
    """,
    re.VERBOSE | re.MULTILINE,
)
"""Texts that YAML 1.1 and 1.2 may read differently, wherever they stand; a false alarm costs only time."""


class Document:
    """A parsed file: its value and, once asked for, line and column of every place in it."""

    def __init__(self, file: str, text: str, value: Any, marks: dict[Place, tuple[int, int]] | None = None) -> None:  # noqa: ANN401 - a YAML value
        """Without marks, they are made from the text when an error needs them."""
        self.file, self.text, self.value = file, text, value
        self._marks = marks

    @property
    def marks(self) -> dict[Place, tuple[int, int]]:
        """Line and column, from 1, of every place."""
        if self._marks is None:
            self._marks = parse(self.text, self.file).marks
        return self._marks

    def at(self, place: Iterable[str | int]) -> str:
        """``file:line:column`` of a place, or of the nearest place that encloses it."""
        path = tuple(place)
        while path not in self.marks:
            path = path[:-1]
        line, column = self.marks[path]
        return f"{self.file}:{line}:{column}"


def parse_fast(text: str, file: str) -> Document:
    """As ``parse``, at a fraction of its cost where nothing in the text is doubtful.

    :raises CaseError: as ``parse``.
    """
    if _clear(text):
        try:
            value = yaml_rs.loads(text, parse_datetime=False)
        except yaml_rs.YAMLDecodeError:
            return parse(text, file)
        if _sound(value):
            return Document(file, text, value)
    return parse(text, file)


def _clear(text: str) -> bool:
    """Whether no line is doubtful; of files that are much alike, a line is looked at once."""
    lines = set(text.split("\n")).difference(_CLEAR)
    if _DOUBTFUL.search(_QUOTED.sub("''", "\n".join(lines))):
        return False
    if len(_CLEAR) < _LINES:
        _CLEAR.update(lines)
    return True


_CLEAR: set[str] = set()
_LINES = 1 << 16
"""Lines that are remembered as clear."""


def _sound(value: object) -> bool:
    """Whether every place has a value and every key is a string; ``parse`` says which does not."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # a key that JSON has not
        return False
    return b"null" not in text or _has_no_null(value)


def _has_no_null(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_has_no_null, value.values()))
    return all(map(_has_no_null, value)) if isinstance(value, list) else value is not None


def parse(text: str, file: str) -> Document:
    """One YAML document, strictly.

    :raises CaseError: not YAML, a key twice, or a plain scalar that YAML 1.1 or 1.2 readers take for another type.
    """
    loader = _Base(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise CaseError(f"{file}:{line}:{column}: not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise CaseError(f"{file}:{line}:1: not YAML: {error.reason}") from error
    finally:
        loader.dispose()
    if node is None:
        raise CaseError(f"{file}:1:1: the file is empty")
    marks: dict[Place, tuple[int, int]] = {}
    return Document(file, text, _build(node, (), file, marks), marks)


def _build(node: yaml.Node, place: Place, file: str, marks: dict[Place, tuple[int, int]]) -> Any:  # noqa: ANN401 - a YAML value
    marks[place] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, place, file, marks)
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*place, index), file, marks) for index, child in enumerate(node.value)]
    return _build_scalar(cast("yaml.ScalarNode", node), file)


def _build_mapping(
    node: yaml.MappingNode, place: Place, file: str, marks: dict[Place, tuple[int, int]]
) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, start = str(key_node.value), key_node.start_mark
        where = f"{file}:{start.line + 1}:{start.column + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise CaseError(f"{where}: a key is a word, not a list or a mapping")
        if key in built:
            raise CaseError(f"{where}: key {key!r} stands twice in one mapping; keep one of them")
        built[key] = _build(value_node, (*place, key), file, marks)
        marks[(*place, key)] = (start.line + 1, start.column + 1)
    return built


def _build_scalar(node: yaml.ScalarNode, file: str) -> str | int | bool:
    text = str(node.value)
    if node.style:  # empty for a plain scalar in the C loader, None in the pure one
        return text
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    kind = next((tag for tag, shape in _YAML11.get(text[:1], ()) if shape.match(text)), None)
    if kind is not None:
        name, start = str(kind).rpartition(":")[2], node.start_mark
        where = f"{file}:{start.line + 1}:{start.column + 1}"
        raise CaseError(f"{where}: {text or 'an empty value'} reads as a {name} to YAML; write it in quotes")
    return text


class SchemaCheck:
    """A schema: a compiled validator says whether a document fits, and ``jsonschema`` why it does not."""

    def __init__(self, schema_file: Path) -> None:
        """Read a schema of JSON Schema draft 2020-12."""
        import jsonschema_rs

        self.schema: dict[str, Any] = json.loads(schema_file.read_text("utf-8"))
        self._fits = jsonschema_rs.Draft202012Validator(self.schema).is_valid

    def errors(self, document: Document) -> Iterator[str]:
        """One line for each thing wrong, in file order."""
        if self._fits(document.value):
            return
        from jsonschema import Draft202012Validator

        found = sorted(
            Draft202012Validator(self.schema).iter_errors(document.value),
            key=lambda error: list(map(str, error.absolute_path)),
        )
        for error in found:
            yield from _explain(error, document)


def _explain(error: Any, document: Document) -> Iterator[str]:  # noqa: ANN401 - jsonschema's error
    place = tuple(error.absolute_path)
    where = "/".join(map(str, place)) or "the file"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        for word in (key for key in error.instance if key not in known):
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known words: {', '.join(known)}"
            yield f"{document.at((*place, word))}: unknown word {word!r} in {where}{hint}"
    elif error.validator == "type" and error.validator_value == "string":
        yield f"{document.at(place)}: {where} is {json.dumps(error.instance)}, not a string; write it in quotes"
    elif error.validator == "type" and not place:  # what it says instead may be anything, a secret too
        yield f"{document.at(place)}: the file is no table of words; is it the file that was meant?"
    elif error.validator == "required":
        missing = [word for word in error.validator_value if word not in error.instance]
        yield f"{document.at(place)}: {where} lacks the word {', '.join(map(repr, missing))}"
    elif error.validator == "minItems" and place and place[-1] == "expect":
        yield f"{document.at(place)}: {where} is empty; a step states at least one expectation"
    elif error.validator == "oneOf":
        options = [" + ".join(option["required"]) for option in error.validator_value if "required" in option]
        yield f"{document.at(place)}: {where} needs exactly one of: {', '.join(options)}"
    else:
        yield f"{document.at(place)}: {where}: {error.message[:300]}"
