"""Signs that a model collapses, or games its reward: what its answers look like at each evaluation point.

`distinct`: share of distinct pairs of words in all answers (distinct-n, arXiv 1510.03055). `repetition`: share
of an answer's runs of four words that stood in it before (seq-rep-n, arXiv 1908.04319), mean over the answers.
`entropy`: of the next token's distribution at the answers' tokens, in nats. `length`: tokens of an answer.
`perplexity`: of held-out answers. `loss`: of held-out pairs. `self_generated`: share of the rows that are learned from
which a model wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from harness.api import InputError, StrictModel

GENERATED = ("revision", "own reply", "sample")
"""What the key `source` of a row says where a model wrote it."""
_RUN = 4
_KINDS = {
    "kl": "most", "length": "either", "distinct": "shrink", "repetition": "most", "entropy": "shrink",
    "perplexity": "growth", "loss": "growth", "self_generated": "most",
}  # fmt: skip
"""How a limit is meant: of the value, or of its ratio to the first."""
_SAID = {
    "kl": "the KL divergence from the reference was {last:.3g} nats per token",
    "length": "answers had {last:.0f} tokens, and {first:.0f} at first",
    "distinct": "{last:.0%} of the answers' word pairs were distinct, and {first:.0%} at first",
    "repetition": "{last:.0%} of an answer's runs of four words stood in it before",
    "entropy": "the next token's entropy was {last:.3g} nats, and {first:.3g} at first",
    "perplexity": "the held-out perplexity was {last:.4g}, and {first:.4g} at first",
    "loss": "the held-out loss was {last:.4g}, and {first:.4g} at first",
    "self_generated": "models wrote {last:.0%} of the rows that are learned from",
}


class StopIf(StrictModel):
    """What ends a stage, so that what it made at the last evaluation point within all of these is kept."""

    kl: Annotated[float, Field(gt=0)] | None = None
    """Largest mean KL divergence of a step from the reference, in nats per token."""
    length: Annotated[float, Field(gt=1)] | None = None
    """Largest ratio of the mean answer's length to that at first, either way."""
    distinct: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Smallest ratio of the share of distinct pairs of words to that at first."""
    repetition: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest share of an answer's runs of four words that stood in it before."""
    entropy: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Smallest ratio of the mean entropy of the next token to that at first."""
    perplexity: Annotated[float, Field(gt=1)] | None = None
    """Largest ratio of the held-out perplexity to that at first."""
    loss: Annotated[float, Field(gt=1)] | None = None
    """Largest ratio of the held-out loss to that at first."""
    self_generated: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest share of the rows learned from that a model wrote."""


def require_measured(limits: StopIf, measured: Sequence[str], *, stage: str, error_at: Callable[..., Any]) -> None:
    """Refuse limits on what a stage does not measure.

    Raises:
        InputError: naming the line, and what it measures.
    """
    for key in sorted(limits.model_fields_set):
        if getattr(limits, key) is not None and key not in measured:
            raise InputError(f"the stage {stage} does not measure it", **error_at("stop_if", key),
                             hint=f"it measures {', '.join(measured)}")  # fmt: skip


def distinct_share(texts: Sequence[str], n: int = 2) -> float:
    """Return the share of distinct word n-grams among all of some texts, in [0, 1]; 1 where there is none."""
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repetition(texts: Sequence[str], n: int = _RUN) -> float:
    """Return the mean over texts of the share of word n-grams that stood in the text before, in [0, 1)."""
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := _grams(text, n))]
    return sum(shares) / len(shares) if shares else 0.0


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def measure_texts(texts: Sequence[str], lengths: Sequence[int]) -> dict[str, float]:
    """Return what some answers look like; their lengths are in tokens, or in words where nobody counts tokens."""
    return {
        "length": sum(lengths) / max(1, len(lengths)), "distinct_1": distinct_share(texts, 1),
        "distinct_2": distinct_share(texts), "repetition": repetition(texts),
    }  # fmt: skip


def generated_share(sources: Iterable[str]) -> float:
    """Return the share of rows that a model wrote, by what each says of its source."""
    told = list(sources)
    return sum(source in GENERATED for source in told) / max(1, len(told))


class Signs:
    """What was measured so far, and whether it is beyond a limit.

    Args:
        limits: of the stage.
        first: evaluation points whose mean later ones are compared with.
    """

    def __init__(self, limits: StopIf, *, first: int = 1) -> None:
        self._limits, self._first = limits, first
        self.seen: dict[str, list[tuple[int, float]]] = {}

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(getattr(self._limits, name) is not None for name in self._limits.model_fields_set)

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Take what was measured at a step; what is no number is beyond every limit."""
        for name, value in values.items():
            self.seen.setdefault(name, []).append((step, value if math.isfinite(value) else math.inf))

    def breach(self) -> str:
        """Say which limit the last evaluation point is beyond; empty where none."""
        return next(filter(None, (self._beyond(name) for name in type(self._limits).model_fields)), "")

    def _beyond(self, name: str) -> str:
        limit, kind = getattr(self._limits, name), _KINDS[name]
        measured = {"distinct": "distinct_2"}.get(name, name)
        if limit is None or not self.seen.get(measured):
            return ""
        first, last = self.first_and_last(measured)
        ratio = 1.0 if last == first else last / first if first else math.inf
        beyond = not math.isfinite(last) or {
            "most": last > limit, "growth": ratio > limit, "shrink": ratio < limit,
            "either": max(ratio, 1 / ratio if ratio else math.inf) > limit,
        }[kind]  # fmt: skip
        return _SAID[name].format(first=first, last=last) if beyond else ""

    def first_and_last(self, name: str) -> tuple[float, float]:
        """Return the mean of the first evaluation points, and the last value."""
        values = [value for _, value in self.seen.get(name, [])]
        first = values[: self._first]
        return (sum(first) / len(first), values[-1]) if values else (0.0, 0.0)

    def figures(self) -> dict[str, float]:
        """Return what was measured first and last, and how much answers grew."""
        figures: dict[str, float] = {}
        for name in self.seen:
            first, last = self.first_and_last(name)
            if name == "kl":
                figures["kl_largest"] = max(value for _, value in self.seen[name])
            elif name == "self_generated":
                figures[name] = last
            else:
                figures |= {f"{name}_first": first, f"{name}_last": last}
        if "length" in self.seen:
            figures["length_drift"] = figures["length_last"] / max(figures["length_first"], 1e-9)
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Return what changed from one evaluation point to the next, step by step."""
        told = {name: points for name, points in self.seen.items() if name not in {"self_generated", "kl", "loss"}}
        return {name: [point for point in points if math.isfinite(point[1])] for name, points in told.items()}
