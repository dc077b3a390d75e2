"""The `hf` model: renders requests, sorts them by kind, and hands them to scoring and generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from harness.api import (
    BaseChangedError,
    Candidate,
    Event,
    Generate,
    InputError,
    LogProb,
    Model,
    Reply,
    Request,
    base_shapes_folder,
    use_threads,
)
from harness.api.weights import read_vocabulary
from harness_models.hf.batching import Budget
from harness_models.hf.beginnings import Beginnings
from harness_models.hf.chat import Renderer
from harness_models.hf.device import placement
from harness_models.hf.encoding import asks, continuations, texts
from harness_models.hf.fingerprint import backend, fingerprint
from harness_models.hf.generation import Generated, generate
from harness_models.hf.memory import base_bytes, budget_for, free_bytes
from harness_models.hf.open_queue import OpenQueue
from harness_models.hf.packing import keep_pages, pack_for_good
from harness_models.hf.pairs import NotPlainError, pairs_only
from harness_models.hf.replies import NO_MEMORY, completion, log_prob, summed
from harness_models.hf.scoring import Scored, score

if TYPE_CHECKING:
    from harness.api import AdapterSpec, ModelSpec, RunContext
    from harness_models.hf.handles import Handle
    from harness_models.hf.loading import Loaded
    from harness_models.hf.proof import BaseProof
    from harness_models.hf.rack import Rack

Deliver = Callable[[int, Reply], None]
OnText = Callable[[int, str], None]
_WAITING = {
    "padded": "in padded batches that wait for their longest row: the architecture takes no rows of other lengths",
    "plain": "in batches of prompts of equal length that wait for their longest row: the architecture takes no padding",
}
_WITH_WORK = 2
"""Of the weights' bytes: what a loaded base needs with all that it computes."""


class HfModel(Model):
    """A causal language model of transformers, on this machine."""

    def __init__(self, spec: ModelSpec, context: RunContext, *, extended_by: AdapterSpec | None = None) -> None:
        super().__init__(spec, context)
        self._extended_by = extended_by
        """The adapter whose tokens this base has, which is then no other's."""
        self._extended: dict[str, HfModel] = {}
        """Models with a base of their own, by the id of the adapter that brings tokens."""
        self._loaded: Loaded | None = None
        self._identified: str | None = None
        """The base's hash in the last fingerprint: all replies must be that base's."""
        self._adapted = False
        """Whether a candidate with adapters was identified, so that the base is proven against them from the first."""
        self._plain = extended_by is None
        """Whether all adapters so far are such as our own Llama takes."""
        self._renderers: dict[str, Renderer] = {}
        """By template, for the tokenizer that is loaded."""
        self._begun = Beginnings()
        self._codes: dict[str, None] = {}
        """Whose code computed, in order."""
        self._rack: Rack | None = None
        self._proof: BaseProof | None = None
        self._proven: frozenset[str] = frozenset()
        """Ids of the adapters after whose first use the base was what it was."""
        self._asked_since = False
        """Whether anything was asked since the base was proven."""
        self._used: frozenset[str] = frozenset()
        """Ids of the adapters that were used."""
        self._budget: Budget | None = None
        self._told: Mapping[str, str] = {}
        self._noted: Sequence[str] = ()
        self.busy = RLock()
        """Held by whoever computes with the base."""
        self.queue = OpenQueue(self)
        """Requests from any threads, which `submit` adds to."""

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return what decides the replies; see `harness_models.hf.fingerprint`.

        Raises:
            BaseChangedError: when the base is not what it was when this was asked before, or when it was loaded.
        """
        found = fingerprint(self.spec, candidate, self.context)
        self._adapted = self._adapted or bool(candidate.adapters)
        self._plain = self._plain and all(pairs_only(Path(adapter.path)) for adapter in candidate.adapters)
        before = self._identified if self._loaded is None else self._loaded.identity
        self._identified = found["base"]
        if before not in {None, found["base"]}:
            self.close()
            raise BaseChangedError(
                f"the base {self.spec.reference} was changed after it was identified; nothing of this run is kept: run"
                " again, and write nothing there meanwhile"
            )
        return found

    def answer(
        self, candidate: Candidate, requests: Sequence[Request], deliver: Deliver, *, on_text: OnText | None = None
    ) -> None:
        """Answer the requests; loads the base on first use, and switches to the candidate's adapters.

        Args:
            candidate: base, adapters and template.
            requests: what to answer.
            deliver: called once for each index.
            on_text: called with a `Generate` request's index and new text while it is generated; the pieces add up to
                the reply's text.

        Raises:
            InputError: when base, adapter or template cannot be used.
        """
        own = self._own_base(candidate)
        if own is not None:
            own.answer(candidate, requests, deliver, on_text=on_text)
            return
        with self.busy:
            self._answer(candidate, requests, deliver, on_text)

    def _answer(
        self, candidate: Candidate, requests: Sequence[Request], deliver: Deliver, on_text: OnText | None
    ) -> None:
        loaded = self._ready(candidate)
        self._asked_since = True
        renderer = self._renderers.get(candidate.template)
        if renderer is None:  # compiling a template takes as long as a tenth of a judge's question
            renderer = self._renderers[candidate.template] = Renderer(loaded.tokenizer, candidate.template)
        self._score_continuations(loaded, candidate, renderer, requests, deliver)
        self._score_texts(loaded, requests, deliver)
        if any(isinstance(request, Generate) for request in requests):
            self._find_path(loaded, candidate)
        self._generate(loaded, renderer, requests, deliver, on_text)
        self._used |= {adapter.id for adapter in candidate.adapters}
        self.prove()

    def prove(self) -> None:
        """Prove the base where adapters were used for the first time.

        Raises:
            BaseChangedError: when it is not what it was.
        """
        new = self._used - self._proven
        if new:
            self.check_base()
            self._proven |= new

    def submit(self, candidate: Candidate, request: Request, *, caller: str = "") -> Handle:
        """Put a request into the open queue, where it joins those in flight at the next step; returns at once.

        Args:
            candidate: base, adapters and template.
            request: of any kind.
            caller: callers take turns, however much each of them asks.

        Raises:
            InputError: where two adapters of the candidate bring tokens.
            QueueFullError: when too many wait.
        """
        own = self._own_base(candidate)
        return (self if own is None else own).queue.submit(candidate, request, caller=caller)

    def prepare(self, candidate: Candidate, *, generating: bool) -> Loaded:
        """Load what a candidate needs, and find out how its base generates where it is to.

        Raises:
            InputError: when base, adapter or template cannot be used.
        """
        loaded = self._ready(candidate)
        self._asked_since = True
        self._used |= {adapter.id for adapter in candidate.adapters}
        return self._find_path(loaded, candidate) if generating else loaded

    @property
    def rack(self) -> Rack:
        """The adapters of the base, which must be loaded."""
        assert self._rack is not None  # noqa: S101 - for the type checker
        return self._rack

    def check_base(self) -> None:
        """Prove that the base is byte for byte what it was when it was loaded.

        Raises:
            BaseChangedError: when it is not; it is loaded anew on next use.
        """
        for other in self._extended.values():
            other.check_base()
        if self._proof is None or not self._asked_since:
            return
        held = () if self._rack is None else self._rack.held
        self._check(f"after {', '.join(held)} was used" if held else "though no adapter was put on it")

    def _check(self, when: str) -> None:
        assert self._proof is not None  # noqa: S101 - for the type checker
        try:
            self._proof.check(when)
        except BaseChangedError:
            self.close()
            raise
        self._asked_since = False

    def stream(self, candidate: Candidate, request: Request) -> Iterator[Event]:
        """Yield the text token by token, where the request is for text; several streams share steps."""
        handle = self.submit(candidate, request)
        try:
            yield from handle.events()
        finally:
            handle.cancel()
            handle.wait()

    def reference(self) -> ModelSpec | None:
        """Return the same base in float32 on the same device; None where it runs so already."""
        place = placement(self.spec)
        return None if place.dtype == "float32" else replace(self.spec, dtype="float32", device=place.device)

    def fits(self) -> bool:
        """Tell whether its weights, and as much again to work with, fit into free memory; True where it is loaded."""
        if self._loaded is not None or any(other._loaded for other in self._extended.values()):  # noqa: SLF001
            return True
        folder, place = base_shapes_folder(self.spec, self.context), placement(self.spec)
        free = free_bytes(place.device)
        return folder is None or free is None or _WITH_WORK * base_bytes(folder, place.dtype) <= free

    def facts(self) -> Mapping[str, str]:
        """Return device, dtype, threads and versions, once the model was used."""
        if self._loaded is None:
            return next((other.facts() for other in self._extended.values()), self._told)
        import torch

        place = self._loaded.place
        facts = {
            "device": place.device,
            "dtype": place.dtype,
            "backend": backend(with_adapters=not self._loaded.own and self._rack is not None and bool(self._rack.held)),
            "model code": " and then ".join(self._codes),
            "threads": str(self._loaded.threads or torch.get_num_threads()),
            "shared tokens": f"forwarded each time: {self._loaded.plain}" if self._loaded.plain else "forwarded once",
        }
        if self._loaded.blocks or self._loaded.dense:
            facts["attention masks"] = f"dense: {self._loaded.dense}" if self._loaded.dense else "by blocks"
        if self._loaded.graphs or self._loaded.ungraphed:
            facts["decoding steps"] = (
                f"not recorded: {self._loaded.ungraphed}" if self._loaded.ungraphed else "CUDA graphs"
            )
        if self._loaded.generates is not None:
            facts["generation"] = _WAITING.get(self._loaded.generates, "in slots: rows come and go")
        if place.device.startswith("cuda"):
            facts["gpu"] = torch.cuda.get_device_name(self._loaded.model.device)
        return facts

    def notes(self) -> Sequence[str]:
        """Say where the architecture could not take the shortcuts of the engine."""
        if self._loaded is None:
            return next((other.notes() for other in self._extended.values()), self._noted)
        found = []
        if self._loaded.plain:
            found.append(f"plain batches, with nothing shared between requests: {self._loaded.plain}")
        if self._loaded.generates in _WAITING:
            found.append(f"generation {_WAITING[self._loaded.generates]}")
        return found

    def peak_memory(self) -> int | None:
        """Return the peak of allocated bytes on a GPU; None elsewhere."""
        if self._loaded is None or not self._loaded.place.device.startswith("cuda"):
            return None
        import torch

        return torch.cuda.max_memory_allocated(self._loaded.model.device)

    def close(self) -> None:
        """Drop the base and its adapters; what is in the queue is given up, what is said of how it ran stays."""
        self.queue.cancel()
        self._told, self._noted = self.facts(), self.notes()
        self._loaded = self._rack = self._proof = None
        self._begun.clear()
        for other in self._extended.values():
            other.close()
        self._extended.clear()

    def _own_base(self, candidate: Candidate) -> HfModel | None:
        """Return the model whose base has the tokens that an adapter of the candidate brings; None where none does.

        Raises:
            InputError: where two adapters bring tokens: both would have the same ids.
        """
        if self._extended_by is not None:
            return None
        bringing = [adapter for adapter in candidate.adapters if read_vocabulary(Path(adapter.path)) is not None]
        if not bringing:
            return None
        if len(bringing) > 1:
            raise InputError(
                f"the adapters {bringing[0].reference} and {bringing[1].reference} both bring tokens of their own",
                hint="merge one into its base, and train the other on that",
            )
        (adapter,) = bringing
        if adapter.id not in self._extended:
            self._extended[adapter.id] = HfModel(self.spec, self.context, extended_by=adapter)
        own = self._extended[adapter.id]
        own._identified = self._identified  # noqa: SLF001 - another of this class
        return own

    def _ready(self, candidate: Candidate) -> Loaded:
        """Return the base with the candidate's adapters active, loaded where it is not.

        It is of our own code where that can be, and loaded again by transformers when an adapter comes that asks for
        more.
        """
        from harness_models.hf.proof import BaseProof

        adapters = candidate.adapters
        held = set() if self._rack is None else set(self._rack.held)
        if self._loaded is None or self._loaded.own:
            self._plain = self._plain and all(pairs_only(Path(one.path)) for one in adapters if one.id not in held)
        if self._loaded is not None and self._loaded.own and not self._plain:
            self._leave_own()
        loaded = self._load(forgeable=bool(adapters)) if self._loaded is None else self._loaded
        assert self._rack is not None and self._proof is not None  # noqa: S101, PT018 - made with the base
        before = set(self._rack.held)
        new = [adapter.reference for adapter in adapters if adapter.id not in before]
        if new and not self._proof.forgeable:
            self.check_base()
            self._proof = BaseProof(loaded.model, self.spec.reference)
        try:
            self._rack.activate(adapters)
        except NotPlainError:
            self._plain = False
            return self._ready(candidate)
        except BaseException:
            self.close()  # peft may have left an adapter half put on
            raise
        if new:
            self._check(f"after the adapter {', '.join(new)} was put on it")
        use_threads(loaded.threads)  # another model may have changed them
        return loaded

    def _load(self, *, forgeable: bool) -> Loaded:
        """Load the base, with nothing on it; `forgeable` tells that an adapter is about to be put on it."""
        from harness_models.hf.adapters import rack_of
        from harness_models.hf.loading import load
        from harness_models.hf.proof import BaseProof

        own = None if self._extended_by is None else Path(self._extended_by.path)
        loaded = load(self.spec, self.context, identity=self._identified, vocabulary=own, bare=self._plain)
        forgeable = forgeable or self._adapted or not loaded.own
        self._proof = BaseProof(loaded.model, self.spec.reference, forgeable=forgeable)
        self._budget = budget_for(loaded)
        self._rack = rack_of(loaded, self.spec)
        if loaded.place.device == "cpu":
            keep_pages()
        pack_for_good(loaded)
        self._codes["harness, in plain torch" if loaded.own else "transformers"] = None
        self._loaded = loaded
        self._renderers.clear()
        self._begun.clear()
        return loaded

    def _leave_own(self) -> None:
        """Drop a base of our own that does not take an adapter, after it was proven."""
        self.check_base()
        self._loaded = self._rack = self._proof = None
        self._used = self._proven = frozenset()  # what was proven there says nothing of peft

    def _find_path(self, loaded: Loaded, candidate: Candidate) -> Loaded:
        """Find out how the base generates, without adapters: a broken one would answer any probe at random."""
        import torch

        from harness_models.hf.paths import generation_path

        if loaded.own:
            generation_path(loaded)
        elif loaded.generates is None and self._rack is not None:
            self._rack.activate(())
            try:
                with torch.inference_mode():
                    generation_path(loaded)
            finally:
                self._rack.activate(candidate.adapters)
        return loaded

    @property
    def limits(self) -> Budget:
        """How much may be in flight."""
        if self._budget is None:
            self._budget = Budget(tokens=2_048, rows=64)
        return self._budget

    # ------------------------------------------------------------ what is asked

    def _score_continuations(
        self, loaded: Loaded, candidate: Candidate, renderer: Renderer, requests: Sequence[Request], deliver: Deliver
    ) -> None:
        """Score all continuations of one context in one row."""
        rows, homes = continuations(loaded, renderer, requests, deliver)

        def done(row: int, scored: Scored | None) -> None:
            for number, indices in enumerate(homes[row]):
                for index in indices:
                    deliver(index, NO_MEMORY if scored is None else log_prob(rows[row], scored, number))

        score(
            loaded,
            rows,
            self.limits,
            done,
            self._begun.find(loaded, tuple(adapter.id for adapter in candidate.adapters), rows),
        )

    def _score_texts(self, loaded: Loaded, requests: Sequence[Request], deliver: Deliver) -> None:
        """Score whole texts window by window, and add the windows up."""
        rows, homes = texts(loaded, requests, deliver)
        left = Counter(homes)
        parts: dict[int, list[LogProb | None]] = {index: [] for index in left}

        def done(row: int, scored: Scored | None) -> None:
            index = homes[row]
            parts[index].append(None if scored is None else log_prob(rows[row], scored, 0))
            if len(parts[index]) == left[index]:
                deliver(index, summed(parts[index]))

        score(loaded, rows, self.limits, done)

    def _generate(
        self,
        loaded: Loaded,
        renderer: Renderer,
        requests: Sequence[Request],
        deliver: Deliver,
        on_text: OnText | None,
    ) -> None:
        found, homes = asks(loaded, renderer, requests, deliver)

        def done(row: int, generated: Generated | None) -> None:
            deliver(homes[row], completion(found[row], generated))

        def grown(row: int, piece: str) -> None:
            assert on_text is not None  # noqa: S101 - for the type checker
            on_text(homes[row], piece)

        generate(loaded, found, self.limits, renderer.decode, done, None if on_text is None else grown)
