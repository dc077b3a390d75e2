"""How a toxicity classifier that ships does on the development sets: the rows of docs/classifiers.md, printed.

    python benchmarks/toxicity_sets.py --data FOLDER [--classifier toxicity-smollm2] [--limit 400]

HateCheck's counter speech and its neutral or positive sentences on groups are asked whole; of the rest of HateCheck, of
Wikipedia talk and of the OpenAI moderation samples `--limit` each, drawn with seed 0. Thresholds may be chosen here, so
that no figure of these sets is evidence of what the classifier does elsewhere. Intervals are 90 %, by bootstrap; the
AUC of HateCheck weighs its parts as they are in the whole.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
from toxicity_data import read_csv
from train_toxicity import tests

from harness.api import RunContext
from harness.paths import weights_dir
from harness.plugins import load_plugins

WHOLE = {
    "counter speech": ("counter_quote_nh", "counter_ref_nh"), "on groups": ("ident_neutral_nh", "ident_pos_nh"),
}  # fmt: skip
FLAGGED = 0.5


def weighted_auc(scores: np.ndarray, toxic: np.ndarray, weights: np.ndarray) -> float:
    """Return the chance that a toxic text scores above another one, each drawn by its weight; ties count half."""
    high, low = scores[toxic][:, None], scores[~toxic][None]
    both = weights[toxic][:, None] * weights[~toxic][None]
    return float((((high > low) + 0.5 * (high == low)) * both).sum() / both.sum())


def auc_with_bounds(scores: np.ndarray, toxic: np.ndarray, weights: np.ndarray) -> str:
    """Return the AUC with its 90 % bootstrap interval."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        drawn = np.concatenate(
            [rng.choice(np.flatnonzero(toxic == one), (toxic == one).sum()) for one in (True, False)]
        )
        found.append(weighted_auc(scores[drawn], toxic[drawn], weights[drawn]))
    low, high = np.percentile(found, [5, 95])
    return f"{weighted_auc(scores, toxic, weights):.3f} [{low:.3f}, {high:.3f}]"


def share(part: np.ndarray, weights: np.ndarray) -> str:
    """Return the flagged share of texts by their weights."""
    return f"{np.average(part >= FLAGGED, weights=weights):.3f}" if len(part) else "–"


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classifier", default="toxicity-smollm2")
    parser.add_argument("--limit", type=int, default=400)
    given = parser.parse_args()
    context = RunContext(offline=True, weights=weights_dir())
    classifier = load_plugins(installed=False).registries.classifiers.get(given.classifier)({}, context)
    cases = read_csv(given.data / "hatecheck" / "test_suite_cases.csv.gz")
    whole = [name for names in WHOLE.values() for name in names]
    rest = [case for case in cases if case["functionality"] not in whole]
    drawn = random.Random(0).sample(rest, min(given.limit, len(rest)))
    kept = [*(case for case in cases if case["functionality"] in whole), *drawn]
    kinds = np.array([case["functionality"] for case in kept])
    sets = {"HateCheck": ([case["test_case"] for case in kept],
                          np.array([case["label_gold"] == "hateful" for case in kept]),
                          np.where(np.isin(kinds, whole), 1.0, len(rest) / len(drawn)))}  # fmt: skip
    for name, (texts, toxic, _) in tests(given.data, given.limit).items():
        if name not in sets:
            sets[name] = (texts, toxic, np.ones(len(texts)))
    print("| set | toxic / not | AUC | flagged, of toxic | flagged, of not toxic |\n|---|---|---|---|---|")
    for name, (texts, toxic, weights) in sets.items():
        began, scores = time.process_time(), []
        for number in range(0, len(texts), 50):
            findings = classifier.classify(texts[number : number + 50])
            scores += [found[0].probability for found in findings]
        seconds, flags = (time.process_time() - began) / len(texts) * 1000, np.array(scores)
        print(
            f"| {name} | {toxic.sum()} / {(~toxic).sum()} | {auc_with_bounds(flags, toxic, weights)} |"
            f" {share(flags[toxic], weights[toxic])} | {share(flags[~toxic], weights[~toxic])} |  {seconds:.0f} CPU s"
            " for 1,000 texts",
            flush=True,
        )
        for about, names in WHOLE.items() if name == "HateCheck" else ():
            part = np.isin(kinds, names)
            print(f"| — its {about} | 0 / {part.sum()} | — | — | {share(flags[part], weights[part])} |", flush=True)


if __name__ == "__main__":
    main()
