"""What holds for every bundled stage: its contract, a dry run that writes nothing, and `harness why` of what it wrote."""

from __future__ import annotations

import json

import pytest
import yaml

from harness.cli.main import run
from harness.testing import assert_stage
from tests.training.conftest import PAIRS, chat_rows, write_rows

TRAINED = {"max_steps": 1, "warmup": 0.0, "learning_rate": 0.01, "batch_size": 2, "dtype": "float32"}
OPTIONS = {
    "sft": {"data": "rows.jsonl", **TRAINED},
    "dpo": {"data": "pairs.jsonl", **TRAINED},
    "reward": {"data": "pairs.jsonl", **TRAINED},
    "bpe": {"data": "text.txt", "vocabulary": 300},
    "pretrain": {"data": "text.txt", "context": 16, **TRAINED},
    "tokenizer": {"data": "text.txt", "context": 16, **TRAINED},
    "merge": {},
    "export": {"format": "gguf", "numbers": "q8_0"},
}


@pytest.fixture
def data(tmp_path):
    write_rows(tmp_path / "rows.jsonl", chat_rows())
    pairs = [{"prompt": question, "chosen": answer, "rejected": "I do not know."} for question, answer in PAIRS]
    write_rows(tmp_path / "pairs.jsonl", pairs)
    write_rows(tmp_path / "prompts.jsonl", [{"prompt": question} for question, _ in PAIRS])
    (tmp_path / "text.txt").write_text(" ".join(" ".join(pair) for pair in PAIRS * 20) + "\n")
    return tmp_path


@pytest.mark.parametrize("stage", OPTIONS)
def test_it_keeps_its_contract(data, stage):
    (data / "recipe.yaml").write_text("id: none\n")
    assert_stage(stage, data, options=OPTIONS[stage], run=stage == "bpe")


def test_one_recipe_of_all_is_planned_made_reused_and_explained(data, tiny_llama, capsys):
    stages = [
        {"tokenizer": OPTIONS["tokenizer"]},
        {"sft": OPTIONS["sft"], "name": "plain", "from": {"adapter": "start"}},
        {"dpo": OPTIONS["dpo"], "from": {"adapter": "plain"}, "name": "preferred"},
        {"reward": OPTIONS["reward"]},
        {"rlaif": {"data": "prompts.jsonl", **TRAINED, "samples": 2, "max_new_tokens": 4},
         "from": {"adapter": "preferred"}, "name": "final"},
        {"merge": {}, "from": {"adapter": "final"}},
        {"export": OPTIONS["export"]},
        {"bpe": OPTIONS["bpe"]},
        {"pretrain": OPTIONS["pretrain"], "name": "scratch"},
    ]  # fmt: skip
    recipe = data / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"id": "all", "base": str(tiny_llama), "separation": "off", "stages": stages}))

    def call(*arguments):
        capsys.readouterr()
        code = run([*map(str, arguments), "--workspace", str(data / "ws"), "--offline"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    call("train", recipe, "--dry-run", "--device", "cpu")
    assert not list((data / "ws").glob("artifacts/*/*"))
    made = json.loads(call("train", recipe, "--json", "--device", "cpu"))["stages"]
    assert {stage["name"]: stage["trained"] for stage in made} == dict.fromkeys((stage["name"] for stage in made), True)
    kinds = {kind: kept["id"] for stage in made for kind, kept in stage["artifacts"].items()}
    assert set(kinds) == {"adapter", "reward", "model", "export", "tokenizer"}
    again = json.loads(call("train", recipe, "--json", "--device", "cpu"))["stages"]
    assert {stage["name"]: stage["reused"] for stage in again} == dict.fromkeys((stage["name"] for stage in made), True)
    for kind, identity in kinds.items():
        shown = call("why", identity)
        assert identity in shown, kind
    assert "reward" in call("why", kinds["adapter"])  # the last adapter was rewarded by it
