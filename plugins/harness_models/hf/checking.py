"""Checks that an adapter fits a base, from configurations and safetensors headers alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import InputError, base_shapes, base_shapes_folder, check_lora, misfit, read_adapter_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import AdapterSpec, ModelSpec, RunContext


def check_adapters(spec: ModelSpec, adapters: Sequence[AdapterSpec], context: RunContext) -> None:
    """Check every adapter against the base's headers, where the base is on disk in plain form.

    Raises:
        InputError: naming the adapter and the base.
    """
    if not adapters:
        return
    folder = base_shapes_folder(spec, context)
    shapes = {} if folder is None else base_shapes(folder)
    for adapter in adapters:
        check_adapter(adapter, spec, shapes)


def check_adapter(adapter: AdapterSpec, spec: ModelSpec, base: Mapping[str, tuple[int, ...]]) -> None:
    """Check one adapter's configuration, its file, and its shapes against the base's (skipped where `base` is empty).

    Raises:
        InputError: naming the adapter and the base.
    """
    folder = Path(adapter.path)
    shapes = check_lora(folder)
    why = misfit(shapes, base) if base else ""
    if why:
        made_for = str(read_adapter_config(folder).get("base_model_name_or_path") or "a base it does not name")
        raise _misfit(adapter, spec, made_for, why)


def _misfit(adapter: AdapterSpec, spec: ModelSpec, made_for: str, why: str) -> InputError:
    return InputError(
        f"the adapter {adapter.reference} (trained on {Path(made_for).name}) does not fit the base {spec.reference}:"
        f" {why}",
        file=adapter.path,
        hint="give the base it was trained on with --model, or another adapter",
    )
