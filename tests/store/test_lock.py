"""One writer at a time; the second is told who it is; a dead writer holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from harness.errors import EXIT_INPUT, InputError
from harness.store import lock
from harness.store.workspace import Workspace

HOLD = textwrap.dedent("""
    import sys, time
    from harness.store.workspace import Workspace
    workspace = Workspace.open(sys.argv[1])
    with getattr(workspace, sys.argv[2])("harness run safety-core"):
        print("held", flush=True)
        time.sleep(60)
""")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(lock, "PATIENCE", 0.2)


def hold(workspace, how: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root), how], stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def holder(workspace):
    process = hold(workspace, "lock")
    yield process
    end(process)


@pytest.fixture
def worker(workspace):
    process = hold(workspace, "working")
    yield process
    end(process)


def test_beside_a_command_at_work_others_write_and_work(workspace, worker):
    with workspace.lock("harness promote x"):
        workspace.ledger.append("policy", {"policy": "p"})
    with workspace.working("harness run privacy"), workspace.lock():
        pass
    assert len(workspace.ledger.entries()) == 1


def test_what_a_command_at_work_has_not_finished_is_not_swept_away(workspace, worker):
    unfinished = workspace.runs / ".tmp-1-ab"
    unfinished.mkdir()
    with workspace.lock("harness promote x"):
        pass
    assert unfinished.is_dir()
    end(worker)
    with workspace.lock("harness promote x"):
        pass
    assert not unfinished.exists()


def test_one_who_must_be_alone_is_told_who_works(workspace, worker):
    with pytest.raises(InputError, match=rf"process {worker.pid} \(harness run safety-core"), workspace.alone("prune"):
        pass
    end(worker)
    with workspace.alone("prune"):
        assert workspace.locked


def test_a_moment_is_waited_for(workspace, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 20.0)
    process = hold(workspace, "lock")
    threading.Timer(0.3, process.kill).start()
    with workspace.lock("b"):
        pass
    end(process)


def test_the_second_process_is_told_who_writes(workspace, holder):
    with pytest.raises(InputError) as caught, workspace.lock("harness promote x"):
        pytest.fail("the lock was given twice")
    message = str(caught.value)
    assert f"process {holder.pid} (harness run safety-core, since 20" in message
    assert "wait until it has ended" in message
    assert caught.value.exit_code == EXIT_INPUT


def test_readers_need_no_lock(workspace, holder):
    assert Workspace.open(workspace.root).ledger.entries() == ()


def test_a_killed_holder_holds_nothing(workspace, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with workspace.lock("harness promote x"):
        assert workspace.locked


def test_the_lock_may_be_taken_again_inside(workspace):
    with workspace.lock("a"), workspace.lock("b"):
        pass
    with workspace.lock("c"):
        other = Workspace(workspace.root)
        with pytest.raises(InputError, match=rf"process {os.getpid()} \(c, since"), other.lock("d"):
            pass
    assert not workspace.locked


def test_a_refused_recovery_gives_the_lock_back(workspace):
    (workspace.root / ".intent-broken").write_text("{")
    with pytest.raises(Exception, match="damaged"), workspace.lock("a"):
        pass
    assert (workspace.root / "quarantine" / "intent-broken").read_text() == "{"
    with Workspace(workspace.root).lock("b"):
        pass


def test_the_lock_file_holds_no_secret(workspace, monkeypatch):
    reference = "openai:m@http://me:pass-1@h/v1?api_key=pass-2"
    monkeypatch.setattr(sys, "argv", ["harness", "run", "x", f"--model={reference}", "--judge", reference])
    with workspace.lock():
        held = (workspace.root / "lock").read_text()
    assert "harness run x --model=openai:m@http://" in held
    assert "pass" not in held
