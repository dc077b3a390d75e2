"""What people say of a run's replies: what was drawn for them, and their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

HumanLabel = Literal["yes", "no", "skip"]
"""Whether the reply is the event that the metric counts; `skip` where the rater cannot say."""


@dataclass(frozen=True, kw_only=True)
class DrawnSample:
    """One sample that people are asked about."""

    id: str
    content_hash: str
    reply_sha256: str
    """Of the replies that are shown."""
    probability: float
    """To be drawn, in (0, 1]."""


@dataclass(frozen=True, kw_only=True)
class LabelSample:
    """A random part of one run's samples, to be labelled for one metric; the content of `sample.json`."""

    run: str
    samples_sha256: str
    """Of its samples.parquet."""
    metric: str
    population: str
    """SHA-256 over all samples and replies of the run: labels hold for a later run that says the very same."""
    by: Literal["uniform", "uncertainty"]
    seed: int
    strata: Mapping[str, tuple[str, ...]]
    """Ids of all samples in the metric's denominator, by stratum. Within one all had the same probability."""
    drawn: tuple[DrawnSample, ...]
    """In the order in which they are shown."""
    id: str = ""
    """Of its artifact."""


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """All that one rater has said so far of a sample; the content of `labels.json`."""

    sample: str
    """Id of the `LabelSample`."""
    rater: str
    number: int
    """1 for the rater's first, rising: the last one holds."""
    labels: Mapping[str, HumanLabel]
    """By sample id."""


@dataclass(frozen=True, kw_only=True)
class HumanLabels:
    """What people together say of a run's drawn samples, for one metric."""

    sample: LabelSample
    labels: Mapping[str, float | None] = field(default_factory=dict)
    """By sample id: 1 where most raters say that it is the event, 0 where most say that it is not, None where they
    cannot say or are at odds. What nobody has looked at is missing."""
    raters: int = 0

    @property
    def missing(self) -> int:
        """Drawn samples that nobody has looked at."""
        return sum(drawn.id not in self.labels for drawn in self.sample.drawn)
