"""Bundled plugin: training stages and recipes. Nothing heavy is imported before a stage trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api import Stage
    from harness.api.commands import Commands

RECIPES = Path(__file__).parent / "recipes"


def make_sft() -> Stage:
    """Make the `sft` stage."""
    from harness_stages.sft import SFTStage

    return SFTStage()


def make_dpo() -> Stage:
    """Make the `dpo` stage."""
    from harness_stages.dpo import DPOStage

    return DPOStage()


def make_reward() -> Stage:
    """Make the `reward` stage."""
    from harness_stages.reward import RewardStage

    return RewardStage()


def make_rlaif() -> Stage:
    """Make the `rlaif` stage."""
    from harness_stages.rlaif import RLAIFStage

    return RLAIFStage()


def make_merge() -> Stage:
    """Make the `merge` stage."""
    from harness_stages.exporting.stages import MergeStage

    return MergeStage()


def make_interpolate() -> Stage:
    """Make the `interpolate` stage."""
    from harness_stages.interpolating import InterpolateStage

    return InterpolateStage()


def make_export() -> Stage:
    """Make the `export` stage."""
    from harness_stages.exporting.stages import ExportStage

    return ExportStage()


def make_bpe() -> Stage:
    """Make the `bpe` stage."""
    from harness_stages.pretraining.bpe import BPEStage

    return BPEStage()


def make_pretrain() -> Stage:
    """Make the `pretrain` stage."""
    from harness_stages.pretraining.stage import PretrainStage

    return PretrainStage()


def make_tokenizer() -> Stage:
    """Make the `tokenizer` stage."""
    from harness_stages.pretraining.vocabulary import VocabularyStage

    return VocabularyStage()


@hookimpl
def register_stages(register: Callable[..., None]) -> None:
    """Register the bundled stages."""
    register("sft", make_sft, about="supervised fine-tuning of a LoRA adapter (TRL): Alpaca, chat, prompt/completion")
    register("reward", make_reward, about="a LoRA reward model from preference pairs (TRL), with its calibration")
    register(
        "rlaif", make_rlaif, about="reinforcement learning by a reward model or a constitution's critics (TRL: GRPO)"
    )
    register("tokenizer", make_tokenizer, about="the base's vocabulary with terms of a corpus, as a small adapter")
    register("bpe", make_bpe, about="a byte-level BPE vocabulary from scratch")
    register("pretrain", make_pretrain, about="a decoder from scratch, or the base's weights trained on, on plain text")
    register("merge", make_merge, about="an adapter merged into a whole model's folder")
    register("interpolate", make_interpolate, about="an adapter weakened until it declines no more than allowed")
    register("export", make_export, about="a model as transformers folder, GGUF or ONNX, read again and compared")
    register("dpo", make_dpo, about="learns from preference pairs (TRL): DPO, IPO, KTO")


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness export`."""
    cli.add_late(
        "export", "harness_stages.exporting.command:export", section="train",
        about="Write a model for other programs: a transformers folder, GGUF or ONNX.",
    )  # fmt: skip


@hookimpl
def register_recipes(register: Callable[..., None]) -> None:
    """Register the bundled recipes."""
    register("persona", RECIPES / "persona.yaml", about="teaches SmolLM2-135M to answer as a fictitious person")
