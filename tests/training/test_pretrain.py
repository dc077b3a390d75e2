"""Vocabularies and decoders from scratch, on text of our own."""

from __future__ import annotations

import json

import pytest

from harness.errors import InputError
from harness_stages.pretraining.sizes import SIZES, training_bytes, training_flops
from harness_stages.pretraining.texts import pack, read_texts

WORDS = [
    "the",
    "keeper",
    "lights",
    "the",
    "lamp",
    "at",
    "dusk",
    "and",
    "the",
    "boat",
    "lies",
    "below",
    "the",
    "rock",
    "while",
    "the",
    "bell",
    "is",
    "rung",
    "in",
    "fog",
]
QUICK = {"data": "text.txt", "max_steps": 30, "batch_size": 8, "context": 32, "learning_rate": 0.01, "dtype": "float32"}


@pytest.fixture
def text_lab(lab):
    sentences = [" ".join(WORDS[n % 7 : n % 7 + 3 + n % 5]) + "." for n in range(900)]
    (lab.folder / "text.txt").write_text("\n".join(sentences) + "\n")
    return lab


def test_a_vocabulary_and_a_decoder_from_scratch(text_lab):
    recipe = text_lab.write({"bpe": {"data": "text.txt", "vocabulary": 320}}, {"pretrain": QUICK}, base="none")
    vocabulary, model = text_lab.train(recipe)
    assert 262 < vocabulary.record.figures["vocabulary"] <= 320
    assert vocabulary.record.figures["tokens_per_word"] < 2
    figures = model.record.figures
    assert figures["validation_loss"] < 0.6 * figures["validation_loss_first"]
    assert figures["loss_last"] < figures["loss_first"]
    assert figures["bits_per_character"] < 2
    assert model.record.inputs["tokenizer"] == vocabulary.kept["tokenizer"].artifact.id
    folder = model.kept["model"].path
    curve = json.loads((folder / "curve.json").read_text())
    assert [step for step, _ in curve] == [0, *range(3, 31, 3)]
    assert curve[0][1] > curve[-1][1]
    assert len(json.loads((folder / "samples.json").read_text())) == 3
    assert all(result.reused for result in text_lab.train(recipe))

    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(str(folder))
    assert sum(weight.numel() for weight in loaded.parameters()) == figures["parameters"]
    assert SIZES["nano"].parameters(int(figures["vocabulary"])) == figures["parameters"]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    assert len(tokenizer("<|critique|>", add_special_tokens=False).input_ids) == 1
    assert text_lab.train(text_lab.write({"sft": {"data": "rows.jsonl", "max_steps": 1}}, base=str(folder)))[0].trained


def test_the_base_is_trained_on(text_lab):
    (result,) = text_lab.train(text_lab.write({"pretrain": {**QUICK, "start": "base", "max_steps": 5}}))
    assert result.record.figures["validation_loss"] < result.record.figures["validation_loss_first"]


def test_mistakes_are_named(text_lab):
    with pytest.raises(InputError, match=r"pretrain: there is no tokenizer; put a bpe stage before"):
        text_lab.train(text_lab.write({"pretrain": QUICK}, base="none"))
    with pytest.raises(InputError, match=r"recipe.yaml:2: base: is none, and the stage sft needs one; name a base"):
        text_lab.train(text_lab.write({"sft": {"data": "rows.jsonl"}}, base="none"))
    with pytest.raises(InputError, match=r"pretrain.start: the recipe's base is none"):
        text_lab.train(text_lab.write({"pretrain": {**QUICK, "start": "base"}}, base="none"), dry_run=True)
    with pytest.raises(InputError, match=r"pretrain.data: there is no file"):
        text_lab.train(text_lab.write({"pretrain": {**QUICK, "data": "none.txt"}}), dry_run=True)
    (text_lab.folder / "rows.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(InputError, match=r"rows.jsonl:2: the key 'text' is missing"):
        text_lab.train(text_lab.write({"pretrain": {**QUICK, "data": "rows.jsonl"}}), dry_run=True)


def test_a_dry_run_forecasts_hours_and_memory(text_lab):
    (planned,) = text_lab.train(text_lab.write({"pretrain": {**QUICK, "size": "large"}}), dry_run=True)
    assert "million weights" in planned.note
    assert "hours at 40% of the" in planned.note
    assert not text_lab.kept()


def test_shapes_and_forecasts_by_hand():
    small = SIZES["small"]
    assert (small.layers, small.heads, small.hidden, small.feed_forward, small.context) == (24, 16, 1024, 4096, 2048)
    for name, low, high in (
        ("micro", 80e6, 130e6),
        ("small", 330e6, 480e6),
        ("medium", 650e6, 850e6),
        ("large", 0.9e9, 1.2e9),
    ):
        assert low < SIZES[name].parameters(49_152) < high, name
    assert training_flops(10, 100, again=False) == 6000
    plain, again = (
        training_bytes(small, 1000, batch_size=2, context=64, mixed=True, again=one) for one in (False, True)
    )
    assert plain > again > 16 * small.parameters(1000)


def test_texts_are_held_out_and_packed(tmp_path):
    one = tmp_path / "one.txt"
    one.write_text("abcdefghij" * 10)
    found = read_texts([one], most_bad=0.0, share=0.2, seed=0)
    assert (found.learned, found.held_out) == (("abcdefghij" * 8,), ("abcdefghij" * 2,))
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"text": f"text {n}"}) + "\n" for n in range(40)) + "no json\n")
    found = read_texts([many], most_bad=0.05, share=0.1, seed=0)
    assert (len(found.learned), len(found.held_out), found.bad_rows) == (36, 4, 1)
    assert "line 41" in found.note
    assert not set(found.learned) & set(found.held_out)
    assert pack([[1, 2, 3], [4, 5]], 3, 0) == [[1, 2, 3], [0, 4, 5]]
    assert pack([[1, 2]], 8, None) == [[1, 2]]
