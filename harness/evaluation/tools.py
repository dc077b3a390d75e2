"""Tools in conversations: declared by a JSON schema, called as text, answered by fixtures or by a plugin's function.

A call is text, as the chat templates of Hermes, Qwen and SmolLM2 have it (`<tool_call>`, JSON, `</tool_call>`); its
answer is the next user turn, `<tool_response>…</tool_response>`. So any model can be asked, without a server's own
interface for tools.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.hashing import sha256_json
from harness.plugin_code import broken, plugin_code
from harness.types import Message, Sample, ToolCall

if TYPE_CHECKING:
    from harness.contracts import Tool
    from harness.reading.conversation import ConversationSection, ToolSection
    from harness.registry import Registry

BEGIN = "# Tools\n"
"""How a system prompt with tools begins; a candidate's own is put before it."""
_RESPONSE = "<tool_response>"
_MARK = re.compile(r"<(?=\s*/?\s*tool_(?:call|response)\b)", re.IGNORECASE)
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)
_HOW = (
    "You can call functions. To call one, write this and nothing else, with the arguments as JSON; its result comes in"
    ' the next turn:\n<tool_call>{"name": "name of the function", "arguments": {}}</tool_call>\nThe functions:\n'
)


def read_calls(text: str) -> tuple[ToolCall, ...]:
    """Return the calls in a reply, in order; of one that cannot be read, what is wrong with it."""
    return tuple(_read(match[1].strip()) for match in _CALL.finditer(text))


def _read(written: str) -> ToolCall:
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return ToolCall(name="", problem="the call is no JSON object")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return ToolCall(name="", problem="the call names no function")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        return ToolCall(name=value["name"], problem="the arguments are no JSON object")
    return ToolCall(name=value["name"], arguments=arguments)


def of_a_person(text: str) -> str:
    """Return what a person or who plays one says, with the marks of calls and answers made harmless."""
    return _MARK.sub("&lt;", text)


def is_response(message: Message) -> bool:
    """Tell whether a turn is the answer to calls, which no person wrote."""
    return message.role == "user" and message.content.startswith(_RESPONSE)


def declared(tools: Sequence[ToolSection], sample: Sample) -> Sample:
    """Return a sample whose system prompt declares the tools; one without messages stays as it is."""
    listed = "\n".join(
        json.dumps({"name": one.name, "description": one.description, "parameters": one.parameters}, ensure_ascii=False)
        for one in tools
    )
    said, own = f"{BEGIN}{_HOW}{listed}", sample.messages
    if own and own[0].role == "system":
        return replace(sample, messages=(replace(own[0], content=f"{own[0].content}\n\n{said}"), *own[1:]))
    return replace(sample, messages=(Message(role="system", content=said), *own)) if own else sample


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """The tools of a suite.

    Args:
        tools: as declared, by name.
        functions: of plugins, by the name of the tool.
        max_calls: most turns with calls in one conversation.
    """

    tools: Mapping[str, ToolSection]
    functions: Mapping[str, Tool]
    max_calls: int

    @classmethod
    def of(cls, section: ConversationSection | None, known: Registry[Tool]) -> Toolbox | None:
        """Return the tools that a suite declares; None where it declares none.

        Raises:
            InputError: for a function that no plugin registered.
        """
        if section is None or not section.tools:
            return None
        functions = {
            tool.name: known.get(tool.function, key="conversation.tools") for tool in section.tools if tool.function
        }
        return cls(
            tools={tool.name: tool for tool in section.tools}, functions=functions, max_calls=section.max_calls
        )  # fmt: skip

    def fingerprint(self) -> str:
        """Return the SHA-256 of the functions' source, which decides results besides the suite's file."""
        return sha256_json({name: _source(function) for name, function in sorted(self.functions.items())})

    def respond(self, text: str, sample: Sample) -> str | None:
        """Return the turn that answers a reply's calls; None where it calls nothing.

        Raises:
            PluginError: when a plugin's function raises, or gives what is no JSON.
            InputError: for a sample's own results that cannot be read.
        """
        calls = read_calls(text)
        if not calls:
            return None
        # A result may quote the marks: in JSON, <\\/ is </.
        results = (
            json.dumps(self._result(call, sample), ensure_ascii=False).replace("</tool_", "<\\/tool_") for call in calls
        )
        return "\n".join(f"{_RESPONSE}{one}</tool_response>" for one in results)

    def _result(self, call: ToolCall, sample: Sample) -> Any:  # noqa: ANN401 - JSON
        if call.problem:
            return {"error": call.problem}
        tool = self.tools.get(call.name)
        if tool is None:
            return {"error": f"there is no function {call.name}; there is {', '.join(self.tools)}"}
        problem = argument_problem(tool, call.arguments)
        if problem:
            return {"error": problem}
        function = self.functions.get(call.name)
        if function is not None:
            what = f"the tool {call.name!r} on the sample {sample.id!r}"
            with plugin_code(what, function):
                given = function(call.arguments, sample)
            try:
                return json.loads(json.dumps(given, allow_nan=False))
            except (TypeError, ValueError) as error:
                raise broken(what, given, "return a JSON value", function) from error
        written = ({"arguments": one.arguments, "result": one.result} for one in tool.results)
        for result in (*_own_results(sample, call.name), *written):
            if result.get("arguments") is None or result["arguments"] == call.arguments:
                return result.get("result")
        return {"error": "nothing is known of these arguments"}


def argument_problem(tool: ToolSection, arguments: Mapping[str, Any]) -> str:
    """Return how arguments break a tool's JSON schema; empty where they fit."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    try:
        errors = sorted(
            Draft202012Validator(tool.parameters).iter_errors(dict(arguments)),
            key=lambda one: list(map(str, one.path)),
        )
    except RecursionError:  # a reply may nest them as deep as it likes
        return "the arguments are nested too deep"
    if not errors:
        return ""
    where = ".".join(map(str, errors[0].path))
    return f"the arguments do not fit: {where} {errors[0].message}".replace(":  ", ": ")


def _own_results(sample: Sample, name: str) -> Sequence[Mapping[str, Any]]:
    """Return a sample's own fixtures of a tool: `metadata: {tool_results: {name: [{arguments, result}]}}`."""
    given = sample.metadata.get("tool_results", {})
    found = given.get(name, []) if isinstance(given, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise InputError(
            f"sample {sample.id!r}: metadata.tool_results is not of the form {{name: [{{arguments, result}}]}}",
            hint="give each tool a list of results",
        )
    return found


def _source(function: Tool) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(type(function)))}"
