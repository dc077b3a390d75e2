"""The `vllm` model: vLLM's offline engine, with adapters by request, prefix caching and prompt log-probabilities.

Rendering, encoding and splitting are those of `hf:`, so that both forward the same tokens. It was written by vLLM's
documentation and has never run with vLLM here. Its test of parity is the precision check, against `hf:` in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
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

if TYPE_CHECKING:
    from harness.api import ModelSpec, RunContext
    from harness_models.hf.planning import Branches

_MOST_RANK = 256
"""Of adapters; vLLM keeps room for it."""


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    """What encoding needs to know of a base."""

    tokenizer: Any
    window: int
    start_id: int | None
    vocabulary: int | None = None


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
            InputError: when weights are absent, or an adapter does not fit, or there are several adapters.
        """
        self._one_adapter(candidate)
        found = dict(fingerprint(self._local, candidate, self.context))
        return found | {"backend": f"vllm {package_version('vllm')} {found['backend']}", "dtype": self.spec.dtype}

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:
        """Hand all requests to vLLM, which batches them.

        Raises:
            InputError: when base or adapter cannot be used, or vLLM is not installed.
        """
        engine, tokens = self._open(candidate)
        renderer = Renderer(tokens.tokenizer, candidate.template)
        rows, homes = continuations(tokens, renderer, requests, deliver)
        for row, answers in zip(rows, homes, strict=True):
            for reply, indices in zip(self._scores(engine, candidate, row), answers, strict=True):
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

    # ------------------------------------------------------------ the engine

    def _open(self, candidate: Candidate) -> tuple[Any, _Tokens]:
        self._one_adapter(candidate)
        if find_spec("vllm") is None:
            raise InputError(
                f"{self.spec.reference} needs the package vllm, which is not installed",
                hint="install it for your GPU as its documentation says, or use hf:, or openai: with a server",
            )
        if self._engine is None or self._tokens is None:
            from vllm import LLM  # type: ignore[import-not-found] # nobody's dependency

            tokenizer, window, start = load_tokenizer(self._local, self.context)
            self._tokens = _Tokens(tokenizer=tokenizer, window=window, start_id=start)
            self._engine = LLM(
                model=str(materialise(self._local, self.context)), dtype=self.spec.dtype, enable_lora=True,
                max_lora_rank=_MOST_RANK, enable_prefix_caching=True, trust_remote_code=False,
            )  # fmt: skip
        return self._engine, self._tokens

    def _one_adapter(self, candidate: Candidate) -> None:
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

    def _scores(self, engine: Any, candidate: Candidate, row: Branches) -> list[Reply]:  # noqa: ANN401
        from vllm import SamplingParams

        begin = time.perf_counter()
        wholes = [row.context + continuation for continuation in row.continuations]
        sampling = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        outputs = self._run(engine, candidate, wholes, sampling)
        timing = Timing(total=time.perf_counter() - begin, batch=len(wholes))
        return [
            _log_prob(output.prompt_logprobs, whole, len(row.context), timing)
            for output, whole in zip(outputs, wholes, strict=True)
        ]

    def _score_texts(
        self, engine: Any, tokens: _Tokens, candidate: Candidate, requests: Sequence[Request],  # noqa: ANN401
        deliver: Callable[[int, Reply], None],
    ) -> None:  # fmt: skip
        rows, homes = texts(tokens, requests, deliver)
        parts: dict[int, list[Reply]] = {}
        for row, index in zip(rows, homes, strict=True):
            parts.setdefault(index, []).extend(self._scores(engine, candidate, row))
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
        sampling = [
            SamplingParams(
                max_tokens=ask.room, temperature=ask.decoding.temperature, top_p=ask.decoding.top_p,
                stop=list(ask.decoding.stop), seed=ask.decoding.seed + ask.draw,
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
