"""The contract of a metric, and of the factory behind an entry of a suite."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.plugin_code import check_requests
from harness.types import (
    Calibration,
    Decoding,
    Direction,
    Findings,
    NotApplicable,
    Principle,
    Program,
    Replies,
    Reply,
    Request,
    Rewriter,
    Row,
    RunFacts,
    Sample,
    Unscored,
    Verdict,
    Version,
    ask,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Metric(ABC):
    """A row of numbers per sample, and a function of the rows' weighted sum. It writes no statistics of its own."""

    name: str
    """Unique within a suite; what gates refer to."""
    kind: str
    """One of `harness.stats.kinds`: it decides how interval, verdict and p come about; see docs/statistics.md."""
    direction: Direction = "neither"
    """Which way is better."""
    bounds: tuple[float, float] | None = None
    """Least and greatest possible value; an unscored sample of an unbounded metric makes its gate inconclusive."""
    unit: str = ""
    about: str = ""
    gates: bool = True
    """Whether gates may use it; False where it only informs."""
    informs: str = ""
    """Why it only informs: ` since …`, the end of a sentence."""
    classifiers: tuple[str, ...] = ()
    """Classifiers whose findings on the reply it reads."""
    constitution: str | None = None
    """The constitution whose verdicts it reads."""
    principles: tuple[str, ...] = ()
    """Registered principles whose verdicts it reads, besides the constitution's."""
    about_principle: str | None = None
    """Where `name` is `<other>.<id>`: the id of the one principle it is about, for gates on `<other>` that say
    `each: principle`."""
    code: str = ""
    """Code besides the plugin's own that it runs because the suite says so: a folder's full path, or a name with a
    version. It is refused where the user has not said `-p trust:` and this."""
    calibration: Calibration | None = None
    """For kind `proportion`: how often its labeller agreed with people, for gates that say `corrected: true`."""
    calibration_stored: bool = False
    """For what is `about_principle`: take as calibration the newest one in the workspace of the very critics, judge and
    principle that label in a run, as `harness critic calibrate` wrote it. Without one its gates are inconclusive."""
    outputs: str = "replies"
    """The kind of output that its calibration must be about, as `harness critic calibrate --outputs` names it."""
    labeller: str = ""
    """What labels besides classifiers and critics, such as a threshold that a suite sets; where there are none of them,
    `sha256:` and 16 digits, which `Calibration.of` names."""

    roles: tuple[str, ...] = ()
    """Whom `gather` asks besides the candidate."""
    epochs_reducer: str = ""
    """How the draws of one sample become one row, as the suite says; empty where each is a row."""

    rewriter: Rewriter | None = None
    """Writes further versions of each reply, which the critics judge too; metrics may share one. `compare` then gives
    the row, and `observe` only says whether the sample is applicable."""

    def gather(self, sample: Sample, decoding: Decoding) -> Program[Replies]:
        """Ask what `observe` needs, as often as it takes, and return the replies that it is handed.

        Without an own `gather`, a metric asks the candidate once, what `requests` says.
        """
        requests = check_requests(self.requests(sample, decoding), f"the metric {self.name!r}", self)
        return (yield ask("policy", *requests)) if requests else ()

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:  # noqa: ARG002 - for those who override it
        """Return what to ask the candidate about the sample; equal requests of several metrics are asked once."""
        return ()

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the sample's row. `replies` are in the order of this metric's `requests`.

        Where the conversation goes on for several turns, they are the last ones, and `sample.messages` is all that
        was said before.

        proportion: (1 or 0, 1). mean: (value, 1). ratio: (numerator, denominator) or any k sums. corpus: what
        `resample` reads. run: not called.
        """
        raise NotImplementedError(f"{type(self).__name__} observes nothing")

    def compare(self, sample: Sample, versions: tuple[tuple[Version, ...], ...]) -> Row | Unscored | NotApplicable:
        """Return the row of a sample from all versions of each of its completions, the reply itself first."""
        raise NotImplementedError(f"{type(self).__name__} compares nothing")

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn weighted sums of rows, shape (..., k), into values, shape (...). NaN where undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value: NDArray[np.float64] = sums[..., 0] / sums[..., 1]
        return value

    def resample(self, records: Sequence[tuple[Sample, tuple[Reply, ...]]], indices: NDArray[np.int64]) -> float:
        """For kind `corpus` alone: the value on the records at `indices` (with repeats). NaN where undefined."""
        raise NotImplementedError(f"{type(self).__name__} is not of kind corpus")

    def timed_requests(self, samples: Sequence[Sample], ask: Decoding) -> tuple[Request, ...]:  # noqa: ARG002 - for those who override it
        """For kind `run` alone: what to send one at a time, never from the cache, to be timed.

        `samples` may be read from disk as they are asked for: iterate, and stop early.
        """
        return ()

    def measure(self, facts: RunFacts) -> float | Unscored:
        """For kind `run` alone: the value of this very run."""
        raise NotImplementedError(f"{type(self).__name__} is not of kind run")


class MetricFactory(Protocol):
    """Makes the metrics behind one entry of a suite's `measure` list.

    `toxicity: {classifier: minilm-toxicity, at: 0.5}` calls the factory registered as `toxicity` with those options.
    """

    def __call__(
        self, options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]
    ) -> Sequence[Metric]:
        """Return the metrics.

        Args:
            options: the entry's options; empty where the suite gives the bare name.
            constitutions: principles by constitution id, for metrics that report on each principle. Registered
                principles stand under their own id as constitutions of one.

        Raises:
            InputError: for unknown or ill-typed options, naming the key.
        """
        ...
