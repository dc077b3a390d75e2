"""How well the presidio classifier finds each kind of personal data, at each threshold its scores can take.

    python benchmarks/presidio_calibration.py --data ../shared/data

Thresholds are chosen on the sentences of the even-numbered templates; the figures of the odd-numbered ones are what
docs/classifiers.md reports. Sentences made from one template are alike, so intervals resample whole templates.
A second table counts findings in answers that hold no private data: what a leak rate would show of a harmless model.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from harness.contracts import RunContext
from harness.paths import weights_dir
from harness.types import Finding
from harness_classifiers.presidio import DEFAULT_ENTITIES, PresidioClassifier, PresidioOptions

GOLD = {"DOMAIN_NAME": "URL", "ADDRESS": "LOCATION"}
"""The data's names for what presidio calls otherwise; presidio has no street addresses and finds cities in them."""
MEASURED = (
    "CREDIT_CARD", "DATE_TIME", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "LOCATION", "ORGANIZATION", "PERSON",
    "PHONE_NUMBER", "URL", "US_DRIVER_LICENSE", "US_SSN",
)  # fmt: skip
THRESHOLDS = (0.01, 0.3, 0.4, 0.5, 0.6, 0.75, 0.85)


def overlaps(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two half-open ranges share a character."""
    return one[0] < other[1] and other[0] < one[1]


def counts(row: dict, findings: Sequence[Finding], entity: str, threshold: float) -> tuple[int, int, int, int]:
    """Return (gold spans, gold spans found, findings, findings that are right) of one sentence."""
    gold = [
        (span["start_position"], span["end_position"])
        for span in row["spans"]
        if GOLD.get(span["entity_type"], span["entity_type"]) == entity
    ]
    found = [f.span for f in findings if f.label == entity and f.probability >= threshold and f.span]
    hit = sum(any(overlaps(span, other) for other in found) for span in gold)
    right = sum(any(overlaps(span, other) for other in gold) for span in found)
    return len(gold), hit, len(found), right


def interval(top: np.ndarray, bottom: np.ndarray, clusters: np.ndarray) -> str:
    """Return a ratio of sums as text, with its 90 % interval over 2,000 resamples of whole clusters."""
    if bottom.sum() == 0:
        return "none"
    names = np.unique(clusters)
    sums = np.array([(top[clusters == name].sum(), bottom[clusters == name].sum()) for name in names], dtype=float)
    weights = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=2000)
    draws = weights @ sums
    draws = draws[draws[:, 1] > 0]
    low, high = np.quantile(draws[:, 0] / draws[:, 1], [0.05, 0.95])
    return f"{top.sum() / bottom.sum():.2f} [{low:.2f}, {high:.2f}] of {int(bottom.sum())}"


def table(rows: list[dict], findings: list[Sequence[Finding]], *, sweep: bool) -> None:
    """Print precision and recall by entity: at every threshold, or at the default ones."""
    settings = PresidioOptions()
    clusters = np.array([row["template_id"] for row in rows])
    for entity in MEASURED:
        for threshold in THRESHOLDS if sweep else (settings.threshold_of(entity),):
            each = np.array([counts(row, found, entity, threshold) for row, found in zip(rows, findings, strict=True)])
            mark = "default" if entity in DEFAULT_ENTITIES else ""
            print(
                f"{entity:18s} at {threshold:.2f}  precision {interval(each[:, 3], each[:, 2], clusters):28s}"
                f"  recall {interval(each[:, 1], each[:, 0], clusters):28s} {mark}"
            )


def read_csv(path: Path) -> list[list[str]]:
    """Return the rows of a gzipped CSV file."""
    return list(csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))


def harmless(data: Path) -> dict[str, list[str]]:
    """Return texts that tell nobody's secrets: everyday answers, sums in words, examination questions."""
    answers = read_csv(data / "instruction_prompts" / "dolly_1000_mobileaibench.csv.gz")
    column = answers[0].index("response")
    sums = gzip.decompress((data / "gsm8k" / "test.jsonl.gz").read_bytes()).decode().splitlines()
    questions = read_csv(data / "mmlu" / "mmlu_dev_test.csv.gz")[1:]
    random.Random(0).shuffle(questions)
    return {
        "everyday answers": [row[column] for row in answers[1:401]],
        "sums in words": [json.loads(line)["question"] for line in sums[:400]],
        "examination questions": [" ".join(row) for row in questions[:400]],
    }


def main() -> None:
    """Run the classifier once with every entity and no threshold, then read the tables off its findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data")
    parser.add_argument("--limit", type=int, default=None, help="only the first sentences, for a quick look")
    given = parser.parse_args()
    rows = json.loads(gzip.decompress((given.data / "presidio_synth_pii" / "generated_large.json.gz").read_bytes()))
    rows = rows[: given.limit]
    context = RunContext(weights=weights_dir(), offline=True)
    everything = PresidioClassifier({"entities": sorted({*MEASURED, *DEFAULT_ENTITIES}), "threshold": 0.01}, context)
    everything.classify(["warm up"])
    begun = time.perf_counter()
    findings = [
        found if isinstance(found, tuple) else () for found in everything.classify([r["full_text"] for r in rows])
    ]
    print(f"{len(rows) / (time.perf_counter() - begun):.0f} sentences a second with every entity")
    for name, parity, sweep in (("chosen on", 0, True), ("reported", 1, False)):
        chosen = [index for index, row in enumerate(rows) if row["template_id"] % 2 == parity]
        print(f"\n{name}: {len(chosen)} sentences")
        table([rows[index] for index in chosen], [findings[index] for index in chosen], sweep=sweep)

    settings = PresidioOptions()
    for name, texts in harmless(given.data).items():
        found_in = everything.classify(texts)
        print(f"\nshare of {len(texts)} {name} with a finding, at the default threshold")
        for entity in everything.settings.entities:
            hits = sum(
                any(f.label == entity and f.probability >= settings.threshold_of(entity) for f in found)
                for found in found_in
                if isinstance(found, tuple)
            )
            if hits:
                low, high = binomtest(hits, len(texts)).proportion_ci(0.90)
                print(f"{entity:18s} {hits:4d}  {hits / len(texts):.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
