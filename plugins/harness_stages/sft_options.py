"""The options of the `sft` stage."""

from __future__ import annotations

from harness_stages.tuning import TuningOptions


class SFTOptions(TuningOptions):
    """What a recipe may say under `sft`; docs/training.md has the table."""

    system: str | None = None
    """System prompt of the rows that have none of their own; candidates must then be run with the same one."""
    packing: bool = False
    """Join rows into blocks of `max_length` tokens that do not see each other, instead of padding them."""
