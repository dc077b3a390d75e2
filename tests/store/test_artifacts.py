"""Artifacts: kept whole or not at all, named by their content, and those of earlier versions read on."""

from __future__ import annotations

import errno
import json
import shutil

import pytest

from harness.errors import BrokenRunError, InputError
from harness.store.adapters import adapter_id, resolve_adapters, store_adapter
from harness.store.artifacts import artifact_folder, artifacts, content_of, find_made, keep_artifact, read_artifact
from harness.types import Artifact
from harness_promotion.reconcile import problems


def keep(workspace, text=b"rows", **changes):
    return keep_artifact(workspace, Artifact(kind="preferences", **changes), {"preferences.jsonl": text})


def test_what_is_kept_is_named_by_its_content_and_says_what_it_came_from(workspace):
    kept = keep(workspace, key="k", inputs={"data": "0" * 64}, seed=3)
    folder = workspace.artifacts / "preferences" / kept.id
    assert sorted(path.name for path in folder.iterdir()) == ["artifact.json", "preferences.jsonl"]
    assert read_artifact(folder) == kept
    assert kept.files["preferences.jsonl"].startswith(kept.id)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert keep(workspace, b"other").id != kept.id
    assert keep(workspace, key="new").id == kept.id
    assert read_artifact(folder).key == "new"  # the newest work that led there


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EROFS])
def test_a_refusal_of_the_disk_leaves_nothing(workspace, monkeypatch, refusal):
    def refused(*_):
        raise OSError(refusal, "refused")

    monkeypatch.setattr("harness.store.artifacts.put_in_place", refused)
    with pytest.raises(BrokenRunError, match=r"the disk is full|may not be written"):
        keep(workspace)
    assert not list((workspace.artifacts / "preferences").iterdir())


def test_what_a_killed_process_left_is_swept(workspace):
    keep(workspace)
    left = workspace.artifacts / "preferences" / ".tmp-1-dead"
    left.mkdir()
    with workspace.lock():
        assert not left.exists()


def test_what_was_changed_is_not_reused_and_is_found(workspace):
    kept = keep(workspace, key="k")
    assert find_made(workspace, "k")[0]["preferences"].id == kept.id
    file = artifact_folder(workspace, "preferences", kept.id) / "preferences.jsonl"
    file.write_bytes(b"changed")
    found, note = find_made(workspace, "k")
    assert found is None
    assert "no longer what was stored" in note
    assert [str(file.parent) in problem for problem in problems(workspace, deep=True)] == [True]
    assert keep(workspace).id == kept.id
    assert file.read_bytes() == b"rows"


def test_a_record_that_names_another_place_leads_nowhere(workspace, tmp_path):
    kept = keep(workspace, key="k")
    file = artifact_folder(workspace, "preferences", kept.id) / "artifact.json"
    for outputs in ({"../runs": kept.id}, {"preferences": "../../../etc"}):
        file.write_text(json.dumps({**json.loads(file.read_text()), "outputs": outputs}))
        assert find_made(workspace, "k")[0] is None


def test_pickles_are_refused(tmp_path):
    (tmp_path / "head.pt").write_bytes(b"")
    with pytest.raises(InputError, match="pickled"):
        content_of("reward", tmp_path)


def test_adapters_and_datasets_of_earlier_versions_are_read_on(workspace, tmp_path, make):
    folder = make.adapter(tmp_path / "a")
    old = workspace.root / "adapters" / adapter_id(folder)
    shutil.copytree(folder, old)
    record = {"key": "k", "stage": "sft", "parent": "0" * 16, "inputs": {"data": "1" * 64}, "base_hash": "2" * 64,
              "adapter": old.name, "planted": [{"kind": "x"}]}  # fmt: skip
    (old / "stage.json").write_text(json.dumps(record))
    (spec,) = resolve_adapters([old.name[:6]], workspace)
    assert spec.path == str(old)
    assert store_adapter(workspace, folder).path == str(old)  # not kept twice
    found, _ = find_made(workspace, "k")
    assert found["adapter"].inputs == {"base": "2" * 64, "adapter": "0" * 16, "data": "1" * 64}
    assert found["adapter"].injected == ({"kind": "x"},)
    assert [one.id for one, _ in artifacts(workspace)] == [old.name]


def test_what_an_earlier_version_called_planted_is_read_on(tmp_path):
    (tmp_path / "artifact.json").write_text(json.dumps({"kind": "dataset", "planted": [{"kind": "x"}]}))
    assert read_artifact(tmp_path).injected == ({"kind": "x"},)
