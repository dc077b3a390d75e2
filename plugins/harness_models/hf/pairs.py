"""Tells by an adapter's files alone whether our own Llama takes it: pairs beside linear layers, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.api import WEIGHTS_FILE, read_adapter_config, tensor_shapes

if TYPE_CHECKING:
    from pathlib import Path

_PAIR = re.compile(
    r"base_model\.model\.model\.layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)\.lora_[AB]\.weight"
)
_UNDERSTOOD = frozenset({
    "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern",
})  # fmt: skip
_OF_TRAINING = frozenset({
    "auto_mapping", "base_model_name_or_path", "bias", "inference_mode", "init_lora_weights", "lora_dropout",
    "megatron_core", "peft_version", "qalora_group_size", "revision", "task_type",
})  # fmt: skip
"""Fields that change nothing of what a trained pair computes; `bias` other than none is refused before."""


class NotPlainError(Exception):
    """An adapter is more than pairs beside linear layers, or other than its configuration says: it is left to peft."""


def pairs_only(folder: Path) -> bool:
    """Tell by an adapter's configuration and header whether it asks for nothing but pairs beside a Llama's layers.

    Raises:
        InputError: when a file is absent or damaged.
    """
    config = read_adapter_config(folder)
    others = {key for key, value in config.items() if value not in (None, False, {}, [])} - _UNDERSTOOD - _OF_TRAINING
    names = tensor_shapes(folder / WEIGHTS_FILE)
    return (
        config["peft_type"] == "LORA"
        and not others
        and config.get("target_modules") != "all-linear"
        and all(_PAIR.fullmatch(name) for name in names)
    )
