"""Checks of number formats: what a run that computes in another one than float32 must survive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from harness.registry import Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.evaluation.pool import ModelPool
    from harness.evaluation.prepare import PreparedSuite
    from harness.evaluation.roles import Asking
    from harness.stats import MetricTable
    from harness.types import Candidate, Check, PrecisionCheck

    Tables = Mapping[str, MetricTable]


class PrecisionChecker(ABC):
    """Says how far rounding moves what gates look at, and whether verdicts hold against that."""

    @abstractmethod
    def measure(
        self, prepared: PreparedSuite, arms: Mapping[str, tuple[Candidate, Tables]], asking: Asking, *,
        samples: int | None, seed: int,
    ) -> PrecisionCheck | None:  # fmt: skip
        """Measure it on some samples.

        Args:
            prepared: the suite.
            arms: the candidate with the tables of its run under the empty name, and what gates compare with.
            asking: how the run asks.
            samples: for each metric; None for the default, 0 for none.
            seed: of the draw and of resampling.

        Returns:
            None where there is nothing to check.
        """

    @abstractmethod
    def asked(
        self, prepared: PreparedSuite, candidates: Sequence[Candidate], pool: ModelPool, samples: int | None
    ) -> int:
        """Return how many samples a run would compute again for each metric; 0 where it would none."""

    @abstractmethod
    def notes(self, prepared: PreparedSuite, candidate: Candidate, pool: ModelPool) -> tuple[str, ...]:
        """Return what a reader must know of a model that cannot be checked."""

    @abstractmethod
    def verdicts(
        self, checks: Sequence[Check], measured: PrecisionCheck | None, tables: Tables,
        baselines: Mapping[str, Tables], *, seed: int,
    ) -> tuple[Check, ...]:  # fmt: skip
        """Return gates' verdicts as they stand after it, of fresh and of stored runs; None leaves them as they are."""


CHECKERS: Known[PrecisionChecker] = Known("precision_checks")


def precision_checker() -> PrecisionChecker:
    """Return the check against float32, which ships and holds whatever plugins are left out."""
    return CHECKERS["float32"]
