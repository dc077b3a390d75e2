"""Writes adapters: the same bytes for the same adapter on any machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.weights import FIELD, Vocabulary, read_rows, read_vocabulary

if TYPE_CHECKING:
    from harness.api import StageInput


def save_adapter(model: Any, inputs: StageInput, name: str = "adapter") -> Path:  # noqa: ANN401 - PEFT is not typed
    """Write adapter_config.json and adapter_model.safetensors into a folder of the stage's output, and return it."""
    folder = inputs.output / name
    for config in model.peft_config.values():
        config.base_model_name_or_path = inputs.model.reference  # a path of this machine says nothing elsewhere
    model.save_pretrained(
        str(folder), safe_serialization=True, save_embedding_layers=False, selected_adapters=["default"]
    )
    for file in folder.iterdir():
        if file.name not in {"adapter_config.json", "adapter_model.safetensors"}:
            file.unlink()  # PEFT adds a model card with nothing but placeholders
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text("utf-8"))
    for key, value in config.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            config[key] = sorted(value)  # PEFT keeps sets, whose order differs from process to process
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    brought = None if inputs.adapter is None or name != "adapter" else read_vocabulary(inputs.adapter)
    if brought is not None and inputs.adapter is not None:  # what goes on keeps the tokens that it brought
        write_whole(folder, brought, read_rows(inputs.adapter))
    return folder


def write_whole(folder: Path, vocabulary: Vocabulary, rows: Mapping[str, Any]) -> None:
    """Put tokens and their rows into a plain adapter's two files."""
    from safetensors.torch import load_file, save_file

    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    save_file({**load_file(str(weights)), **{name: row.contiguous() for name, row in rows.items()}}, str(weights),
              metadata={"format": "pt"})  # fmt: skip
    content = json.loads(config.read_text("utf-8")) | {FIELD: vocabulary.plain()}
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
