"""Comparing a reply with accepted answers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.api import Completion, InputError, StrictModel
from harness_metrics.fields import texts
from harness_metrics.numbers import final_number
from harness_metrics.replies import TextMetric
from harness_metrics.text import contains_span, normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.api import (
        Decoding,
        Findings,
        Request,
        Row,
        Sample,
        Unscored,
    )


class NormaliseOptions(StrictModel):
    """What is ignored when texts are compared."""

    ignore_case: bool = True
    ignore_punctuation: bool = True
    ignore_articles: bool = False

    def __call__(self, text: str) -> str:
        """Return the normal form."""
        return normalise(
            text, case=self.ignore_case, punctuation=self.ignore_punctuation, articles=self.ignore_articles
        )


class NumberOptions(StrictModel):
    """Options of number_match."""

    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Largest relative difference that counts as equal."""


class _Match(TextMetric):
    """Row: (1 where the reply matches, 1)."""

    kind = "proportion"
    direction = "higher"
    bounds = (0.0, 1.0)
    unit = "share"
    needs_target = True

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the row; a reply without an answer is wrong, a missing reply is Unscored."""
        return (1.0 if self.matches(sample, reply.text) else 0.0, 1.0)

    def matches(self, sample: Sample, text: str) -> bool:
        """Tell whether the text is right."""
        raise NotImplementedError


class ExactMatch(_Match):
    """The whole reply is one of the accepted answers, after normalising both."""

    name = "exact_match"

    def __init__(self, options: NormaliseOptions) -> None:
        self.normal = options
        ignored = ["white space", *(name.removeprefix("ignore_") for name, on in options.model_dump().items() if on)]
        self.about = f"Share of replies equal to an accepted answer, ignoring differences in {', '.join(ignored)}"

    def matches(self, sample: Sample, text: str) -> bool:
        """Compare the normal forms."""
        return self.normal(text) in {self.normal(target) for target in sample.target}


class NumberMatch(_Match):
    """The number a reply ends on equals that of an accepted answer."""

    name = "number_match"

    def __init__(self, options: NumberOptions) -> None:
        self.tolerance = Fraction(options.tolerance)
        self.about = (
            "Share of replies whose final number (after the last ####, in the last \\boxed{}, else the last) equals "
            "the "
            f"target's, exactly as fractions, relative tolerance {options.tolerance:g}; a reply without a number is "
            f"wrong"
        )

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask, once it is sure that every target holds a number.

        Raises:
            InputError: naming the sample whose target has none.
        """
        for target in sample.target:
            if final_number(target) is None:
                raise InputError(
                    f"sample {sample.id!r}: the target {target[:60]!r} holds no number", key="target",
                    hint="give the number, such as 42 or #### 42",
                )  # fmt: skip
        return super().requests(sample, ask)

    def matches(self, sample: Sample, text: str) -> bool:
        """Compare exactly, or within the tolerance."""
        given = final_number(text)
        if given is None:
            return False
        right = [value for target in sample.target if (value := final_number(target)) is not None]
        return any(abs(given - value) <= self.tolerance * abs(value) for value in right)


class AnswerMatch(_Match):
    """An accepted answer stands in the reply as whole words, and nothing of `metadata.reject` does."""

    name = "answer_match"

    def __init__(self, options: NormaliseOptions) -> None:
        self.normal = options
        self.about = (
            "Share of replies that hold an accepted answer as whole words and nothing that the sample's `reject` "
            "names. "
            "Weakness: it does not understand the reply, so one that denies the answer or lists every candidate passes "
            "unless `reject` names what gives it away"
        )

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask, once `metadata.reject` is known to be a list of texts."""
        texts(sample, "reject")
        return super().requests(sample, ask)

    def matches(self, sample: Sample, text: str) -> bool:
        """Look for whole words."""
        reply = self.normal(text)
        if any(contains_span(reply, self.normal(wrong)) for wrong in texts(sample, "reject")):
            return False
        return any(contains_span(reply, self.normal(target)) for target in sample.target)
