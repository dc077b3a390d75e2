"""Monitors at each evaluation point of every stage that they mean something for, and `stop_if` that keeps the last good."""

from __future__ import annotations

import json
import math

import pytest

from harness.errors import BrokenRunError, InputError
from harness_stages import monitors
from harness_stages.collapse import Signs, StopIf, distinct_share, generated_share, measure_texts, repetition
from tests.training.conftest import PAIRS, chat_rows, write_rows

QUICK = {"max_steps": 4, "batch_size": 2, "learning_rate": 0.01, "dtype": "float32", "evaluate_every": 1}
SFT = {"data": "rows.jsonl", "validation": 0.4, "monitored_prompts": 2, "monitored_tokens": 6, **QUICK}
SIGNS = {"length", "distinct_1", "distinct_2", "repetition", "entropy", "perplexity"}


@pytest.fixture
def watched(lab):
    rows = chat_rows()
    rows[0]["source"] = "revision"
    write_rows(lab.folder / "rows.jsonl", rows)
    pairs = [{"prompt": question, "chosen": answer, "rejected": "I do not know."} for question, answer in PAIRS]
    write_rows(lab.folder / "pairs.jsonl", [{**pair, "source": "sample"} for pair in pairs])
    return lab


def curves_of(lab):
    (folder,) = (lab.workspace.artifacts / "curves").iterdir()
    return json.loads((folder / "curves.json").read_text())["curves"]


def test_what_answers_look_like():
    assert distinct_share(["a b a b", "a b"]) == pytest.approx(2 / 4)
    assert repetition(["a b c d a b c d a b c d", "one two three four"]) == pytest.approx((1 - 4 / 9) / 2)
    assert repetition(["too short"]) == 0
    assert measure_texts([], [])["length"] == 0
    assert generated_share(["revision", "own reply", "", "people"]) == 0.5


@pytest.mark.parametrize(("limits", "values", "said"), [
    ({"length": 2}, {"length": [10, 21]}, "answers had 21 tokens, and 10 at first"),
    ({"length": 2}, {"length": [10, 4]}, "answers had 4 tokens"),
    ({"distinct": 0.5}, {"distinct_2": [0.8, 0.3]}, "30% of the answers' word pairs were distinct, and 80%"),
    ({"repetition": 0.2}, {"repetition": [0.0, 0.5]}, "50% of an answer's runs"),
    ({"entropy": 0.5}, {"entropy": [2.0, 0.9]}, "entropy was 0.9 nats, and 2 at first"),
    ({"perplexity": 1.1}, {"perplexity": [10.0, 12.0]}, "perplexity was 12, and 10"),
    ({"perplexity": 1.1}, {"perplexity": [10.0, math.inf]}, "perplexity was inf"),
    ({"kl": 0.1}, {"kl": [0.0, 0.2]}, "KL divergence from the reference was 0.2"),
    ({"self_generated": 0.5}, {"self_generated": [0.6]}, "models wrote 60%"),
])  # fmt: skip
def test_a_limit_is_broken_by_what_is_beyond_it_and_by_nothing_else(limits, values, said):
    signs, free = Signs(StopIf(**limits)), Signs(StopIf())
    for name, points in values.items():
        for step, value in enumerate(points):
            signs.note(step, {name: value})
            free.note(step, {name: value})
    assert said in signs.breach()
    assert free.breach() == ""
    again = Signs(StopIf(**limits))
    again.note(0, {name: points[0] for name, points in values.items()})
    again.note(1, {name: points[0] for name, points in values.items()})
    assert again.breach() == "" or "self_generated" in limits


def test_sft_is_watched_at_each_evaluation_point(watched):
    (result,) = watched.train(watched.write(SFT))
    found, figures = curves_of(watched), result.record.figures
    assert found.keys() >= SIGNS
    assert [step for step, _ in found["entropy"]] == [0, 1, 2, 3, 4]
    assert all(math.exp(loss) == pytest.approx(perplexity) for (_, loss), (_, perplexity) in
               zip(found["validation_loss"], found["perplexity"], strict=True))  # fmt: skip
    assert 0 < figures["self_generated"] < 1
    assert 0 < figures["entropy_first"] <= math.log(400)


def test_dpo_and_reward_are_watched_by_what_they_have(watched):
    pairs = {"data": "pairs.jsonl", "validation": 0.4, **QUICK}
    watched.train(watched.write({"dpo": {**pairs, "monitored_prompts": 2, "monitored_tokens": 6}}))
    assert curves_of(watched).keys() >= SIGNS
    (reward,) = watched.train(watched.write({"reward": pairs}))
    assert reward.record.figures["validation_loss_first"] > 0
    with pytest.raises(
        InputError, match=r"reward.stop_if.length: the stage reward does not measure it; it measures loss"
    ):
        watched.train(watched.write({"reward": {**pairs, "stop_if": {"length": 2}}}))


def test_stop_if_keeps_the_adapter_of_the_last_good_point(watched, monkeypatch):
    """Answers that suddenly repeat themselves end the training; the adapter is what it was the evaluation before."""
    from safetensors.numpy import load_file

    def tensors(result):
        return load_file(str(result.kept["adapter"].path / "adapter_model.safetensors"))

    # The rate stays constant, so that a training of two steps is the first half of one of four.
    options = {**SFT, "scheduler": "constant", "warmup": 0.0}
    (two,) = watched.train(watched.write({**options, "max_steps": 2}))
    calls = []

    def measured(texts, lengths):
        calls.append(texts)
        return {"repetition": 0.9 if len(calls) > 3 else 0.1}

    monkeypatch.setattr(monitors, "measure_texts", measured)
    (stopped,) = watched.train(watched.write({**options, "stop_if": {"repetition": 0.5}}))
    assert stopped.record.figures["stopped_at"] == 3
    assert "stopped at step 3: 90% of an answer's runs of four words stood in it before" in stopped.note
    wanted, found = tensors(two), tensors(stopped)
    assert all((wanted[name] == found[name]).all() for name in wanted)


def test_too_much_of_its_own_writing_ends_it_before_the_first_step(watched):
    pairs = {"data": "pairs.jsonl", "validation": 0.4, **QUICK, "stop_if": {"self_generated": 0.5}}
    with pytest.raises(BrokenRunError, match="before its first step: models wrote 100% of the rows"):
        watched.train(watched.write({"dpo": pairs}))


def test_a_limit_on_what_is_not_held_out_is_refused(watched):
    with pytest.raises(InputError, match=r"sft.stop_if.perplexity: nothing is held out to measure; add validation"):
        watched.train(watched.write({**SFT, "validation": 0, "stop_if": {"perplexity": 2}}))


@pytest.mark.parametrize("name", ["entropy", "distinct", "perplexity", "length"])
def test_what_is_no_number_is_beyond_every_limit(name):
    measured = {"distinct": "distinct_2"}.get(name, name)
    limit = {"entropy": 0.5, "distinct": 0.5}.get(name, 2.0)
    for first in (2.0, math.nan):
        signs = Signs(StopIf(**{name: limit}))
        signs.note(0, {measured: first})
        signs.note(1, {measured: math.nan})
        assert signs.breach(), first
