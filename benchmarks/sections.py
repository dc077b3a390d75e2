"""Puts measured tables into docs/benchmarks.md and other pages, each between marks of its own."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def write_section(name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: when the document has no such marks.
    """
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    document = DOCUMENT.read_text(encoding="utf-8")
    if not pattern.search(document):
        raise ValueError(f"{DOCUMENT} has no section {name}")
    DOCUMENT.write_text(
        pattern.sub(lambda found: found.group(1) + text.strip() + "\n" + found.group(2), document), encoding="utf-8"
    )


def write_table(document: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- table name -->` and the next `<!-- end -->`.

    Raises:
        ValueError: when the document has no such marks.
    """
    pattern = re.compile(rf"(<!-- table {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    found = document.read_text(encoding="utf-8")
    if not pattern.search(found):
        raise ValueError(f"{document} has no table {name}")
    document.write_text(pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", found), encoding="utf-8")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; the first column to the left, the others to the right."""
    lines = [head, [":---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Name the processor, its cores and how many this process is bound to, and the operating system."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        name = match.group(1).strip() if match else name
    whole = os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else whole
    cores = f"{bound} of {whole}" if bound < whole else f"{whole}"
    return f"{name}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def versions(*packages: str, python: str | None = None) -> str:
    """Return `name version` of packages here, or in another environment's interpreter."""
    if python is not None:
        code = (
            f"from importlib.metadata import version as v; print(', '.join(n + ' ' + v(n) for n in {list(packages)!r}))"
        )
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
