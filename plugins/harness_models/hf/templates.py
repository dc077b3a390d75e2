"""Chat templates, rendered as transformers renders them and within bounds: they come with models, and are programs.

Every turn of a loop and every call of a macro counts, numbers that multiply texts are looked at first, and no text gets
long, so that a template ends soon and in little memory whatever stands in it.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

MOST_STEPS = 200_000
"""Turns of loops and calls of macros in one rendering; a conversation of a thousand turns takes some thousands."""
MOST_SECONDS = 20.0
MOST_CHARACTERS = 32 * 2**20
_CONTINUED = "CONTINUE_FINAL_MESSAGE_TAG "


class ChatTemplate:
    """One compiled template.

    Args:
        text: Jinja, as the `chat_template` of a tokenizer.

    Raises:
        jinja2.TemplateError: when it is not valid.
    """

    def __init__(self, text: str) -> None:
        self._environment = _Environment()
        self._template = self._environment.from_string(text)

    def render(self, turns: Sequence[Mapping[str, str]], facts: Mapping[str, Any], *, ending: str = "none") -> str:
        """Render a conversation.

        Args:
            turns: role and content of each message.
            facts: what else the template sees, such as `bos_token`.
            ending: `prompt` opens the model's turn behind it, `continued` leaves the last turn open, `none` neither.

        Raises:
            jinja2.TemplateError: when the template refuses, or takes more than the bounds.
            TypeError, ValueError: as its own expressions raise them.
        """
        messages = [dict(turn) for turn in turns]
        if ending == "continued":
            messages[-1]["content"] += _CONTINUED
        self._environment.begin()
        try:
            text = self._template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=ending == "prompt", **facts
            )
        except (RecursionError, MemoryError, OverflowError) as error:
            raise jinja2.TemplateError(f"it takes too much ({type(error).__name__})") from error
        _bounded(text)
        return text if ending != "continued" else _cut(text, turns[-1]["content"])


def _cut(text: str, last: str) -> str:
    """Cut behind the last message, whose trailing white space the template may have dropped."""
    at = text.rfind(_CONTINUED.strip())
    if at < 0 or last.strip() not in text:
        raise jinja2.TemplateError("it does not show the last message, which is to be continued")
    return text[:at] if text.startswith(_CONTINUED, at) else text[:at].rstrip()


def _bounded(value: Any) -> Any:  # noqa: ANN401 - whatever a template computes
    if isinstance(value, str | list | tuple) and len(value) > MOST_CHARACTERS:
        raise jinja2.TemplateError(f"it makes a text of more than {MOST_CHARACTERS:,} characters")
    return value


def _refuse_large(*values: object) -> None:
    """Refuse what a text may be multiplied or widened by."""
    if any(isinstance(value, int) and abs(value) > MOST_CHARACTERS for value in values):
        raise jinja2.TemplateError(f"it reckons with numbers of more than {MOST_CHARACTERS:,}")


def _filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)  # with the marks that say what else Jinja hands it
    def bounded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        _refuse_large(*args, *kwargs.values())
        return _bounded(function(*args, **kwargs))

    return bounded


class _Counting(NodeTransformer):
    """Puts a step before the body of each loop and macro, and bounds what `~` joins."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja calls it so
        if node.test is not None:
            node.test = nodes.And(nodes.Not(_step(node.lineno)), node.test, lineno=node.lineno)
        return self._counted(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._counted(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        parts = nodes.List(list(node.nodes), lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)

    def _counted(self, node: nodes.For | nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.Output([_step(node.lineno)], lineno=node.lineno))
        return node


def _step(line: int) -> nodes.Filter:
    return nodes.Filter(nodes.Const("", lineno=line), "step ", [], [], None, None, lineno=line)


class _Generation(Extension):
    """The block by which templates mark what the model said; it renders as what is in it."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Callable[[], str]) -> str:
        return caller()


class _Environment(ImmutableSandboxedEnvironment):
    """As transformers' own, with bounds."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        self.begin()
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"])
        self.filters = {name: _filter(function) for name, function in self.filters.items()}
        self.filters |= {"tojson": _filter(_tojson), "step ": self._step}
        self.globals |= {"raise_exception": _raise, "strftime_now": _now, "namespace": _Namespace}
        self.globals.pop("lipsum")

    def begin(self) -> None:
        """Count from here."""
        self._steps, self._until = 0, time.monotonic() + MOST_SECONDS

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counting().visit(super()._parse(source, name, filename))
        return tree

    @pass_context  # so that it is not called once while Jinja compiles
    def _step(self, _: object, nothing: str) -> str:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise jinja2.TemplateError(f"it takes more than {MOST_STEPS:,} turns of its loops")
        if self._steps % 64 == 0 and time.monotonic() > self._until:
            raise jinja2.TemplateError(f"it takes more than {MOST_SECONDS:g} seconds")
        return nothing

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if operator == "**" and isinstance(right, int):
            _refuse_large(right * 2**15)
        elif operator == "*":
            sizes = [len(one) if isinstance(one, str | list | tuple) else one for one in (left, right)]
            if sizes != [left, right]:
                _refuse_large(sizes[0] * sizes[1])
        elif operator == "%" and isinstance(left, str):
            _refuse_large(*(int(width[-9:]) for width in re.findall(r"\d+", left)))
        return _bounded(super().call_binop(context, operator, left, right))

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        _refuse_large(*args, *kwargs.values())
        return _bounded(super().call(context, function, *args, **kwargs))


class _Namespace(Namespace):
    """One whose names may not begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - so that a name may be `self`
        found = dict(*args[1:], **kwargs)
        for name in found:
            _check_name(name)
        Namespace.__init__(args[0], found)

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace holds no {name!r}")


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - as transformers does: the day at this place


def _tojson(
    value: Any,  # noqa: ANN401
    ensure_ascii: bool = False,  # noqa: FBT002 - as transformers declares it
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT002
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
