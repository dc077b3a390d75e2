"""The `vllm` model: vLLM's offline engine, with adapters by request, prefix caching and prompt log-probabilities.

Rendering, encoding and splitting are those of `hf:`, so that both forward the same tokens. It was written by vLLM's
documentation and has never run with vLLM here. Its test of parity is the precision check, against `hf:` in float32.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from harness.api import (
    Candidate,
    Completion,
    Generate,
    InputError,
    LogProb,
    Model,
    NoReply,
    Reply,
    Request,
    Timing,
    materialise,
    resolve_model,
)
from harness_models.hf.chat import Renderer
from harness_models.hf.encoding import asks, continuations, texts
from harness_models.hf.fingerprint import fingerprint, package_version
from harness_models.hf.loading import load_tokenizer
from harness_models.hf.replies import summed
from harness_models.hf.stopping import control_tokens

if TYPE_CHECKING:
    from harness.api import ModelSpec, RunContext
    from harness_models.hf.planning import Branches

_MOST_RANK = 256
"""Of adapters; vLLM keeps room for it."""
_GENERATED = 1
"""Token that vLLM generates behind a prompt whatever is asked of it, and that must fit into its window."""
_SHARE = 0.9
"""Of the GPU's memory, which vLLM takes at once: its own default, where nothing else is there."""


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    """What encoding needs to know of a base."""

    tokenizer: Any
    window: int
    start_id: int | None
    vocabulary: int | None = None

    def shorter(self, tokens: int) -> _Tokens:
        """Return the same with so many tokens less in its window."""
        return replace(self, window=self.window - tokens)


class VllmModel(Model):
    """A causal language model in vLLM, on this machine's GPU or whatever vLLM was built for."""

    def __init__(self, spec: ModelSpec, context: RunContext) -> None:
        super().__init__(spec, context)
        named = resolve_model(f"hf:{spec.name}", schemes=["hf"], dtype=spec.dtype, device=spec.device)
        self._local = replace(named, revision=spec.revision or named.revision)
        """The same base for `hf:`: names and paths mean the same."""
        self._engine: Any = None
        self._tokens: _Tokens | None = None
        self._adapters: dict[str, int] = {}
        """vLLM's number of each adapter, by id."""

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return what decides the replies: as for `hf:`, with vLLM's version.

        Raises:
            InputError: when weights are absent, or an adapter does not fit, or there are several adapters, or a GPU is
                named by its number.
        """
        self._takes(candidate)
        found = dict(fingerprint(self._local, candidate, self.context))
        return found | {"backend": f"vllm {package_version('vllm')} {found['backend']}", "dtype": self.spec.dtype}

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:
        """Hand all requests to vLLM, which batches them.

        Raises:
            InputError: when base or adapter cannot be used, or vLLM is not installed.
        """
        engine, tokens = self._open(candidate)
        renderer = Renderer(tokens.tokenizer, candidate.template)
        rows, homes = continuations(tokens.shorter(_GENERATED), renderer, requests, deliver)
        for replies, answers in zip(self._scores(engine, candidate, rows), homes, strict=True):
            for reply, indices in zip(replies, answers, strict=True):
                for index in indices:
                    deliver(index, reply)
        self._score_texts(engine, tokens, candidate, requests, deliver)
        self._generate(engine, tokens, candidate, requests, deliver)

    def reference(self) -> ModelSpec:
        """Return the same base in `hf:` and float32: the precision check then compares the engines."""
        return replace(self._local, dtype="float32")

    def facts(self) -> Mapping[str, str]:
        """Return the engine and its versions, once it was used."""
        if self._engine is None:
            return {}
        return {"device": "vllm", "dtype": self.spec.dtype, "backend": f"vllm {package_version('vllm')}"}

    def close(self) -> None:
        """Drop the engine."""
        self._engine = self._tokens = None
        self._adapters.clear()
        gc.collect()  # it gives its memory back when it is gone

    # ------------------------------------------------------------ the engine

    def _open(self, candidate: Candidate) -> tuple[Any, _Tokens]:
        self._takes(candidate)
        if find_spec("vllm") is None:
            raise InputError(
                f"{self.spec.reference} needs the package vllm, which is not installed",
                hint="install it for your GPU as its documentation says, or use hf:, or openai: with a server",
            )
        if self._engine is None or self._tokens is None:
            from vllm import LLM  # type: ignore[import-not-found] # nobody's dependency

            tokenizer, window, start = load_tokenizer(self._local, self.context)
            folder = materialise(self._local, self.context)
            try:
                engine = LLM(
                    model=str(folder), dtype=self.spec.dtype, enable_lora=True, max_lora_rank=_MOST_RANK,
                    enable_prefix_caching=True, trust_remote_code=False, gpu_memory_utilization=_share_of_memory(),
                )  # fmt: skip
            except (ValueError, RuntimeError, OSError, ImportError) as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise InputError(
                    f"vLLM cannot load {self.spec.reference} ({lines[0][:300]})",
                    file=folder,
                    hint="use hf:, or free memory on the GPU",
                ) from error
            longest = engine.llm_engine.model_config.max_model_len  # may be less than the model was made for
            self._tokens = _Tokens(tokenizer=tokenizer, window=min(window, longest), start_id=start)
            self._engine = engine
        return self._engine, self._tokens

    def _takes(self, candidate: Candidate) -> None:
        if ":" in self.spec.device:
            raise InputError(
                f"vLLM chooses its GPU itself, not {self.spec.device}",
                hint="name it in the environment variable CUDA_VISIBLE_DEVICES, and leave out --device",
            )
        if len(candidate.adapters) > 1:
            raise InputError(
                f"vLLM takes one adapter for a request, and {candidate.label} has {len(candidate.adapters)}",
                hint="merge them, or use hf:",
            )

    def _run(
        self,
        engine: Any,  # noqa: ANN401 - vLLM's
        candidate: Candidate,
        prompts: Sequence[Sequence[int]],
        sampling: Any,  # noqa: ANN401 - vLLM's
    ) -> list[Any]:
        lora = None
        if candidate.adapters:
            from vllm.lora.request import LoRARequest  # type: ignore[import-not-found] # nobody's dependency

            (adapter,) = candidate.adapters
            number = self._adapters.setdefault(adapter.id, len(self._adapters) + 1)
            lora = LoRARequest(adapter.id, number, str(adapter.path))
        given = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        found: list[Any] = engine.generate(given, sampling, lora_request=lora, use_tqdm=False)
        return found

    def _scores(self, engine: Any, candidate: Candidate, rows: Sequence[Branches]) -> list[list[Reply]]:  # noqa: ANN401
        """Score all continuations of all rows, which vLLM batches."""
        if not rows:
            return []
        from vllm import SamplingParams

        begin = time.perf_counter()
        wholes = [row.context + continuation for row in rows for continuation in row.continuations]
        sampling = SamplingParams(max_tokens=_GENERATED, temperature=0.0, prompt_logprobs=0)
        outputs = iter(zip(self._run(engine, candidate, wholes, sampling), wholes, strict=True))
        timing = Timing(total=time.perf_counter() - begin, batch=len(wholes))
        return [
            [
                _log_prob(output.prompt_logprobs, whole, len(row.context), timing)
                for output, whole in islice(outputs, len(row.continuations))
            ]
            for row in rows
        ]

    def _score_texts(
        self, engine: Any, tokens: _Tokens, candidate: Candidate, requests: Sequence[Request],  # noqa: ANN401
        deliver: Callable[[int, Reply], None],
    ) -> None:  # fmt: skip
        # The last token of a window is part of its prompt here, though it is only predicted.
        rows, homes = texts(tokens.shorter(_GENERATED + 1), requests, deliver)
        parts: dict[int, list[Reply]] = {}
        for replies, index in zip(self._scores(engine, candidate, rows), homes, strict=True):
            parts.setdefault(index, []).extend(replies)
        for index, found in parts.items():
            lost = [part for part in found if isinstance(part, NoReply)]
            deliver(index, lost[0] if lost else summed([part for part in found if isinstance(part, LogProb)]))

    def _generate(
        self, engine: Any, tokens: _Tokens, candidate: Candidate, requests: Sequence[Request],  # noqa: ANN401
        deliver: Callable[[int, Reply], None],
    ) -> None:  # fmt: skip
        if not any(isinstance(request, Generate) for request in requests):
            return
        from vllm import SamplingParams

        found, homes = asks(tokens, Renderer(tokens.tokenizer, candidate.template), requests, deliver)
        controls = control_tokens(tokens.tokenizer)  # no text of vLLM's shows them either
        sampling = [
            SamplingParams(
                max_tokens=ask.room, temperature=ask.decoding.temperature, top_p=ask.decoding.top_p,
                stop=list(ask.decoding.stop), seed=ask.decoding.seed + ask.draw,
                stop_token_ids=[controls[stop] for stop in ask.decoding.stop if stop in controls],
            )
            for ask in found
        ]  # fmt: skip
        begin = time.perf_counter()
        outputs = self._run(engine, candidate, [ask.prompt for ask in found], sampling)
        timing = Timing(total=time.perf_counter() - begin, batch=len(found))
        for output, index, ask in zip(outputs, homes, found, strict=True):
            (said,) = output.outputs
            finish: Literal["stop", "length"] = "length" if said.finish_reason == "length" else "stop"
            deliver(
                index,
                Completion(
                    text=said.text, prompt_tokens=len(ask.prompt), completion_tokens=len(said.token_ids),
                    finish=finish, timing=timing,
                ),
            )  # fmt: skip


def _share_of_memory() -> float:
    """Return the share of the first GPU's memory that vLLM may take: of what is free, where this process uses it."""
    import torch

    used: bool = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if not used:
        return _SHARE
    torch.cuda.empty_cache()
    free, whole = torch.cuda.mem_get_info(0)
    return _SHARE * free / whole


def _log_prob(
    told: Sequence[Mapping[int, Any] | None] | None, whole: Sequence[int], start: int, timing: Timing
) -> Reply:
    """Read the values of the tokens from one on; a NoReply where one is not told."""
    if told is None or len(told) != len(whole):
        return NoReply(reason="vLLM told no probabilities of the prompt's tokens")
    values = [(place or {}).get(token) for place, token in zip(told[start:], whole[start:], strict=True)]
    if any(value is None for value in values):
        return NoReply(reason="vLLM told no probability of a scored token")
    logprob = sum(min(0.0, float(value.logprob)) for value in values if value is not None)
    greedy = all(value.rank == 1 for value in values if value is not None)
    return LogProb(logprob=logprob, tokens=len(values), is_greedy=greedy, timing=timing)
