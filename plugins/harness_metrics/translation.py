"""BLEU, chrF and TER by sacrebleu, summed over the corpus from statistics per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field

from harness.api import Completion, MissingDependencyError, StrictModel
from harness_metrics.replies import TextMetric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.api import (
        Findings,
        Metric,
        Row,
        Sample,
        Unscored,
    )

_ORDERS = 4


class BleuOptions(StrictModel):
    """Options of bleu, as sacrebleu names them."""

    tokenize: Literal["13a", "char", "intl", "none", "zh"] = "13a"
    lowercase: bool = False


class ChrfOptions(StrictModel):
    """Options of chrf; `word_order: 2` is chrF++."""

    word_order: Annotated[int, Field(ge=0, le=4)] = 0
    lowercase: bool = False


class TerOptions(StrictModel):
    """Options of ter."""

    case_sensitive: bool = False
    normalized: bool = False


class _CorpusScore(TextMetric):
    """The sums of sacrebleu's segment statistics, and its formula on them."""

    kind = "ratio"
    unit = "points"
    needs_target = True

    def __init__(self, scorer: Any, formula: str) -> None:  # noqa: ANN401 - sacrebleu has no types
        self.scorer = scorer
        scorer.corpus_score(["a"], [["a"]])  # the signature knows the number of references only after a first score
        signature = str(scorer.get_signature()).replace("nrefs:1", "nrefs:var")
        self.about = f"{formula}; sacrebleu signature {signature}, references: all of the sample's targets"

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the segment's statistics."""
        return tuple(float(number) for number in self.statistics(reply.text.strip(), list(sample.target)))

    def statistics(self, text: str, references: list[str]) -> Sequence[float]:
        """Return sacrebleu's statistics of one segment."""
        raise NotImplementedError


class Bleu(_CorpusScore):
    """Row: (length, reference length, matched 1- to 4-grams, all 1- to 4-grams)."""

    name = "bleu"
    direction = "higher"
    bounds = (0.0, 100.0)

    def statistics(self, text: str, references: list[str]) -> Sequence[float]:
        """Read the counts off sacrebleu's own score of the segment."""
        score = self.scorer.corpus_score([text], [[reference] for reference in references])
        return [score.sys_len, score.ref_len, *score.counts, *score.totals]

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Papineni et al. 2002 with sacrebleu's default exponential smoothing (NIST mteval)."""
        length, reference = sums[..., 0], sums[..., 1]
        matched, total = sums[..., 2 : 2 + _ORDERS], sums[..., 2 + _ORDERS :]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            penalty = np.where(length < reference, np.where(length > 0, np.exp(1 - reference / length), 0.0), 1.0)
            smoothing = np.ones_like(length)
            logs = np.zeros_like(length)
            for order in range(_ORDERS):
                none = matched[..., order] == 0
                smoothing = np.where(none, smoothing * 2, smoothing)
                precision = np.where(none, 1 / smoothing, matched[..., order]) / total[..., order]
                logs = logs + np.log(np.where(total[..., order] > 0, precision, 0.0)) / _ORDERS
            score = np.where(matched.sum(axis=-1) > 0, 100 * penalty * np.exp(logs), 0.0)
            # Exact matches may come out a rounding error above 100.
            value: NDArray[np.float64] = np.where(reference > 0, np.minimum(score, 100.0), np.nan)
        return value


class Chrf(_CorpusScore):
    """Row: (n-grams of the reply, of the reference, matched) for each character order, then each word order."""

    name = "chrf"
    direction = "higher"
    bounds = (0.0, 100.0)

    def statistics(self, text: str, references: list[str]) -> Sequence[float]:
        """Ask sacrebleu for the segment's statistics, which its scores do not carry."""
        rows = self.scorer._extract_corpus_statistics([text], [[reference] for reference in references])  # noqa: SLF001
        return cast("Sequence[float]", rows[0])

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Popović 2015: F-beta of precision and recall averaged over the orders that occur in both."""
        reply, reference, matched = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
        both = (reply > 0) & (reference > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            orders = both.sum(axis=-1)
            precision = np.where(both, matched / reply, 0.0).sum(axis=-1) / orders
            recall = np.where(both, matched / reference, 0.0).sum(axis=-1) / orders
            factor = float(self.scorer.beta) ** 2
            score = 100 * (1 + factor) * precision * recall / (factor * precision + recall)
            value: NDArray[np.float64] = np.where(precision + recall > 0, score, 0.0)
        return np.where(reference.sum(axis=-1) > 0, np.minimum(value, 100.0), np.nan)


class Ter(_CorpusScore):
    """Row: (edits, reference length in words, averaged over references)."""

    name = "ter"
    direction = "lower"
    unit = "edits per 100 words"

    def statistics(self, text: str, references: list[str]) -> Sequence[float]:
        """Read the edits off sacrebleu's own score of the segment."""
        score = self.scorer.corpus_score([text], [[reference] for reference in references])
        return [score.num_edits, score.ref_length]

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Snover et al. 2006: edits per 100 words of the reference; above 100 where more is edited than is there."""
        return 100 * super().estimate(sums)


def _sacrebleu(needed_by: str) -> Any:  # noqa: ANN401 - sacrebleu has no types
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise MissingDependencyError("sacrebleu", "metrics", needed_by=f"the metric {needed_by}") from error
    return metrics


def bleu(options: BleuOptions) -> Metric:
    """Return `bleu`."""
    scorer = _sacrebleu("bleu").BLEU(tokenize=options.tokenize, lowercase=options.lowercase, force=True)
    return Bleu(scorer, "Corpus BLEU, 0 to 100")


def chrf(options: ChrfOptions) -> Metric:
    """Return `chrf`."""
    scorer = _sacrebleu("chrf").CHRF(word_order=options.word_order, lowercase=options.lowercase)
    return Chrf(scorer, "Corpus chrF, 0 to 100")


def ter(options: TerOptions) -> Metric:
    """Return `ter`."""
    scorer = _sacrebleu("ter").TER(case_sensitive=options.case_sensitive, normalized=options.normalized)
    return Ter(scorer, "Translation edit rate")
