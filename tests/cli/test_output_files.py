"""No file that a person names for output costs anything that was there: not a workspace, nor anybody's notes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tests.cli.adapters import write_adapter

WRITERS = {
    "report": ["report", "--export"],
    "junit": ["gate", "latest", "--junit"],
    "markdown": ["gate", "latest", "--markdown"],
    "ledger": ["ledger", "export", "-o"],
}


@pytest.fixture
def home(cli):
    """A folder with a workspace that holds a run, a decision and a promoted adapter."""
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one") == 0
    assert cli("promote", "latest") == 0
    return cli


def kept(home) -> tuple[dict[str, bytes], object]:
    """Every file of the workspace but SQLite's, which move bytes about by themselves, and what the ledger says."""
    files = (path for path in sorted((home.folder / ".harness").rglob("*")) if path.is_file())
    found = {str(path): path.read_bytes() for path in files if ".db" not in path.name}
    return found, home.json("ledger", "verify")


def inside(home) -> list[str]:
    run = next((home.folder / ".harness" / "runs").iterdir())
    live = next((home.folder / ".harness" / "artifacts" / "adapter").glob("*/adapter_model.safetensors"))
    return [".harness/ledger.db", f".harness/runs/{run.name}/run.json", str(live), ".harness/new.file",
            "one/../.harness/ledger.db"]  # fmt: skip


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_workspace_file_is_never_written(home, writer, force):
    (home.folder / "link").symlink_to(home.folder / ".harness" / "ledger.db")
    (home.folder / "folder").symlink_to(home.folder / ".harness")
    (home.folder / ".harness" / "out").symlink_to("../elsewhere")
    before = kept(home)
    for place in [*inside(home), "link", "folder/ledger.db", ".harness/out"]:
        assert home(*WRITERS[writer], place, *force) == 2, place
        assert "lies in the workspace" in home.err, home.err
        assert home.err.count("\n") == 1
    assert kept(home) == before
    assert not (home.folder.parent / "elsewhere").exists()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_hard_link_to_a_workspace_file_loses_its_name_and_not_its_bytes(home, writer):
    os.link(home.folder / ".harness" / "ledger.db", home.folder / "link")
    before = kept(home)
    assert home(*WRITERS[writer], "link") == 2
    assert home(*WRITERS[writer], "link", "--force") == 0, home.err
    assert kept(home) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_another_workspace_is_known_by_its_files(home, writer):
    other = home.folder / "other"
    assert home("run", "tiny.yaml", "--workspace", other) == 0
    assert home(*WRITERS[writer], "other/new.file", "--force") == 2
    (other / "workspace.json").unlink()
    assert home(*WRITERS[writer], "other/runs/new.file", "--force") == 2


@pytest.mark.parametrize("writer", WRITERS)
def test_somebody_elses_file_is_kept_unless_force_and_the_commands_own_is_replaced(home, writer):
    home.write("notes", "precious\n")
    (home.folder / "link").symlink_to("notes")
    for name in ("notes", "link", "harness.yaml", "one/adapter_model.safetensors"):
        assert home(*WRITERS[writer], name) == 2
        assert "--force" in home.err
    assert (home.folder / "notes").read_text() == "precious\n"
    assert home(*WRITERS[writer], "link", "--force") == 0, home.err
    written = (home.folder / "notes").read_text()
    assert "precious" not in written
    assert (home.folder / "link").is_symlink()
    assert home(*WRITERS[writer], "notes") == 0, home.err


def test_one_commands_output_is_not_anothers(home):
    assert home("gate", "latest", "--junit", "out") == 0
    assert home("gate", "latest", "--markdown", "out") == 2
    assert home("gate", "latest", "--markdown", "both", "--junit", "both") == 2
    assert "both" in home.err
    assert not (home.folder / "both").exists()


def test_a_folder_a_loop_and_an_impossible_name_are_sentences(home):
    (home.folder / "loop").symlink_to("loop")
    for name in ("one", "loop", "x" * 300, "harness.yaml/x"):
        assert home("gate", "latest", "--junit", name) == 2, name
        assert "Traceback" not in home.err


def test_a_refused_name_costs_no_run(home):
    before = home.json("runs", "list")[1]
    home.write("notes", "precious\n")
    assert home("run", "tiny.yaml", "--markdown", "notes") == 2
    assert home.json("runs", "list")[1] == before


def test_a_workspace_in_the_making_counts(cli):
    (cli.folder / "w").mkdir()
    assert cli("run", "tiny.yaml", "--workspace", "w", "--junit", "w/out.xml") == 2
    assert not list((cli.folder / "w").iterdir())


def test_streams_are_written_to(home):
    os.mkfifo(home.folder / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((home.folder / "pipe").read_text()))
    reader.start()
    assert home("gate", "latest", "--junit", "pipe") == 0, home.err
    reader.join(10)
    assert "<testsuites" in read[0]
    assert home("gate", "latest", "--junit", "/dev/null") == 0, home.err


@pytest.mark.parametrize("to_file", [False, True])
def test_standard_output_can_be_named(home, to_file):
    command = [sys.executable, "-m", "harness.cli.main", "gate", "latest", "--junit", "/dev/stdout"]
    with (home.folder / "said").open("w") as file:
        done = subprocess.run(
            command, check=False, cwd=home.folder, stdout=file if to_file else subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    said = (home.folder / "said").read_text() if to_file else done.stdout
    assert done.returncode == 0, done.stderr
    assert "<testsuites" in said
    assert "gates: " in said


def test_the_ci_pages_file_is_never_a_workspace_file(home, monkeypatch):
    for name in (".harness/ledger.db", "link"):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(home.folder / name))
        if name == "link":
            os.link(home.folder / ".harness" / "ledger.db", home.folder / name)
        before = kept(home)
        assert home("gate", "latest", "--markdown", name) == 2
        assert kept(home)[0] == before[0]


def test_commands_that_make_other_files_leave_workspaces_alone(home):
    before = kept(home)
    assert home("principle", "new", "mine", "--to", ".harness/adapters") == 2
    assert home("init", ".harness/new") == 2
    assert home("gate", "audit", "--full", "--folder", ".harness") == 2
    assert home("run", "tiny.yaml", "--workspace", ".harness/new") == 2
    (home.folder / "harness.yaml").unlink()
    (home.folder / "harness.yaml").symlink_to(".harness/ledger.db")
    assert home("init", "--force", "--workspace", ".harness") == 2
    (home.folder / "harness.yaml").unlink()
    assert kept(home) == before
    assert not (home.folder / ".harness" / "new").exists()
