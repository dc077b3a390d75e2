"""Sources mixed by weight, earlier rows replayed, loss held out, and training that ends when it no longer falls."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness_stages.mixing import mix, part
from tests.training.conftest import chat_rows, write_rows

QUICK = {"max_steps": 2, "batch_size": 2, "dtype": "float32"}


def test_shares_follow_the_weights_and_no_row_comes_twice():
    personal, general = [f"p{n}" for n in range(70)], [f"g{n}" for n in range(1000)]
    first, second = mix([personal, general], [70, 30], total=None, seed=1)
    assert (len(first), len(second)) == (70, 30)
    assert sorted(first) == sorted(personal)
    assert len(set(second)) == 30
    assert mix([personal, general], [70, 30], total=None, seed=1) == [first, second]
    assert mix([personal, general], [70, 30], total=None, seed=2)[1] != second


def test_a_total_repeats_what_is_scarce_only_when_all_of_it_came():
    first, second = mix([["a", "b"], list("vwxyz")], [1, 1], total=10, seed=0)
    assert sorted(first) == ["a", "a", "a", "b", "b"] or sorted(first) == ["a", "a", "b", "b", "b"]
    assert sorted(second) == list("vwxyz")


def test_parting_keeps_every_row_once():
    learned, held = part(list(range(20)), 0.1, seed=3)
    assert len(held) == 2
    assert sorted(learned + held) == list(range(20))
    assert part([1], 0.5, seed=0) == ([1], [])


@pytest.fixture
def mixed_lab(lab):
    write_rows(lab.folder / "general.jsonl", chat_rows([(f"Question {n}?", f"Answer {n}.") for n in range(12)]))
    return lab


def test_a_mixture_is_trained_recorded_and_reused(mixed_lab):
    options = {**QUICK, "mix": [{"data": "rows.jsonl", "weight": 70}, {"data": "general.jsonl", "weight": 30}]}
    (result,) = mixed_lab.train(mixed_lab.write({"sft": options}))
    figures = result.record.figures
    assert (figures["rows_1"], figures["rows_2"], figures["repeated_rows"]) == (6, 3, 0)
    assert {"data 1", "data 2"} <= set(result.record.inputs)
    assert mixed_lab.train(mixed_lab.write({"sft": options}))[0].reused
    write_rows(
        mixed_lab.folder / "general.jsonl", chat_rows([("One?", "Two."), ("Two?", "Three."), ("Four?", "Five.")])
    )
    assert mixed_lab.train(mixed_lab.write({"sft": options}))[0].trained


def test_replayed_rows_are_a_share_of_all(mixed_lab):
    options = {**QUICK, "data": "rows.jsonl", "replay": {"data": "general.jsonl", "share": 0.25}}
    (result,) = mixed_lab.train(mixed_lab.write({"sft": options}))
    assert (result.record.figures["rows"], result.record.figures["rows_replay"]) == (8, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "rows.jsonl", "mix": [{"data": "rows.jsonl"}, {"data": "general.jsonl"}]}, "sft.data: stands beside"),
        ({"mix": [{"data": "rows.jsonl"}, {"data": "none.jsonl"}]}, r"sft.mix\[1\].data: there is no file"),
        ({"mix": [{"data": "rows.jsonl"}, {"data": "general.jsonl", "weight": 0}]}, r"sft.mix\[1\].weight"),
        ({"data": "rows.jsonl", "rows": 5}, "sft.rows: says how large a mixture is"),
        ({"data": "rows.jsonl", "replay": {"data": "none.jsonl"}}, "sft.replay.data: there is no file"),
        ({"data": "rows.jsonl", "patience": 2}, "sft.patience: nothing is held out to stop by"),
        ({"data": "rows.jsonl", "validation": 0.1, "validation_data": "rows.jsonl"}, "stands beside validation"),
    ],
)
def test_mistakes_are_named(mixed_lab, options, message):
    with pytest.raises(InputError, match=message):
        mixed_lab.train(mixed_lab.write({"sft": options}), dry_run=True)


def test_training_stops_when_the_held_out_loss_no_longer_falls_and_keeps_the_best(mixed_lab):
    """The held-out answers are others than the learned ones, so that learning soon hurts them."""
    other = [
        (question, "Zzz " * 12) for question, _ in [("Who keeps the light?", ""), ("Where does the boat lie?", "")]
    ]
    write_rows(mixed_lab.folder / "other.jsonl", chat_rows(other))
    options = {
        "data": "rows.jsonl", "validation_data": "other.jsonl", "evaluate_every": 1, "patience": 3, "epochs": 30,
        "learning_rate": 0.05, "warmup": 0.0, "dropout": 0.0, "dtype": "float32", "target_modules": ["q_proj", "v_proj"],
    }  # fmt: skip
    (result,) = mixed_lab.train(mixed_lab.write({"sft": options}))
    figures = result.record.figures
    assert figures["steps"] == figures["best_step"] + 3 < 30
    assert figures["validation_loss"] <= figures["validation_loss_first"]
    assert figures["validation_loss"] < figures["validation_loss_last"]
    assert figures["validation_rows"] == 2
    # What was kept is the adapter of the best step.
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from harness_stages.encoding import Encoder
    from harness_stages.rows import read_rows
    from harness_stages.validating import held_out_loss

    tokenizer = AutoTokenizer.from_pretrained(str(mixed_lab.base))
    path = mixed_lab.folder / "other.jsonl"
    rows = Encoder(tokenizer).encode(read_rows(path), max_length=512, path=path)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(str(mixed_lab.base)), str(result.kept["adapter"].path)
    )
    assert held_out_loss(model, rows, batch_size=2, pad=2) == pytest.approx(figures["validation_loss"], rel=1e-5)


@pytest.mark.parametrize("options", [{"dora": True}, {"rslora": True}])
def test_other_kinds_of_lora_train_and_go_on(lab, options):
    first = lab.train(lab.write({"data": "rows.jsonl", **QUICK, **options}))[0]
    again = lab.train(lab.write({"data": "rows.jsonl", **QUICK}, adapter=first.adapter.id))[0]
    assert again.trained
    (key,) = options
    with pytest.raises(InputError, match=f"sft.{key}: the adapter that training continues has True, not False"):
        lab.train(lab.write({"data": "rows.jsonl", **QUICK, key: False}, adapter=first.adapter.id))


def test_pairs_on_upper_layers_alone(lab):
    from safetensors.numpy import load_file

    (result,) = lab.train(lab.write({"data": "rows.jsonl", **QUICK, "from_layer": 1}))
    tensors = load_file(str(result.kept["adapter"].path / "adapter_model.safetensors"))
    assert tensors
    assert all(".layers.1." in name for name in tensors)
    assert lab.train(lab.write({"data": "rows.jsonl", **QUICK, "from_layer": 1}, adapter=result.adapter.id))[0].trained
    with pytest.raises(InputError, match=r"sft.from_layer: the base has 2 layers, numbered from 0; choose at most 1"):
        lab.train(lab.write({"data": "rows.jsonl", **QUICK, "from_layer": 2}))


@pytest.mark.parametrize("bits", ["int8", "4bit"])
def test_a_base_in_few_bits_trains(lab, bits):
    pytest.importorskip("bitsandbytes")
    (result,) = lab.train(lab.write({"data": "rows.jsonl", **QUICK, "quantise": bits}))
    assert result.trained


def test_without_bitsandbytes_one_sentence_says_so(lab, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "bitsandbytes" else real(name, *a)
    )
    with pytest.raises(InputError, match="quantise: 4bit needs the package bitsandbytes, which is not installed"):
        lab.train(lab.write({"data": "rows.jsonl", **QUICK, "quantise": "4bit"}), dry_run=True)
