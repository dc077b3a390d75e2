"""What shipped suites say that they detect is what the exact power gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_figure_of_what_suites_detect_is_exact(monkeypatch):
    spec = importlib.util.spec_from_file_location("suite_figures", ROOT / "benchmarks" / "suite_figures.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "suite_figures", module)  # its records look their module up
    spec.loader.exec_module(module)
    assert module.wrong() == [], "python benchmarks/suite_figures.py --write mends them"
