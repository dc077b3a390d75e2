"""The reward stage: an artifact that scores, and honest figures about it."""

from __future__ import annotations

import math

import pytest

from harness.errors import InputError
from harness_stages.calibration import expected_calibration_error, fitted_temperature, logistic
from tests.training.conftest import PAIRS, write_rows

QUICK = {"data": "pairs.jsonl", "epochs": 8, "batch_size": 4, "learning_rate": 0.01, "dtype": "float32",
         "validation": 0.34}  # fmt: skip


@pytest.fixture
def pair_lab(lab):
    rows = [{"prompt": question, "chosen": answer, "rejected": "I do not know."} for question, answer in PAIRS]
    write_rows(lab.folder / "pairs.jsonl", rows)
    return lab


def test_a_reward_model_is_kept_scored_and_reused(pair_lab):
    from harness_stages.reward_model import load_reward_model

    (result,) = pair_lab.train(pair_lab.write({"reward": QUICK}))
    figures, kept = result.record.figures, result.kept["reward"]
    assert figures["loss_last"] < figures["loss_first"]
    assert figures["validation_pairs"] == 2
    assert figures["validation_accuracy"] == 1  # one answer for all is easily told from the others
    assert 0 <= figures["validation_ece"] <= 1
    names = sorted(path.name for path in kept.path.iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors", "artifact.json", "reward.json"]
    assert result.adapter is None
    assert pair_lab.train(pair_lab.write({"reward": QUICK}))[0].reused

    model = load_reward_model(kept.path, pair_lab.base, device="cpu", pad=2)
    short, long = [5, 6, 7, 8, 2], [5, 6, 7, 8, 9, 10, 11, 2]
    together = model.rewards([long, short])
    assert together == pytest.approx([model.rewards([long])[0], model.rewards([short])[0]], abs=1e-5)


def test_pairs_of_one_prompt_cannot_be_measured(lab):
    write_rows(lab.folder / "pairs.jsonl", [{"prompt": "a", "chosen": c, "rejected": "no"} for c in "bcd"])
    with pytest.raises(InputError, match="all pairs have one prompt"):
        lab.train(lab.write({"reward": QUICK}))


def test_a_reward_model_of_another_base_is_refused(pair_lab, make_llama, tmp_path):
    from harness_stages.reward_model import load_reward_model

    (result,) = pair_lab.train(pair_lab.write({"reward": {**QUICK, "max_steps": 1}}))
    other = make_llama(tmp_path / "other", hidden=64)
    with pytest.raises(InputError, match="does not fit this base"):
        load_reward_model(result.kept["reward"].path, other, device="cpu", pad=2)
    with pytest.raises(InputError, match=r"no reward model|has no adapter_config"):
        load_reward_model(tmp_path, pair_lab.base, device="cpu", pad=2)


def test_calibration_error_by_hand():
    assert expected_calibration_error([0.9] * 9 + [0.1]) == pytest.approx(0.0)
    assert expected_calibration_error([0.99] * 5 + [0.01] * 5) == pytest.approx(0.49)
    assert expected_calibration_error([0.5, 0.5]) == 0
    assert logistic(0) == 0.5
    assert logistic(800) == 1
    # Right nine times of ten, always by a margin of 4: the margin that says 90 % is ln 9.
    assert fitted_temperature([4.0] * 9 + [-4.0]) == pytest.approx(4 / math.log(9), rel=0.03)
