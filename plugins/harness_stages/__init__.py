"""Bundled plugin: training stages and recipes. Nothing heavy is imported before a stage trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from harness.api.commands import Commands

RECIPES = Path(__file__).parent / "recipes"


@hookimpl
def register_stages(register: Callable[..., None]) -> None:
    """Register the bundled stages."""
    register(
        "sft", late("harness_stages.sft:SFTStage"),
        about="supervised fine-tuning of a LoRA adapter (TRL): Alpaca, chat, prompt/completion",
    )  # fmt: skip
    register(
        "reward", late("harness_stages.reward:RewardStage"),
        about="a LoRA reward model from preference pairs (TRL), with its calibration",
    )  # fmt: skip
    register(
        "rlaif", late("harness_stages.rlaif:RLAIFStage"),
        about="reinforcement learning by a reward model or a constitution's critics (TRL: GRPO)",
    )  # fmt: skip
    register(
        "tokenizer", late("harness_stages.pretraining.vocabulary:VocabularyStage"),
        about="the base's vocabulary with terms of a corpus, as a small adapter",
    )  # fmt: skip
    register(
        "bpe", late("harness_stages.pretraining.bpe:BPEStage"),
        about="a byte-level BPE vocabulary from scratch",
    )  # fmt: skip
    register(
        "pretrain", late("harness_stages.pretraining.stage:PretrainStage"),
        about="a decoder from scratch, or the base's weights trained on, on plain text",
    )  # fmt: skip
    register(
        "merge", late("harness_stages.exporting.stages:MergeStage"),
        about="an adapter merged into a whole model's folder",
    )  # fmt: skip
    register(
        "interpolate", late("harness_stages.interpolating:InterpolateStage"),
        about="an adapter weakened until it declines no more than allowed",
    )  # fmt: skip
    register(
        "export", late("harness_stages.exporting.stages:ExportStage"),
        about="a model as transformers folder, GGUF or ONNX, read again and compared",
    )  # fmt: skip
    register(
        "dpo", late("harness_stages.dpo:DPOStage"),
        about="learns from preference pairs (TRL): DPO, IPO, KTO",
    )  # fmt: skip


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness export`."""
    cli.add_late(
        "export", "harness_stages.exporting.command:export", section="train",
        about="Write a model for other programs: a transformers folder, GGUF or ONNX.",
    )  # fmt: skip


@hookimpl
def register_services(register: Callable[..., None]) -> None:
    """Offer to other stages how these read training rows, and watch for a collapse."""
    register("training data", late("harness_stages.data:find_data"), about="the file of rows that a stage reads")
    register("training rows", late("harness_stages.rows:read_rows"), about="a file of rows as conversations")
    register("collapse signs", late("harness_stages.collapse:Signs"), about="what was measured, against limits")
    register("text measures", late("harness_stages.collapse:measure_texts"), about="length and repetition of answers")


@hookimpl
def register_recipes(register: Callable[..., None]) -> None:
    """Register the bundled recipes."""
    register("persona", RECIPES / "persona.yaml", about="teaches SmolLM2-135M to answer as a fictitious person")
