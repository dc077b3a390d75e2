"""The options of the `sft` stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.api import StrictModel

Scheduler = Literal["constant", "constant_with_warmup", "cosine", "linear"]


class SFTOptions(StrictModel):
    """What a recipe may say under `sft`; docs/training.md has the table."""

    data: str | None = None
    """File with training rows, relative to the recipe; None takes the dataset that the stage before wrote."""
    system: str | None = None
    """System prompt of the rows that have none of their own; candidates must then be run with the same one."""
    epochs: Annotated[float, Field(gt=0, le=1000)] = 1.0
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps after which training stops, whatever `epochs` says."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-4
    """The peak, after warm-up."""
    scheduler: Scheduler = "linear"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps during which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Rows per forward pass, on each device."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Forward passes per optimizer step."""
    max_length: Annotated[int, Field(ge=8)] = 512
    """Tokens of a row, prompt and answer; longer answers are cut and counted."""
    packing: bool = False
    """Join rows into blocks of `max_length` tokens that do not see each other, instead of padding them."""
    r: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    target_modules: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the linear layers that get a LoRA pair; None takes q_proj and v_proj, or the architecture's own."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen base; the adapter itself is always trained in float32. `auto` is bfloat16 where the device computes
    it natively, else float32."""
    gradient_checkpointing: bool = False
    """Trade about a third of the speed for much less memory."""

    @property
    def shape(self) -> dict[str, object]:
        """The options that shape the adapter, as given: those left out are absent."""
        names = ("r", "alpha", "dropout", "target_modules")
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}
