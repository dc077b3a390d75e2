"""Perplexity of plain texts: the `target` of samples that have no conversation."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from harness.api import LogProb, Metric, NoReply, NotApplicable, RollingLogLikelihood, StrictModel, Unscored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.api import Decoding, Findings, Reply, Request, Row, Sample, Verdict

Level = Literal["token", "word", "byte", "bits"]


class PerplexityOptions(StrictModel):
    """Options: one level, or all where none is given; and how far the window moves over long texts."""

    level: Level | None = None
    stride: int | None = Field(default=None, ge=1)
    """Tokens that each window after the first scores; None: a whole window, as in lm-evaluation-harness."""


def count_words(text: str) -> int:
    r"""Return the length of `re.split(r"\s+", text)`, the count that lm-evaluation-harness divides by."""
    return len(re.split(r"\s+", text))


_SPECS: dict[Level, tuple[str, str, str]] = {
    "token": ("token_perplexity", "per token", "exp(−log p / the model's tokens); compare within one tokenizer"),
    "word": ("word_perplexity", "per word", "exp(−log p / words), split at white space as lm-evaluation-harness does"),
    "byte": ("byte_perplexity", "per byte", "exp(−log p / bytes of the UTF-8 text)"),
    "bits": ("bits_per_byte", "bits/byte", "−log₂ p / bytes of the UTF-8 text"),
}  # fmt: skip


class Perplexity(Metric):
    """Row: (negative log-likelihood in nats, count of the level's units)."""

    kind = "ratio"
    direction = "lower"

    def __init__(self, level: Level, stride: int | None = None) -> None:
        self.level = level
        self.stride = stride
        self.name, self.unit, formula = _SPECS[level]
        self.about = f"{formula}, summed over all texts before dividing"

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask for log p of the text; nothing where the sample is a conversation."""
        if not sample.target or sample.messages:
            return ()
        return (RollingLogLikelihood(text=sample.target[0], stride=self.stride),)

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the sums; an infinite or undefined log-likelihood is Unscored."""
        if not replies:
            return NotApplicable(reason="the sample is a conversation, not a plain text")
        reply = replies[0]
        if not isinstance(reply, LogProb):
            return Unscored(reason=f"no reply: {reply.reason}" if isinstance(reply, NoReply) else "no log-likelihood")
        if not math.isfinite(reply.logprob):
            return Unscored(reason=f"the log-likelihood is {reply.logprob}")
        text = sample.target[0]
        count = {
            "token": reply.tokens,
            "word": count_words(text),
            "byte": len(text.encode()),
            "bits": len(text.encode()),
        }[self.level]
        return (-reply.logprob, float(count)) if count else Unscored(reason="the text is empty")

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """exp(nll / count), or nll / (count · ln 2) for bits."""
        nats = super().estimate(sums)
        with np.errstate(over="ignore"):
            value: NDArray[np.float64] = nats / math.log(2) if self.level == "bits" else np.exp(nats)
        return value


def make(options: PerplexityOptions) -> Sequence[Metric]:
    """Return the metric of one level, or all: token_, word_ and byte_perplexity and bits_per_byte."""
    return [Perplexity(level, options.stride) for level in _SPECS if options.level in (None, level)]
