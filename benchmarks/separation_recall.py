"""How much of what is planted `harness data check` finds: own paraphrases of suites' prompts, and false alarms.

    python benchmarks/separation_recall.py [--json FILE]

Recall: the share of 94 paraphrases, written by hand for 47 prompts of four suites, that are found near their own
prompt, by cosine. `light` keeps most words, `free` says it in others. False alarms: the share of 47 questions that
sound like prompts of these suites and ask something else, and, where the public data lies beside the checkout, of
1,000 of Dolly's instructions, that are near any sample. The threshold was chosen on this set, so that it is no
held-out evidence.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from pathlib import Path

from harness.api import MINILM, Embedder, RunContext, weights_path
from harness.api.workspace import load_plugins
from harness.stats.proportion import clopper_pearson
from harness_guards.separation import NEAR, evaluated
from harness_guards.suite_samples import suite_samples

ROOT = Path(__file__).parents[1]
DATA = ROOT / "plugins/harness_guards/data"
PUBLIC = ROOT.parent / "shared/data/instruction_prompts"
AT = (0.70, NEAR, 0.80, 0.85, 0.90)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def share(hits: int, of: int) -> dict[str, float]:
    interval = clopper_pearson(hits, of, 0.025)
    return {"hits": hits, "of": of, "low": round(interval.low, 3), "high": round(interval.high, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    planted, alike = rows(DATA / "paraphrases.jsonl"), [row["prompt"] for row in rows(DATA / "look-alikes.jsonl")]
    names = sorted({row["suite"] for row in planted})
    registries, context = load_plugins().registries, RunContext(offline=True, weights=Path())
    samples = [one for name in names for one in evaluated(*suite_samples(name, registries, context))]
    asked = [(sample, text) for sample in samples for text in sample.asked]
    public = sorted(PUBLIC.glob("dolly*.csv.gz"))
    dolly: list[str] = []
    if public:
        with gzip.open(public[0], "rt", encoding="utf-8") as stream:
            dolly = [row["instruction"] for row in csv.DictReader(stream)]
    embedder = Embedder(weights_path(MINILM))
    theirs = embedder.encode([text for _, text in asked])
    own = embedder.encode([row["paraphrase"] for row in planted]) @ theirs.T
    other = embedder.encode(alike) @ theirs.T
    third = embedder.encode(dolly) @ theirs.T if dolly else None
    found = []
    for at in AT:
        one: dict[str, object] = {"near": at}
        for how in ("light", "free"):
            hits = [
                any(own[place, index] >= at for index, (sample, _) in enumerate(asked)
                    if (sample.suite, sample.sample) == (row["suite"], row["sample"]))
                for place, row in enumerate(planted) if row["how"] == how
            ]  # fmt: skip
            one[f"recall_{how}"] = share(sum(hits), len(hits))
        one["false_alarms_alike"] = share(int((other.max(axis=1) >= at).sum()), len(alike))
        if third is not None:
            one["false_alarms_dolly"] = share(int((third.max(axis=1) >= at).sum()), len(dolly))
        found.append(one)
        print(json.dumps(one))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
