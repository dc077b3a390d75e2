"""Run folders: whole, immutable, streamed, checked, and found only inside the workspace."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BrokenRunError, InputError
from harness.store import runs
from harness.store.atomic import write_file
from harness.store.sample_writer import SAMPLES_FILE
from harness_inspect.removing import remove_runs


def test_what_is_written_is_read_back(workspace, make):
    record = make.stored_run(workspace, make.run_record(samples=700, checks=(make.check(),)))
    assert runs.read_run(workspace, record.id) == record
    assert list(runs.read_samples(workspace, record.id)) == [make.sample_record(index) for index in range(700)]
    assert (workspace.runs / record.id / runs.SUITE_FILE).read_text() == make.SUITE_TEXT
    assert runs.read_constitutions(workspace, record.id) == (make.CONSTITUTION,)
    assert runs.list_runs(workspace) == [record]
    assert runs.check_run(workspace, record.id) == record
    (entry,) = workspace.ledger.entries()
    assert entry.body["run_sha256"] == runs.run_sha256(workspace, record.id)
    for path in (workspace.runs / record.id).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    value=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_number_survives(workspace, make, text, value):
    sample = replace(make.sample_record(1, text=text), rows={"m": (value, 1.0)})
    record = make.write_run(workspace, make.run_record(samples=1), [sample], text, ())
    assert list(runs.read_samples(workspace, record.id)) == [sample]
    assert (workspace.runs / record.id / runs.SUITE_FILE).read_bytes().decode() == text


def test_the_table_has_columns_for_other_readers(workspace, make):
    record = make.stored_run(workspace, make.run_record())
    table = pq.read_table(workspace.runs / record.id / SAMPLES_FILE)
    assert table.column_names == [
        "id", "content_hash", "question_hash", "tags", "cluster", "prompt", "text", "record",
    ]  # fmt: skip
    assert table.column("prompt").to_pylist()[:2] == ["question 0", "question 1"]
    assert table.column("tags").to_pylist()[0] == ["t"]
    assert table.column("content_hash")[0].as_py() == make.sample_record(0).sample.content_hash


def test_samples_are_streamed(workspace, make, monkeypatch):
    """Rows are on their way to the file before the last sample was asked for."""
    sizes = []
    write = pq.ParquetWriter.write_table
    monkeypatch.setattr(
        pq.ParquetWriter, "write_table", lambda self, table: (sizes.append(asked[0]), write(self, table))
    )
    asked = [0]

    def samples():
        for index in range(1000):
            asked[0] += 1
            yield make.sample_record(index)

    record = make.write_run(workspace, make.run_record(samples=1000), samples(), "", ())
    assert sizes == [256, 512, 768, 1000]
    reader = runs.read_samples(workspace, record.id)
    assert next(reader).sample.id == "s0"
    reader.close()


def test_no_run_is_written_when_samples_are_missing(workspace, make):
    with pytest.raises(BrokenRunError, match="4 samples, but 3"):
        make.write_run(workspace, make.run_record(), (make.sample_record(i) for i in range(3)), "", ())
    nothing_left(workspace)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_run_is_written_with_a_row_that_is_no_number(workspace, make, number):
    with pytest.raises(BrokenRunError, match="'s0': the metric accuracy"):
        make.write_run(workspace, make.run_record(samples=1), [make.sample_record(0, number)], "", ())
    nothing_left(workspace)


def test_half_a_surrogate_pair_is_refused_by_name(workspace, make):
    with pytest.raises(InputError, match=r"sample 's0' cannot be stored"):
        make.write_run(workspace, make.run_record(samples=1), [make.sample_record(0, text="a\ud800")], "", ())
    nothing_left(workspace)


def test_a_failing_source_of_samples_leaves_nothing(workspace, make):
    def samples():
        yield make.sample_record(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make.write_run(workspace, make.run_record(), samples(), "", ())
    nothing_left(workspace)


def nothing_left(workspace):
    assert list(workspace.runs.iterdir()) == []
    assert workspace.ledger.entries() == ()
    assert not list(workspace.root.glob(".intent-*"))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(workspace, make):
    """A limit on file sizes makes the kernel refuse the write, as a full disk does."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import builders
from harness.store import runs
from harness.store.workspace import Workspace
workspace = Workspace.open({str(workspace.root)!r})
samples = [builders.sample_record(i, text=str(i) * 3000) for i in range(300)]
import pyarrow.parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    builders.write_run(workspace, builders.run_record(samples=300), samples, "", ())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("BrokenRunError"), done
    assert "the disk is full" in done.stdout
    assert "run the command again" in done.stdout
    nothing_left(workspace)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 8192


@pytest.mark.parametrize(
    "name", ["../../etc", "..", ".", "", "/etc", "a/../..", "\x00", "runs\n", "x" * 5000, "../adapters/promoted"]
)
def test_names_never_leave_the_folder(workspace, make, name):
    make.stored_run(workspace, make.run_record())
    for use in (
        runs.read_run,
        runs.run_folder,
        lambda w, n: remove_runs(w, [n]),
        lambda w, n: next(runs.read_samples(w, n)),
    ):
        with pytest.raises(InputError):
            use(workspace, name)
    assert len(runs.list_runs(workspace)) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "latest"])
def test_a_run_cannot_be_written_outside(workspace, make, name):
    with pytest.raises(ValueError, match="no name for a run"):
        make.write_run(workspace, make.run_record(id=name), [], "", ())


def test_a_run_is_found_by_the_beginning_of_its_id(workspace, make):
    for name in ("20261120-1-tiny-aa", "20261120-2-tiny-bb"):
        make.stored_run(workspace, make.run_record(id=name, created=f"2026-{name}"))
    assert runs.find_run(workspace, "20261120-1") == "20261120-1-tiny-aa"
    assert runs.find_run(workspace, "latest") == "20261120-2-tiny-bb"
    with pytest.raises(InputError, match="beginning of 2 runs"):
        runs.find_run(workspace, "2026")
    with pytest.raises(InputError, match="did you mean '20261120-2-tiny-bb'"):
        runs.find_run(workspace, "20261120-2-tinny-bb")


def test_the_newest_run_is_the_ledgers_newest_even_where_the_clock_was_set_back(workspace, make):
    make.stored_run(workspace, make.run_record(id="first", created="2026-11-20T10:00:00+00:00"))
    make.stored_run(workspace, make.run_record(id="second", created="2026-11-19T10:00:00+00:00"))
    assert runs.find_run(workspace, "latest") == "second"
    assert [record.id for record in runs.list_runs(workspace)] == ["first", "second"]


def test_the_bases_run_by_word_has_the_samples_and_the_settings_of_the_other(workspace, make):
    short = {"generate.max_new_tokens": 8}
    for name, other in {
        "alike": {"settings": short}, "longer": {}, "others": {"settings": short, "samples_fingerprint": "elsewhere"},
    }.items():  # fmt: skip
        make.stored_run(workspace, make.run_record(id=name, **other))
    assert runs.find_run(workspace, "base", like=make.run_record(settings=short)) == "alike"
    assert runs.find_run(workspace, "base", like=make.run_record()) == "longer"
    assert runs.find_run(workspace, "base") == "others"


def test_latest_of_nothing(workspace):
    with pytest.raises(InputError, match="harness run"):
        runs.find_run(workspace, "latest")


def test_a_run_in_place_is_immutable(workspace, make):
    record = make.stored_run(workspace, make.run_record())
    with pytest.raises(BrokenRunError, match="exists already"):
        make.stored_run(workspace, make.run_record(id=record.id))
    assert runs.read_run(workspace, record.id) == record
    assert len(workspace.ledger.entries()) == 1


@pytest.mark.parametrize("name", ["run.json", "samples.parquet", "suite.yaml", "constitutions.json"])
def test_a_changed_file_is_named(workspace, make, name):
    record = make.stored_run(workspace, make.run_record())
    path = workspace.runs / record.id / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BrokenRunError, match=name):
        runs.check_run(workspace, record.id)
    path.unlink()
    with pytest.raises(BrokenRunError, match="absent"):
        runs.check_run(workspace, record.id)


def test_a_dropped_in_folder_is_not_evidence(workspace, make, tmp_path):
    record = make.stored_run(workspace, make.run_record())
    (workspace.runs / record.id).rename(workspace.runs / "20990101-copied")
    with pytest.raises(BrokenRunError, match="not in the ledger"):
        runs.check_run(workspace, "20990101-copied")


def test_unreadable_runs_are_reported_not_hidden(workspace, make):
    good = make.stored_run(workspace, make.run_record())
    bad = make.stored_run(workspace, make.run_record())
    write_file(workspace.runs / bad.id / "run.json", "{")
    with pytest.raises(InputError, match=r"run\.json"):
        runs.list_runs(workspace)
    problems: list[str] = []
    assert runs.list_runs(workspace, problems=problems) == [good]
    assert bad.id in problems[0]


def test_cut_short_samples_are_one_sentence(workspace, make):
    record = make.stored_run(workspace, make.run_record())
    path = workspace.runs / record.id / "samples.parquet"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"samples\.parquet: cannot be read"):
        list(runs.read_samples(workspace, record.id))


def test_a_run_is_removed_whole(workspace, make):
    record = make.stored_run(workspace, make.run_record())
    assert remove_runs(workspace, [record.id[:12]]) == [record.id]
    assert list(workspace.runs.iterdir()) == []
    assert [entry.kind for entry in workspace.ledger.entries()] == ["run", "removal"]
    with pytest.raises(InputError, match="no run is called"):
        remove_runs(workspace, [record.id])
    workspace.ledger.verify()


def test_an_owed_row_is_appended_by_whoever_comes_next(workspace, make, monkeypatch):
    """The folder is in place, and the process dies before the ledger has the row."""

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(runs, "commit", die)
        with pytest.raises(Killed):
            make.stored_run(workspace, make.run_record())
    assert workspace.ledger.entries() == ()
    with workspace.lock("next"):
        pass
    (record,) = runs.list_runs(workspace)
    assert runs.check_run(workspace, record.id) == record
    with workspace.lock("and next"):
        pass
    assert len(workspace.ledger.entries()) == 1
