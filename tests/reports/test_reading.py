"""What the report reads: records, and a sentence for what cannot be read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import BrokenRunError, InputError
from harness.paths import data_dir
from harness_report import reading


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A workspace of one's own, to be damaged."""
    return Path(shutil.copytree(root, tmp_path / "copy"))


def test_the_overview_knows_what_is_promoted_and_by_what(root):
    found = reading.read_overview(root)
    assert [run.suite for run in found.runs] == ["tiny", "tiny", "tiny", "talk", "talk"]
    assert found.live.candidate.label == "echo: + ./one"
    newest, first = found.decisions
    assert found.decision == first.id
    assert (newest.promoted, len(first.promoted)) == ((), 1)
    assert first.record.candidate.label == "echo: + ./one"
    assert [entry.kind for entry in found.history] == ["promotion"]


def test_an_unreadable_run_costs_a_sentence_and_not_the_others(copy):
    newest = max((copy / "runs").iterdir())
    (newest / "run.json").write_text('{"id": "half')
    found = reading.read_overview(copy)
    assert len(found.runs) == 4
    assert len(found.problems) == 1
    assert newest.name in found.problems[0]


def test_a_changed_decision_is_not_shown_as_the_ledgers(copy):
    path = next((copy / "decisions").glob("*.json"))
    path.write_text(path.read_text().replace("passed", "failed"))
    broken = next(d for d in reading.read_overview(copy).decisions if d.id == path.stem)
    assert broken.record is None
    assert "not what the ledger has" in broken.problem


def test_changed_samples_are_noticed(copy):
    run = reading.read_overview(copy).runs[-1]
    before = reading.stamp(copy), reading.samples_stamp(copy, run.id)
    assert reading.integrity(copy, run.id) is None
    path = copy / "runs" / run.id / "samples.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    assert "samples.parquet" in reading.integrity(copy, run.id)
    assert reading.samples_stamp(copy, run.id) != before[1]


def test_a_new_run_changes_the_stamp(copy):
    before = reading.stamp(copy)
    run = min((copy / "runs").iterdir())
    shutil.copytree(run, run.with_name("20990101-000000-tiny-ffffff"))
    assert reading.stamp(copy) != before


def test_no_workspace_and_a_damaged_ledger_are_sentences(tmp_path, copy):
    with pytest.raises(InputError, match="harness init"):
        reading.read_overview(tmp_path / "nowhere")
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (copy / name).unlink(missing_ok=True)
    (copy / "ledger.db").write_bytes(b"no database" * 400)
    with pytest.raises(BrokenRunError, match="damaged"):
        reading.read_overview(copy)


def test_the_ledger_is_verified(root):
    rows, head = reading.verify_ledger(root)
    assert rows >= 8  # runs, decisions, a promotion, policies and attempts
    assert len(head) == 64


def test_reading_and_drawing_load_neither_torch_nor_a_model():
    program = (
        f"import sys; sys.path.insert(0, {str(data_dir('reports'))!r})\n"
        "import harness_report.export, harness_report.app, harness_report.choosing\n"
        "from harness.plugins import load_plugins; load_plugins()\n"
        "print(sorted({'torch', 'transformers', 'peft', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_export_needs_neither_streamlit_nor_pandas():
    program = (
        f"import sys; sys.path.insert(0, {str(data_dir('reports'))!r})\n"
        "import harness_report.export\n"
        "print(sorted({'streamlit', 'altair', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
