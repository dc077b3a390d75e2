"""How a sample's conversation goes on: scripted turns, a simulated user, and tools that the candidate may call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self
from urllib.parse import unquote

from pydantic import Field, JsonValue, model_validator

from harness.reading.strict import StrictModel


class ResultSection(StrictModel):
    """A tool's result for some arguments."""

    arguments: dict[str, JsonValue] | None = None
    """None is any that no other result is for."""
    result: JsonValue = None


class ToolSection(StrictModel):
    """A tool: what it is called, what it takes, and what answers."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
    description: Annotated[str, Field(max_length=2000)] = ""
    parameters: dict[str, JsonValue] = Field(default_factory=lambda: dict[str, JsonValue](type="object"))
    """A JSON schema of the arguments, an object."""
    results: tuple[ResultSection, ...] = ()
    """Fixtures, after those of a sample's own `metadata.tool_results`."""
    function: Annotated[str, Field(min_length=1)] | None = None
    """A function that a plugin registered as a tool."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.function is not None and self.results:
            raise ValueError("give either `results` or a `function`")
        problem = schema_problem(self.parameters)
        if problem:
            raise ValueError(f"parameters: {problem}")
        return self


class ConversationSection(StrictModel):
    """How each sample's conversation goes on after the first reply."""

    turns: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=50)] = ()
    """What the user says next, in each sample that has no `turns` of its own."""
    user: Annotated[str, Field(min_length=1)] | None = None
    """Instruction of a simulated user, whom the role `user` plays."""
    max_turns: Annotated[int, Field(ge=2, le=50)] | None = None
    """Most replies of the candidate, calls of tools aside; what a simulated user needs."""
    tools: tuple[ToolSection, ...] = ()
    """What the candidate may call."""
    max_calls: Annotated[int, Field(ge=1, le=50)] = 8
    """Most turns with calls in one conversation; a further one stands as the last reply."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.turns and self.user is not None:
            raise ValueError("give either `turns`, what the user says next, or `user`, a simulated user's instruction")
        if not self.turns and self.user is None and not self.tools:
            raise ValueError(
                "give either `turns`, what the user says next, or `user`, a simulated user's instruction, or `tools`"
            )
        if (self.user is None) != (self.max_turns is None):
            raise ValueError("`max_turns` and `user` belong together: a simulated user goes on until `max_turns`")
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("two tools have one name")
        return self

    def content(self) -> dict[str, Any]:
        """Return what decides scores; as before there were tools where there are none."""
        return self.model_dump(exclude=None if self.tools else {"tools", "max_calls"})


def schema_problem(schema: Mapping[str, Any]) -> str:
    """Return what is wrong with the JSON schema of a tool's arguments; empty where nothing is."""
    from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]

    if schema.get("type") != "object":
        return "a tool takes an object: say type: object"
    if any(not str(target).startswith("#") for target in _references(schema)):
        return "a $ref may point into this schema alone"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"it is no JSON schema: {error.message}"
    lost = next((str(target) for target in _references(schema) if not _leads(schema, str(target))), "")
    return f"the $ref {lost} leads nowhere in this schema: write #, or #/$defs/NAME" if lost else ""


def _leads(schema: Mapping[str, Any], target: str) -> bool:
    """Tell whether a reference into a schema finds something: a JSON pointer, RFC 6901."""
    found: Any = schema
    for part in target.removeprefix("#").split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, Mapping) and name in found:
            found = found[name]
        else:
            return False
    return target == "#" or target.startswith("#/")


def _references(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in {"$ref", "$dynamicRef"}:
                yield inner
            yield from _references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _references(inner)
