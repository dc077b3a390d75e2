"""A folder as transformers saves it: config, tokenizer with chat template, safetensors."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness_stages.exporting.written import Whole


def write(whole: Whole, numbers: str, folder: Path) -> None:
    """Write the model in float32, bfloat16 or float16."""
    import torch

    model = whole.model
    if numbers != "float32":
        model = copy.deepcopy(model).to(getattr(torch, numbers))  # casting is lossy, and the original is compared with
    model.save_pretrained(str(folder), safe_serialization=True)
    whole.tokenizer.save_pretrained(str(folder))
    leave_out_paths(folder)


def leave_out_paths(folder: Path) -> None:
    """Take paths of this machine out of what was saved: they say nothing elsewhere, and make equal models differ."""
    for name in ("config.json", "tokenizer_config.json"):
        file = folder / name
        content = json.loads(file.read_text("utf-8"))
        for key in ("_name_or_path", "name_or_path"):
            content.pop(key, None)
        file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def read(folder: Path) -> Callable[[list[int]], Any]:
    """Return a function from token ids to logits."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True, use_safetensors=True).eval()

    def forward(ids: list[int]) -> Any:  # noqa: ANN401 - an array
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()

    return forward
