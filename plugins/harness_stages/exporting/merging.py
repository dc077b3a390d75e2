"""An adapter merged into its base: the same answers from one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness_stages.exporting.comparing import score
from harness_stages.exporting.written import Written, compared, forward_of, load_whole, write
from harness_stages.fitting import quiet_libraries
from harness_stages.loading import load_tokenizer, plain_adapter

if TYPE_CHECKING:
    from harness_stages.exporting.comparing import Scores


def merge(base: Path, adapter: Path, numbers: str, folder: Path) -> Written:
    """Write base and adapter as one model, and compare it with the two as they are used side by side.

    Args:
        base: its folder.
        adapter: its folder.
        numbers: `float32`, `bfloat16` or `float16`.
        folder: to write into.

    Raises:
        InputError: where they do not fit.
        BrokenRunError: where the merged model, in float32, answers otherwise.
    """
    with quiet_libraries():
        beside = _side_by_side(base, adapter)
        written = write(load_whole(base, [adapter]), "hf", numbers, folder)
        merged = score(forward_of(load_whole(folder, []).model), load_tokenizer(base, adapter))
        return Written(path=folder, figures={**written.figures, **compared(beside, merged, "hf", numbers)})


def _side_by_side(base: Path, adapter: Path) -> Scores:
    from peft import PeftModel

    whole = load_whole(base, [])
    with plain_adapter(adapter, whole.model, base) as folder:
        model = PeftModel.from_pretrained(whole.model, str(folder), local_files_only=True, low_cpu_mem_usage=False)
    return score(forward_of(model.eval()), load_tokenizer(base, adapter))
