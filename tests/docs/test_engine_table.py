"""The table of the engine's benchmark: a workload that is run again takes the place of its own line alone."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _record(workload: str, ours: float) -> dict[str, Any]:
    side = {"wall": 1.0, "memory": 2e9}
    return {
        "workload": workload, "n": 8, "batch": "4", "sweep": {"4": 9.0, "64": None}, "part": 1,
        "ours": {"cpu": ours, "runs": [[ours, 1.0, 2e9]], **side}, "peer": {"cpu": 12.0, "runs": [[12, 1, 2e9]], **side},
        "agreement": "same", "model": "m", "dtype": "float32", "device": "cpu", "threads": 2, "load": "beside other work",
        "date": "2026-01-01", "machine": "a machine", "versions": "torch 1", "peer versions": "lm_eval 1",
    }  # fmt: skip


def test_a_workload_run_again_takes_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    modules = [importlib.import_module(name) for name in ("sections", "engine_table")]
    sections, engine_table = modules
    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- engine -->\n<!-- /engine -->\nbehind\n")
    monkeypatch.setattr(sections, "DOCUMENT", document)
    monkeypatch.setattr(engine_table, "RESULTS", tmp_path / "engine.json")
    engine_table.merge([_record("one", 6.0), _record("other", 3.0)])
    engine_table.merge([_record("one", 4.0)])
    lines = [line for line in document.read_text().splitlines() if line.startswith("| o")]
    assert [line.split("|")[1].strip() for line in lines] == ["one", "other"]
    assert ["**3.0**" in lines[0], "**4.0**" in lines[1]] == [True, True]
    assert "4 (4: 9 s, 64: n.m.)" in lines[0], "a batch size without memory is said to be one"
    for name in ("sections", "engine_table"):
        sys.modules.pop(name, None)
