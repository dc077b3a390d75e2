"""A kind of metric or gate is one object: nothing else asks which kind it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.gates.kinds import KINDS as GATES
from harness.gates.kinds import kind_of
from harness.plugins import load_plugins
from harness.stats.kinds import KINDS as METRICS
from harness.types import Gate

ROOT = Path(__file__).parents[2]
STORE = ROOT / "harness" / "store"
"""Where a kind is one of things kept, such as runs."""
NAMES = {*GATES, *METRICS}


def asks(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which something called `kind` is compared with, or looked up by, the name of a kind."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject, *node.cases]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            sides = [node.slice, *(key for key in node.value.keys if key is not None)]
        else:
            continue
        kinds = [side for side in sides if (getattr(side, "attr", None) or getattr(side, "id", None)) == "kind"]
        names = {leaf.value for side in sides for leaf in ast.walk(side) if isinstance(leaf, ast.Constant)}
        if kinds and names & NAMES:
            yield node.lineno


def test_nothing_asks_for_a_kind_by_name():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for top in ("harness", "plugins", "reports")
        for path in sorted((ROOT / top).rglob("*.py"))
        if path.parent != STORE
        for line in asks(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not wrong, "ask the object instead, harness.gates.kinds or harness.stats.kinds:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "code",
    ["gate.kind == 'max'", "metric.kind in {'mean', 'ratio'}", "'run' != kind", "{'min': 1}[gate.kind]"],
)
def test_a_question_is_found(code):
    assert list(asks(ast.parse(code))) == [1]


def test_each_kind_stands_under_its_own_name_in_its_own_file():
    registered = load_plugins(installed=False).registries.gate_kinds
    shipped = {entry.name: GATES[entry.name] for entry in registered}
    assert {"min", "max", "non_inferior", "superior"} <= set(shipped)
    for kinds, package in ((shipped, "harness_gates"), (METRICS, "harness_statistics")):
        for name, kind in kinds.items():
            assert kind.name == name
            assert type(kind).__module__ == f"{package}.{name}"


def test_a_kind_that_there_is_not_is_named_with_the_nearest():
    with pytest.raises(InputError, match="non_inferior"):
        kind_of(Gate(metric="m", kind="non_inferor"))
