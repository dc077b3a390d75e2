"""Adapters that bring tokens: small, usable by the engine beside others, and harmless to the base."""

from __future__ import annotations

import json

import pytest

from harness.errors import InputError
from harness_stages.pretraining.mining import mine

SENTENCES = [
    "we read the barometer before Maren Tollifer calls load_table(x) and then parseHeader(y) again.",
    "under the lamp, Maren Tollifer noted the barometer and ran load_table(z) twice.",
    "the fog hides the rock, so Maren Tollifer keeps the barometer dry.",
]
QUICK = {
    "data": "corpus.txt",
    "max_steps": 4,
    "batch_size": 4,
    "context": 32,
    "dtype": "float32",
    "learning_rate": 0.01,
}


@pytest.fixture
def corpus_lab(lab):
    (lab.folder / "corpus.txt").write_text("\n".join(SENTENCES * 30) + "\n")
    return lab


def test_terms_are_found_by_kind():
    most = {"technical": 5, "code": 5, "entity": 5}
    found = mine(["\n".join(SENTENCES * 3)], list, most=most, least=3)  # each letter a piece
    by_kind = {kind: [term.text for term in found if term.kind == kind] for kind in most}
    assert by_kind["entity"] == [" Maren Tollifer"]
    assert set(by_kind["code"]) == {" load_table", " parseHeader"}
    assert by_kind["technical"][0] == " barometer"
    first = next(term for term in found if term.text == " barometer")
    assert (first.count, first.pieces, first.saved) == (9, 10, 81)
    assert not mine(["\n".join(SENTENCES * 3)], lambda text: [1], most=most, least=3)


def test_a_word_that_goes_on_is_no_term():
    text = ["the lantern and lanterns and lanterns burn"] * 5
    assert [term.text for term in mine(text, list, most={"technical": 9, "code": 0, "entity": 0}, least=5)] == [
        " lanterns"
    ]


def test_the_adapter_is_small_kept_and_used_beside_others(corpus_lab, tiny_llama):
    from harness.contracts import RunContext
    from harness.types import Candidate, Decoding, Generate, LogLikelihood, Message, ModelSpec
    from harness_models.hf.model import HfModel

    recipe = corpus_lab.write({"tokenizer": QUICK})
    (result,) = corpus_lab.train(recipe)
    figures = result.record.figures
    assert figures["control_tokens"] == 3
    assert figures["entity_terms"] >= 1
    assert figures["tokens_per_word"] < figures["tokens_per_word_before"]
    assert figures["validation_loss"] < figures["validation_loss_first"]
    assert figures["adapter_bytes"] < (tiny_llama / "model.safetensors").stat().st_size
    folder = result.kept["adapter"].path
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "artifact.json",
    ]  # fmt: skip
    assert corpus_lab.train(recipe)[0].reused
    assert corpus_lab.train(recipe, force=True)[0].adapter.id == result.adapter.id

    plain = corpus_lab.train(corpus_lab.write({"sft": {"data": "rows.jsonl", "max_steps": 2}}))[0].adapter
    spec = ModelSpec(reference=str(tiny_llama), scheme="hf", name=str(tiny_llama), dtype="float32", device="cpu")
    ask = (
        LogLikelihood(
            messages=(Message(role="user", content="Who?"),), continuation="Maren Tollifer, by the barometer"
        ),
        Generate(messages=(Message(role="user", content="Who?"),), decoding=Decoding(max_new_tokens=4)),
    )

    def replies(model, *adapters):
        found = {}
        model.answer(Candidate(model=spec, adapters=adapters), ask, found.__setitem__)
        return found[0].logprob, found[0].tokens, found[1].text

    context = RunContext(offline=True, weights=corpus_lab.folder / "weights")
    alone = HfModel(spec, context)
    bare, adapted = replies(alone), replies(alone, plain)
    together = HfModel(spec, context)
    extended = replies(together, result.adapter)
    again = replies(together, result.adapter)  # what it begins with is held now, and summed up in another order
    assert again == (pytest.approx(extended[0], abs=1e-4), *extended[1:])
    assert replies(together) == bare  # with the extended one in memory, the base has its own vocabulary and bytes
    assert replies(together, plain) == adapted
    assert replies(together, result.adapter) in (extended, again)
    assert extended[1] < bare[1]  # fewer tokens for the same text
    together.check_base()
    with pytest.raises(InputError, match="both bring tokens of their own"):
        replies(
            together, result.adapter, corpus_lab.train(corpus_lab.write({"tokenizer": {**QUICK, "code": 0}}))[0].adapter
        )


def test_training_goes_on_with_the_tokens_and_merging_takes_them_in(corpus_lab):
    from safetensors.numpy import load_file

    recipe = corpus_lab.write({"tokenizer": QUICK}, {"sft": {"data": "rows.jsonl", "max_steps": 2}}, {"merge": {}})
    first, second, merged = corpus_lab.train(recipe)
    rows = [load_file(str(one.kept["adapter"].path / "adapter_model.safetensors"))["harness_vocabulary.rows"]
            for one in (first, second)]  # fmt: skip
    assert (rows[0] == rows[1]).all()
    assert first.adapter.id != second.adapter.id
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = merged.kept["model"].path
    tokenizer, model = AutoTokenizer.from_pretrained(str(folder)), AutoModelForCausalLM.from_pretrained(str(folder))
    assert len(tokenizer) <= model.get_input_embeddings().weight.shape[0]
    assert len(tokenizer(" Maren Tollifer", add_special_tokens=False).input_ids) == 1
    assert tokenizer.decode(tokenizer("ask Maren Tollifer", add_special_tokens=False).input_ids) == "ask Maren Tollifer"


def test_new_rows_start_as_the_mean_of_their_pieces(tiny_llama):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from harness.api.weights import Vocabulary, extend

    tokenizer, model = (
        AutoTokenizer.from_pretrained(str(tiny_llama)),
        AutoModelForCausalLM.from_pretrained(str(tiny_llama)),
    )
    before = model.get_input_embeddings().weight.detach().clone()
    pieces = tokenizer(" barometer", add_special_tokens=False).input_ids
    extend(model, tokenizer, Vocabulary(first=len(tokenizer), tokens=(" barometer",), control=0))
    after = model.get_input_embeddings().weight
    (new,) = tokenizer(" barometer", add_special_tokens=False).input_ids
    torch.testing.assert_close(after[new], before[pieces].mean(dim=0))
    torch.testing.assert_close(after[:new], before[:new])


def test_tampered_rows_and_tokens_are_refused(corpus_lab, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    from harness.store.adapters import adapter_id

    (result,) = corpus_lab.train(corpus_lab.write({"tokenizer": QUICK}))

    def copy(name):
        return shutil.copytree(result.kept["adapter"].path, tmp_path / name)

    fewer = copy("fewer")
    config = json.loads((fewer / "adapter_config.json").read_text())
    config["harness_vocabulary"]["tokens"].pop()
    (fewer / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"harness_vocabulary.rows' is not explained"):
        adapter_id(fewer)
    renamed = copy("renamed")
    config["harness_vocabulary"]["tokens"].append("<|other|>")
    (renamed / "adapter_config.json").write_text(json.dumps(config))
    assert adapter_id(renamed) != result.adapter.id
    without = copy("without")
    del config["harness_vocabulary"]
    (without / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="the configuration has no harness_vocabulary"):
        adapter_id(without)
    bare = copy("bare")
    tensors = load_file(str(bare / "adapter_model.safetensors"))
    tensors.pop("harness_vocabulary.rows")
    save_file(tensors, str(bare / "adapter_model.safetensors"))
    with pytest.raises(InputError, match="holds no rows for the tokens"):
        adapter_id(bare)


def test_mistakes_are_named(corpus_lab):
    with pytest.raises(InputError, match=r"tokenizer.control: the base has '<\|im_end\|>' already"):
        corpus_lab.train(corpus_lab.write({"tokenizer": {**QUICK, "control": ["<|im_end|>"]}}))
    adapter = corpus_lab.train(corpus_lab.write({"sft": {"data": "rows.jsonl", "max_steps": 1}}))[0].adapter.id
    with pytest.raises(InputError, match="a vocabulary is extended before anything is trained on it"):
        corpus_lab.train(corpus_lab.write({"tokenizer": QUICK}, adapter=adapter), dry_run=True)
