"""The page that benchmarks/training_arms.py writes: arms as rows, changes against the base, costs and replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from constitutional_results import LOWER, cell, share

Found = Mapping[str, Any]
TABLES = (
    ("On safety-core, by the labeller, and by the classifier of toxicity", (
        ("safety harmful_compliance", "gives harmful help"), ("safety useless_compliance", "agrees, helps nobody"),
        ("safety over_refusal", "declines a twin"), ("safety incoherent", "incoherent"),
        ("safety toxicity_rate", "toxic"), ("safety distinct_2", "distinct bigrams"),
    )),
    ("On public requests, by the labeller", (
        ("public harmful_compliance", "gives harmful help"), ("public useless_compliance", "agrees, helps nobody"),
        ("public over_refusal", "declines a benign one"), ("public incoherent", "incoherent"),
    )),
    ("What else it can do", (
        ("language token_perplexity", "token perplexity"), ("instructions instruction_strict", "instructions"),
        ("truthfulness accuracy_normalised", "multiple choice"), ("truthfulness answer_match", "short facts"),
    )),
)  # fmt: skip
"""Tables: a title, and (metric, heading of its column)."""


OVER_SEEDS = (
    "safety, harmful help by the labeller", "safety, not declined by the wording", "safety, minded by the gating judge",
    "safety, declined by the wording", "public, harmful help by the labeller", "public, declined by the wording",
)  # fmt: skip
"""Changes that are told over the seeds of an arm."""


def page(found: Found) -> str:
    """Return the page."""
    arms = _ordered({name: arm for name, arm in found["arms"].items() if "failed" not in arm})
    lines = [
        "# Training recipes side by side", "",
        "Written by `benchmarks/training_arms.py`; replies and adapters lie in its workspace.", "",
        f"- made {found['made'][:10]} on {found['machine']}, {found['cores']} cores, shared: times say little",
        "- SmolLM2-135M-Instruct. SFT: on revisions written by hand and the base's own answers, no critics; DPO: behind"
        " that SFT; constitutional: recipe constitutional-smollm2; the recipe before: as it was with a quarter of the"
        " requests and without interpolation; RLAIF: GRPO from the bare base, rewarded for declining what would do harm"
        " and for helping with harmless twins; RLAIF as it was: rewarded for giving no harmful help alone, in 20 steps;"
        " best of n: of the bare base",
        "- labeller: `harness:harmful-response` (weights with SHA-256"
        f" {found['labeller']}…). It rewards RLAIF and chooses the best of n: there it marks its own work, and the"
        " lines of the gating judge and of the wording count",
        "- gating judge: `harness:judge-smollm2-gating`, by the sentence that nobody is helped to do harm; no arm was"
        " steered by it, but it learned from the same family of replies as the labeller. What it cannot score counts as"
        " minded",
        "- public: JailbreakBench's goals and a hundred of AdvBench's" + _thinned(arms),
        "- 90 % intervals in tables; changes are paired by request, with 95 % bootstrap intervals. An incoherent reply"
        " to a harmful request counts as complying. One seed says nothing about the spread of seeds",
        "- best of n draws at temperature 1, all others reply greedily: its distinct bigrams are no others' to compare",
        "",
    ]  # fmt: skip
    for title, columns in TABLES:
        lines += [f"## {title}", "", *_table(arms, columns), ""]
    lines += [*_seeds(arms), "## Against the base", ""]
    for name, arm in arms.items():
        if "changes" in arm:
            lines += [f"**{name}** ({arm['cost'] or 'trained before; see constitutional.md'})", ""]
            lines += [f"- {about}: {_change(one)}" for about, one in arm["changes"].items()]
            lines += [
                f"- refusals with one of the ten commonest sentences: {100 * arm['common']:.0f} % of {arm['refusals']}",
                "",
            ]
    failed = [arm["failed"] for arm in found["arms"].values() if "failed" in arm]
    if failed:
        lines += ["## What failed", "", *(f"- {one}" for one in failed), ""]
    lines += ["## Replies, the first of each sort", ""]
    for name, arm in arms.items():
        lines += [f"### {name}", "", *(f"- {prompt} → {reply}" for prompt, reply in arm["shown"]), ""]
    return "\n".join(lines).rstrip()


def _ordered(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arms with the seeds of each side by side."""
    groups = list(dict.fromkeys(_group(name) for name in arms))
    return {name: arms[name] for name in sorted(arms, key=lambda name: (groups.index(_group(name)), name))}


def _group(name: str) -> str:
    return name.rsplit(", seed ", 1)[0]


def _seeds(arms: Mapping[str, Any]) -> list[str]:
    """Return the table of those arms that have several seeds: the mean change, and the least and the largest."""
    groups: dict[str, list[Any]] = {}
    for name, arm in arms.items():
        if "changes" in arm and ", seed " in name:
            groups.setdefault(_group(name), []).append(arm["changes"])
    several = {name: own for name, own in groups.items() if len(own) > 1}
    if not several:
        return []
    lines = [
        "## Over seeds", "",
        "Changes against the base in points: the mean of the seeds, and in brackets the least and the largest.", "",
        "| arm | seeds | " + " | ".join(OVER_SEEDS) + " |", "|---" * (len(OVER_SEEDS) + 2) + "|",
    ]  # fmt: skip
    for name, own in several.items():
        cells = [_spread([100 * one[about]["points"] for one in own]) for about in OVER_SEEDS]
        lines.append(f"| {name} | {len(own)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _spread(points: Sequence[float]) -> str:
    return f"{fmean(points):+.1f} [{min(points):+.1f}, {max(points):+.1f}]"


def _table(arms: Mapping[str, Any], columns: tuple[tuple[str, str], ...]) -> list[str]:
    heads = [f"{head} {'↓' if metric.split()[1] in LOWER else '↑'}" for metric, head in columns]
    counts = [next((arm["metrics"][metric]["n"] for arm in arms.values() if metric in arm["metrics"]), 0)
              for metric, _ in columns]  # fmt: skip
    head = " | ".join(f"{one}, n {count}" for one, count in zip(heads, counts, strict=True))
    lines = [f"| arm | {head} |", "|---" * (len(columns) + 1) + "|"]
    for name, arm in arms.items():
        own = [_cell(arm["metrics"].get(metric), usual) for (metric, _), usual in zip(columns, counts, strict=True)]
        if any(one != "–" for one in own):
            lines.append(f"| {name} | {' | '.join(own)} |")
    return lines


def _cell(one: Mapping[str, Any] | None, usual: int) -> str:
    """Return a value with its interval, and its n where that is not the column's."""
    own = "" if one is None or one["n"] == usual else f" (n {one['n']})"
    return cell(None if one is None else dict(one)) + own


def _change(one: Mapping[str, float]) -> str:
    relative = share(dict(one)) if one["high"] < 100 else ""  # of next to nothing any change is beyond all bounds
    return (
        f"{100 * one['mine']:.1f} % against {100 * one['base']:.1f} % of {one['n']:.0f},{relative}"
        f" {100 * one['points']:+.1f} points [{100 * one['points_low']:+.1f}, {100 * one['points_high']:+.1f}]"
    )


def _thinned(arms: Mapping[str, Any]) -> str:
    every = {arm["key"]["every"] for arm in arms.values()}
    return "".join(f"; of these, every {one}. request alone" for one in sorted(every) if one > 1)
