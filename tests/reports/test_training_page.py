"""The page of curves: a line for each, hostile names, and a file that is broken."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.store.artifacts import artifacts, keep_artifact
from harness.store.workspace import Workspace
from harness.types import Artifact
from harness_report.curves import curve_plot
from harness_report.export import export_html
from tests.reports.hostile import HOSTILE


@pytest.fixture
def trained(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    workspace = Workspace.open(copy)
    made = Artifact(kind="curves", stage="sft", recipe=HOSTILE["script"], outputs={"adapter": "0123456789abcdef"})
    curves = {"loss": [[1, 4.0], [2, 3.0]], "validation_loss": [[0, 4.5], [2, 3.5]], HOSTILE["image"]: [[1, 0.5]]}
    keep_artifact(workspace, made, {"curves.json": json.dumps({"curves": curves}).encode()})
    workspace.close()
    return copy


def test_losses_share_a_plot_and_nothing_is_obeyed(trained):
    page = export_html(trained, most=1)
    drawn = page.split('id="training"')[1].split("</article>")[0]
    assert drawn.count('class="hr-curve-dot') == 5
    assert drawn.count('class="hr-curve"') == 2
    assert "<svg" not in page  # which Streamlit's page would drop
    assert "0123456789abcdef" in page
    assert "4 → 3" in page
    for name in ("script", "image"):
        assert HOSTILE[name] not in page


@pytest.mark.parametrize(
    "content", ['{"curves": 3}', '{"curves": {"loss": [[1, "x"]]}}', '{"curves": {"a": [[1, NaN]]}}']
)
def test_a_broken_file_is_one_notice(trained, content):
    workspace = Workspace.open(trained)
    ((_, folder),) = artifacts(workspace, "curves")
    workspace.close()
    (folder / "curves.json").write_text(content)
    assert "cannot be read (" in export_html(trained, most=1)


def test_a_curve_runs_from_corner_to_corner_and_a_long_one_is_thinned():
    drawn = curve_plot({"loss": ((0, 2.0), (10, 1.0))})
    assert "hr-x0 hr-y200" in drawn
    assert "hr-x200 hr-y0" in drawn
    assert "hr-x100 hr-y100" in curve_plot({"loss": ((3, 2.0),)})
    long = curve_plot({"loss": tuple((float(step), float(step)) for step in range(4000))})
    assert 50 < long.count("hr-curve-dot") <= 120
