"""A base with its adapter as one model in memory, written in a format, read again and compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import BrokenRunError
from harness_stages.exporting.comparing import Scores, compare, score
from harness_stages.fitting import quiet_libraries
from harness_stages.loading import Where, load_base, load_tokenizer, plain_adapter
from harness_stages.lora import check_fits

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_EXACT = {("hf", "float32"), ("gguf", "f32"), ("onnx", "float32")}
_MOST = 0.01
"""Nats per token by which a format that loses nothing may differ: another order of summing, no more."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A whole model in float32."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    base: Path
    """Where it comes from, for errors."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written, and how it compares."""

    path: Path
    figures: dict[str, float]


def load_whole(base: Path, adapters: Sequence[Path]) -> Whole:
    """Return a base with its adapters merged into it, one after the other.

    Raises:
        InputError: where something cannot be loaded or does not fit.
    """
    from peft import PeftModel

    with quiet_libraries():
        model = load_base(base, Where(device="cpu", dtype="float32"))
        for adapter in adapters:
            check_fits(adapter, model)
            with plain_adapter(adapter, model, base) as folder:
                peft_model = PeftModel.from_pretrained(
                    model, str(folder), local_files_only=True, low_cpu_mem_usage=False
                )
            model = peft_model.merge_and_unload(safe_merge=True)
        model.eval()
        return Whole(model=model, tokenizer=load_tokenizer(base, adapters[0] if adapters else None), base=base)


def write(whole: Whole, kind: str, numbers: str, folder: Path) -> Written:
    """Write a model into a new folder, read it again, and compare its log-probabilities with the original's.

    Args:
        whole: the model.
        kind: of `needed.FORMATS`.
        numbers: of the format's number formats.
        folder: that does not exist yet, or is empty.

    Raises:
        InputError: for an architecture or tokenizer that the format has no name for.
        BrokenRunError: where a format that should lose nothing gives other log-probabilities.
    """
    from harness_stages.exporting import gguf_file, onnx_file, transformers_folder

    writers = {"hf": transformers_folder, "gguf": gguf_file, "onnx": onnx_file}
    module = writers[kind]
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_libraries():
        began = time.monotonic()
        module.write(whole, numbers, folder)
        seconds = time.monotonic() - began
        here = score(forward_of(whole.model), whole.tokenizer)
        there = score(module.read(folder), whole.tokenizer)
    figures = {"seconds_to_write": round(seconds, 3), "bytes": float(_size(folder)),
               **compared(here, there, kind, numbers)}  # fmt: skip
    return Written(path=folder, figures=figures)


def compared(here: Scores, there: Scores, kind: str, numbers: str) -> dict[str, float]:
    """Return `compare`'s figures; raises BrokenRunError where what should lose nothing is further off."""
    figures = compare(here, there)
    if (kind, numbers) in _EXACT and figures["largest_difference"] > _MOST:
        raise BrokenRunError(
            f"read again, the {kind} model gives a token's log-probability that is {figures['largest_difference']:.3g} "
            "nats off, though nothing should be lost; nothing was kept"
        )
    return figures


def forward_of(model: Any) -> Any:  # noqa: ANN401 - a function of tokens
    """Return a function from token ids to logits of shape (tokens, vocabulary)."""
    import torch

    def forward(ids: list[int]) -> Any:  # noqa: ANN401 - an array
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()

    return forward


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
