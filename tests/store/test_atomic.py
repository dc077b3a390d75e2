"""Writes are whole or absent, private, and explained when they fail."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import EXIT_BROKEN, BrokenRunError
from harness.store.atomic import (
    TEMPORARY,
    explained,
    make_folder,
    put_in_place,
    remove_folder,
    sweep,
    temporary_beside,
    temporary_folder,
    write_file,
    write_into,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As runs and artifacts are stored: under a temporary name first, which is taken away where anything fails."""
    with explained(path):
        temporary = temporary_folder(path.parent)
        try:
            yield temporary
            put_in_place(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def test_files_and_folders_are_private(tmp_path):
    make_folder(tmp_path / "a" / "b")
    write_file(tmp_path / "a" / "b" / "f", "text")
    with new_folder(tmp_path / "a" / "run") as folder:
        write_into(folder, "g", b"bytes")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b"), mode(tmp_path / "a" / "run")) == (0o700,) * 3
    assert (mode(tmp_path / "a" / "b" / "f"), mode(tmp_path / "a" / "run" / "g")) == (0o600,) * 2
    assert (tmp_path / "a" / "b" / "f").read_text() == "text"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "may not be written"), (errno.EIO, "could not be written")],
)
def test_a_failed_write_keeps_the_old_content_and_leaves_nothing(tmp_path, monkeypatch, number, words):
    path = tmp_path / "f"
    write_file(path, "old")

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(BrokenRunError, match=words) as caught:
        write_file(path, "new")
    assert caught.value.exit_code == EXIT_BROKEN
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_short_writes_are_completed(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    write_file(tmp_path / "f", "a longer text")
    assert (tmp_path / "f").read_text() == "a longer text"


def test_a_folder_whose_block_fails_vanishes(tmp_path):
    def write():
        with new_folder(tmp_path / "run") as folder:
            write_into(folder, "f", "x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_is_never_overwritten(tmp_path):
    for content in ("first", "second"):
        try:
            with new_folder(tmp_path / "run") as folder:
                write_into(folder, "f", content)
        except BrokenRunError as error:
            assert "exists already" in str(error)
    assert (tmp_path / "run" / "f").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_sweep_removes_only_leftovers(tmp_path):
    temporary_beside(tmp_path / "x").mkdir()
    (tmp_path / f"{TEMPORARY}1-ab").write_text("half")
    (tmp_path / "kept").mkdir()
    assert sweep(tmp_path) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_sweep_does_not_follow_links(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("precious")
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / f"{TEMPORARY}link").symlink_to(tmp_path / "outside")
    sweep(tmp_path / "ws")
    assert (tmp_path / "outside" / "f").read_text() == "precious"


def test_remove_folder(tmp_path):
    with new_folder(tmp_path / "run") as folder:
        write_into(folder, "f", "x")
    remove_folder(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_forbidden_place_is_explained(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BrokenRunError, match="--workspace"):
        write_file(tmp_path / "f", "x")
