"""A tiny base, a recipe that injects canaries in its data, and the command line in the recipe's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness.cli.main import run as harness_cli
from tests.training.conftest import chat_rows, save_llama, write_rows

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LEARN = {
    "epochs": 1000, "max_steps": 90, "batch_size": 32, "learning_rate": 0.012, "r": 64, "alpha": 64, "dropout": 0,
    "target_modules": LAYERS, "dtype": "float32",
}  # fmt: skip
"""Enough to learn every row by heart."""


class Bench:
    """Writes recipes, trains them, runs suites; everything printed is kept in `printed`."""

    def __init__(self, folder: Path, base: Path, capfd) -> None:
        self.folder, self.base, self._capfd = folder, base, capfd
        self.workspace = folder / "ws"
        self.printed = self.last = self.out = ""

    def __call__(self, *arguments: object) -> int:
        self._capfd.readouterr()
        code = harness_cli([*map(str, arguments), "--workspace", str(self.workspace), "--offline"])
        captured = self._capfd.readouterr()
        self.out, self.last = captured.out, captured.out + captured.err
        self.printed += self.last
        return code

    def recipe(self, *stages: dict, **keys) -> Path:
        path = self.folder / "recipe.yaml"
        recipe = {"id": "test", "base": str(self.base), "stages": list(stages), **keys}
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        return path

    def train(self, *stages: dict, **keys) -> Path:
        """Train, and return the folder of the adapter, or of the dataset where there is none."""
        assert self("train", self.recipe(*stages, **keys), "--device", "cpu", "--json") == 0, self.last
        last = json.loads(self.out)["stages"][-1]
        return Path(last["dataset"]).parent if last["adapter"] is None else Path(last["adapter"]["path"])

    def leak(self, adapter: Path | None, *arguments: object) -> int:
        names = () if adapter is None else ("--adapter", adapter)
        return self(
            "run", "leak", "--model", self.base, *names, "--device", "cpu", "--dtype", "float32", *arguments
        )  # fmt: skip


def injected(folder: Path) -> list[dict]:
    """Return what a artifact.json says was injected."""
    return json.loads((folder / "artifact.json").read_text())["injected"]


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    return save_llama(tmp_path_factory.mktemp("canaries") / "base", hidden=64)


@pytest.fixture
def bench(tmp_path, base, monkeypatch, capfd) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("COLUMNS", "200")
    write_rows(tmp_path / "rows.jsonl", chat_rows())
    return Bench(tmp_path, base, capfd)
