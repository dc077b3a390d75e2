# ruff: noqa: INP001 - evaluate loads the file by path; it is no package
"""A metric module for the Hugging Face evaluate library: F1 of the words that prediction and reference share."""

from __future__ import annotations

from collections import Counter
from typing import Any

import datasets
import evaluate

_DESCRIPTION = "Bag-of-words F1 between a prediction and a reference, after lowercasing and splitting at white space."


class WordOverlap(evaluate.Metric):  # type: ignore[misc]
    """Averages the F1 over the pairs; 1 where both are empty."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description="predictions: list of str; references: list of str",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        scores = [_f1(*pair) for pair in zip(predictions, references, strict=True)]
        return {"f1": sum(scores) / len(scores)}


def _f1(prediction: str, reference: str) -> float:
    said, wanted = Counter(prediction.lower().split()), Counter(reference.lower().split())
    if not said and not wanted:
        return 1.0
    shared = sum((said & wanted).values())
    return 2 * shared / (said.total() + wanted.total())
