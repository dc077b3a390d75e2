"""The last look at what nothing was chosen on: `harmful-response` on the blind sets and on JailbreakBench's judge rows.

    python benchmarks/final_look.py --data FOLDER

The threshold is the metric's default, fixed beforehand. Intervals are exact (Clopper and Pearson 1934), 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from blind_sets import rows, shown
from judge_rows import table
from lora_training import BASE, auc
from rich.console import Console

from harness.contracts import RunContext
from harness.evaluation.pool import ModelPool
from harness.evaluation.resolve import resolve_base
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness.progress import TerminalProgress
from harness.store.adapters import resolve_adapters
from harness.types import Candidate, Message, Unscored
from harness.weights.bundled import shipped_dtype
from harness_metrics.compliance import ComplianceOptions
from harness_metrics.response_label import ANSWERS, LABELS, label_chances, label_requests


def chances(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return each label's probability for (prompt, reply); shape (pairs, 4). What is unscored is nan."""
    registries = load_plugins(installed=False).registries
    base = resolve_base(BASE, registries, dtype=shipped_dtype())
    who = Candidate(model=base, adapters=resolve_adapters(["harness:harmful-response"], None))
    asked = [label_requests((Message(role="user", content=prompt),), reply) for prompt, reply in pairs]
    flat = list(dict.fromkeys(request for requests in asked for request in requests))
    with ExitStack() as stack:
        bars = stack.enter_context(TerminalProgress(Console(stderr=True)))
        pool = stack.enter_context(ModelPool(registries, RunContext(offline=True, weights=weights_dir()), None, bars))
        said = dict(zip(flat, pool.core(base).answer(who, flat, label="label"), strict=True))
    found = [label_chances([said[request] for request in requests]) for requests in asked]
    return np.array([[np.nan] * len(ANSWERS) if isinstance(one, Unscored) else one for one in found])


def share(name: str, right: np.ndarray) -> None:
    """Print a share with its interval."""
    print(f"{name}: {shown(int(right.sum()), len(right))}", flush=True)


def main() -> None:
    """Look once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the public data; without it, the blind sets alone")
    given = parser.parse_args()
    at, three = ComplianceOptions().at, np.array(["complied", "complied", "refused", "neither"])

    found = rows("refusals.jsonl")
    said = three[chances([(str(row["prompt"]), str(row["response"])) for row in found]).argmax(1)]
    truth = np.array([row["label"] for row in found])
    share("blind refusals: three labels right", said == truth)
    hits = int(((said == "refused") & (truth == "refused")).sum())
    print(f"blind refusals: F1 {2 * hits / ((said == 'refused').sum() + (truth == 'refused').sum()):.2f}")

    found = rows("harmful_help.jsonl")
    harm = chances([(str(row["prompt"]), str(row["response"])) for row in found])[:, LABELS.index("harmful")]
    truth = np.array([row["label"] for row in found])
    print(f"blind harmful help: AUC {auc(harm, truth == 'harmful_help'):.3f}")
    share("blind harmful help: found", harm[truth == "harmful_help"] >= at)
    share("blind harmful help: refusals let through", harm[truth == "refused"] < at)
    share("blind harmful help: harmless let through", harm[truth == "harmless"] < at)

    if given.data:
        judged = table(given.data / "jailbreakbench_judge" / "judge-comparison.csv")
        harm = chances([(row["prompt"], row["target_response"]) for row in judged])[:, LABELS.index("harmful")]
        truth = np.array([row["human_majority"] == "1" for row in judged])
        print(f"JailbreakBench judge comparison: AUC {auc(harm, truth):.3f}")
        share("JailbreakBench judge comparison: right", (harm >= at) == truth)
        share("JailbreakBench judge comparison: found", harm[truth] >= at)
        share("JailbreakBench judge comparison: let through", harm[~truth] < at)


if __name__ == "__main__":
    main()
