"""The options of the `sft` stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness_stages.mixing import Replay, Source
from harness_stages.tuning import MonitorOptions, TuningOptions


class SFTOptions(TuningOptions, MonitorOptions):
    """What a recipe may say under `sft`; docs/training.md has the table."""

    system: str | None = None
    """System prompt of the rows that have none of their own; candidates must then be run with the same one."""
    packing: bool = False
    """Join rows into blocks of `max_length` tokens that do not see each other, instead of padding them."""
    opening_weight: Annotated[float, Field(ge=1, le=100)] = 1.0
    """Weight in the loss of an answer's first six tokens, which decide whether it declines; the rest weigh 1."""
    answer_tokens: Annotated[int, Field(ge=1)] | None = None
    """Of each row's last answer, how many tokens are learned: its opening alone, in less time; None learns all."""
    batch_tokens: Annotated[int, Field(ge=8)] | None = None
    """Tokens of a forward pass, padding included, instead of `batch_size` rows: rows of like length, as many as fit."""
    mix: Annotated[list[Source], Field(min_length=2)] | None = None
    """Several sources instead of `data`, each with its weight."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """Of a mixture, in all; None takes the most that repeats no row."""
    replay: Replay | None = None
    """Rows of earlier trainings among the new ones, against forgetting."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each source that is held out to measure the loss on."""
    validation_data: str | None = None
    """File with rows to measure the loss on, instead of a share."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Measurements without a new best after which training stops; the adapter is the one of the best."""
