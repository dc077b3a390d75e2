"""What this very run cost: times and memory of kind `run`, never from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from harness.api import Metric, StrictModel, Unscored
from harness_metrics.replies import generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Decoding, Request, RunFacts, Sample

_MIB = 1 << 20


class SpeedOptions(StrictModel):
    """Options of latency and throughput."""

    samples: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many requests are timed: the suite's first ones that are answered with text."""


class _Timed(Metric):
    kind = "run"

    def __init__(self, options: SpeedOptions) -> None:
        self.options = options

    def timed_requests(self, samples: Sequence[Sample], ask: Decoding) -> tuple[Request, ...]:
        """Return the first requests of the suite; equal ones of several metrics are timed once."""
        chosen: list[Request] = []
        for sample in samples:
            chosen += generate(sample, ask)
            if len(chosen) == self.options.samples:
                break
        return tuple(chosen)


class Latency(_Timed):
    """A percentile of the time to the first token, or per 100 tokens."""

    direction = "lower"
    unit = "s"

    def __init__(self, options: SpeedOptions, what: Literal["first_token", "per_100_tokens"], percentile: int) -> None:
        super().__init__(options)
        self.what = what
        self.percentile = percentile
        self.name = f"{what}_p{percentile}"
        whole = "per 100 tokens, from the request to the reply's end, the prompt included"
        counted = "to the first token" if what == "first_token" else whole
        self.about = (
            f"Percentile {percentile} of the seconds {counted}, over {options.samples} requests sent one at a time "
            f"(linear "
            "interpolation between the timed requests: with few of them p95 is close to the slowest)"
        )

    def measure(self, facts: RunFacts) -> float | Unscored:
        """Return the percentile; Unscored where the backend gave no such time."""
        if self.what == "first_token":
            times = [timing.first_token for _, timing in facts.timings if timing.first_token is not None]
        else:
            times = [
                100 * timing.total / reply.completion_tokens
                for reply, timing in facts.timings
                if reply.completion_tokens
            ]
        if not times:
            return Unscored(reason=f"no timed reply gives its {self.what}")
        return float(np.percentile(times, self.percentile))


class Throughput(_Timed):
    """Tokens generated per second of wall time spent generating."""

    name = "throughput"
    direction = "higher"
    unit = "tokens/s"
    about = (
        "Tokens generated over the seconds spent generating them, in this run; what the cache answered counts in "
        "neither"
    )

    def measure(self, facts: RunFacts) -> float | Unscored:
        """Return tokens per second."""
        if facts.generated_tokens <= 0 or facts.seconds <= 0:
            return Unscored(reason="nothing was generated in this run")
        return facts.generated_tokens / facts.seconds


class PeakMemory(Metric):
    """Peak memory of the run."""

    name = "peak_memory"
    kind = "run"
    direction = "lower"
    unit = "MiB"
    about = "Peak resident memory of the process, or peak allocation on the device where there is one"

    def measure(self, facts: RunFacts) -> float | Unscored:
        """Return MiB."""
        return facts.peak_memory / _MIB if facts.peak_memory > 0 else Unscored(reason="the peak is not known here")


def latencies(options: SpeedOptions) -> Sequence[Metric]:
    """Return `first_token_p50`, `first_token_p95`, `per_100_tokens_p50` and `per_100_tokens_p95`."""
    return [
        *(Latency(options, "first_token", percentile) for percentile in (50, 95)),
        *(Latency(options, "per_100_tokens", percentile) for percentile in (50, 95)),
    ]
