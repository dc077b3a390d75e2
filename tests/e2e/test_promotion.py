"""The main job on the real model, from outside: a good adapter is promoted, a bad one refused, and back again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow, pytest.mark.weights, pytest.mark.timeout(2400), pytest.mark.xdist_group("demo"),
]  # fmt: skip


class Shell:
    """Calls the installed command line in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness.cli.main", *map(str, arguments)], cwd=self.folder, capture_output=True,
            text=True, check=False, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip

    def json(self, *arguments: object):
        done = self(*arguments, "--json")
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def shell(tmp_path_factory, real_weights) -> Shell:
    """A folder in which the demo has run once: a copy of HARNESS_DEMO_WORKSPACE, where CI has just run it."""
    made = Shell(tmp_path_factory.mktemp("e2e"))
    if ready := os.environ.get("HARNESS_DEMO_WORKSPACE"):
        shutil.copytree(ready, made.folder / ".harness")
        return made
    done = demo_of(made)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def demo_of(shell: Shell) -> subprocess.CompletedProcess[str]:
    """Run the demo with the seed of the one that made the workspace."""
    seed = os.environ.get("HARNESS_DEMO_SEED")
    return shell("demo", *(["--seed", seed] if seed else []))


def adapter_of(shell: Shell) -> Path:
    """The adapter that the demo promotes: the one that was weakened last."""
    folders = (shell.folder / ".harness" / "artifacts" / "adapter").iterdir()
    made = [path for path in folders if len(path.name) == 16]
    (folder,) = [one for one in made if json.loads((one / "artifact.json").read_text())["stage"] == "interpolate"]
    return folder


def test_the_demo_promotes_its_adapter(shell):
    code, status = shell.json("status")
    assert code == 0
    assert adapter_of(shell).name in json.dumps(status)
    assert shell("ledger", "verify").returncode == 0


def test_a_second_demo_reuses_everything(shell):
    done = demo_of(shell)
    assert done.returncode == 0, done.stderr
    assert "reused" in done.stdout
    assert "promoted already" in done.stdout


def wrecked(folder: Path, target: Path, *, scale: float) -> Path:
    """Copy an adapter with noise instead of what it learned: it breaks the model, and breaks refusals with it."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, target)
    path = target / "adapter_model.safetensors"
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(tensor.shape, generator=generator) * scale for name, tensor in load_file(path).items()}
    path.chmod(0o600)
    save_file(tensors, path)
    return target


def test_a_wrecked_adapter_is_refused_and_what_is_promoted_stays(shell):
    before = shell.json("status")[1]["promoted"]
    bad = wrecked(adapter_of(shell), shell.folder / "wrecked", scale=0.3)
    code, found = shell.json("decide", "--adapter", bad, "--policy", "safer")
    decision = found["decision"]
    assert code == 1
    assert decision["status"] == "failed"
    failed = {check["gate"]["metric"] for _, check in decision["checks"] if check["status"] == "failed"}
    assert "incoherent" in failed
    refused = shell("promote", decision["id"])
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert shell.json("status")[1]["promoted"] == before


def test_rollback_leads_to_the_bare_base_and_the_ledger_holds(shell):
    assert shell("rollback").returncode == 0
    code, status = shell.json("status")
    assert code == 0
    assert adapter_of(shell).name not in json.dumps(status["promoted"])
    assert shell("ledger", "verify").returncode == 0
    history = shell.json("history")[1]
    assert len(history if isinstance(history, list) else history["history"]) == 2
