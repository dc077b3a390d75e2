"""Bundled plugin: models. Every factory imports its backend when it is used, not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.api import Model, ModelSpec, RunContext


def make_hf(spec: ModelSpec, context: RunContext) -> Model:
    """Make the model behind `hf:`, a catalog name or a path."""
    from harness_models.hf.model import HfModel

    return HfModel(spec, context)


def make_vllm(spec: ModelSpec, context: RunContext) -> Model:
    """Make the model behind `vllm:`, with the names and paths of `hf:`."""
    from harness_models.vllm.model import VllmModel

    return VllmModel(spec, context)


def make_openai(spec: ModelSpec, context: RunContext) -> Model:
    """Make the model behind `openai:MODEL@URL`."""
    from harness_models.remote.model import OpenAIModel

    return OpenAIModel(spec, context)


def make_echo(spec: ModelSpec, context: RunContext) -> Model:
    """Make the model behind `echo:`."""
    from harness_models.echo import EchoModel

    return EchoModel(spec, context)


def make_replay(spec: ModelSpec, context: RunContext) -> Model:
    """Make the model behind `replay:FILE`."""
    from harness_models.replay import ReplayModel

    return ReplayModel(spec, context)


@hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the bundled model schemes."""
    register("hf", make_hf, about="transformers, with any number of LoRA adapters on one base: name, hub id or path")
    register(
        "vllm", make_vllm, about="vLLM's offline engine with the names and paths of hf:; needs vllm, never run here"
    )
    register("openai", make_openai, about="any OpenAI-compatible server: openai:MODEL@http://host:port/v1")
    register("echo", make_echo, about="repeats the last user message: for tests and tutorials")
    register("replay", make_replay, about="stored transcripts, judged without a model: replay:FILE.jsonl")
