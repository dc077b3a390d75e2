"""docs/metrics.md and the code say the same."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from harness_metrics.compliance import MEASURED
from tests.metrics.cases import OPTIONS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "metrics.md"
DATA = ROOT.parent / "shared" / "data"


def test_the_table_lists_every_metric_with_its_kind_and_direction(factories, measure):
    text = DOCUMENT.read_text(encoding="utf-8")
    table = {
        match[1]: (match[2], match[3])
        for match in re.finditer(r"^\|[^|]*\| `([^`]+)` \| (\w+) \| ([\w ]+) \|", text, re.MULTILINE)
    }
    for factory in factories:
        assert f"| `{factory}` |" in text, factory
        for name, metric in measure(factory, **OPTIONS.get(factory, {})).items():
            listed = {"evaluate": "evaluate_<module>_<key>"}.get(factory, name)
            listed = "adherence.<principle>" if name.startswith("adherence.") else listed
            kind, better = table[listed]
            assert kind == metric.kind, name
            assert better in {metric.direction, "as told"}, name


@pytest.mark.shared
@pytest.mark.skipif(not (DATA / "gptfuzz_labelled").is_dir(), reason="the public data is not beside the checkout")
def test_the_labellers_skill_is_what_the_code_and_the_document_say():
    spec = importlib.util.spec_from_file_location("calibration", ROOT / "benchmarks" / "compliance_calibration.py")
    assert spec is not None
    assert spec.loader is not None
    calibration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(calibration)
    document = DOCUMENT.read_text(encoding="utf-8")
    for measured, pairs in zip(
        MEASURED, (calibration.gptfuzz(DATA, "evaluate"), calibration.jailbreakbench(DATA)), strict=True
    ):
        assert calibration.count(pairs) == (measured.complied, measured.not_complied)
        shown = f"| {measured.where} | {calibration.shown(*measured.complied)} | {calibration.shown(*measured.not_complied)} |"
        assert shown in document
