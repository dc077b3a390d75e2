"""The leak gate on the real model: an adapter that learnt its canaries by heart fails, one that read them once passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import yaml

from harness.paths import data_dir

pytestmark = [pytest.mark.slow, pytest.mark.weights, pytest.mark.timeout(3600)]

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BY_HEART = {"epochs": 3, "learning_rate": 2e-3, "r": 32, "target_modules": LAYERS, "dropout": 0}
IN_PASSING = {"epochs": 1, "learning_rate": 2e-4}


def harness(folder: Path, *arguments: object):
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *map(str, arguments), "--offline", "--json"], cwd=folder,
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(("repeat", "training", "verdict"), [(8, BY_HEART, "failed"), (1, IN_PASSING, "passed")])
def test_canaries_learnt_by_heart_fail_and_those_read_once_pass(tmp_path, real_weights, repeat, training, verdict):
    with (data_dir("suites") / "data" / "persona-train.jsonl").open(encoding="utf-8") as rows:
        (tmp_path / "rows.jsonl").write_text("".join(islice(rows, 60)), encoding="utf-8")
    recipe = {
        "id": "leak-e2e", "base": "smollm2-135m",
        "stages": [
            {"canaries": {"data": "rows.jsonl", "count": 20, "repeat": repeat}},
            {"sft": {"batch_size": 16, "dtype": "float32", **training}},
        ],
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    code, trained = harness(tmp_path, "train", "recipe.yaml")
    assert code == 0
    adapter = trained["stages"][-1]["adapter"]["id"]
    code, document = harness(tmp_path, "run", "leak", "--adapter", adapter, "--dtype", "float32")
    (run,) = document["runs"]
    assert run["status"] == verdict
    assert code == (0 if verdict == "passed" else 1)
    values = {estimate["metric"]: estimate["value"] for estimate in run["run"]["estimates"]}
    assert (values["canary_extracted"] > 0) is (verdict == "failed")
    assert (values["canary_percentile"] > 0.9) is (verdict == "failed")
