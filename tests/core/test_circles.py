"""No file imports, now or later, a file that imports it: over harness/, plugins/ and reports/, late imports too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT, ROOT / "plugins", ROOT / "reports")


def modules(folders: tuple[Path, ...] = FOLDERS) -> dict[str, Path]:
    """Return every module of the project by its dotted name."""
    found = {}
    for base in folders:
        packages = [base / "harness"] if base == ROOT else [p for p in base.iterdir() if (p / "__init__.py").is_file()]
        for file in (file for package in packages for file in package.rglob("*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes that run at some time: everything but what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (inner for other in node.orelse for inner in (other, *executed(other)))
        else:
            yield node
            yield from executed(node)


def imports(name: str, file: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules that a file imports, at its top or in a function; a package's name stands for its __init__."""
    found = set()
    for node in executed(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            found |= submodules
            if len(submodules) < len(node.names):
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & known.keys()) - {name}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module (R. E. Tarjan, SIAM J. Comput. 1, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def test_no_circles() -> None:
    known = modules()
    graph = {name: imports(name, file, known) for name, file in known.items()}
    assert len(graph) > 250
    assert sum(map(len, graph.values())) > 800
    assert circles(graph) == []


def test_a_circle_by_a_late_import_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from pack.two import X\n")
    (package / "two.py").write_text("def late():\n    from pack import one\n")
    (package / "three.py").write_text("if TYPE_CHECKING:\n    import pack.four\n")
    (package / "four.py").write_text("import pack.three\n")
    known = modules((tmp_path,))
    assert circles({name: imports(name, file, known) for name, file in known.items()}) == [["pack.one", "pack.two"]]
