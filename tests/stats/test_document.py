"""docs/statistics.md says what the code does: its example runs, and its tables are those that the code makes."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

from scipy.stats import binom

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")


def test_the_worked_example_prints_what_the_page_says():
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "docs/statistics.md", "exec"), {"__name__": "example"})
    assert f"\n    {printed.getvalue()}" in TEXT
    assert 1 / 15 < binom.cdf(4, 120, 0.07) < 1 / 13  # about one time in fourteen


def test_the_tables_are_the_codes():
    spec = importlib.util.spec_from_file_location("statistics_tables", ROOT / "benchmarks" / "gate_statistics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.filled(TEXT, ("attempts", "needed", "limits", "differences")) == TEXT


def test_importing_gates_does_not_import_scipy():
    code = "import harness.gates, harness.stats, sys; sys.exit('scipy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
