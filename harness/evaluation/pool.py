"""One loaded model per base: candidates that share a base share it, whatever their adapters.

Two bases stand in memory side by side where they fit, as a full fine-tune and what it is compared with may; else one is
closed before the other loads.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from harness.engine.core import ModelCore
from harness.errors import BaseChangedError
from harness.hashing import sha256_json
from harness.plugin_code import check_supports, plugin_code

if TYPE_CHECKING:
    from types import TracebackType

    from harness.contracts import Progress, RunContext
    from harness.engine.core import Counts
    from harness.engine.replies import ReplyCache
    from harness.plugins import Registries
    from harness.types import Candidate, ModelSpec


def base_name(spec: ModelSpec) -> str:
    """Return what two references to one base have in common."""
    parts = (spec.name, spec.revision, spec.endpoint, spec.dtype, spec.device)
    return f"{spec.scheme}:" + " ".join(part for part in parts if part and part != "auto")


class ModelPool:
    """Makes the models of a run on first use, and closes them all at its end.

    Args:
        registries: where schemes come from.
        context: handed to each model.
        cache: where replies are kept.
        progress: where bars are drawn.
    """

    def __init__(
        self, registries: Registries, context: RunContext, cache: ReplyCache | None, progress: Progress
    ) -> None:
        self._registries = registries
        self.context = context
        self.cache = cache
        self.progress = progress
        self._cores: dict[str, ModelCore] = {}
        self._asked: dict[str, None] = {}
        """Bases that may be loaded, the one that was asked longest ago first."""

    def core(self, spec: ModelSpec) -> ModelCore:
        """Return the core of a base; the same one for equal bases, however they were written.

        Raises:
            InputError: when no plugin serves the scheme.
        """
        key = base_name(spec)
        if key not in self._cores:
            make = self._registries.models.get(spec.scheme)
            with plugin_code(f"making a model of the scheme {spec.scheme!r}", make):
                model = make(spec, self.context)
            check_supports(model, spec.scheme)
            self._cores[key] = ModelCore(
                model, self.cache, self.progress, self.context.spending, before=partial(self._make_room, key)
            )
        return self._cores[key]

    def _make_room(self, key: str) -> None:
        """Close other bases, the one that was asked longest ago first, until this one fits into memory beside the rest.

        Raises:
            BaseChangedError: when one that is closed is not what it was when it was loaded.
        """
        self._asked.pop(key, None)
        for other in list(self._asked):
            if self._cores[key].model.fits():
                break
            self._cores[other].check_base()
            self._cores[other].model.close()
            del self._asked[other]
        self._asked[key] = None

    def check_bases(self) -> None:
        """Prove that every base still is what it was when it was loaded.

        Raises:
            BaseChangedError: when one is not; what it answered is forgotten.
        """
        for core in self._cores.values():
            core.check_base()

    def fingerprint(self, candidate: Candidate) -> str:
        """Return the SHA-256 of everything that decides a candidate's replies, without loading its model.

        Raises:
            InputError: when weights or adapters are absent or do not fit.
        """
        decoding = candidate.decoding
        return sha256_json(
            [
                self.core(candidate.model).fingerprint(candidate),
                candidate.system,
                candidate.template,
                None
                if decoding is None
                else [decoding.max_new_tokens, decoding.temperature, decoding.top_p, decoding.stop],
            ]
        )

    def counts(self) -> dict[str, Counts]:
        """Return what was asked so far, by base."""
        return {name: replace(core.counts) for name, core in self._cores.items()}

    def __enter__(self) -> Self:
        """Nothing is loaded yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every model, after proving its base: what a run had asked until it broke is answered from again."""
        try:
            with nullcontext() if kind is None else suppress(BaseChangedError):
                self.check_bases()
        finally:
            for core in self._cores.values():
                core.model.close()
