"""The report knows the store and the records, and its files import each other in one direction."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from harness.paths import data_dir

FOLDER = data_dir("reports") / "harness_report"
ALLOWED = {
    "harness.store", "harness.types", "harness.serial", "harness.errors", "harness.terminal", "harness.tables",
    "harness.reporting", "harness.stats.kinds", "harness.gates.kinds", "harness.adherence", "harness.plugins",
}  # fmt: skip
"""The store and the records, how they are worded, and plugins for their sections."""
LATE = {"choosing"}
"""Imported within functions: Streamlit's widgets, which the export must do without."""


def imports(path: Path) -> set[str]:
    """Return what a file imports when it runs, at its top or late."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) not in hidden:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return found


def files() -> dict[str, Path]:
    found = {}
    for path in FOLDER.rglob("*.py"):
        name = ".".join(["harness_report", *path.relative_to(FOLDER).with_suffix("").parts])
        found[name.removesuffix(".__init__")] = path
    return found


def test_the_report_knows_the_store_and_the_records_only():
    for name, path in files().items():
        for found in imports(path):
            if found.startswith("harness."):
                assert any(found == one or found.startswith(f"{one}.") for one in ALLOWED | {"harness.__version__"}), (
                    f"{name} imports {found}"
                )


def test_no_file_imports_one_that_imports_it_late_imports_included():
    known = files()
    graph = {name: {one for one in imports(path) if one in known and one != name} for name, path in known.items()}
    for uses in graph.values():
        uses.discard("harness_report")  # an empty package
    order = tuple(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle
    assert order.index("harness_report.pages") < order.index("harness_report.app")


def test_only_what_the_browser_needs_imports_streamlit():
    using = {name.rpartition(".")[2] for name, path in files().items() if "streamlit" in imports(path)}
    assert using == {"app", "cached", "choosing", "live"}
