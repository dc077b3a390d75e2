"""Bundled plugin: canaries, injected in training data by a stage, read back by a source and probed for by metrics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.api import Metric, Principle, Sample, SourceInput, Stage


def make_stage() -> Stage:
    """Make the `canaries` stage."""
    from harness_canaries.stage import CanaryStage

    return CanaryStage()


def read(source: SourceInput) -> Iterator[Sample]:
    """Yield one sample for each canary that was injected; see `harness_canaries.source`."""
    from harness_canaries.source import read_canaries

    yield from read_canaries(source)


def _metrics(function: str) -> Callable[..., Sequence[Metric]]:
    def make(options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]) -> Sequence[Metric]:
        factory: Callable[..., Sequence[Metric]] = getattr(import_module(f"{__name__}.metrics"), function)
        return factory(options, constitutions)

    return make


@hookimpl
def register_stages(register: Callable[..., None]) -> None:
    """Register the stage."""
    register("canaries", make_stage, about="injects random secrets in training data, for the suite leak to probe for")


@hookimpl
def register_sources(register: Callable[..., None]) -> None:
    """Register the source."""
    register("canaries", read, about="The canaries that the candidate's adapters were trained on")


@hookimpl
def register_metrics(register: Callable[..., None]) -> None:
    """Register the metrics; their module is imported when a suite uses it."""
    register("canary_extracted", _metrics("make_extracted"), about="An injected secret comes back, greedily or sampled")
    register(
        "canary_rank", _metrics("make_rank"), about="Likelihood rank of an injected secret among random ones, exposure"
    )
