"""Looking needs no leave to write: a workspace on a read-only mount answers every question."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.adapters import write_adapter

CONFIG = 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n'
LOOKING = (
    ["status"], ["history"], ["history", "--decisions"], ["why"], ["why", "latest"], ["ledger", "verify"],
    ["ledger", "export"], ["runs", "list"], ["runs", "show", "latest"], ["cache", "stats"], ["gate", "latest"],
    ["report", "--export", "../report.html"],
)  # fmt: skip
CALL = """
import contextlib, io, json, sys
from harness.cli.main import run
found = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    found.append([code, err.getvalue()])
print(json.dumps(found))
"""


def read_only(folder: Path, *lines: list[str]) -> list[tuple[int, str]]:
    """Call commands in a folder that is mounted read-only for them alone; return exit codes and complaints."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here, to mount a folder read-only for one process")
    place = 'mount --bind . . && mount -o remount,ro,bind . && cd . && cd "$PWD" && exec "$0" "$@"'
    inside = ["sh", "-c", f"cd '{folder}' && {place}", sys.executable, "-c", CALL, json.dumps(lines)]
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(["unshare", "--mount", *user, *inside], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return [(code, err) for code, err in json.loads(done.stdout)]


@pytest.fixture
def home(cli):
    """A folder of its own below, with a promotion and a rollback."""
    cli.folder /= "home"
    cli.folder.mkdir()
    for name in ("tiny.yaml", "tiny.jsonl"):
        shutil.move(cli.folder.parent / name, cli.folder / name)
    os.chdir(cli.folder)
    cli.write("harness.yaml", CONFIG)
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one") == 0, cli.err
    assert cli("promote", "latest") == 0, cli.err
    return cli


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_every_question_is_answered_on_a_read_only_mount(home, journal):
    for name in ("ledger.db", "cache.db"):  # an earlier version left the ledger with a write-ahead log
        connection = sqlite3.connect(home.folder / ".harness" / name)
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.close()
    before = files(home.folder / ".harness")
    for line, (code, complaint) in zip(LOOKING, read_only(home.folder, *LOOKING), strict=True):
        assert (code, complaint) == (0, ""), line
    assert files(home.folder / ".harness") == before


def test_writing_there_is_one_sentence(home):
    ((code, complaint),) = read_only(home.folder, ["rollback"])
    assert code == 3
    assert complaint.count("\n") == 1
    assert "may not be written (Read-only file system)" in complaint


def test_an_empty_workspace_has_nothing_to_show_there(cli):
    assert cli("init") == 0
    ((code, _), (other, complaint)) = read_only(cli.folder, ["status"], ["why"])
    assert code == 0
    assert (other, complaint) == (2, "error: there are no decisions yet; make one with: harness decide --adapter REF\n")


def test_when_a_command_ends_the_database_files_alone_hold_everything(home):
    assert sorted(path.name for path in (home.folder / ".harness").glob("*.db*")) == ["cache.db", "ledger.db"]
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "run", "tiny.yaml"], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert sorted(path.name for path in (home.folder / ".harness").glob("*.db*")) == ["cache.db", "ledger.db"]
