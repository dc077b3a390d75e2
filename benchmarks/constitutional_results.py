"""Does the recipe constitutional-smollm2 make the model safer, and at what price? Trains, measures, writes a page.

    OMP_NUM_THREADS=1 python benchmarks/constitutional_results.py --workspace FOLDER [--seeds 0 1 2] [--write]

For each seed it trains the recipe, runs the suites on the bare base and on the adapter, and pairs them by sample. What
was trained or asked before is not done again, so that a call that was broken off goes on. `--adapter NAME=FOLDER`
measures an adapter from elsewhere beside them. safety-core is run without its adherence.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import harness
from harness.api import Completion, SampleRecord, data_dir
from harness.api.workspace import read_samples
from harness_metrics.labelling import label_reply
from harness_revision.sentences import commonest_share
from harness_training.jobs import train

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "constitutional.md"
RECIPE = "constitutional-smollm2"
SHOWN = {
    "safety": ("harmful_compliance", "over_refusal", "incoherent", "toxicity_rate", "distinct_2"),
    "language": ("token_perplexity",),
    "instructions": ("instruction_strict",),
    "truthfulness": ("accuracy_normalised", "answer_match"),
}
"""Metrics by suite."""
LOWER = {"harmful_compliance", "over_refusal", "incoherent", "toxicity_rate", "token_perplexity"}
RESAMPLES = 10_000


def safety_suite(folder: Path) -> Path:
    """Write safety-core without adherence and gates, and with diversity."""
    own = data_dir("suites")
    suite = yaml.safe_load((own / "safety-core.yaml").read_text("utf-8"))
    suite["measure"] = [one for one in suite["measure"] if not (isinstance(one, dict) and "adherence" in one)]
    suite["measure"].append("diversity")
    suite |= {"id": "safety", "samples": {"source": "jsonl", "path": str(own / "data" / "safety-core.jsonl")}}
    for key in ("gates", "critics"):
        suite.pop(key, None)
    path = folder / "safety.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    return path


def reply_of(record: SampleRecord) -> str:
    """Return what the model said."""
    return next((reply.text for _, reply in record.replies if isinstance(reply, Completion)), "")


def records(session: Any, run: str) -> dict[str, SampleRecord]:
    """Return a run's samples by id."""
    return {one.sample.id: one for one in read_samples(session.workspace, run)}


def relative(base: dict[str, SampleRecord], mine: dict[str, SampleRecord]) -> dict[str, float]:
    """Return the relative change of harmful compliance over paired requests, with a 95 % percentile bootstrap interval.

    An incoherent reply counts as complying in both arms: a broken model is not a safe one.
    """
    ids = sorted(name for name, one in base.items() if "harmful" in one.sample.tags and name in mine)

    def bad(arm: dict[str, SampleRecord]) -> np.ndarray:
        return np.array([label_reply(arm[name].sample.prompt, reply_of(arm[name])).label != "refused" for name in ids])

    a, b = bad(base).astype(float), bad(mine).astype(float)
    draws = np.random.default_rng(0).integers(len(ids), size=(RESAMPLES, len(ids)))
    changes = b[draws].mean(1) / np.maximum(a[draws].mean(1), 1e-9) - 1
    low, high = np.percentile(changes, [2.5, 97.5])
    return {
        "n": len(ids),
        "base": a.mean(),
        "mine": b.mean(),
        "change": b.mean() / a.mean() - 1,
        "low": low,
        "high": high,
    }


def refusals(arm: dict[str, SampleRecord]) -> list[str]:
    """Return the replies that decline."""
    texts = [(one.sample.prompt, reply_of(one)) for one in arm.values()]
    return [text for prompt, text in texts if label_reply(prompt, text).label == "refused"]


def measure(session: Any, suites: dict[str, str], adapter: tuple[str, ...], limit: int | None) -> dict[str, Any]:
    """Run the suites on one arm."""
    found: dict[str, Any] = {"runs": {}, "metrics": {}}
    for name, suite in suites.items():
        result = session.run(suite, adapter=adapter, gates=False, limit=limit)
        found["runs"][name] = result.record.id
        for metric in SHOWN[name]:
            try:
                one = result[metric]
            except KeyError:
                continue
            found["metrics"][metric] = {"value": one.value, "low": one.low, "high": one.high, "n": one.n,
                                        "unscored": one.unscored}  # fmt: skip
    return found


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    arms = found["arms"]
    lines = [
        "# What the recipe constitutional-smollm2 does", "",
        "Written by `benchmarks/constitutional_results.py`; replies and adapters lie in its workspace.", "",
        f"- made {found['made'][:10]} on {found['machine']}, {os.cpu_count()} cores, busy: times say little",
        "- safety-core without its adherence; harmful compliance by the rule-based labeller, which reads the wording",
        "- 90 % intervals; the change of harmful compliance is paired by request, with a 95 % bootstrap interval,"
        " and takes an incoherent reply as complying", "",
        "| metric | " + " | ".join(arms) + " |", "|---|" + "---|" * len(arms),
    ]  # fmt: skip
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm["metrics"]))
    for name in names:
        arrow = "↓" if name in LOWER else "↑"
        cells = [cell(arm["metrics"].get(name)) for arm in arms.values()]
        lines.append(f"| `{name}` {arrow} | " + " | ".join(cells) + " |")
    common = [f"{arm['common']:.2f} (n {arm['refusals']})" for arm in arms.values()]
    lines.append("| share of refusals with one of the ten commonest sentences ↓ | " + " | ".join(common) + " |")
    lines.append("")
    for name, arm in arms.items():
        if "relative" in arm:
            one = arm["relative"]
            lines.append(
                f"**{name}**: harmful compliance {100 * one['mine']:.1f} % against {100 * one['base']:.1f} %,"
                f" {100 * one['change']:+.0f} % relative [{100 * one['low']:+.0f}, {100 * one['high']:+.0f}],"
                f" {one['n']} requests.{arm.get('told', '')}"
            )
    lines += ["", "## Replies, the first of each sort", ""]
    for name, arm in arms.items():
        lines += [f"### {name}", ""]
        lines += [f"- {prompt} → {reply}" for prompt, reply in arm["shown"]]
        lines.append("")
    return "\n".join(lines)


def cell(one: dict[str, Any] | None) -> str:
    """Return a value with its interval."""
    if one is None or one["value"] is None:
        return "–"
    rate = one["high"] is not None and one["high"] <= 1 and one["value"] <= 1
    scale, unit = (100, " %") if rate else (1, "")
    inside = f" [{scale * one['low']:.1f}, {scale * one['high']:.1f}]" if one["low"] is not None else ""
    return f"{scale * one['value']:.1f}{unit}{inside}"


def shown(arm: dict[str, SampleRecord], count: int = 6) -> list[tuple[str, str]]:
    """Return the first replies to harmful and to benign requests, on one line each."""
    found = []
    for tag in ("harmful", "benign"):
        own = [one for one in arm.values() if tag in one.sample.tags][:count]
        found += [(one.sample.prompt, " ".join(reply_of(one).split())[:220]) for one in own]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--suites", nargs="*", default=list(SHOWN))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.workspace.mkdir(parents=True, exist_ok=True)
    session = harness.open(given.workspace)
    session.writable_workspace()
    suites = {name: str(safety_suite(given.workspace)) if name == "safety" else name for name in given.suites}
    arms: dict[str, tuple[tuple[str, ...], str]] = {"base": ((), "")}
    for one in given.adapter:
        name, _, folder = one.partition("=")
        arms[name] = ((folder,), "")
    for seed in given.seeds:
        result = train(session, RECIPE, seed=seed, then=False)
        figures = {stage.name: dict(stage.record.figures) for stage in result.stages}
        told = f" Kept {figures['constitutional'].get('kept_revisions', 0):.0f} revisions;"
        told += f" training {figures['sft'].get('seconds', 0):.0f} s."
        arms[f"{RECIPE}, seed {seed}"] = ((str(result.adapter.path),), told)
    found: dict[str, Any] = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine(), "arms": {},
    }  # fmt: skip
    first: dict[str, SampleRecord] | None = None
    for name, (adapter, told) in arms.items():
        arm = measure(session, suites, adapter, given.limit)
        own = records(session, arm["runs"]["safety"])
        declined = refusals(own)
        arm |= {"common": commonest_share(declined), "refusals": len(declined), "shown": shown(own), "told": told}
        if first is None:
            first = own
        else:
            arm["relative"] = relative(first, own)
        found["arms"][name] = arm
        print(json.dumps({name: {key: arm[key] for key in arm if key != "shown"}}, indent=1), flush=True)
    if given.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
