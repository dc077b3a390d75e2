"""Opening a workspace, and refusing what is none."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest

from harness.errors import BrokenRunError, InputError
from harness.store.workspace import Workspace


def test_a_new_workspace_is_private_and_ignored_by_git(workspace):
    assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o700
    assert (workspace.root / ".gitignore").read_text().endswith("\n*\n")
    for folder in (workspace.runs, workspace.adapters, workspace.decisions):
        assert folder.is_dir()
    assert workspace.ledger.entries() == ()
    workspace.cache.put_many({"a" * 64: b"1"})
    for path in workspace.root.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_opening_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="harness init"):
        Workspace.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_somebody_elses_folder_is_not_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        Workspace.open(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_half_made_workspace_is_finished(tmp_path):
    (tmp_path / "ws" / "runs").mkdir(parents=True)
    (tmp_path / "ws" / ".tmp-1-ab").write_text("{")
    workspace = Workspace.open(tmp_path / "ws", create=True)
    with workspace.lock("x"):
        pass
    assert not (tmp_path / "ws" / ".tmp-1-ab").exists()
    Workspace.open(tmp_path / "ws")


def test_a_folder_that_cannot_be_made_is_the_fault_of_who_named_it(tmp_path):
    (tmp_path / "f").write_text("x")
    for path in ("/proc/x", tmp_path / "f" / "x"):
        with pytest.raises(InputError, match=r"no workspace can be made here \(.*\); choose another --workspace"):
            Workspace.open(path, create=True)


def test_a_full_disk_is_no_fault_of_who_named_the_workspace(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(BrokenRunError, match="the disk is full"):
        Workspace.open(tmp_path / "ws", create=True)


def test_a_file_is_no_workspace(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(InputError):
        Workspace.open(tmp_path / "f", create=True)
