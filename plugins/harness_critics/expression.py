"""Expressions on a reply that anybody may write: a small language that reads numbers and texts, and runs nothing else.

It is parsed by Python's own parser and then walked: names, constants, comparisons, arithmetic, `and`, `or`, `not` and
calls of the functions below are known, and everything else is refused before a reply is read.
"""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

from harness.api import InputError

NAMES = ("reply", "prompt")
"""What an expression may read: both are texts."""
_MOST = 2000
"""Characters of an expression."""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "length": len,
    "words": lambda text: len(text.split()),
    "lines": lambda text: len(text.splitlines()),
    "lower": lambda text: text.casefold(),
    "starts": lambda text, beginning: text.lstrip().startswith(beginning),
    "ends": lambda text, end: text.rstrip().endswith(end),
    "count": lambda text, part: text.count(part) if part else 0,
    "is_json": _is_json,
}
"""What it may call."""
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.In: lambda part, whole: part in whole, ast.NotIn: lambda part, whole: part not in whole,
}  # fmt: skip
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


class Expression:
    """One expression, checked when it is made.

    Args:
        text: as written.

    Raises:
        InputError: naming what is not known.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            tree = ast.parse(text[: _MOST + 1].strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"{text!r} is no expression ({getattr(error, 'msg', error)})", hint=_HINT) from error
        if len(text) > _MOST:
            raise InputError(f"an expression has at most {_MOST} characters", hint="write a verifier in Python instead")
        self._body = tree.body
        for node in ast.walk(tree):
            _check(node, text)

    def __call__(self, **known: str) -> bool:
        """Return whether it holds.

        Args:
            known: the texts of `NAMES`.

        Raises:
            ValueError: where it mixes texts and numbers, or divides by nothing.
        """
        try:
            return bool(_value(self._body, known))
        except (TypeError, KeyError, ZeroDivisionError, AttributeError, OverflowError) as error:
            raise ValueError(str(error)) from error


_HINT = f"names: {', '.join(NAMES)}; functions: {', '.join(FUNCTIONS)}; and, or, not, in, comparisons, + − * /"


def _check(node: ast.AST, text: str) -> None:
    known: tuple[type, ...] = (
        ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.BinOp, ast.Call,
        ast.Name, ast.Load, ast.Constant, *_COMPARE, *_ARITHMETIC,
    )  # fmt: skip
    if not isinstance(node, known):
        raise InputError(f"{text!r} holds {type(node).__name__}, which expressions do not have", hint=_HINT)
    if isinstance(node, ast.Call) and (
        not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords
    ):
        raise InputError(f"{text!r} calls {ast.unparse(node.func)[:60]!r}, which is not known", hint=_HINT)
    if isinstance(node, ast.Name) and node.id not in (*NAMES, *FUNCTIONS):
        raise InputError(f"{text!r} reads {node.id!r}, which is not known", hint=_HINT)
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | bool):
        raise InputError(f"{text!r} holds {node.value!r}", hint=_HINT)


def _value(node: ast.expr, known: Mapping[str, str]) -> Any:  # noqa: ANN401 - a text, a number or a truth
    return _VALUES[type(node)](node, known)


def _either(node: ast.BoolOp, known: Mapping[str, str]) -> bool:
    return (all if isinstance(node.op, ast.And) else any)(_value(one, known) for one in node.values)


def _not(node: ast.UnaryOp, known: Mapping[str, str]) -> float | bool:
    value = _value(node.operand, known)
    return not value if isinstance(node.op, ast.Not) else -_number(value)


def _compared(node: ast.Compare, known: Mapping[str, str]) -> bool:
    values = [_value(one, known) for one in (node.left, *node.comparators)]
    return all(_COMPARE[type(op)](values[at], values[at + 1]) for at, op in enumerate(node.ops))


def _computed(node: ast.BinOp, known: Mapping[str, str]) -> float:
    return _ARITHMETIC[type(node.op)](_number(_value(node.left, known)), _number(_value(node.right, known)))


def _called(node: ast.Call, known: Mapping[str, str]) -> Any:  # noqa: ANN401 - a text, a number or a truth
    return FUNCTIONS[node.func.id](*(_value(one, known) for one in node.args))  # type: ignore[attr-defined]


_VALUES: Mapping[type[ast.expr], Callable[[Any, Mapping[str, str]], Any]] = {
    ast.Constant: lambda node, _: node.value, ast.Name: lambda node, known: known[node.id], ast.BoolOp: _either,
    ast.UnaryOp: _not, ast.Compare: _compared, ast.BinOp: _computed, ast.Call: _called,
}  # fmt: skip


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
