"""The contract of a stage of training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from harness.types import StageInput, StageOutput


class Stage(ABC):
    """One step of training: a map from artifacts to artifacts, such as an adapter and a dataset."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions whose versions decide the outcome, such as `trl`: an unchanged stage is reused only under the same
    versions."""
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter", "dataset": "dataset"}
    """The kind of artifact in each role: `from: {role: stage}` in a recipe says whose, and the stage before that wrote
    one is the default. `StageInput` has them as `adapter`, `dataset` and `others`."""
    writes: ClassVar[tuple[str, ...]] = ("adapter",)
    """Kinds of artifacts that it writes. What reads something else of it than an adapter is checked when its turn
    comes, not before."""

    together: ClassVar[bool] = False
    """Whether all processes of `accelerate launch` run it, each on its share; else the first one does, alone."""
    roles: ClassVar[tuple[str, ...]] = ()
    """Whom it asks, its critics included, besides the model with the adapter as it stands. Under other models in these
    roles an unchanged stage is run anew."""

    @abstractmethod
    def check(self, inputs: StageInput) -> None:
        """Read and validate options and data before anything is loaded.

        Raises:
            InputError: naming file, line and key.
        """

    @abstractmethod
    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files that decide the outcome, by role, so that an unchanged stage is reused by hash."""

    def forecast(self, inputs: StageInput) -> str:  # noqa: ARG002 - for those who override it
        """Say what a run would take, for a dry run; empty where nothing is known. Nothing is loaded or written."""
        return ""

    def workload(self, inputs: StageInput) -> Mapping[str, float]:  # noqa: ARG002 - for those who override it
        """Return what there is to do, for a dry run: `rows`, `tokens` and `steps`, as far as data and options tell.

        `tokens` are those that the model sees in all steps. Nothing is loaded or written.
        """
        return {}

    @abstractmethod
    def run(self, inputs: StageInput) -> StageOutput:
        """Train, and write into `inputs.output`."""
