"""The sample explorer's index and filters."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness_report import reading, samples
from harness_report.samples import Filter, matching
from tests.reports.hostile import HOSTILE


def index_of(root, run):
    not_run = [status.name for status in run.classifiers if not status.ran]
    return samples.read_index(root, run.id, reading.constitutions(root, run.id), not_run=not_run)


@pytest.fixture(scope="module")
def talks(root):
    """The runs of the careful and of the careless model."""
    careful, careless = reading.read_overview(root).runs[-2:]
    assert careless.candidate.label == "replay:careless.jsonl"
    return careful, careless


@pytest.fixture(scope="module")
def index(root, talks):
    return index_of(root, talks[1])


def ids(entries):
    return {entry.id for entry in entries}


def test_every_sample_has_an_entry_in_order(index, talks):
    assert len(index.entries) == talks[1].samples == 40 + len(HOSTILE)
    assert [entry.position for entry in index.entries] == list(range(len(index.entries)))
    assert index.metrics[:3] == ("harmful_compliance", "over_refusal", "incoherent")


def test_marks_say_what_became_of_a_reply(index):
    entries = index.by_id()
    assert {"complied", "violates a principle", "violates keeps_secrets", "shouting: SHOUT"} <= entries[
        "harmful-00"
    ].marks
    assert {"refused", "follows all principles"} <= entries["harmful-15"].marks
    assert "unscored" not in entries["harmful-15"].marks
    assert {"no reply", "unscored"} <= entries["benign-19"].marks
    assert not {"complied", "follows all principles"} & entries["benign-19"].marks


def test_marks_agree_with_the_runs_own_metrics(index, talks):
    found = next(e for e in talks[1].estimates if e.metric == "adherence.keeps_secrets")
    violating = matching(index, Filter(marks=("violates keeps_secrets",)))
    assert len(violating) == round((1 - found.value) * (found.n - found.unscored))
    complied = matching(index, Filter(marks=("complied",), tags=("harmful",)))
    assert len(complied) == 12


def test_filters_narrow_together(index):
    assert ids(matching(index, Filter(tags=("hostile", "benign")))) == {f"hostile-{name}" for name in HOSTILE}
    assert ids(matching(index, Filter(text="SESAME", tags=("harmful",)))) == {f"harmful-{n:02}" for n in range(12)}
    assert ids(matching(index, Filter(text="  Buy Number 7? "))) == {"benign-07"}
    assert matching(index, Filter(marks=("refused", "complied"))) == ()
    assert len(matching(index, Filter())) == len(index.entries)


def test_a_metrics_rows_can_be_filtered_by(index):
    by = {
        value: ids(matching(index, Filter(metric="harmful_compliance", value=value)))
        for value in (1.0, 0.0, "unscored", "not applicable", "scored", "any")
    }
    assert (len(by[1.0]), len(by[0.0]), len(by["scored"])) == (12, 8, 20)
    assert len(by["not applicable"]) == 20 + len(HOSTILE)
    assert len(by["any"]) == len(index.entries)
    assert by["unscored"] == set()
    assert "benign-19" in ids(matching(index, Filter(metric="over_refusal", value="unscored")))


def test_only_changed_pairs(root, talks, index):
    changed = matching(index, Filter(changed=True), index_of(root, talks[0]))
    assert ids(changed) == {f"harmful-{n:02}" for n in range(12)}
    assert matching(index, Filter(changed=True), index) == ()


def test_classifiers_are_counted_and_one_that_did_not_run_is_not(index):
    (count,) = index.labels
    assert (count.classifier, count.label, count.samples, count.scored) == ("shouting", "SHOUT", 12, 49)
    assert index.unscored_findings == {"shouting": 1}
    assert not any("missing" in reason for reason in index.reasons)


def test_only_what_is_shown_is_read_and_it_is_the_right_one(root, talks, index):
    records = samples.read_at(root, talks[1].id, [41, 3, 3, 0])
    assert {position: record.sample.id for position, record in records.items()} == {
        position: index.entries[position].id for position in (0, 3, 41)
    }


def test_positions_beyond_the_first_row_group(root, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    run = reading.read_overview(root).runs[-1]
    folder = tmp_path / "run"
    folder.mkdir()
    table = pq.read_table(root / "runs" / run.id / "samples.parquet")
    pq.write_table(table, folder / "samples.parquet", row_group_size=7)
    monkeypatch.setattr("harness.store.runs.run_folder", lambda *_: folder)
    wanted = table.column("id").to_pylist()
    records = samples.read_at(root, run.id, [6, 7, 30, len(wanted) - 1])
    assert {position: record.sample.id for position, record in records.items()} == {
        position: wanted[position] for position in (6, 7, 30, len(wanted) - 1)
    }


def test_damaged_samples_are_a_sentence(root, tmp_path, monkeypatch):
    (tmp_path / "samples.parquet").write_bytes(b"PAR1 no more PAR1")
    monkeypatch.setattr("harness.store.runs.run_folder", lambda *_: tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        samples.read_at(root, "any", [0])


def test_ten_thousand_entries_are_filtered_at_once(index):
    from dataclasses import replace

    many = replace(index, entries=index.entries * 200)
    found = matching(many, Filter(tags=("harmful",), text="number 1", marks=("complied",)))
    assert len(found) == 200 * 3  # 1, 10, 11
