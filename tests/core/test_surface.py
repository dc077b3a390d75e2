"""Plugins import `harness` and `harness.api` and nothing else of harness, wherever in a file they do it."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import harness
from harness.hookspecs import BUNDLED
from harness_principles.template import write_principle

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "plugins").rglob("*.py"))
PAGE = (ROOT / "docs" / "writing-plugins.md").read_text(encoding="utf-8")


def imported(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name or None) of every import: at the top, in functions, and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((str(text.value), None) for text in node.args[:1] if isinstance(text, ast.Constant))


def beyond(source: str, *more: str) -> list[str]:
    """Return the imports of harness that are not of the surface."""
    wrong = []
    for module, name in imported(ast.parse(source)):
        package = module.partition(".")[0]
        if package != "harness":
            continue
        if module in more or f"{module}.{name}" in more:
            continue
        if module != "harness" and module.split(".")[:2] != ["harness", "api"]:
            wrong.append(f"{module}: not of the surface")
        elif name is not None and name not in import_module(module).__all__:
            wrong.append(f"{module}.{name}: not public")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_a_plugin_imports_only_the_surface(path: Path) -> None:
    assert beyond(path.read_text(encoding="utf-8")) == []


def test_every_package_is_bundled() -> None:
    assert {path.relative_to(ROOT / "plugins").parts[0] for path in FILES} == set(BUNDLED)


def test_plugins_do_not_import_each_other() -> None:
    """What one offers others, it registers as a service."""
    own = {path: path.relative_to(ROOT / "plugins").parts[0] for path in FILES}
    found = {
        (own[path], module)
        for path in FILES
        for module, _ in imported(ast.parse(path.read_text(encoding="utf-8")))
        if module.partition(".")[0] in set(own.values()) - {own[path]}
    }
    assert found == set()


@pytest.mark.parametrize("source", [
    "from harness.types import Sample",
    "def late():\n    from harness.contracts import Metric",
    "if TYPE_CHECKING:\n    import harness.store.runs",
    "from harness import types",
    "from harness.api import no_such_name",
    "import_module('harness.stats')",
])  # fmt: skip
def test_what_is_not_of_the_surface_is_seen(source: str) -> None:
    assert beyond(source)


def test_every_public_name_is_there() -> None:
    for module in (
        "harness",
        "harness.api",
        "harness.api.commands",
        "harness.api.stats",
        "harness.api.weights",
        "harness.api.workspace",
    ):
        surface = import_module(module)
        assert [name for name in surface.__all__ if not hasattr(surface, name)] == []
        assert len(set(surface.__all__)) == len(surface.__all__)
    assert set(harness.__all__) - {"__version__", "hookimpl", "open"} <= set(import_module("harness.api").__all__)


def test_the_page_lists_every_public_name() -> None:
    make = runpy.run_path(str(ROOT / "docs" / "make_surface.py"))
    assert (ROOT / "docs" / "surface.md").read_text(encoding="utf-8") == make["page"](), "python docs/make_surface.py"


def test_every_public_name_is_used_or_documented() -> None:
    """What no plugin, test, example or page uses is no part of the surface, but for parts of records."""
    texts = [
        path.read_text(encoding="utf-8")
        for folder in ("plugins", "tests", "benchmarks", "docs", "reports")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md"} and path.name != "surface.md"
    ]
    words = set(re.findall(r"\w+", "\n".join(texts)))
    surface = set(import_module("harness.api").__all__) - set(import_module("harness.types").__all__)
    assert surface - words - {"Surroundings", "Tool"} == set()  # the old name of a class, and a type of functions


def test_the_tutorial_and_the_template_use_the_surface(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    for source in (*blocks, write_principle("mine", tmp_path).read_text(encoding="utf-8")):
        assert beyond(source, "harness.testing", "harness.plugins") == []
