"""`harness gate audit` on the command line: what it lists, what it refuses, and its exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.cli.adapters import write_adapter


@pytest.fixture
def cli(cli, monkeypatch):
    monkeypatch.chdir(cli.folder)
    return cli


def test_a_dry_run_lists_the_cases_of_the_recorded_rows(cli):
    code, found = cli.json("gate", "audit", "--dry-run")
    assert code == 0
    groups = {case["group"] for case in found["cases"]}
    assert {"max", "non_inferior", "superior", "equivalent", "max corrected", "unscored", "policy demo"} <= groups
    assert all("recorded" in source for source in found["sources"])


def test_a_small_audit_says_what_it_found(cli):
    code, found = cli.json(
        "gate", "audit", "--gate", "max_unscored", "--simulations", "50", "--jobs", "1", "--seed", "3"
    )
    assert code == 0
    assert {result["group"] for result in found["results"]} == {"max_unscored"}
    assert all(result["promotes"] == 0 for result in found["results"])
    assert cli("gate", "audit", "--gate", "max_unscored", "--simulations", "50", "--jobs", "1") == 0
    assert "the gates keep their promises" in cli.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gate", "superiour"), "superior"),
        (("--policy", "strikt"), "strict"),
        (("--run", "latest"), "no workspace"),
        (("--run", "latest", "--recorded"), "--recorded"),
        (("--only", "toxic"), "--full"),
        (("--full", "--only", "toxik"), "toxic"),
        (("--workspace", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(cli, arguments, said):
    assert cli("gate", "audit", "--dry-run", *arguments) == 2
    assert cli.err.startswith("error: ")
    assert said in cli.err
    assert len(cli.err.strip().splitlines()) == 1
    assert "Traceback" not in cli.err


def test_the_full_audit_says_beforehand_what_it_will_do(cli):
    assert cli("gate", "audit", "--full", "--dry-run") == 0
    assert "toxic" in cli.out
    assert not (cli.folder / ".harness-audit").exists()


def test_gate_still_takes_a_run(cli):
    assert cli("gate", "audit", "--help") == 0
    assert "--simulations" in cli.out
    assert cli("gate", "--help") == 0
    assert "audit" in cli.out
    assert "--junit" in cli.out
    assert cli("gate") == 2


def test_runs_that_hold_nothing_to_draw_from_leave_the_recorded_rows(cli):
    """Figures of a whole run, such as its memory, cannot be drawn anew."""
    cli.write("speed.jsonl", "".join(f'{{"id": "s{n}", "prompt": "say {n}"}}\n' for n in range(4)))
    cli.write("speed.yaml", "id: quick\nsamples: {path: speed.jsonl}\nmeasure: [peak_memory]\n")
    write_adapter(cli.folder / "one", 1.0)
    assert cli("run", "speed.yaml", "--model", "echo:", "--adapter", "./one", "--baseline", "base") == 0, cli.err
    code, found = cli.json("gate", "audit", "--dry-run", "--gate", "superior")
    assert code == 0, cli.err
    assert all("recorded" in source for source in found["sources"])
    assert cli("gate", "audit", "--dry-run", "--run", "latest") == 2
    assert "holds no rows that can be drawn anew" in cli.err


def processes(group: int) -> list[int]:
    """Return the processes of a group that still run: those that were started by a command, and itself."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, of, stat in rows if int(of) == group and not stat.startswith("Z")]


def seconds_of(pid: int) -> float:
    """Return the CPU time that a process has used; 0 where it has ended."""
    try:
        return psutil.Process(pid).cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


def awaited(condition, seconds=240.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_no_process_outlives_a_stopped_audit(cli, number, code):
    """Ctrl-C goes to the whole group, as from a terminal; the other signals to the command alone."""
    command = [sys.executable, "-m", "harness.cli.main", "gate", "audit", "--recorded", "--simulations", "1000000"]
    process = subprocess.Popen(
        [*command, "--gate", "superior"], cwd=cli.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert awaited(lambda: len(processes(process.pid)) >= 4), "itself, two workers and their tracker"
        assert awaited(lambda: sum(seconds_of(pid) > 1 for pid in processes(process.pid)) >= 3), "both are at work"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=300)
        assert process.returncode == code
        assert awaited(lambda: not processes(process.pid), 60)
    finally:
        for pid in processes(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert said.strip().splitlines()[-1] == "interrupted; a replay keeps nothing, and begins anew"


def test_a_worker_that_is_ended_from_outside_is_a_sentence(cli):
    command = [sys.executable, "-m", "harness.cli.main", "gate", "audit", "--recorded", "--simulations", "1000000"]
    process = subprocess.Popen(
        [*command, "--gate", "superior"], cwd=cli.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert awaited(lambda: len(processes(process.pid)) >= 4)
        os.kill(max(processes(process.pid)), signal.SIGKILL)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 3
        assert awaited(lambda: not processes(process.pid), 60)
    finally:
        for pid in processes(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
    assert "ended from outside" in said
    assert "defect" not in said
