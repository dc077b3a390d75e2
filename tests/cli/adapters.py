"""Adapters for the echo model, which minds nothing but their ids."""

from __future__ import annotations

import json
import struct
from pathlib import Path

NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def write_adapter(folder: Path, weight: float) -> Path:
    """Write an adapter with half a pair of one number, without torch."""
    folder.mkdir(parents=True, exist_ok=True)
    header = json.dumps({NAME: {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}).encode()
    data = len(header).to_bytes(8, "little") + header + struct.pack("<f", weight)
    (folder / "adapter_model.safetensors").write_bytes(data)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1, "target_modules": ["q_proj"]}')
    return folder
