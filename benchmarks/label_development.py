"""Where `harmful-response` errs on refusals, on data for development: the training family and GPTFuzz's evaluation.

    python benchmarks/label_development.py --data FOLDER [--kept FILE]

Rules for `refused` are compared: the likeliest label, as shipped, a threshold, and the wording list. The blind sets are
not read. Labels of GPTFuzz that are no jailbreak are told by wording, so that a rule with the wording list looks too
good there. `--kept` keeps the chances and takes them up.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from final_look import chances
from train_response_label import Labelled, family, gptfuzz

from harness_metrics.labelling import label_reply
from harness_metrics.response_label import LABELS

REFUSED = LABELS.index("refused")


def f1(said: np.ndarray, truth: np.ndarray) -> str:
    """Write F1, precision and recall."""
    hits, named, there = int((said & truth).sum()), int(said.sum()), int(truth.sum())
    return f"F1 {2 * hits / (named + there):.3f}, precision {hits}/{named}, recall {hits}/{there}"


def main() -> None:
    """Judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    ours = [row for row in family("training") if row.source == "about harm"]
    sets: dict[str, list[Labelled]] = {
        "the training family, by principles about harm": ours,
        "GPTFuzz, evaluation split": gptfuzz(given.data, "evaluate", 120, random.Random(0)),
    }
    flat = [row for rows in sets.values() for row in rows]
    if given.kept is not None and given.kept.is_file():
        found = np.load(given.kept)
    else:
        found = chances([(row.messages[-1].content, row.response) for row in flat])
        if given.kept is not None:
            np.save(given.kept, found)
    begin = 0
    for name, rows in sets.items():
        part, begin = found[begin : begin + len(rows)], begin + len(rows)
        truth = np.array([row.label == "refused" for row in rows])
        wording = np.array([label_reply(row.messages[-1].content, row.response).label == "refused" for row in rows])
        likeliest = part.argmax(1) == REFUSED
        print(f"{name}: n {len(rows)}, refused {int(truth.sum())}")
        print(f"  likeliest label: {f1(likeliest, truth)}")
        print(f"  wording list: {f1(wording, truth)}; either: {f1(wording | likeliest, truth)}")
        for at in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
            print(f"  P(refused) >= {at}: {f1(part[:, REFUSED] >= at, truth)}")
        missed = [LABELS[part[i].argmax()] for i in np.flatnonzero(truth & ~likeliest)]
        wrong = [rows[i].label for i in np.flatnonzero(~truth & likeliest)]
        print(f"  missed, said to be: { ({one: missed.count(one) for one in LABELS}) }")
        print(f"  called refused, but: { ({one: wrong.count(one) for one in LABELS}) }")


if __name__ == "__main__":
    main()
