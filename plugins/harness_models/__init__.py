"""Bundled plugin: models. Every factory imports its backend when it is used, not before."""

from __future__ import annotations

from collections.abc import Callable

from harness import hookimpl, late


@hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the bundled model schemes."""
    register(
        "hf", late("harness_models.hf.replicas:hf_model"),
        about="transformers, with any number of LoRA adapters on one base: name, hub id or path",
    )  # fmt: skip
    register(
        "vllm", late("harness_models.vllm.model:VllmModel"),
        about="vLLM's offline engine with the names and paths of hf:; needs vllm, never run here",
    )  # fmt: skip
    register(
        "openai", late("harness_models.remote.model:OpenAIModel"),
        about="any OpenAI-compatible server: openai:MODEL@http://host:port/v1",
    )  # fmt: skip
    register(
        "echo", late("harness_models.echo:EchoModel"), about="repeats the last user message: for tests and tutorials"
    )
    register(
        "replay", late("harness_models.replay:ReplayModel"),
        about="stored transcripts, judged without a model: replay:FILE.jsonl",
    )  # fmt: skip


@hookimpl
def register_services(register: Callable[..., None]) -> None:
    """Offer to training what the engine renders, encodes and continues prompts with; to all, a base's plain folder."""
    register("renderer", late("harness_models.hf.chat:Renderer"), about="conversations to tokens, by a chat template")
    register("rollouts", late("harness_models.hf.rollouts:Rollouts"), about="answers of a model in training")
    for name, function, about in _OFFERED:
        register(name, late(f"harness_models.hf.{function}"), about=about)


_OFFERED = (
    ("materialise", "bases:materialise", "a base as a plain folder"),
    ("base hash", "bases:base_hash", "what pins a base"),
    ("base shapes folder", "bases:base_shapes_folder", "whose headers tell a base's shapes"),
    ("asking no hub", "hub:asking_no_hub", "loads from a folder without asking the hub"),
    ("extend vocabulary", "vocabulary:extend", "tokens that an adapter brings, put into a model"),
    ("add tokens", "vocabulary:add_tokens", "tokens that an adapter brings, put into a tokenizer"),
    ("read vocabulary rows", "vocabulary:read_rows", "an adapter's rows for its own tokens"),
    ("write without vocabulary", "vocabulary:write_plain", "an adapter without its own tokens"),
)
