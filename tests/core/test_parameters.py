"""Few functions take many parameters: what belongs together is a record."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST, EXCEPTIONS = 7, 5


def test_few_functions_take_more_than_seven_parameters() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for top in ("harness", "plugins", "reports")
        for path in sorted((ROOT / top).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) > MOST
    ]
    assert len(found) <= EXCEPTIONS, "\n".join(found)
