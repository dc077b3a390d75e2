"""The scripts that write docs/critics.md write what stands there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def calibrations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop("principle_calibrations", None)
    import principle_calibrations

    return principle_calibrations


def test_the_note_above_the_principles_is_the_scripts(calibrations: ModuleType) -> None:
    page = calibrations.PAGE.read_text(encoding="utf-8")
    again = calibrations.with_table(page, {}, "smollm2-135m,adapter=harness:judge-smollm2", "bfloat16")
    assert again == page


def test_a_new_line_replaces_its_principles_and_the_note_counts(calibrations: ModuleType) -> None:
    page = calibrations.PAGE.read_text(encoding="utf-8")
    row = "| `truthfulness` | judge | 100 | – | – | – | 0.90 | yes |"
    again = calibrations.with_table(page, {"truthfulness": row}, "J", "float32")
    assert row in again
    assert again.count("| `truthfulness` |") == 1
    assert "The judge is `J` (float32)" in again
    assert "of 19 are admitted" in again


def test_every_bundled_principle_has_its_row(calibrations: ModuleType) -> None:
    table = (
        calibrations.PAGE.read_text(encoding="utf-8").partition(calibrations.START)[2].partition(calibrations.END)[0]
    )
    named = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert named == {name for constitution in ("personal", "harmless") for name in calibrations._ids(constitution)}
