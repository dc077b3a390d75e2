"""The options that every stage which trains a LoRA adapter shares, and how any stage reads its options."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from harness.api import MissingDependencyError, StageInput, StrictModel, stage_options
from harness_stages.collapse import StopIf

Scheduler = Literal["constant", "constant_with_warmup", "cosine", "linear"]
Places = Callable[..., dict[str, Any]]
"""Gives file, line and key of an option, or of what stands below it, for errors."""
M = TypeVar("M", bound=StrictModel)


class DataOptions(StrictModel):
    """Where rows come from."""

    data: str | None = None
    """File with rows, relative to the recipe; None takes what the stage before wrote."""
    max_bad_rows: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest share of rows that may be left out because they are not what they should be; they are counted and
    listed. 0 stops at the first."""


class LoraOptions(StrictModel):
    """The shape of an adapter, and in what precision its base is held."""

    r: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    target_modules: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the linear layers that get a LoRA pair; None takes q_proj and v_proj, or the architecture's own."""
    from_layer: Annotated[int, Field(ge=0)] = 0
    """Only this layer (from 0) and those above get pairs: what is below runs without autograd."""
    dora: bool = False
    """Learn each adapted layer's magnitude apart from its direction (DoRA, arXiv 2402.09353)."""
    rslora: bool = False
    """Scale by alpha / √r instead of alpha / r (rsLoRA, arXiv 2312.03732)."""
    quantise: Literal["none", "int8", "4bit"] = "none"
    """Hold the frozen base in 8 or 4 bits, by bitsandbytes."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen base; the adapter itself is always trained in float32. `auto` is bfloat16 where the device computes
    it natively, else float32."""

    @property
    def shape(self) -> dict[str, object]:
        """The options that shape the adapter, as given: those left out are absent."""
        names = ("r", "alpha", "dropout", "target_modules", "from_layer", "dora", "rslora")
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}


class OptimiserOptions(StrictModel):
    """How long and how fast is learned."""

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
    gradient_checkpointing: bool = False
    """Trade about a third of the speed for much less memory."""


class MonitorOptions(StrictModel):
    """What is watched while a stage trains."""

    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps between two evaluation points; None: ten in all."""
    stop_if: StopIf = StopIf()
    """What ends the stage, so that what it was at the last evaluation point within all limits is kept."""
    monitored_prompts: Annotated[int, Field(ge=0)] = 8
    """Prompts that the model answers at each evaluation point; 0 asks none."""
    monitored_tokens: Annotated[int, Field(ge=1)] = 48
    """Tokens of such an answer at most."""


class TuningOptions(DataOptions, LoraOptions, OptimiserOptions):
    """Data, adapter and optimiser."""


def read_stage_options(inputs: StageInput, model: type[M], *, stage: str) -> tuple[M, Places]:
    """Return a stage's options and what says where each stands in the recipe; raises as `stage_options`."""
    options, document = stage_options(inputs, model, stage=stage)

    def error_at(*keys: str | int) -> dict[str, Any]:
        error = document.error("", (*inputs.place, *keys))
        return {"file": error.file, "line": error.line, "key": error.key}

    return options, error_at


def require_training(options: LoraOptions, *, stage: str) -> None:
    """See that what a trainer needs is installed; raises as `require`."""
    require("trl", "datasets", stage=stage)
    if options.quantise != "none":
        require("bitsandbytes", stage=f"{stage} with quantise: {options.quantise}", extra="quantise")


def require(*packages: str, stage: str, extra: str = "train") -> None:
    """See that packages are installed, importing none.

    Raises:
        MissingDependencyError: naming the first that is not.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, extra, needed_by=f"the stage {stage}")
