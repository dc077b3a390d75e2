"""The `hf` model: renders requests, sorts them by kind, and hands them to scoring and generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.contracts import Model
from harness.types import (
    Candidate,
    Completion,
    Generate,
    LogLikelihood,
    LogProb,
    NoReply,
    Reply,
    Request,
    RollingLogLikelihood,
    Timing,
)
from harness_models.hf.batching import Budget, is_memory
from harness_models.hf.chat import Prompt, Renderer, TemplateRefusalError
from harness_models.hf.device import placement
from harness_models.hf.fingerprint import backend, fingerprint
from harness_models.hf.generation import Ask, Generated, generate
from harness_models.hf.memory import budget_for
from harness_models.hf.planning import Branches
from harness_models.hf.rolling import windows
from harness_models.hf.scoring import Scored, score

if TYPE_CHECKING:
    from harness.contracts import Surroundings
    from harness.types import ModelSpec
    from harness_models.hf.adapters import AdapterRack
    from harness_models.hf.loading import Loaded

Deliver = Callable[[int, Reply], None]
_NO_MEMORY = NoReply(reason="not enough memory for this request alone")


class HfModel(Model):
    """A causal language model of transformers, on this machine."""

    def __init__(self, spec: ModelSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._loaded: Loaded | None = None
        self._rack: AdapterRack | None = None
        self._budget: Budget | None = None

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return what decides the replies; see `harness_models.hf.fingerprint`."""
        return fingerprint(self.spec, candidate, self.surroundings)

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Deliver) -> None:
        """Answer the requests; loads the base on first use, and switches to the candidate's adapters.

        Raises:
            InputError: when base, adapter or template cannot be used.
        """
        loaded = self._ready(candidate)
        renderer = Renderer(loaded.tokenizer, candidate.template)
        rolling = [index for index, request in enumerate(requests) if isinstance(request, RollingLogLikelihood)]
        likely = [index for index, request in enumerate(requests) if isinstance(request, LogLikelihood)]
        generating = [index for index, request in enumerate(requests) if isinstance(request, Generate)]
        self._score_continuations(loaded, renderer, requests, likely, deliver)
        self._score_texts(loaded, requests, rolling, deliver)
        self._generate(loaded, renderer, requests, generating, deliver)

    def answer_alone(self, candidate: Candidate, request: Request) -> Reply:
        """Answer one request by whole forward passes over its own row: no shared prefix, no mask, no cut-off head."""
        got: dict[int, Reply] = {}
        try:
            loaded = self._ready(candidate)
        except (MemoryError, RuntimeError) as error:
            if not is_memory(error):
                raise
            return NoReply(reason=f"not enough memory for {self.spec.reference} in {placement(self.spec).dtype}")
        try:
            self._loaded = replace(loaded, split=False, shares=False)
            self.answer(candidate, [request], got.__setitem__)
        finally:
            self._loaded = loaded
        return got.get(0, NoReply(reason="the model gave no reply"))

    def reference(self) -> ModelSpec | None:
        """Return the same base in float32 on the same device; None where it runs so already."""
        place = placement(self.spec)
        return None if place.dtype == "float32" else replace(self.spec, dtype="float32", device=place.device)

    def facts(self) -> Mapping[str, str]:
        """Return device, dtype, threads and versions, once the model was used."""
        if self._loaded is None:
            return {}
        import torch

        place = self._loaded.place
        facts = {
            "device": place.device,
            "dtype": place.dtype,
            "backend": backend(with_adapters=self._rack is not None),
            "threads": str(torch.get_num_threads()),
            "shared tokens": f"forwarded each time: {self._loaded.plain}" if self._loaded.plain else "forwarded once",
        }
        if place.device.startswith("cuda"):
            facts["gpu"] = torch.cuda.get_device_name(self._loaded.model.device)
        return facts

    def peak_memory(self) -> int | None:
        """Return the peak of allocated bytes on a GPU; None elsewhere."""
        if self._loaded is None or not self._loaded.place.device.startswith("cuda"):
            return None
        import torch

        return torch.cuda.max_memory_allocated(self._loaded.model.device)

    def close(self) -> None:
        """Drop the base and its adapters."""
        self._loaded = self._rack = None

    def _ready(self, candidate: Candidate) -> Loaded:
        from harness_models.hf.adapters import AdapterRack
        from harness_models.hf.loading import load

        if self._loaded is None:
            self._loaded = load(self.spec, self.surroundings)
            self._budget = budget_for(self._loaded)
        if self._rack is None:
            self._rack = AdapterRack(self._loaded, self.spec)
        self._rack.activate(candidate.adapters)
        return self._loaded

    @property
    def _limits(self) -> Budget:
        if self._budget is None:
            self._budget = Budget(tokens=2_048, rows=64)
        return self._budget

    # ------------------------------------------------------------ log-likelihoods

    def _score_continuations(
        self, loaded: Loaded, renderer: Renderer, requests: Sequence[Request], chosen: Sequence[int], deliver: Deliver
    ) -> None:
        """Score all continuations of one context in one row."""
        prompts: list[tuple[int, Prompt, Prompt]] = []
        for index in chosen:
            request = requests[index]
            assert isinstance(request, LogLikelihood)  # noqa: S101 - for the type checker
            try:
                prompt = renderer.render(request.messages)
            except TemplateRefusalError as error:
                deliver(index, NoReply(reason=str(error)))
                continue
            prompts.append((index, prompt, renderer.continuation(prompt, request.continuation)))
        contexts = renderer.encode([prompt for _, prompt, _ in prompts])
        wholes = renderer.encode([whole for _, _, whole in prompts])
        shared: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
        for (index, _, _), context, whole in zip(prompts, contexts, wholes, strict=True):
            before, after = split_continuation(context, whole, loaded.start_id)
            if not after or not before:
                deliver(index, NoReply(reason="the continuation has no tokens" if before else "nothing stands before"))
            elif len(before) + len(after) > loaded.window:
                deliver(index, _too_long(len(before) + len(after), loaded.window))
            else:
                shared.setdefault(before, {}).setdefault(after, []).append(index)
        rows = [Branches(context=context, continuations=tuple(found)) for context, found in shared.items()]
        homes = [list(found.values()) for found in shared.values()]

        def done(row: int, scored: Scored | None) -> None:
            for number, indices in enumerate(homes[row]):
                for index in indices:
                    deliver(index, _NO_MEMORY if scored is None else _log_prob(rows[row], scored, number))

        score(loaded, rows, self._limits, done)

    def _score_texts(
        self, loaded: Loaded, requests: Sequence[Request], chosen: Sequence[int], deliver: Deliver
    ) -> None:
        """Score whole texts by overlapping windows, and add the windows up."""
        rows: list[Branches] = []
        homes: list[int] = []
        left: dict[int, int] = {}
        for index in chosen:
            request = requests[index]
            assert isinstance(request, RollingLogLikelihood)  # noqa: S101 - for the type checker
            ids = loaded.tokenizer(request.text, add_special_tokens=False)["input_ids"]
            found = windows(ids, loaded.start_id, loaded.window)
            if not found:
                deliver(index, NoReply(reason="the text has no tokens to score"))
                continue
            left[index] = len(found)
            rows += found
            homes += [index] * len(found)
        parts: dict[int, list[LogProb | None]] = {index: [] for index in left}

        def done(row: int, scored: Scored | None) -> None:
            index = homes[row]
            parts[index].append(None if scored is None else _log_prob(rows[row], scored, 0))
            if len(parts[index]) == left[index]:
                deliver(index, _sum(parts[index]))

        score(loaded, rows, self._limits, done)

    # ------------------------------------------------------------ generation

    def _generate(
        self, loaded: Loaded, renderer: Renderer, requests: Sequence[Request], chosen: Sequence[int], deliver: Deliver
    ) -> None:
        prompts: list[tuple[int, Generate, Prompt]] = []
        for index in chosen:
            request = requests[index]
            assert isinstance(request, Generate)  # noqa: S101 - for the type checker
            try:
                prompts.append((index, request, renderer.render(request.messages)))
            except TemplateRefusalError as error:
                deliver(index, NoReply(reason=str(error)))
        asks: list[Ask] = []
        homes: list[int] = []
        encoded = renderer.encode([prompt for _, _, prompt in prompts])
        for (index, request, _), found in zip(prompts, encoded, strict=True):
            ids = found or ([] if loaded.start_id is None else [loaded.start_id])
            room = min(request.decoding.max_new_tokens, loaded.window - len(ids))
            if not ids or room < 1:
                deliver(index, _too_long(len(ids) + 1, loaded.window) if ids else NoReply(reason="nothing to continue"))
                continue
            asks.append(Ask(prompt=tuple(ids), decoding=request.decoding, room=room, draw=request.draw))
            homes.append(index)

        def done(row: int, generated: Generated | None) -> None:
            deliver(homes[row], _NO_MEMORY if generated is None else _completion(asks[row], generated))

        generate(loaded, asks, self._limits, renderer.decode, done)


def split_continuation(
    context: Sequence[int], whole: Sequence[int], start: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split the tokens of context and continuation encoded together, where the context's own tokens end.

    Where the last token of the context grows into the continuation, the split is before that token, so that what is
    scored is exactly what stands there. An empty context becomes `start`.
    """
    same = 0
    for a, b in zip(context, whole, strict=False):
        if a != b:
            break
        same += 1
    if same == 0:
        return (() if start is None else (start,)), tuple(whole)
    return tuple(whole[:same]), tuple(whole[same:])


def _log_prob(row: Branches, scored: Scored, number: int) -> LogProb:
    found = scored.scores[number]
    return LogProb(
        logprob=found.logprob,
        tokens=len(row.continuations[number]),
        is_greedy=found.is_greedy,
        timing=Timing(total=scored.seconds, batch=scored.batch),
    )


def _sum(parts: Sequence[LogProb | None]) -> Reply:
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return _NO_MEMORY
    timings = [part.timing for part in whole if part.timing is not None]
    return LogProb(
        logprob=sum(part.logprob for part in whole),
        tokens=sum(part.tokens for part in whole),
        is_greedy=all(part.is_greedy for part in whole),
        timing=Timing(total=sum(timing.total for timing in timings), batch=max(timing.batch for timing in timings)),
    )


def _completion(ask: Ask, generated: Generated) -> Completion:
    return Completion(
        text=generated.text,
        prompt_tokens=len(ask.prompt),
        completion_tokens=generated.tokens,
        finish=generated.finish,
        timing=Timing(total=generated.seconds, first_token=generated.first_token, batch=generated.batch),
    )


def _too_long(tokens: int, window: int) -> NoReply:
    return NoReply(reason=f"the request needs {tokens} tokens, and the model's window has {window}")
