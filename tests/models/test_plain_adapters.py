"""LoRA pairs on the Llama of our own give what peft gives; whatever is more than pairs goes by peft, as it did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.errors import BaseChangedError, BrokenRunError, InputError
from harness.types import AdapterSpec, Candidate, Completion, Generate, LogLikelihood, LogProb
from harness_models.hf.pairs import pairs_only
from tests.models.conftest import Plain, adapter_of, ask, greedy, make, user
from tests.models.test_llama import save

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEXTS = ("Yes or No?", "tell me about the sun", "the quick brown fox")
QUESTIONS = [LogLikelihood(messages=user(text), continuation="Paris is the capital .") for text in TEXTS]
OURS, THEIRS = "harness, in plain torch", "transformers"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with grouped heads, biases and a head of its own."""
    given = {"num_hidden_layers": 3, "num_key_value_heads": 2, "attention_bias": True, "tie_word_embeddings": False}
    return save(tmp_path_factory.mktemp("base") / "wide-llama", **given)


def adapter(base: Path, folder: Path, seed: int = 1, std: float = 0.1, **given: Any) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ALL, "task_type": "CAUSAL_LM", **given})
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(str(base)), config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.requires_grad:
                weight.normal_(mean=1.0 if "norm" in name else 0.0, std=std)
    made.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def logprobs(model: Any, candidate: Candidate, questions: Sequence[LogLikelihood] = QUESTIONS) -> list[float]:
    replies = ask(model, candidate, questions)
    assert all(isinstance(reply, LogProb) for reply in replies)
    return [reply.logprob for reply in replies]  # type: ignore[union-attr] # seen above


PLAIN: dict[str, dict[str, Any]] = {
    "all": {},
    "rslora": {"use_rslora": True},
    "two of three": {"target_modules": ["q_proj", "v_proj"]},
    "one of two": {"target_modules": ["up_proj"]},
    "pattern": {"target_modules": r".*\.(k_proj|down_proj)"},
    "excluded": {"exclude_modules": ["gate_proj"]},
    "later layers": {"layers_to_transform": [1, 2]},
    "ranks": {"rank_pattern": {"q_proj": 2, r"layers\.1\..*up_proj": 7}, "alpha_pattern": {"v_proj": 9, "q_proj": 1}},
}


@pytest.mark.parametrize("given", PLAIN.values(), ids=PLAIN.keys())
def test_pairs_give_what_peft_gives(
    given: dict[str, Any], wide: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    path = adapter(wide, tmp_path / "adapter", **given)
    model, bare = make(wide, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(path),))
    plain, base = Plain(wide, path), Plain(wide)
    expected = [plain.continuation(one.messages, one.continuation)[0] for one in QUESTIONS]
    assert logprobs(model, candidate) == pytest.approx(expected, abs=1e-4)
    assert expected != pytest.approx(
        [base.continuation(one.messages, one.continuation)[0] for one in QUESTIONS], abs=0.1
    )
    asked = [Generate(messages=user(text), decoding=greedy(10)) for text in TEXTS]
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert isinstance(reply, Completion)
        assert reply.text == plain.greedy(request.messages, 10)
    assert (model.facts()["model code"], "peft" in model.facts()["backend"]) == (OURS, False)


def test_in_bfloat16_they_are_as_near_to_float32_as_pefts(
    wide: Path, surroundings: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_models.hf import loading

    path = adapter(wide, tmp_path / "adapter", lora_alpha=7)
    exact = Plain(wide, path)
    expected = [exact.continuation(one.messages, one.continuation)[0] for one in QUESTIONS]
    off, found = [], []
    for way in (OURS, THEIRS):
        if way == THEIRS:
            monkeypatch.setattr(loading, "own", lambda *_: None)
        model, bare = make(wide, surroundings, dtype="bfloat16")
        found.append(logprobs(model, Candidate(model=bare.model, adapters=(adapter_of(path),))))
        assert model.facts()["model code"] == way
        off.append(max(abs(one - other) for one, other in zip(found[-1], expected, strict=True)))
    assert found[0] == pytest.approx(found[1], rel=0.02)
    assert off[0] <= max(2 * off[1], 0.02 * max(map(abs, expected)))


MORE: dict[str, dict[str, Any]] = {
    "DoRA": {"use_dora": True}, "bias of a pair": {"lora_bias": True}, "whole module": {"modules_to_save": ["norm"]},
    "head": {"target_modules": ["q_proj", "lm_head"]}, "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
}  # fmt: skip


@pytest.mark.parametrize("given", MORE.values(), ids=MORE.keys())
@pytest.mark.parametrize("identified", [True, False], ids=["known", "later"])
def test_what_is_more_than_pairs_goes_by_peft(
    given: dict[str, Any], wide: Path, surroundings: RunContext, tmp_path: Path, *, identified: bool
) -> None:
    path = adapter(wide, tmp_path / "adapter", **given)
    assert not pairs_only(path)
    model, bare = make(wide, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(path),))
    if identified:
        model.fingerprint(candidate)
    for who, plain in ((bare, Plain(wide)), (candidate, Plain(wide, path)), (bare, Plain(wide))):
        expected = [plain.continuation(one.messages, one.continuation)[0] for one in QUESTIONS]
        assert logprobs(model, who) == pytest.approx(expected, abs=1e-3)
    assert model.facts()["model code"] == (THEIRS if identified else f"{OURS} and then {THEIRS}")


@pytest.mark.parametrize(
    "change", [{"kasa_rank": 3}, {"target_modules": "all-linear"}, {"fan_in_fan_out": True}], ids=str
)
def test_what_is_not_understood_goes_by_peft(change: dict[str, Any], wide: Path, tmp_path: Path) -> None:
    path = adapter(wide, tmp_path / "adapter")
    assert pairs_only(path)
    config = path / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    assert not pairs_only(path)


def test_adapters_add_up_and_are_switched_on_one_base(wide: Path, surroundings: RunContext, tmp_path: Path) -> None:
    folders = [
        adapter(wide, tmp_path / "one"),
        adapter(wide, tmp_path / "other", seed=2, r=2, target_modules=["v_proj", "down_proj"]),
    ]
    one, other = map(adapter_of, folders)
    model, bare = make(wide, surroundings)
    arms: dict[tuple[AdapterSpec, ...], Plain] = {
        (): Plain(wide), (one,): Plain(wide, folders[0]), (other,): Plain(wide, folders[1]),
        (one, other): Plain(wide, *folders),
    }  # fmt: skip
    expected = {
        who: [plain.continuation(one.messages, one.continuation)[0] for one in QUESTIONS] for who, plain in arms.items()
    }
    for who in [(), (one,), (one, other), (), (other,), (one,), (one, other), ()]:
        found = logprobs(model, Candidate(model=bare.model, adapters=who))
        assert found == pytest.approx(expected[who], abs=1e-4), who


def test_rows_of_one_batch_take_each_its_own_adapters(wide: Path, surroundings: RunContext, tmp_path: Path) -> None:
    import torch

    from harness_models.hf.mixing import Mixer

    folders = [
        adapter(wide, tmp_path / "one"),
        adapter(wide, tmp_path / "other", seed=2, r=2, target_modules=["v_proj", "down_proj"]),
    ]
    one, other = map(adapter_of, folders)
    model, bare = make(wide, surroundings)
    loaded = model.prepare(bare, generating=True)  # type: ignore[attr-defined]
    rack = model.rack  # type: ignore[attr-defined]
    rows = [(one,), (), (one, other), (other,), (one,)]
    ids = loaded.tensor([[(5 * n + 7 * row) % 400 for n in range(9)] for row in range(len(rows))])
    with torch.inference_mode():
        expected = []
        for row, who in enumerate(rows):
            rack.activate(who)
            expected.append(loaded.logits(loaded.hidden(ids[row : row + 1])))
        mixer = Mixer(rack)
        assert {mixer.lane(who) for who in rows} == {()}
        with mixer.using(rows):
            found = loaded.logits(loaded.hidden(ids))
        assert float((found - torch.cat(expected)).abs().max()) < 1e-4
        rack.activate(())
        assert loaded.logits(loaded.hidden(ids[1:2])).equal(expected[1])


def test_switching_sets_one_reference_for_each_layer(wide: Path, surroundings: RunContext, tmp_path: Path) -> None:
    """Nothing is copied, whatever the adapters' sizes: that is what makes it quick."""
    folders = [adapter(wide, tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    model, bare = make(wide, surroundings)
    candidates = [Candidate(model=bare.model, adapters=(adapter_of(folder),)) for folder in folders]
    for candidate in candidates:
        logprobs(model, candidate)
    seen = []
    for candidate in (*candidates, *candidates):
        loaded = model.prepare(candidate, generating=False)  # type: ignore[attr-defined]
        seen.append([id(layer.added) for layer in loaded.model.layers])
    assert seen[0] == seen[2] != seen[1] == seen[3]


def changed(path: Path, folder: Path, change: Any) -> AdapterSpec:
    """Copy an adapter with other tensors."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(path, folder)
    tensors = load_file(str(folder / "adapter_model.safetensors"))
    change(tensors)
    save_file({name: one.clone() for name, one in tensors.items()}, str(folder / "adapter_model.safetensors"))
    return adapter_of(folder)


def test_a_file_that_is_not_what_its_configuration_promises_is_refused(
    wide: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    path = adapter(wide, tmp_path / "adapter")
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
    bad = {
        "lacks 1 of its weights": lambda tensors: tensors.pop(name),
        "rank is 4": lambda tensors: tensors.update({name: tensors[name][:3]}),
        "not 31 wide": lambda tensors: tensors.update({name: tensors[name][:, :31]}),
        "has no model.layers.7": lambda tensors: tensors.update({name.replace(".1.", ".7."): tensors[name]}),
        "not explained": lambda tensors: tensors.update({"base_model.model.model.norm.weight": tensors[name][0]}),
    }
    model, bare = make(wide, surroundings)
    before = logprobs(model, bare)
    for number, (words, change) in enumerate(bad.items()):
        spec = changed(path, tmp_path / str(number), change)
        with pytest.raises(InputError, match=words):
            ask(model, Candidate(model=bare.model, adapters=(spec,)), QUESTIONS)
        assert logprobs(model, bare) == pytest.approx(before, abs=1e-4)


def test_one_that_was_swapped_after_it_was_identified_is_not_asked(
    wide: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    path = adapter(wide, tmp_path / "adapter")
    spec = adapter_of(path)
    other = adapter(wide, tmp_path / "other", seed=5)
    shutil.copy(other / "adapter_model.safetensors", path)
    model, bare = make(wide, surroundings)
    with pytest.raises(BrokenRunError, match="changed after it was identified"):
        ask(model, Candidate(model=bare.model, adapters=(spec,)), QUESTIONS)


@pytest.mark.parametrize("first", [True, False], ids=["asked bare first", "adapter first"])
def test_the_base_is_proven_when_an_adapter_is_put_on_and_after_its_first_use(
    wide: Path, surroundings: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    from harness_models.hf.proof import BaseProof

    said: list[tuple[bool, str]] = []
    real = BaseProof.check
    monkeypatch.setattr(
        BaseProof, "check", lambda self, when: (said.append((self.forgeable, when)), real(self, when))[1]
    )
    model, bare = make(wide, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(adapter(wide, tmp_path / "adapter")),))
    if first:
        logprobs(model, bare)
    logprobs(model, candidate)
    reference = candidate.adapters[0].reference
    bare_proof = [(False, "though no adapter was put on it")] if first else []
    assert [(strong, when.replace(candidate.adapters[0].id, reference)) for strong, when in said] == [
        *bare_proof, (True, f"after the adapter {reference} was put on it"), (True, f"after {reference} was used"),
    ]  # fmt: skip
    loaded = model._loaded  # type: ignore[attr-defined]
    logprobs(model, candidate, [LogLikelihood(messages=user("Yes"), continuation="No")])
    loaded.model.layers[0].joined.weight.data.view(-1)[3] += 1e-3
    with pytest.raises(BaseChangedError, match=r"layers\.0\.joined"):
        model.check_base()


def test_an_adapter_is_used_without_importing_transformers_or_peft(wide: Path, tmp_path: Path) -> None:
    path = adapter(wide, tmp_path / "adapter")
    program = """
import sys
from pathlib import Path
from harness.contracts import RunContext
from harness.types import Candidate, Decoding, Generate, LogLikelihood
from tests.models.conftest import adapter_of, ask, make, user
model, bare = make(Path(sys.argv[1]), RunContext(offline=True, weights=Path(sys.argv[2])))
candidate = Candidate(model=bare.model, adapters=(adapter_of(Path(sys.argv[3])),))
model.fingerprint(candidate)
asked = [LogLikelihood(messages=user("sun"), continuation="No"), Generate(messages=user("sun"), decoding=Decoding(max_new_tokens=4))]
assert len(ask(model, candidate, asked)) == 2
heavy = {"transformers", "peft", "scipy", "sklearn", "pandas", "sympy", "torch.nn.attention.flex_attention"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(wide), str(tmp_path), str(path)], capture_output=True, text=True,
        check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_who_waits_for_a_text_gets_it_though_another_needs_peft(
    wide: Path, surroundings: RunContext, tmp_path: Path
) -> None:
    model, bare = make(wide, surroundings)
    more = adapter_of(adapter(wide, tmp_path / "dora", use_dora=True))
    dora = Candidate(model=bare.model, adapters=(more,))
    long = Generate(messages=user("tell me about the sun"), decoding=greedy(200))
    (expected,) = ask(make(wide, surroundings)[0], bare, [long])
    first = model.submit(bare, long)  # type: ignore[attr-defined] # of HfModel
    next(iter(first.events()))
    second = model.submit(dora, Generate(messages=user("hello"), decoding=greedy(5)))  # type: ignore[attr-defined]
    assert isinstance(second.result(60), Completion)
    found = first.result(60)
    assert isinstance(found, Completion)
    assert isinstance(expected, Completion)
    assert found.text == expected.text
