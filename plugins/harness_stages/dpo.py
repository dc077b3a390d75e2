"""The `dpo` stage: learns from preference pairs by TRL's DPO, IPO or KTO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.api import Stage, StageInput, StageOutput
from harness_stages.collapse import require_measured
from harness_stages.pair_data import PairPlan, find_pairs, pair_workload, plan_pairs
from harness_stages.preferences import held_out
from harness_stages.tuning import MonitorOptions, TuningOptions, read_stage_options, require_training

MEASURED = ("length", "distinct", "repetition", "entropy", "perplexity", "self_generated")
"""What `stop_if` may limit."""
Loss = Literal["sigmoid", "ipo", "kto", "hinge", "robust", "apo_zero", "apo_down", "sigmoid_norm"]


class DPOOptions(TuningOptions, MonitorOptions):
    """What a recipe may say under `dpo`; docs/training.md has the table."""

    loss: Loss = "sigmoid"
    """DPO's own (arXiv 2305.18290), `ipo` (2310.12036), `kto` (2402.01306, each answer by itself), or others of TRL."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the reference, which is the model before this stage, holds the model; of IPO its τ."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Of `robust`: the assumed share of pairs that are the wrong way round."""
    min_confidence: float | None = None
    """Leave out pairs whose confidence is below; pairs that tell none stay."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the prompts that is held out, to say how often the chosen answer is the likelier one."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-5


class DPOStage(Stage):
    """Trains a LoRA adapter on preference pairs."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "peft", "trl", "accelerate")
    together: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter", "preferences": "preferences"}

    def check(self, inputs: StageInput) -> None:
        """Read options and data, and see that what training needs is installed."""
        require_training(self._plan(inputs).options, stage="dpo")

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the file of pairs."""
        options, error_at = read_stage_options(inputs, DPOOptions, stage="dpo")
        return {"data": find_pairs(inputs, options.data, error_at)}

    def workload(self, inputs: StageInput) -> Mapping[str, float]:
        """Return pairs as rows, about how many tokens both answers have with their prompts, and steps."""
        plan = self._plan(inputs)
        learned, _ = held_out(plan.pairs, plan.options.validation, inputs.seed)
        return pair_workload(plan.options, learned)

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the adapter.

        Raises:
            InputError: where data, options or the adapter to continue do not fit the base.
            BrokenRunError: where the loss is not a number any more, or memory ran out.
        """
        plan = self._plan(inputs)
        from harness_stages.dpo_training import train_dpo

        return train_dpo(inputs, plan)

    @staticmethod
    def _plan(inputs: StageInput) -> PairPlan:
        options, error_at = read_stage_options(inputs, DPOOptions, stage="dpo")
        require_measured(options.stop_if, MEASURED, stage="dpo", error_at=error_at)
        return plan_pairs(inputs, options, error_at, least=options.min_confidence)
