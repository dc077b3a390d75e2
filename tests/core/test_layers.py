"""Imports point down the layers of docs/architecture.md, and there are no cycles."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "harness"
LAYERS = [
    {"testing"},
    {"api"},
    {"cli"},
    {"session"},
    {"evaluation"},
    {"adherence"},
    {"engine"},
    {"store"},
    {"references"},
    {"weights"},
    {"plugins"},
    {"reading"},
    {"tables"},
    {"gates"},
    {"stats"},
    {"commands", "contracts", "reporting", "services"},
    {"plugin_code", "progress", "registry"},
    {"types"},
    {"serial", "hashing", "paths", "hookspecs", "quoting", "seal", "terminal", "threads"},
    {"errors"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def runtime_imports(path: Path) -> set[str]:
    """Return the harness modules that a file imports outside `if TYPE_CHECKING`, by layer."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and node.module == "harness":
            names = [
                f"harness.{alias.name}"
                for alias in node.names
                if (ROOT / alias.name).exists() or (ROOT / f"{alias.name}.py").exists()
            ]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("harness.")}
    return found


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_module_has_a_layer():
    found = {layer_of(path) for path in ROOT.rglob("*.py") if "_data" not in path.parts} - {"__init__"}
    assert found == set(RANK)


def test_imports_point_down():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted(ROOT.rglob("*.py"))
        if layer_of(path) in RANK
        for name in runtime_imports(path)
        if name != layer_of(path) and RANK.get(name, -1) <= RANK[layer_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_never_imports_a_bundled_plugin_by_name():
    wrong = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if path.name != "plugins.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(
            (name or "").startswith("harness_")
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        )
    ]
    assert not wrong
