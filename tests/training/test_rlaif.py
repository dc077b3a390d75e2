"""The rlaif stage: rewards by a model and by critics, monitors, and limits that keep the last good adapter."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.plugins import load_plugins
from harness_stages.collapse import distinct_share
from tests.training.conftest import PAIRS, write_rows

PLUGIN = '''\
from harness import Critic, hookimpl


class Blue(Critic):
    """Likes some lengths better than others."""

    def fingerprint(self):
        return "lengths 1"

    def judge(self, case):
        return len(case.completion.text) % 7 / 7, ""
        yield


class Never(Blue):
    """Likes nothing."""

    def fingerprint(self):
        return "never 1"

    def judge(self, case):
        return 0.0, ""
        yield


@hookimpl
def register_critics(register):
    register("blue", Blue)
    register("never", Never)
'''
QUICK = {"data": "prompts.jsonl", "max_steps": 3, "batch_size": 4, "samples": 4, "max_new_tokens": 8,
         "learning_rate": 0.01, "dtype": "float32"}  # fmt: skip
REWARD = {"data": "pairs.jsonl", "epochs": 2, "batch_size": 4, "learning_rate": 0.01, "dtype": "float32"}


@pytest.fixture
def rl_lab(lab):
    write_rows(lab.folder / "prompts.jsonl", [{"prompt": question} for question, _ in PAIRS])
    pairs = [{"prompt": question, "chosen": answer, "rejected": "I do not know."} for question, answer in PAIRS]
    write_rows(lab.folder / "pairs.jsonl", pairs)
    (lab.folder / "blue.py").write_text(PLUGIN)
    (lab.folder / "rules.yaml").write_text(
        "id: rules\nprinciples:\n  - {id: blue, text: Be of a good length., critics: [blue]}\n"
    )
    return lab


def test_a_reward_model_and_critics_reward_together(rl_lab):
    recipe = rl_lab.write({"reward": REWARD}, {"rlaif": QUICK}, constitution="./rules.yaml")
    plugins = load_plugins([str(rl_lab.folder / "blue.py")], installed=False)
    reward, trained = rl_lab.train(recipe, plugins=plugins)
    figures = trained.record.figures
    assert trained.adapter is not None
    assert figures["steps"] == 3
    assert 0 <= figures["reward_constitution_last"] <= 1
    assert figures["reward_reward_model_last"] != 0
    assert figures["unscored_answers"] == 0
    assert figures["kl_first"] == pytest.approx(0, abs=1e-6)  # the first step's model is the reference
    assert figures["kl_largest"] > 0
    assert trained.record.inputs["reward"] == reward.kept["reward"].artifact.id
    assert "critic blue" in trained.record.inputs
    assert rl_lab.train(recipe, plugins=plugins)[1].reused
    folder = rl_lab.workspace.artifacts / "reward" / reward.kept["reward"].artifact.id
    (by_path,) = rl_lab.train(rl_lab.write({"rlaif": {**QUICK, "max_steps": 1, "reward": str(folder)}}))
    assert len(by_path.record.inputs["reward"]) == 64


def test_by_what_rewards_are_divided_decides_how_much_each_prompt_teaches(rl_lab):
    """With two prompts a step, the three ways weigh the two groups of answers differently."""
    from safetensors.numpy import load_file

    plugins = load_plugins([str(rl_lab.folder / "blue.py")], installed=False)
    options = {**QUICK, "max_steps": 2, "batch_size": 8, "max_grad_norm": 1e6, "scheduler": "constant", "warmup": 0.0}
    options |= {"beta": 0.0, "learning_rate": 0.01, "length_weight": 0.0}
    learned = []
    for way in ("group", "batch", "none"):
        recipe = rl_lab.write({"rlaif": {**options, "scale_rewards": way}}, constitution="./rules.yaml")
        (result,) = rl_lab.train(recipe, plugins=plugins)
        tensors = load_file(str(result.kept["adapter"].path / "adapter_model.safetensors"))
        learned.append(b"".join(tensors[name].tobytes() for name in sorted(tensors)))
    assert len(set(learned)) == 3
    with pytest.raises(InputError, match=r"scale_rewards"):
        rl_lab.train(rl_lab.write({"rlaif": {**options, "scale_rewards": "both"}}, constitution="./rules.yaml"),
                     plugins=plugins, dry_run=True)  # fmt: skip


def test_prompts_come_from_several_files(rl_lab):
    write_rows(rl_lab.folder / "more.jsonl", [{"prompt": "Who rows the boat?"}, {"prompt": "Who rings the bell?"}])
    plugins = load_plugins([str(rl_lab.folder / "blue.py")], installed=False)
    options = {**QUICK, "max_steps": 2, "more_data": ["more.jsonl"]}
    (result,) = rl_lab.train(rl_lab.write({"rlaif": options}, constitution="./rules.yaml"), plugins=plugins)
    assert result.record.figures["prompts"] == len(PAIRS) + 2
    assert len(result.record.inputs["data 2"]) == 64
    write_rows(rl_lab.folder / "more.jsonl", [{"prompt": "Who rows the boat?"}, {"prompt": ""}])
    with pytest.raises(InputError, match=r"more.jsonl:2"):  # another content: trained anew, and read first
        rl_lab.train(rl_lab.write({"rlaif": options}, constitution="./rules.yaml"), plugins=plugins)
    with pytest.raises(InputError, match=r"more_data\[0\]: there is no file"):
        rl_lab.train(rl_lab.write({"rlaif": {**options, "more_data": ["none.jsonl"]}}, constitution="./rules.yaml"),
                     plugins=plugins)  # fmt: skip


@pytest.mark.parametrize("harmful", [True, False])
def test_principles_may_speak_of_harmless_prompts_alone(rl_lab, harmful):
    rows = [{"prompt": question, "harmful": harmful} for question, _ in PAIRS]
    write_rows(rl_lab.folder / "prompts.jsonl", rows)
    (rl_lab.folder / "rules.yaml").write_text(
        "id: rules\nprinciples:\n"
        "  - {id: blue, text: Be of a good length., critics: [blue], applies_to: {any_tag: [benign]}}\n"
        "  - {id: never, text: Say nothing., critics: [never], applies_to: {no_tag: [benign]}}\n"
    )
    plugins = load_plugins([str(rl_lab.folder / "blue.py")], installed=False)
    recipe = rl_lab.write({"rlaif": {**QUICK, "max_steps": 1}}, constitution="./rules.yaml")
    (result,) = rl_lab.train(recipe, plugins=plugins)
    assert (result.record.figures["reward_constitution_first"] == 0) is harmful


def test_limits_end_training_with_the_last_good_adapter(rl_lab):
    """The first step that moves the adapter at all breaks the limit; the adapter is then what it was before."""
    options = {**QUICK, "max_steps": 6, "learning_rate": 0.05, "stop_if": {"kl": 1e-9}, "constitution_weight": 1}
    plugins = load_plugins([str(rl_lab.folder / "blue.py")], installed=False)
    (result,) = rl_lab.train(rl_lab.write({"rlaif": options}, constitution="./rules.yaml"), plugins=plugins)
    figures = result.record.figures
    assert f"stopped at step {figures['stopped_at']:.0f}: the KL divergence" in result.note
    from safetensors.numpy import load_file

    tensors = load_file(str(result.kept["adapter"].path / "adapter_model.safetensors"))
    assert 2 <= figures["stopped_at"] < 6
    assert not any(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)  # as it began


def test_dry_runs_and_mistakes(rl_lab):
    with pytest.raises(InputError, match=r"rlaif.reward: nothing rewards the answers; add a reward stage before"):
        rl_lab.train(rl_lab.write({"rlaif": QUICK}), dry_run=True)
    with pytest.raises(InputError, match=r"rlaif.reward: .*no reward model"):
        rl_lab.train(rl_lab.write({"rlaif": {**QUICK, "reward": "."}}), dry_run=True)
    with pytest.raises(InputError, match=r"rlaif.samples: batch_size × gradient_accumulation is 4, which 3 answers"):
        rl_lab.train(rl_lab.write({"reward": REWARD}, {"rlaif": {**QUICK, "samples": 3}}))
    with pytest.raises(InputError, match=r"prompts.jsonl:1: the prompt takes"):
        rl_lab.train(rl_lab.write({"reward": REWARD}, {"rlaif": {**QUICK, "max_length": 10}}))
    planned = rl_lab.train(rl_lab.write({"reward": REWARD}, {"rlaif": QUICK}),
                           dry_run=True)  # fmt: skip
    assert [result.word for result in planned] == ["reused", "would be trained"]


def test_distinct_pairs_of_words():
    assert distinct_share(["a b c", "a b"]) == 2 / 3
    assert distinct_share(["one"]) == 1
