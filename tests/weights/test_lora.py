"""An adapter's tensors are explained by its own configuration, or the adapter is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.weights.lora import UnexplainedTensorError, check_lora, misfit

Q = "base_model.model.model.layers.0.self_attn.q_proj"
PAIR = {f"{Q}.lora_A.weight": (4, 32), f"{Q}.lora_B.weight": (16, 4)}
BASE = {
    "model.layers.0.self_attn.q_proj.weight": (16, 32), "model.embed_tokens.weight": (50, 32), "model.norm.weight": (32,)
}  # fmt: skip


def adapter(folder: Path, tensors: dict[str, tuple[int, ...]], **config: object) -> Path:
    header, end = {}, 0
    for name, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    given = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    return folder


@pytest.mark.parametrize(
    ("tensors", "config"),
    [
        (PAIR, {}),
        (PAIR, {"target_modules": r".*\.q_proj"}),
        (PAIR, {"target_modules": "all-linear"}),
        (PAIR, {"r": 9, "rank_pattern": {"q_proj": 4}}),
        (PAIR, {"layers_to_transform": [0, 3]}),
        (PAIR, {"layers_to_transform": 0, "layers_pattern": "layers"}),
        ({**PAIR, f"{Q}.lora_magnitude_vector": (16,)}, {"use_dora": True}),
        ({**PAIR, f"{Q}.lora_B.bias": (16,)}, {"lora_bias": True}),
        ({**PAIR, "base_model.model.lm_head.weight": (50, 32)}, {"modules_to_save": ["lm_head"]}),
        ({**PAIR, "base_model.model.model.norm.weight": (32,)}, {"modules_to_save": ["norm"]}),
        (
            {
                "base_model.model.model.embed_tokens.lora_embedding_A": (4, 50),
                "base_model.model.model.embed_tokens.lora_embedding_B": (32, 4),
            },
            {"target_modules": ["embed_tokens"]},
        ),
    ],
)
def test_what_the_configuration_explains_is_taken(tmp_path: Path, tensors: dict, config: dict) -> None:
    folder = adapter(tmp_path / "a", tensors, **config)
    assert check_lora(folder) == tensors
    assert misfit(tensors, BASE) == ""


UNEXPLAINED = [
    ("base_model.model.model.norm.weight", (32,), {}, "modules_to_save does not name"),
    ("base_model.model.model.norm.weight", (32,), {"modules_to_save": ["lm_head"]}, "modules_to_save does not name"),
    (f"{Q}.base_layer.weight", (16, 32), {}, "base_layer is what peft itself puts"),
    (f"{Q}.base_layer.weight", (16, 32), {"modules_to_save": ["q_proj"]}, "base_layer"),
    ("base_model.model.model.layers.0.mlp.down_proj.weight", (32, 64), {}, "no part of a LoRA pair"),
    ("base_model.model.model.embed_tokens.weight", (50, 32), {}, "modules_to_save"),
    ("base_model.model.lm_head.weight", (50, 32), {}, "modules_to_save"),
    ("base_model.model.lm_head.original_module.weight", (50, 32), {"modules_to_save": ["lm_head"]}, "original_module"),
    ("base_model.model.lm_head.modules_to_save.x.weight", (9,), {"modules_to_save": ["lm_head"]}, "modules_to_save is"),
    ("model.norm.weight", (32,), {}, "does not begin with"),
    (f"{Q.replace('q_proj', 'k_proj')}.lora_A.weight", (4, 32), {}, "target_modules does not name"),
    (f"{Q.replace('.0.', '.1.')}.lora_A.weight", (4, 32), {"layers_to_transform": [0]}, "target_modules does not"),
    (f"{Q}.lora_A.weight", (4, 32), {"exclude_modules": ["q_proj"]}, "target_modules does not name"),
    (f"{Q}.lora_A.weight", (5, 32), {}, "the rank is 4"),
    (f"{Q}.lora_A.weight", (4,), {}, "the rank is 4"),
    (f"{Q}.lora_A.other.weight", (4, 32), {}, "lora_A is what peft"),
    (f"{Q}.lora_magnitude_vector", (16,), {}, "use_dora is off"),
    (f"{Q}.lora_B.bias", (16,), {}, "lora_bias is off"),
    ("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", (2, 32), {}, "token_adapter"),
    (f"{Q}.lora_A.weight", (4, 32), {"target_modules": None}, "target_modules does not name"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "config", "why"), UNEXPLAINED)
def test_what_it_does_not_explain_is_refused_by_name(
    tmp_path: Path, name: str, shape: tuple[int, ...], config: dict, why: str
) -> None:
    folder = adapter(tmp_path / "a", {name: shape}, **config)
    with pytest.raises(UnexplainedTensorError, match=why) as caught:
        check_lora(folder)
    said = str(caught.value)
    assert str(folder / "adapter_model.safetensors") in said
    assert name in said
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": "("}, {"target_modules": 3}, {"target_modules": ["q_proj", 3]}, {"target_modules": [""]},
        {"rank_pattern": {"(": 4}}, {"rank_pattern": 3}, {"modules_to_save": [""]}, {"modules_to_save": "lm_head"},
        {"layers_to_transform": "x"}, {"target_parameters": ["x"]}, {"bias": "all"}, {"peft_type": "IA3"},
        {"ensure_weight_tying": True}, {"trainable_token_indices": [3, 7]}, {"init_lora_weights": "pissa"},
    ],
)  # fmt: skip
def test_a_configuration_that_nobody_understands_or_that_changes_the_base_is_refused(
    tmp_path: Path, config: dict
) -> None:
    with pytest.raises(InputError):
        check_lora(adapter(tmp_path / "a", PAIR, **config))


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", PAIR)
    config = folder / "adapter_config.json"
    config.write_text('{"modules_to_save": ["norm"], ' + config.read_text()[1:-1] + ', "modules_to_save": []}')
    with pytest.raises(InputError, match="twice"):
        check_lora(folder)


@pytest.mark.parametrize(
    ("tensors", "config", "why"),
    [
        ({f"{Q}.lora_A.weight": (4, 31)}, {}, "16×32 there, not 31 wide"),
        ({f"{Q.replace('.0.', '.9.')}.lora_A.weight": (4, 32)}, {}, "has no model.layers.9"),
        ({"base_model.model.model.norm.weight": (31,)}, {"modules_to_save": ["norm"]}, "is 32 there, not 31"),
        ({"base_model.model.model.norm.bias": (32,)}, {"modules_to_save": ["norm"]}, "no model.norm.bias"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_base_is_said(tmp_path: Path, tensors: dict, config: dict, why: str) -> None:
    folder = adapter(tmp_path / "a", tensors, **config)
    assert why in misfit(check_lora(folder), BASE)
