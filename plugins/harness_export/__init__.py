"""Bundled plugin: adapters merged into whole models, and models for other programs: transformers, GGUF, ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api import Stage
    from harness.api.commands import Commands


def make_merge() -> Stage:
    """Make the `merge` stage."""
    from harness_export.stages import MergeStage

    return MergeStage()


def make_export() -> Stage:
    """Make the `export` stage."""
    from harness_export.stages import ExportStage

    return ExportStage()


@hookimpl
def register_stages(register: Callable[..., None]) -> None:
    """Register `merge` and `export`."""
    register("merge", make_merge, about="an adapter merged into a whole model's folder")
    register(
        "export", make_export, about="a model for other programs: transformers, GGUF or ONNX, reloaded and compared"
    )


@hookimpl
def register_commands(cli: Commands) -> None:
    """Add `harness export`."""
    cli.add_late(
        "export", "harness_export.command:export", section="train",
        about="Write a model for other programs: a transformers folder, GGUF or ONNX.",
    )  # fmt: skip
