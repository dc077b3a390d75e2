"""LoRA: which layers get a pair, and whether an adapter fits a base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError, check_lora, misfit, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFERRED: Sequence[tuple[str, ...]] = (
    ("q_proj", "v_proj"),  # Llama, Mistral, Qwen, Gemma, OPT and most since
    ("c_attn",),  # GPT-2
    ("query_key_value",),  # GPT-NeoX, Falcon, BLOOM
    ("qkv_proj",),  # Phi-3
    ("Wqkv",),  # MPT, ModernBERT-like decoders
    ("q", "v"),  # T5-like
)
"""The attention's query and value projections, by the names architectures give them; the first that fits counts."""


def linear_names(model: PreTrainedModel) -> list[str]:
    """Return the distinct last names of the layers that LoRA can adapt, without the output head."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    names = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    return sorted(names)


def choose_targets(model: PreTrainedModel, wanted: Sequence[str] | None, *, error_at: Mapping[str, Any]) -> list[str]:
    """Return the names of the layers to adapt.

    Args:
        model: a causal language model.
        wanted: the recipe's `target_modules`; None chooses by architecture.
        error_at: file, line and key for errors.

    Raises:
        InputError: where a wanted layer does not exist or nothing known fits.
    """
    known = linear_names(model)
    if wanted is None:
        for names in PREFERRED:
            if set(names) <= set(known):
                return list(names)
        raise InputError(
            f"{type(model).__name__} has none of the attention layers that are adapted by default", **error_at,
            hint=f"name them with target_modules, from: {', '.join(known) or 'none, it has no linear layers'}",
        )  # fmt: skip
    for name in wanted:
        if name.rsplit(".", 1)[-1] not in known:
            close = nearest(name, known)
            raise InputError(
                f"{type(model).__name__} has no linear layer called {name!r}", **error_at,
                hint=f"did you mean {close!r}?" if close else f"known: {', '.join(known)}",
            )  # fmt: skip
    return list(wanted)


def check_shape(
    config: Mapping[str, Any], given: Mapping[str, object], *, adapter: Path, error_at: Callable[[str], dict[str, Any]]
) -> None:
    """Refuse options that contradict the adapter that training continues; dropout may differ.

    Raises:
        InputError: naming the option and both values. `error_at(key)` gives file, line and key.
    """
    there = {
        "r": config.get("r"),
        "alpha": config.get("lora_alpha"),
        "target_modules": config.get("target_modules"),
        "dora": config.get("use_dora", False),
        "rslora": config.get("use_rslora", False),
        "from_layer": min(config.get("layers_to_transform") or [0]),
    }
    for key, has in there.items():
        if key not in given:
            continue
        wants = given[key]
        same = sorted(has) == sorted(wants) if isinstance(has, list) and isinstance(wants, list) else has == wants
        if not same:
            raise InputError(
                f"the adapter that training continues has {has!r}, not {wants!r}", **error_at(key),
                hint=f"leave {key} out, or start a new adapter instead of {adapter}",
            )  # fmt: skip


def check_fits(folder: Path, model: PreTrainedModel) -> None:
    """Refuse an adapter whose weights do not belong to this base.

    Raises:
        InputError: naming the first weight that is missing, has another shape or is not explained.
    """
    base = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    why = misfit(check_lora(folder), base)
    if why:
        raise InputError(why, file=folder, hint="use the adapter with its own base")
