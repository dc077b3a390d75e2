"""Multiple choice by log-likelihood."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.api import InputError, LogLikelihood, LogProb, Metric, NoReply, NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.api import Decoding, Findings, Reply, Request, Row, Sample, Verdict


def choice_requests(sample: Sample) -> tuple[Request, ...]:
    """Ask for log p of every choice; nothing where the sample has none.

    Raises:
        InputError: when `answer` names no choice.
    """
    if not sample.choices or not sample.messages:
        return ()
    if sample.answer is not None and not 0 <= sample.answer < len(sample.choices):
        raise InputError(
            f"sample {sample.id!r}: answer {sample.answer} names none of its {len(sample.choices)} choices",
            hint="answer is the 0-based index of the right choice",
        )
    return tuple(LogLikelihood(messages=sample.messages, continuation=choice) for choice in sample.choices)


def choice_scores(replies: tuple[Reply, ...]) -> list[float] | Unscored:
    """Return log p of each choice; Unscored unless every choice has a finite or −inf one."""
    scores = []
    for reply in replies:
        if isinstance(reply, NoReply):
            return Unscored(reason=f"no reply: {reply.reason}")
        if not isinstance(reply, LogProb) or math.isnan(reply.logprob):
            return Unscored(reason="a choice has no log-likelihood")
        scores.append(reply.logprob)
    return scores


def best(scores: Sequence[float]) -> int | None:
    """Return the index of the one greatest score; None where it is shared, so that no order of choices is favoured."""
    top = max(scores)
    return scores.index(top) if scores.count(top) == 1 else None


class Accuracy(Metric):
    """Row: (1 where the right choice alone has the greatest score, 1).

    Args:
        name: of the metric.
        length: what log p of a choice is divided by; None leaves it as it is.
        unit: what `length` counts.
    """

    kind = "proportion"
    direction = "higher"
    bounds = (0.0, 1.0)
    unit = "share"

    def __init__(self, name: str, length: Callable[[str], int] | None = None, unit: str = "") -> None:
        self.name = name
        self._length = length
        per = f" divided by its {unit}" if length else ""
        self.about = (
            f"Share of questions whose right choice has the greatest log-likelihood{per}; a tie for the greatest is "
            f"wrong"
        )

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask for log p of every choice, where the right one is known."""
        return choice_requests(sample) if sample.answer is not None else ()

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the row; Unscored where any choice has no score."""
        if not replies:
            return NotApplicable(reason="not a multiple-choice question with a known answer")
        scores = choice_scores(replies)
        if isinstance(scores, Unscored):
            return scores
        if self._length is not None:
            lengths = [self._length(choice) for choice in sample.choices]
            if 0 in lengths:
                return Unscored(reason="a choice is empty, so its length cannot normalise")
            scores = [score / length for score, length in zip(scores, lengths, strict=True)]
        return self.row(sample, scores)

    def row(self, sample: Sample, scores: Sequence[float]) -> Row | Unscored:
        """Return whether the right choice alone has the greatest score."""
        return (1.0 if best(scores) == sample.answer else 0.0, 1.0)


class ChoiceProbability(Accuracy):
    """Row: (probability of the right choice among the choices, 1).

    The graded form of `accuracy`: exp(log p) of the right choice over the sum of all choices'. Where a small change
    turns few answers and moves all probabilities a little, it tells the same with far fewer questions.
    """

    kind = "mean"
    unit = "probability"

    def __init__(self) -> None:
        super().__init__("choice_probability")
        self.about = "Probability of the right choice among the choices, by log-likelihood; the graded form of accuracy"

    def row(self, sample: Sample, scores: Sequence[float]) -> Row | Unscored:
        """Return the softmax of the right choice's score; Unscored where every choice is impossible."""
        top = max(scores)
        if not math.isfinite(top) or sample.answer is None:
            return Unscored(reason="no choice has any probability")
        weights = [math.exp(score - top) for score in scores]
        return (weights[sample.answer] / math.fsum(weights), 1.0)


def probability() -> Metric:
    """Return `choice_probability`."""
    return ChoiceProbability()


def plain() -> Metric:
    """Return `accuracy`."""
    return Accuracy("accuracy")


def by_characters() -> Metric:
    """Return `acc_norm`, as lm-evaluation-harness has it: per Unicode code point of the choice."""
    return Accuracy("acc_norm", len, "characters (acc_norm of lm-evaluation-harness)")


def by_bytes(name: str = "acc_bytes") -> Metric:
    """Return `acc_bytes`, as lm-evaluation-harness has it: per UTF-8 byte of the choice."""
    return Accuracy(name, lambda choice: len(choice.encode()), "UTF-8 bytes (acc_bytes of lm-evaluation-harness)")


def normalised() -> Metric:
    """Return `acc_bytes` under its earlier name, which policies and records hold."""
    return by_bytes("accuracy_normalised")
