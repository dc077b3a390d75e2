"""The dpo stage: pairs read strictly, learned by TRL, and the adapter kept like any other."""

from __future__ import annotations

import json

import pytest

from harness.errors import InputError
from harness_stages.preferences import held_out, read_pairs
from tests.training.conftest import PAIRS, write_rows

QUICK = {"data": "pairs.jsonl", "epochs": 6, "batch_size": 4, "learning_rate": 0.01, "dtype": "float32", "dropout": 0.0}


def pair_rows():
    return [
        {
            "prompt": question,
            "chosen": answer,
            "rejected": "I do not know that.",
            "confidence": number,
            "principle": "p",
        }
        for number, (question, answer) in enumerate(PAIRS)
    ]


@pytest.fixture
def pair_lab(lab):
    write_rows(lab.folder / "pairs.jsonl", pair_rows())
    return lab


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "kto"])
def test_the_chosen_answers_become_likelier(pair_lab, loss):
    (result,) = pair_lab.train(pair_lab.write({"dpo": {**QUICK, "loss": loss, "validation": 0.0}}))
    figures = result.record.figures
    assert result.trained
    assert figures["pairs"] == 6
    assert figures["loss_last"] < figures["loss_first"]
    if loss != "kto":  # KTO's trainer sees each answer by itself
        assert figures["margin_last"] > 0
    assert pair_lab.train(pair_lab.write({"dpo": {**QUICK, "loss": loss, "validation": 0.0}}))[0].reused


def test_held_out_pairs_are_judged_and_an_adapter_goes_on(pair_lab):
    first, second = pair_lab.train(pair_lab.write(
        {"sft": {"data": "rows.jsonl", "max_steps": 2, "dtype": "float32"}}, {"dpo": {**QUICK, "validation": 0.34}},
    ))  # fmt: skip
    assert second.record.inputs["adapter"] == first.adapter.id
    assert second.record.figures["validation_pairs"] == 2
    assert 0 <= second.record.figures["validation_accuracy"] <= 1
    files = sorted(path.name for path in (pair_lab.workspace.artifacts / "adapter" / second.adapter.id).iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors", "artifact.json"]


def test_a_dry_run_makes_nothing(pair_lab):
    (result,) = pair_lab.train(pair_lab.write({"dpo": QUICK}), dry_run=True)
    assert not result.trained
    assert not pair_lab.kept()


def test_the_same_seed_gives_the_same_bytes(pair_lab):
    first = pair_lab.train(pair_lab.write({"dpo": QUICK}))[0]
    assert pair_lab.train(pair_lab.write({"dpo": QUICK}), force=True)[0].adapter.id == first.adapter.id
    assert pair_lab.train(pair_lab.write({"dpo": QUICK}), seed=5)[0].adapter.id != first.adapter.id


GOOD = {"prompt": "a", "chosen": "b", "rejected": "c"}
TALK = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: More?\n\nAssistant:"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "2: a pair must be a JSON object, this is a list"),
        ({"prompt": "a", "chosen": "b"}, "2: the key 'rejected' is missing"),
        ({"prompt": "a", "chosen": "b", "rejcted": "c"}, "2: rejcted: unknown key; did you mean 'rejected'"),
        ({**GOOD, "confidnce": 2}, "2: confidnce: unknown key; did you mean 'confidence'"),
        ({**GOOD, "chosen": " c"}, "2: chosen and rejected are the same"),
        ({**GOOD, "chosen": ""}, "2: chosen: is empty"),
        ({**GOOD, "confidence": "high"}, "2: confidence: must be a number, this is text"),
        ({**GOOD, "prompt": [{"role": "assistant", "content": "x"}]}, "2: prompt: ends with the assistant's turn"),
        ({**GOOD, "prompt": [{"role": "user"}]}, r"2: prompt\[0\]: the key 'content' is missing"),
        ({**GOOD, "chosen": [{"role": "user", "content": "x"}]}, "2: chosen: must be one message of the assistant"),
        ({"chosen": "b", "rejected": "c"}, "2: chosen: the key 'prompt' is missing, and this is no conversation"),
        ({"chosen": TALK + " Yes", "rejected": TALK.replace("Hello", "Ho") + " No"}, "2: rejected: the two conversat"),
        ({"chosen": TALK + " Yes\n\nHuman: And", "rejected": TALK}, "2: chosen: Human and Assistant do not take turns"),
        ({"chosen": TALK + " Yes", "rejected": TALK}, "2: rejected: a turn of the assistant is empty"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(tmp_path, row, message):
    path = write_rows(tmp_path / "pairs.jsonl", [GOOD, row])
    with pytest.raises(InputError, match=f"pairs.jsonl:{message}"):
        read_pairs(path)


def test_hh_rlhf_as_published(tmp_path):
    path = write_rows(tmp_path / "hh.jsonl", [{"chosen": TALK + " Yes.", "rejected": TALK + " No."}])
    (pair,) = read_pairs(path).good
    assert [turn.role for turn in pair.prompt] == ["user", "assistant", "user"]
    assert (pair.chosen, pair.rejected, pair.confidence, pair.line) == ("Yes.", "No.", None, 1)


def test_bad_rows_are_counted_listed_and_bounded(tmp_path):
    path = tmp_path / "pairs.jsonl"
    good = [json.dumps({**GOOD, "prompt": str(number)}) for number in range(8)]
    path.write_text("\n".join([*good[:3], "{no json", *good[3:], json.dumps({"prompt": "x"})]) + "\n")
    found = read_pairs(path, most_bad=0.2)
    assert len(found.good) == 8
    assert "2 of 10 rows of" in found.note
    assert "line 4 (not valid JSON" in found.note
    assert "line 10 (the key 'chosen' is missing)" in found.note
    with pytest.raises(InputError, match=r"2 of 10 rows are not what they should be, and max_bad_rows allows 10.00%"):
        read_pairs(path, most_bad=0.1)


def test_left_out_rows_reach_the_person(pair_lab):
    with (pair_lab.folder / "pairs.jsonl").open("a") as file:
        file.write("{}\n")
    (result,) = pair_lab.train(pair_lab.write({"dpo": {**QUICK, "max_steps": 1, "max_bad_rows": 0.2}}))
    assert "1 of 7 rows" in result.note
    assert result.record.figures["bad_rows"] == 1


def test_confidence_chooses_and_prompts_stay_together(pair_lab):
    (result,) = pair_lab.train(pair_lab.write({"dpo": {**QUICK, "min_confidence": 3, "max_steps": 1}}))
    assert result.record.figures["pairs"] == 3
    with pytest.raises(InputError, match="1 of 6 pairs are left"):
        pair_lab.train(pair_lab.write({"dpo": {**QUICK, "min_confidence": 5}}))
    rows = pair_rows()
    twice = write_rows(pair_lab.folder / "twice.jsonl", [*rows, *({**row, "rejected": "No idea."} for row in rows)])
    learned, held = held_out(read_pairs(twice).good, 0.3, seed=1)
    assert not {pair.prompt for pair in learned} & {pair.prompt for pair in held}
    assert len(held) == 4


def test_without_data_it_says_so(lab):
    with pytest.raises(InputError, match="'data' is missing, and no stage before wrote preferences"):
        lab.train(lab.write({"dpo": {"epochs": 1}}))
