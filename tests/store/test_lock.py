"""One writer at a time; the second is told who it is; a dead writer holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from harness.errors import EXIT_INPUT, InputError
from harness.store.workspace import Workspace

HOLD = textwrap.dedent("""
    import sys, time
    from harness.store.workspace import Workspace
    workspace = Workspace.open(sys.argv[1])
    with workspace.lock("harness run safety-core"):
        print("held", flush=True)
        time.sleep(60)
""")


@pytest.fixture
def holder(workspace):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


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
    (workspace.root / ".intent-broken").unlink()
    with Workspace(workspace.root).lock("b"):
        pass
