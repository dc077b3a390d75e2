"""The Llama of our own computes and encodes as transformers, and imports nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.errors import BaseChangedError
from harness.types import LogLikelihood
from harness_models.hf.loading import load
from harness_models.hf.plain_tokenizer import tokenizer_of
from tests import tiny
from tests.models.conftest import ask, make, spec_of, user

QUESTION = LogLikelihood(messages=user("What is the capital of France?"), continuation="Paris is the capital .")


def save(folder: Path, **given: Any) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir()
    size = tiny.save_tokenizer(folder)
    torch.manual_seed(3)
    common = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64, "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": True,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(vocab_size=size, **{**common, **given}))
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"num_key_value_heads": 2, "head_dim": 16},
        {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
        {"num_key_value_heads": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    ],
    ids=["plain", "grouped", "biased", "theta"],
)
def test_it_computes_what_transformers_computes(given: dict[str, Any], dtype: str, tmp_path: Path) -> None:
    import torch

    spec, context = spec_of(save(tmp_path / "base", **given), dtype=dtype), RunContext(offline=True, weights=tmp_path)
    ours, theirs = load(spec, context, bare=True), load(spec, context)
    assert (ours.own, theirs.own) == (True, False)
    ids = ours.tensor([[(5 * n + 7 * row) % 400 for n in range(40)] for row in range(3)])
    with torch.inference_mode():
        found, expected = (one.logits(one.hidden(ids)) for one in (ours, theirs))
    assert float((found - expected).abs().max()) <= (1e-4 if dtype == "float32" else 0.1 * float(expected.abs().max()))
    for name in ("window", "end_ids", "start_id", "vocabulary"):
        assert getattr(ours, name) == getattr(theirs, name), name


@pytest.mark.parametrize(
    "change",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"hidden_act": "gelu"},
        {"model_type": "mistral"},
        {"pretraining_tp": 2},
        {"architectures": ["MistralForCausalLM"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_it_does_not_compute_is_left_to_transformers(change: dict[str, Any], tmp_path: Path) -> None:
    from harness_models.hf.llama import reads

    folder = save(tmp_path / "base")
    assert reads(folder) is not None
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    assert reads(folder) is None


def test_weights_of_other_names_are_left_to_transformers(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "base")
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.scale"] = tensors.pop("model.norm.weight")
    save_file(tensors, file, metadata={"format": "pt"})
    assert not load(spec_of(folder), RunContext(offline=True, weights=tmp_path), bare=True).own


def test_the_tokenizer_encodes_as_that_of_transformers(tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    from harness_models.hf.stopping import byte_tokens, control_tokens

    ours, theirs = tokenizer_of(tiny_base), AutoTokenizer.from_pretrained(str(tiny_base))
    assert ours is not None
    texts = ["the quick brown fox", "", "  two\n\n spaces ", "<|im_end|>No<|endoftext|>", "\u6f22 \U0001f389 caf\u00e9"]
    for special in (True, False):
        assert (
            ours(texts, add_special_tokens=special)["input_ids"]
            == theirs(texts, add_special_tokens=special)["input_ids"]
        )
        for text in texts:
            given = {"add_special_tokens": special, "split_special_tokens": True}
            assert ours(text, **given)["input_ids"] == theirs(text, **given)["input_ids"]
            ids = ours(text)["input_ids"]
            for skip in (True, False):
                settings = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": False}
                assert ours.decode(ids, **settings) == theirs.decode(ids, **settings)
    for name in ("bos_token_id", "eos_token_id", "chat_template", "special_tokens_map", "model_max_length"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert sorted(ours.all_special_tokens) == sorted(theirs.all_special_tokens)
    assert len(ours) == len(theirs)
    assert control_tokens(ours) == control_tokens(theirs)
    assert [byte_tokens(ours)(token) for token in range(50)] == [byte_tokens(theirs)(token) for token in range(50)]


@pytest.mark.parametrize(
    "change", [{"tokenizer_class": "GPT2Tokenizer"}, {"add_bos_token": True}, {"bos_token": "<new>"}], ids=str
)
def test_a_tokenizer_that_transformers_would_change_is_left_to_it(
    change: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_base / name).read_bytes())
    assert tokenizer_of(tmp_path) is not None
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    assert tokenizer_of(tmp_path) is None


@pytest.mark.parametrize("place", [0, 3, 511, -1])
def test_a_flipped_bit_of_a_base_without_adapters_is_noticed(place: int, tmp_path: Path) -> None:
    import torch

    model, candidate = make(save(tmp_path / "base"), RunContext(offline=True, weights=tmp_path))
    ask(model, candidate, [QUESTION])
    model.check_base()
    ask(model, candidate, [LogLikelihood(messages=user("Yes"), continuation="No")])
    weight = model._loaded.model.layers[1].narrowed.weight  # type: ignore[attr-defined]
    weight.data.view(torch.int32).view(-1)[place] ^= 1 << 30
    with pytest.raises(BaseChangedError, match="narrowed"):
        model.check_base()


def test_a_base_without_adapters_is_asked_without_importing_transformers(tiny_base: Path, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from harness.contracts import RunContext
from harness.errors import BaseChangedError
from harness.types import Generate, Decoding
from tests.models.conftest import ask, make, user
from tests.models.test_llama import QUESTION
model, candidate = make(Path(sys.argv[1]), RunContext(offline=True, weights=Path(sys.argv[2])))
replies = ask(model, candidate, [QUESTION, Generate(messages=user("sun"), decoding=Decoding(max_new_tokens=4))])
assert len(replies) == 2
heavy = {"transformers", "peft", "scipy", "sklearn", "pandas", "sympy"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_base), str(tmp_path)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_last_layer_is_computed_for_the_states_asked_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch import nn

    loaded = load(spec_of(save(tmp_path / "base")), RunContext(offline=True, weights=tmp_path), bare=True)
    ids = loaded.tensor([[(5 * n + 7 * row) % 400 for n in range(20)] for row in range(3)])
    rows, places = loaded.tensor([0, 0, 2]), loaded.tensor([3, 19, 7])
    given: dict[int, list[int]] = {}
    plain = nn.Linear.forward

    def counted(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
        given.setdefault(id(layer), []).append(states.numel() // states.shape[-1])
        return plain(layer, states)

    with torch.inference_mode():
        expected = loaded.hidden(ids)[rows, places]
        monkeypatch.setattr(nn.Linear, "forward", counted)
        found = loaded.hidden(ids, at=(rows, places))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    first, last = loaded.model.layers
    assert [given[id(part)] for part in (first.attended, first.joined, first.widened, first.narrowed)] == [[60]] * 4
    assert [given[id(part)] for part in (last.attended, last.joined, last.widened, last.narrowed)] == [[60]] + [[3]] * 3


def test_scoring_asks_for_the_states_that_predict(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    ask(model, candidate, [QUESTION])
    loaded, asked = model._loaded, []
    plain = loaded.hidden

    def counted(ids: Any, **given: Any) -> Any:
        asked.append((ids.numel(), None if given["at"] is None else len(given["at"][0])))
        return plain(ids, **given)

    loaded.hidden = counted
    other = LogLikelihood(messages=user("What is the capital of Spain, and where is it?"), continuation="No")
    ask(model, candidate, [other])
    ((tokens, states),) = asked
    assert states == len(loaded.tokenizer("No", add_special_tokens=False)["input_ids"]) < tokens
