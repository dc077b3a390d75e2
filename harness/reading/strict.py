"""Strict YAML: safe loading that remembers lines, refuses duplicate keys, and validates into pydantic models.

An error names the file, the line, the dotted key, the cause and, for a misspelt key, the nearest right spelling.
"""

from __future__ import annotations

import re
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import InputError, nearest
from harness.reading.files import MOST_WRITTEN, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]
M = TypeVar("M", bound="StrictModel")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML has it: a MiB takes Python's own several seconds."""
_DEEPEST = 100
_MOST_NODES = 100_000
_LONGEST_NUMBER = {"int": 18, "float": 40}
"""Characters, so that a whole number has 64 bits."""
_INFINITE = re.compile(r"[eE]\+?0*[23456789]\d\d|[eE]\+?0*\d{4}")


class StrictModel(BaseModel):
    """A file's section: unknown keys are refused, yes and no are no numbers, instances are frozen.

    Numbers are finite. A number may be quoted: YAML 1.1 takes `1e-4`, which people write, for a text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Document:
    """One YAML file: its plain value, and the line of every key and item in it.

    Attributes:
        path: the file.
        value: dictionaries, lists and scalars.
        text: what was read; a file may change while a run goes on.
    """

    def __init__(self, path: Path, value: object, lines: dict[Place, int], text: str = "") -> None:
        self.path = path
        self.value = value
        self.text = text
        self._lines = lines

    def line(self, place: Iterable[str | int]) -> int | None:
        """Return the 1-based line of a place, or of the nearest place around it that has one."""
        found = tuple(place)
        while found and found not in self._lines:
            found = found[:-1]
        return self._lines.get(found)

    def with_value(self, value: object) -> Document:
        """Return the same file with another value, as where options were set for one run."""
        return Document(self.path, value, self._lines, self.text)

    def has(self, place: Iterable[str | int]) -> bool:
        """Tell whether the file has this very place."""
        return tuple(place) in self._lines

    def error(self, cause: str, place: Iterable[str | int], *, hint: str | None = None) -> InputError:
        """Build the error for a place in this file."""
        found = tuple(place)
        return InputError(cause, file=self.path, line=self.line(found), key=dotted(found) or None, hint=hint)


def dotted(place: Iterable[str | int]) -> str:
    """Write a place as people do: `gates[0].metric`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def read_document(path: Path, *, what: str = "file") -> Document:
    """Read a YAML file.

    Raises:
        InputError: when it is absent, not UTF-8, not YAML, or repeats a key.
    """
    text = read_text(path, what=what)
    reader = _Reader(path)
    try:
        reader.check_shape(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                reader.walk(node, ())
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(
            f"not valid YAML ({problem[:200]})", file=path, line=None if mark is None else mark.line + 1,
            hint="check the indentation and quotes there",
        ) from error  # fmt: skip
    except (RecursionError, ValueError, OverflowError) as error:
        raise InputError(f"not usable YAML ({error})", file=path) from error
    return Document(path, value, reader.lines, text)


class _Reader:
    """Goes through a file's nodes: notes the line of each, and refuses what no record can hold.

    Aliases let a few hundred bytes stand for billions of nodes, so that nodes are counted where they are used.
    """

    def __init__(self, path: Path) -> None:
        self.lines: dict[Place, int] = {}
        self._path = path
        self._nodes = self._characters = 0

    def check_shape(self, text: str) -> None:
        """Refuse many nodes, and deep nesting, which libyaml composes by a recursion that Python does not bound."""
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
            if count > _MOST_NODES:
                raise self._error(event, f"more than {_MOST_NODES:,} keys and values", (), "put data in a JSONL file")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise self._error(event, f"more than {_DEEPEST} levels", (), "write it flatter")

    def walk(self, node: yaml.Node, place: Place) -> None:
        """Note the lines of a node and of all in it."""
        self.lines.setdefault(place, node.start_mark.line + 1)
        self._nodes += 1
        self._characters += len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if self._nodes > _MOST_NODES or self._characters > 4 * MOST_WRITTEN or len(place) > _DEEPEST:
            raise self._error(node, "the file's aliases make too much of it", place, "write out what is meant")
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.walk(item, (*place, index))
        elif isinstance(node, yaml.ScalarNode) and (problem := _scalar_problem(node)):
            raise self._error(node, problem[0], place, problem[1])

    def _mapping(self, node: yaml.MappingNode, place: Place) -> None:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be text", place, "check the brackets there")
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                cause = f"the key stands twice (first on line {seen[key]})"
                raise self._error(key_node, cause, (*place, key), "keep one of them")
            if problem := _scalar_problem(key_node):
                raise self._error(key_node, problem[0], place, problem[1])
            seen[key] = line
            self.lines[(*place, key)] = line
            self.walk(value_node, (*place, key))

    def _error(self, at: yaml.Node | yaml.Event, cause: str, place: Place, hint: str) -> InputError:
        line = None if at.start_mark is None else at.start_mark.line + 1
        return InputError(cause, file=self._path, line=line, key=dotted(place[:8]) or None, hint=hint)


def _scalar_problem(node: yaml.ScalarNode) -> tuple[str, str] | None:
    """Return cause and hint of a scalar that no record can hold, which JSON decides; None for all others."""
    kind, text = str(node.tag).rpartition(":")[2], node.value
    if "\0" in text:
        return "holds a NUL character", "remove it"
    if kind == "timestamp":
        return f"{text[:40]} is read as a date", "put it in quotes"
    if kind == "binary":
        return "holds bytes", "write text"
    if kind == "float" and text.lower().strip("+-").removeprefix(".") in {"nan", "inf"}:
        return f"{text} is not a number", "give a number"
    if len(text) > _LONGEST_NUMBER.get(kind, len(text)) or (kind == "float" and _INFINITE.search(text)):
        return f"{text[:20]}… is too large a number", "write it smaller, or put it in quotes where it is a text"
    return None


def validate(document: Document, model: type[M], *, at: Place = (), what: str = "file") -> M:
    """Validate a document, or the part of it at `at`, into a model.

    Raises:
        InputError: for the first thing that is wrong, in the order of the file's lines.
    """
    value: Any = document.value
    for part in at:
        value = value[part]
    if not isinstance(value, dict):
        found = "empty" if value is None else f"a {type(value).__name__}"
        raise document.error(f"a {what} must be a mapping of keys, this is {found}", at, hint="see docs/files.md")
    _refuse_yes_for_numbers(document, model, value, at)
    try:
        return model.model_validate(value, strict=False)
    except ValidationError as error:
        details = sorted(error.errors(), key=lambda detail: _rank(document, at, detail))
        raise _explain(document, model, at, _misspelt(details) or details[0]) from error


def _misspelt(details: list[ErrorDetails]) -> ErrorDetails | None:
    """Return the unknown key that looks like the missing one which would be named first, if there is such a key."""
    first = details[0]
    if first["type"] != "missing":
        return None
    beside = {
        str(detail["loc"][-1]): detail
        for detail in details
        if detail["type"] == "extra_forbidden" and detail["loc"][:-1] == first["loc"][:-1]
    }
    close = nearest(str(first["loc"][-1]), beside)
    return None if close is None else beside[close]


def _refuse_yes_for_numbers(document: Document, model: type[BaseModel], value: Mapping[str, Any], at: Place) -> None:
    """Refuse yes and no where a number belongs: validation that lets `1e-4` be a text would take them for 1 and 0."""
    for name, item in value.items():
        field = model.model_fields.get(name)
        if field is None:
            continue
        kinds, place = _kinds_in(field.annotation), (*at, name)
        if isinstance(item, bool) and kinds & {int, float} and bool not in kinds:
            raise document.error(f"must be a number, not {'yes' if item else 'no'}", place)
        for inner in _models_in(field.annotation):
            parts = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
            if isinstance(item, dict) and inner in kinds:
                _refuse_yes_for_numbers(document, inner, item, place)
            elif inner not in kinds:
                for key, part in parts:
                    if isinstance(part, dict):
                        _refuse_yes_for_numbers(document, inner, part, (*place, key))


def _rank(document: Document, at: Place, detail: ErrorDetails) -> tuple[int, bool]:
    """Order errors by line; of a value that fits no member of a union, tell what is wrong inside before its type."""
    line = document.line((*at, *_real_place(document, at, detail["loc"]))) or 0
    return (line, detail["type"] in {"string_type", "dict_type", "model_type"})


def _explain(document: Document, model: type[BaseModel], at: Place, detail: ErrorDetails) -> InputError:
    place = (*at, *_real_place(document, at, detail["loc"]))
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _keys_beside(model, detail["loc"])
        close = nearest(str(place[-1]), known)
        hint = f"did you mean {close!r}?" if close else f"known keys: {', '.join(sorted(known))}"
        hint += "; a plugin's kind of gate needs its plugin: -p PLUGIN" if "gates" in place[:-1] else ""
        return document.error("unknown key", place, hint=hint)
    if kind == "missing":
        parent = place[:-1]
        return InputError(
            f"the key {str(place[-1])!r} is missing", file=document.path, line=document.line(parent) or 1,
            key=dotted(parent) or None, hint="add it",
        )  # fmt: skip
    message = _in_plain_words(detail)
    given = detail.get("input")
    shown = f", not {_written(given)}" if isinstance(given, str | int | float | bool | None) else ""
    if kind == "value_error":
        shown = ""
    return document.error(f"{message}{shown}", place)


_PLAIN = {
    "string_type": "must be text", "list_type": "must be a list, as in [a, b]",
    "dict_type": "must be a mapping of keys, as in {key: value}",
    "model_type": "must be a mapping of keys, as in {key: value}",
    "int_type": "must be a whole number", "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number", "float_type": "must be a number", "float_parsing": "must be a number",
    "bool_type": "must be true or false", "bool_parsing": "must be true or false",
}  # fmt: skip
_PATTERNS = {
    "^[a-z0-9][a-z0-9-]*$": "may hold lower-case letters, digits and hyphens only",
    "^[a-z0-9][a-z0-9_-]*$": "may hold lower-case letters, digits, hyphens and underscores only",
}


def _in_plain_words(detail: ErrorDetails) -> str:
    """Say what is wrong as somebody would who never heard of the library that found it."""
    kind, told = detail["type"], detail.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "string_pattern_mismatch" and told["pattern"] in _PATTERNS:
        return _PATTERNS[told["pattern"]]
    if kind == "too_short":
        return f"must name at least {told['min_length']}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
    return message[:1].lower() + message[1:]


def _written(value: object) -> str:
    """Write a scalar as YAML does."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value)


def _real_place(document: Document, at: Place, location: tuple[int | str, ...]) -> Place:
    """Drop the names of union members that pydantic puts into a location."""
    value: Any = document.value
    for part in at:
        value = value[part]
    place: list[int | str] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        known = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if known:
            value = value[part]
            place.append(part)
        elif last and isinstance(part, str) and isinstance(value, dict):
            place.append(part)
    return tuple(place)


def _keys_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the section holding the unknown key does know."""
    current: list[type[BaseModel]] = [model]
    for part in location[:-1]:
        fields = [section.model_fields[part] for section in current if part in section.model_fields]
        if fields:
            current = [inner for field in fields for inner in _models_in(field.annotation)]
    return sorted({field.alias or name for section in current for name, field in section.model_fields.items()})


def _kinds_in(annotation: Any) -> set[Any]:  # noqa: ANN401 - walks type annotations
    """Return the members of a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _kinds_in(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return {kind for option in get_args(annotation) for kind in _kinds_in(option)}
    return {annotation}


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - walks type annotations
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [getattr(annotation, "present", lambda: annotation)()]  # whose keys plugins may add to
    return [inner for option in get_args(annotation) for inner in _models_in(option)]
