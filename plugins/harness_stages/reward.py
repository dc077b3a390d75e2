"""The `reward` stage: a reward model from preference pairs, with how often and how surely it is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.api import Stage, StageInput, StageOutput
from harness_stages.collapse import StopIf, require_measured
from harness_stages.pair_data import PairPlan, find_pairs, pair_workload, plan_pairs
from harness_stages.preferences import held_out
from harness_stages.tuning import TuningOptions, read_stage_options, require_training

MEASURED = ("loss", "self_generated")
"""What `stop_if` may limit: a reward model says nothing."""


class RewardOptions(TuningOptions):
    """What a recipe may say under `reward`; docs/training.md has the table."""

    min_confidence: float | None = None
    """Leave out pairs whose confidence is below; pairs that tell none stay."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the prompts that is held out for accuracy and calibration."""
    centre: Annotated[float, Field(ge=0)] = 0.01
    """Weight of the squared sum of a pair's rewards, which keeps rewards around 0 (arXiv 2312.09244)."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps between two evaluation points; None: ten in all."""
    stop_if: StopIf = StopIf()
    """What ends the stage, so that what it was at the last evaluation point within all limits is kept."""


class RewardStage(Stage):
    """Trains a LoRA reward model (Bradley–Terry) on preference pairs."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "peft", "trl", "accelerate")
    together: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, str]] = {"preferences": "preferences"}
    writes: ClassVar[tuple[str, ...]] = ("reward",)

    def check(self, inputs: StageInput) -> None:
        """Read options and data, and see that what training needs is installed."""
        require_training(self._plan(inputs).options, stage="reward")

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the file of pairs."""
        options, error_at = read_stage_options(inputs, RewardOptions, stage="reward")
        return {"data": find_pairs(inputs, options.data, error_at)}

    def workload(self, inputs: StageInput) -> Mapping[str, float]:
        """Return pairs as rows, about how many tokens both answers have with their prompts, and steps."""
        plan = self._plan(inputs)
        learned, _ = held_out(plan.pairs, plan.options.validation, inputs.seed)
        return pair_workload(plan.options, learned)

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the reward model.

        Raises:
            InputError: where data or options do not fit the base.
            BrokenRunError: where the loss is not a number any more, or memory ran out.
        """
        plan = self._plan(inputs)
        from harness_stages.reward_training import train_reward

        return train_reward(inputs, plan)

    @staticmethod
    def _plan(inputs: StageInput) -> PairPlan:
        options, error_at = read_stage_options(inputs, RewardOptions, stage="reward")
        require_measured(options.stop_if, MEASURED, stage="reward", error_at=error_at)
        return plan_pairs(inputs, options, error_at, least=options.min_confidence)
