"""One loaded model per base: candidates that share a base share it, whatever their adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from harness.engine.core import ModelCore
from harness.plugin_code import check_supports, plugin_code

if TYPE_CHECKING:
    from types import TracebackType

    from harness.contracts import Progress, Surroundings
    from harness.engine.reply_writer import ReplyCache
    from harness.plugins import Registries
    from harness.types import ModelSpec


class ModelPool:
    """Makes the models of a run on first use, and closes them all at its end.

    Args:
        registries: where schemes come from.
        surroundings: handed to each model.
        cache: where replies are kept.
        progress: where bars are drawn.
    """

    def __init__(
        self, registries: Registries, surroundings: Surroundings, cache: ReplyCache | None, progress: Progress
    ) -> None:
        self._registries = registries
        self._surroundings = surroundings
        self._cache = cache
        self._progress = progress
        self._cores: dict[tuple[str | None, ...], ModelCore] = {}

    def core(self, spec: ModelSpec) -> ModelCore:
        """Return the core of a base; the same one for equal bases, however they were written.

        Raises:
            InputError: when no plugin serves the scheme.
        """
        key = (spec.scheme, spec.name, spec.revision, spec.endpoint, spec.dtype, spec.device)
        if key not in self._cores:
            make = self._registries.models.get(spec.scheme)
            with plugin_code(f"making a model of the scheme {spec.scheme!r}", make):
                model = make(spec, self._surroundings)
            check_supports(model, spec.scheme)
            self._cores[key] = ModelCore(model, self._cache, self._progress)
        return self._cores[key]

    def check_bases(self) -> None:
        """Prove that every base still is what it was when it was loaded.

        Raises:
            BaseChangedError: when one is not; what it answered is forgotten.
        """
        for core in self._cores.values():
            core.check_base()

    def __enter__(self) -> Self:
        """Nothing is loaded yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every model, after proving its base where nothing went wrong before."""
        try:
            if kind is None:
                self.check_bases()
        finally:
            for core in self._cores.values():
                core.model.close()
