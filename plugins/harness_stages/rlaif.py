"""The `rlaif` stage: reinforcement learning from AI feedback, by TRL's GRPO."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.api import (
    InputError,
    Stage,
    StageInput,
    StageOutput,
    check_lora,
    read_adapter_config,
    resolve_path,
)
from harness_stages.collapse import StopIf, require_measured
from harness_stages.data import find_data
from harness_stages.lora import check_shape
from harness_stages.prompts import PromptRow, read_prompts
from harness_stages.reward_model import FILES, read_settings
from harness_stages.tuning import Places, TuningOptions, read_stage_options, require_training
from harness_stages.workloads import CHARACTERS, MARKS

MEASURED = ("kl", "length", "distinct", "repetition", "entropy")
"""What `stop_if` may limit: each step's answers, all of them the model's own, and how far it is from the reference."""


class RLAIFOptions(TuningOptions):
    """What a recipe may say under `rlaif`; docs/training.md has the table."""

    more_data: list[str] = Field(default_factory=list)
    """Files with more prompts, such as harmless ones beside harmful ones, relative to the recipe."""
    system: str | None = None
    """System prompt of the prompts that have none of their own."""
    reward: str | None = None
    """Folder of a reward model, relative to the recipe; None takes the one that a stage before wrote, if any."""
    reward_weight: Annotated[float, Field(ge=0)] = 1.0
    constitution_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the share in [0, 1] to which critics find the recipe's constitution followed."""
    length_target: Annotated[int, Field(ge=1)] | None = None
    """Tokens beyond which an answer costs reward; None takes the mean of the first step's answers."""
    length_weight: Annotated[float, Field(ge=0)] = 0.0
    """Reward lost per multiple of the target beyond it."""
    samples: Annotated[int, Field(ge=2)] = 4
    """Answers per prompt, which are compared with each other."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    beta: Annotated[float, Field(ge=0)] = 0.04
    """Weight of the KL divergence from the reference, which is the model before this stage."""
    loss: Literal["grpo", "dr_grpo", "dapo", "bnpo"] = "grpo"
    """How TRL weighs tokens and answers (arXiv 2402.03300, 2503.20783, 2503.14476)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """By whose standard deviation rewards are divided, once their group's mean is taken off: the answers to one prompt
    (arXiv 2402.03300), all of a step (arXiv 2508.08221), or none (arXiv 2503.20783). Where many groups hardly differ,
    the first makes their noise as loud as what there is to learn."""
    stop_if: StopIf = StopIf()
    """What ends the stage, so that the adapter of the last step within all of them is kept."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-5


@dataclass(frozen=True, kw_only=True)
class RLAIFPlan:
    """An `rlaif` stage, read and checked as far as it can be without the model."""

    options: RLAIFOptions
    data: Path
    prompts: tuple[tuple[Path, PromptRow], ...]
    """Each with its file."""
    reward: Path | None
    """Folder of the reward model."""
    constitution: bool
    """Whether critics judge."""
    note: str
    bad_rows: int
    error_at: Places


class RLAIFStage(Stage):
    """Trains a LoRA adapter on its own answers by a reward model, a constitution's critics, or both."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "peft", "trl", "accelerate")
    together: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter", "dataset": "dataset", "reward": "reward"}
    roles: ClassVar[tuple[str, ...]] = ("judge",)

    def check(self, inputs: StageInput) -> None:
        """Read options and data, and see that what training needs is installed."""
        require_training(self._plan(inputs).options, stage="rlaif")

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the file of prompts, and the reward model's files."""
        options, error_at = read_stage_options(inputs, RLAIFOptions, stage="rlaif")
        files = {"data": find_data(inputs, options.data, error_at)}
        files |= {f"data {number}": path for number, path in enumerate(_more(inputs, options, error_at), 2)}
        folder = _reward(inputs, options, error_at)
        if options.reward is not None and folder is not None:
            # The weights' content stands for the folder's path, so that a moved reward model changes nothing.
            files |= {
                "reward": folder / FILES[1], "reward configuration": folder / FILES[0],
                "reward settings": folder / FILES[2],
            }  # fmt: skip
        return files

    def workload(self, inputs: StageInput) -> Mapping[str, float]:
        """Return prompts as rows, steps, and about how many tokens are answered or learned from.

        Each answer counts twice with its prompt: once while it is said, once while it is learned from.
        """
        plan = self._plan(inputs)
        options = plan.options
        drawn = options.batch_size * options.gradient_accumulation
        steps = options.max_steps or math.ceil(len(plan.prompts) * options.samples / drawn * options.epochs)
        told = sum(len(turn.content) for _, row in plan.prompts for turn in row.messages) / len(plan.prompts)
        tokens = min(options.max_length, told / CHARACTERS + MARKS + options.max_new_tokens)
        return {"rows": float(len(plan.prompts)), "tokens": float(round(2 * steps * drawn * tokens)),
                "steps": float(steps)}  # fmt: skip

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the adapter.

        Raises:
            InputError: where data, options, the reward model or the adapter to continue do not fit the base.
            BrokenRunError: where the loss is not a number any more, or memory ran out.
        """
        plan = self._plan(inputs)
        from harness_stages.rlaif_training import train_rlaif

        return train_rlaif(inputs, plan)

    @staticmethod
    def _plan(inputs: StageInput) -> RLAIFPlan:
        options, error_at = read_stage_options(inputs, RLAIFOptions, stage="rlaif")
        require_measured(options.stop_if, MEASURED, stage="rlaif", error_at=error_at)
        data = find_data(inputs, options.data, error_at)
        more = _more(inputs, options, error_at)
        read = {
            path: read_prompts(path, most_bad=options.max_bad_rows, system=options.system) for path in (data, *more)
        }
        reward = _reward(inputs, options, error_at) if options.reward_weight else None
        judged = inputs.constitution is not None and options.constitution_weight > 0
        if reward is None and not judged:
            raise InputError(
                "nothing rewards the answers", **error_at("reward"),
                hint="add a reward stage before, reward: FOLDER, or constitution: NAME to the recipe",
            )  # fmt: skip
        drawn = options.batch_size * options.gradient_accumulation
        if drawn % options.samples:
            raise InputError(
                f"batch_size × gradient_accumulation is {drawn}, which {options.samples} answers per prompt do not "
                "divide", **error_at("samples"), hint="choose batch_size as a multiple of samples",
            )  # fmt: skip
        if inputs.adapter is not None:
            check_lora(inputs.adapter)
            config = read_adapter_config(inputs.adapter)
            check_shape(config, options.shape, adapter=inputs.adapter, error_at=error_at)
        return RLAIFPlan(
            options=options, data=data,
            prompts=tuple((path, row) for path, rows in read.items() for row in rows.good), reward=reward,
            constitution=judged, note="; ".join(rows.note for rows in read.values() if rows.note),
            bad_rows=sum(len(rows.bad) for rows in read.values()), error_at=error_at,
        )  # fmt: skip


def _more(inputs: StageInput, options: RLAIFOptions, error_at: Places) -> tuple[Path, ...]:
    """Return the files of `more_data`; raises as `find_data`."""
    return tuple(
        find_data(inputs, name, lambda _, place=("more_data", index): error_at(*place))  # type: ignore[misc]
        for index, name in enumerate(options.more_data)
    )


def _reward(inputs: StageInput, options: RLAIFOptions, error_at: Places) -> Path | None:
    """Return the folder of the reward model; None where there is none."""
    if options.reward is None:
        return inputs.others.get("reward")
    where = error_at("reward")
    folder = resolve_path(options.reward, inputs.recipe_path, line=where["line"], key=where["key"])
    try:
        read_settings(folder)
        check_lora(folder)
    except InputError as error:
        raise InputError(str(error), **where) from error
    return folder
