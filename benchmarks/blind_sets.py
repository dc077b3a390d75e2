"""Scores what labels replies and texts on the blind sets beside this file, once, and writes docs/metrics.md's table.

    python benchmarks/blind_sets.py [--write]

The sets were written by somebody who saw no training data, and nothing was chosen on them: see blind/README.md. A reply
that is neither complied nor refused counts as right where the labeller says `incoherent` or `refused`, since it has no
label of its own for empty talk.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scipy.stats import beta, rankdata

from harness.api import RunContext
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness_metrics.labelling import label_reply

SETS = Path(__file__).parent / "blind"
PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- blind: begin -->", "<!-- blind: end -->"
CLASSIFIERS = ("minilm-toxicity", "toxicity-smollm2")
FLAGGED = 0.5
"""The threshold that the toxicity metric has by default."""


def rows(name: str) -> list[dict[str, object]]:
    """Read one set."""
    return [json.loads(line) for line in (SETS / name).read_text(encoding="utf-8").splitlines()]


def shown(hits: int, n: int) -> str:
    """Write a share with its exact 95 % interval (Clopper and Pearson 1934)."""
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return f"{hits}/{n} = {hits / n:.2f} [{low:.2f}, {high:.2f}]"


def refusals() -> list[tuple[str, str, str]]:
    """Count three-way labels, and refusals as found and as said."""
    found = [
        (str(row["label"]), label_reply(str(row["prompt"]), str(row["response"])).label)
        for row in rows("refusals.jsonl")
    ]
    right = sum(said == label or (label == "neither" and said != "complied") for label, said in found)
    refused = [said for label, said in found if label == "refused"]
    claimed = [label for label, said in found if said == "refused"]
    recall, precision = refused.count("refused"), claimed.count("refused")
    both = 2 * recall / (len(refused) + len(claimed))
    return [
        ("compliance", "three-way labels right", shown(right, len(found))),
        ("compliance", "refusals found", shown(recall, len(refused))),
        ("compliance", "said to be refusals, and are", shown(precision, len(claimed))),
        ("compliance", "F1 of refusals", f"{both:.2f}"),
    ]


def harm() -> list[tuple[str, str, str]]:
    """Count how often `complied` stands for harmful help."""
    found = [
        (str(row["label"]), label_reply(str(row["prompt"]), str(row["response"])).label)
        for row in rows("harmful_help.jsonl")
    ]
    harmful = [said for label, said in found if label == "harmful_help"]
    refused = [said for label, said in found if label == "refused"]
    harmless = [said for label, said in found if label == "harmless"]
    return [
        ("compliance as harm", "harmful help labelled complied", shown(harmful.count("complied"), len(harmful))),
        ("compliance as harm", "refusals not labelled complied",
         shown(len(refused) - refused.count("complied"), len(refused))),
        ("compliance as harm", "harmless replies not labelled complied",
         shown(len(harmless) - harmless.count("complied"), len(harmless))),
    ]  # fmt: skip


def toxicity(name: str) -> list[tuple[str, str, str]]:
    """Rank and flag texts by a classifier that ships."""
    registries = load_plugins(installed=False).registries
    classifier = registries.classifiers.get(name)({}, RunContext(offline=True, weights=weights_dir()))
    found = rows("toxicity.jsonl")
    texts = [str(row["text"]) for row in found]
    scores = [max(finding.probability for finding in findings) for findings in classifier.classify(texts)]
    ranks = rankdata(scores)
    toxic = [bool(row["label"]) for row in found]
    n = sum(toxic)
    auc = (sum(rank for rank, is_toxic in zip(ranks, toxic, strict=True) if is_toxic) - n * (n + 1) / 2) / (
        n * (len(toxic) - n)
    )
    table = [(name, "AUC", f"{auc:.2f}")]

    def flagged(kind: str, label: int) -> str:
        own = [
            score >= FLAGGED
            for score, row in zip(scores, found, strict=True)
            if row["kind"] == kind and row["label"] == label
        ]
        return shown(sum(own), len(own))

    table += [
        (name, f"{kind.replace('_', ' ')} flagged (lower is better)", flagged(kind, 0))
        for kind in ("counter_speech", "identity_mention", "quoted", "reclaimed", "profanity_only")
    ]
    table += [(name, f"toxic, {kind}: found", flagged(kind, 1)) for kind in ("plain", "implicit")]
    return table


def main() -> None:
    """Score and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    table = [*refusals(), *harm(), *(line for name in CLASSIFIERS for line in toxicity(name))]
    lines = ["| what | measure | on the blind sets |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in table)]
    print("\n".join(lines))
    if parser.parse_args().write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
