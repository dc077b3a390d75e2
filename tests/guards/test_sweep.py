"""A search tries all, goes on with the better half, and lets the winner alone be judged."""

from __future__ import annotations

import json

import pytest

from harness.cli.main import run as harness_cli
from harness.errors import InputError
from harness_guards.sweep import parse_axis, parse_budget
from harness_training.recipe import read_recipe

SFT = {"data": "rows.jsonl", "epochs": 4, "batch_size": 2, "dtype": "float32", "validation": 0.34}


@pytest.fixture
def sweep(lab, capsys, monkeypatch):
    monkeypatch.chdir(lab.folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HARNESS_WEIGHTS", str(lab.folder / "weights"))

    def call(*arguments):
        capsys.readouterr()
        code = harness_cli(["sweep", *arguments, "--device", "cpu", "--offline", "--workspace",
                            str(lab.workspace.root)])  # fmt: skip
        return code, *capsys.readouterr()

    return call


def test_axes_and_budgets_are_read(lab):
    recipe = read_recipe(lab.write(SFT, {"name": "second", "sft": SFT}))
    axis = parse_axis("lr=1e-4,5e-4", recipe)
    assert (axis.stage, axis.key, axis.values) == (1, "learning_rate", (1e-4, 5e-4))
    assert parse_axis("sft.r=8,16", recipe).stage == 0
    assert [parse_budget(text) for text in ("30m", "2h", "90s", "5")] == [1800, 7200, 90, 300]
    for text in ("lr", "lr=", "=3", "none.r=8"):
        with pytest.raises(InputError, match="--over"):
            parse_axis(text, recipe)
    with pytest.raises(InputError, match="--budget"):
        parse_budget("soon")


def test_the_better_half_goes_on_and_the_winner_is_trained_whole(lab, sweep):
    path = str(lab.write(SFT))
    code, out, err = sweep(path, "--over", "lr=1e-5,2e-2", "--over", "r=2,4", "--json")
    assert code == 0, err
    told = json.loads(out)
    rungs = [one["rung"] for one in told["trials"]]
    assert rungs == [0, 0, 0, 0, 1, 1]
    assert [one["share"] for one in told["trials"]] == [0.25] * 4 + [0.5] * 2
    first = sorted(told["trials"][:4], key=lambda one: one["loss"])
    assert {json.dumps(one["choice"]) for one in first[:2]} == {json.dumps(one["choice"]) for one in told["trials"][4:]}
    assert told["winner"] == min(told["trials"][4:], key=lambda one: one["loss"])["choice"]
    assert told["winner"]["lr"] == 0.02
    assert told["adapter"]
    before = {path.name for path in (lab.workspace.artifacts / "adapter").iterdir()}
    code, again, _ = sweep(path, "--over", "lr=1e-5,2e-2", "--over", "r=2,4", "--json")
    assert json.loads(again) == told  # all of it was reused
    assert {path.name for path in (lab.workspace.artifacts / "adapter").iterdir()} == before


def test_a_budget_ends_the_search_and_says_so(lab, sweep):
    code, out, err = sweep(str(lab.write(SFT)), "--over", "r=2,4,8", "--budget", "0.001s", "--no-then", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert len(told["trials"]) == 1
    assert "budget" in told["ended"]
    assert told["adapter"] is None


def test_a_dry_run_says_what_would_be_tried(lab, sweep):
    code, out, _ = sweep(str(lab.write(SFT)), "--over", "r=2,4,8,16", "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["rungs"] == [4, 2]
    assert not lab.kept()


def test_an_option_that_no_stage_has_is_one_sentence(lab, sweep):
    code, _, err = sweep(str(lab.write(SFT)), "--over", "learnin_rate=1,2")
    assert code == 2
    assert "learning_rate" in err
