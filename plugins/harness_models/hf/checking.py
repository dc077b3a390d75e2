"""Checks that an adapter fits a base, from configurations and safetensors headers alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError, base_shapes_folder, tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import AdapterSpec, ModelSpec, Surroundings

_TAKEN_FROM_THE_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")
_NOT_ON_A_SHARED_BASE = (
    "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "monteclora_config"
)  # fmt: skip
"""Fields of adapter_config.json by which peft rebuilds the base, or acts by what stands in the whole input."""
_LORA = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight$")


def check_adapters(spec: ModelSpec, adapters: Sequence[AdapterSpec], surroundings: Surroundings) -> None:
    """Check every adapter against the base's headers, where the base is on disk in plain form.

    Raises:
        InputError: naming the adapter and the base.
    """
    if not adapters:
        return
    folder = base_shapes_folder(spec, surroundings)
    shapes = {} if folder is None else _base_shapes(folder)
    for adapter in adapters:
        check_adapter(adapter, spec, shapes)


def check_adapter(adapter: AdapterSpec, spec: ModelSpec, base: Mapping[str, tuple[int, ...]]) -> None:
    """Check one adapter's configuration, its file, and its shapes against the base's (skipped where `base` is empty).

    Raises:
        InputError: naming the adapter and the base.
    """
    folder = Path(adapter.path)
    made_for = _config(folder)
    for key, shape in tensor_shapes(folder / "adapter_model.safetensors").items():
        match = _LORA.match(key)
        if match is None or not base:
            continue
        module = match["module"]
        weight = _weight_of(module, base)
        if weight is None:
            raise _misfit(adapter, spec, made_for, f"the base has no {module}")
        if len(weight) == 2 and shape[1 if match["part"] == "A" else 0] not in weight:
            width = shape[1] if match["part"] == "A" else shape[0]
            raise _misfit(adapter, spec, made_for, f"{module} is {weight[0]}×{weight[1]} there, not {width} wide")


def _config(folder: Path) -> str:
    """Validate adapter_config.json; return the base that the adapter says it was trained on."""
    file = folder / "adapter_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("no such file: the folder is not an adapter", file=file, hint="check --adapter") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as JSON ({error})", file=file) from error
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise InputError(f"the adapter is of type {kind!r}", file=file, hint="only LoRA adapters can be used")
    _refuse_what_outlasts(config, file)
    return str(config.get("base_model_name_or_path") or "a base it does not name")


def _refuse_what_outlasts(config: Mapping[str, Any], file: Path) -> None:
    """Refuse adapters that change the base itself when they are put on it: the base alone would answer otherwise."""
    if config.get("bias") not in (None, "none"):
        raise InputError(
            "the adapter changes biases of the base, which stay changed when it is off",
            file=file, key="bias", hint="train it with bias: none",
        )  # fmt: skip
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_TAKEN_FROM_THE_BASE):
        raise InputError(
            f"an adapter that began as {start!r} takes its part out of the base's weights, which stay changed when it"
            " is off",
            file=file, key="init_lora_weights",
            hint="save it as plain LoRA: peft's save_pretrained has path_initial_model_for_weight_conversion",
        )  # fmt: skip
    other = next((key for key in _NOT_ON_A_SHARED_BASE if config.get(key)), None)
    if other is not None:
        raise InputError(
            "the adapter changes how the base itself runs, so that it cannot share one with others",
            file=file, key=other, hint="train it as plain LoRA, or merge it and give the merged model",
        )  # fmt: skip


def _base_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        shapes.update(tensor_shapes(file))
    return shapes


def _weight_of(module: str, base: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    """Find the module's weight; some checkpoints leave out the leading name of the body, or tie the head."""
    name = f"{module}.weight"
    if name in base:
        return base[name]
    shorter = name.partition(".")[2]
    if shorter in base:
        return base[shorter]
    if module in ("lm_head", "embed_out"):
        return next((shape for key, shape in base.items() if key.endswith(("embed_tokens.weight", "wte.weight"))), None)
    return None


def _misfit(adapter: AdapterSpec, spec: ModelSpec, made_for: str, why: str) -> InputError:
    return InputError(
        f"the adapter {adapter.reference} (trained on {Path(made_for).name}) does not fit the base {spec.reference}:"
        f" {why}",
        file=adapter.path,
        hint="give the base it was trained on with --model, or another adapter",
    )
