"""How difficult a suite's items are, and how well they tell strong candidates from weak ones.

    python benchmarks/item_statistics.py WORKSPACE SUITE METRIC [--json FILE]

Reads the stored runs of a workspace on one suite, one run for each candidate (the newest), and prints for each template
(cluster) the number of items, the mean difficulty and the mean discrimination; `--json` writes every item's.

*Difficulty* is the share of candidates that miss the item, from 0 to 1 (of graded scores, 1 minus their mean).
Where less is better, a score is 1 minus it. *Discrimination* is the correlation of an
item's score over candidates with their mean score on all other items, from -1 to 1 (corrected item-total correlation:
Lord and Novick, Statistical Theories of Mental Test Scores, 1968, ch. 15); items that all candidates answer alike have
none. With four candidates a single item's discrimination is noise: read it by template. Samples by which a policy
decides are hidden here as everywhere.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from harness.api import open_session
from harness.api.workspace import list_runs, read_samples

FEWEST = 4
"""Candidates below which nothing is said."""


def scores(workspace: Path, suite: str, metric: str) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Return each candidate's scores by item, and each item's cluster."""
    found: dict[str, dict[str, float]] = {}
    clusters: dict[str, str] = {}
    with open_session(workspace) as session:
        newest = {run.candidate_fingerprint: run for run in list_runs(session.workspace) if run.suite == suite}
        for run in newest.values():
            lower = any(one.metric == metric and one.direction == "lower" for one in run.estimates)
            mine = found.setdefault(run.candidate_fingerprint, {})
            for record in read_samples(session.workspace, run.id):
                row = record.rows.get(metric)
                if isinstance(row, tuple) and row:
                    value = row[0] / row[1] if len(row) == 2 and row[1] else row[0]
                    mine[record.sample.id] = 1.0 - value if lower else value
                    clusters[record.sample.id] = record.sample.cluster or record.sample.id
    return found, clusters


def statistics(found: dict[str, dict[str, float]]) -> dict[str, tuple[float, float | None]]:
    """Return difficulty and discrimination of the items that every candidate was scored on."""
    names = sorted(set.intersection(*(set(one) for one in found.values())))
    table = np.array([[one[name] for name in names] for one in found.values()])  # shape (candidates, items)
    rest = (table.sum(axis=1, keepdims=True) - table) / max(len(names) - 1, 1)
    result: dict[str, tuple[float, float | None]] = {}
    for place, name in enumerate(names):
        item, others = table[:, place], rest[:, place]
        flat = item.std() == 0 or others.std() == 0
        result[name] = (1 - float(item.mean()), None if flat else float(np.corrcoef(item, others)[0, 1]))
    return result


def summary(items: dict[str, tuple[float, float | None]], clusters: dict[str, str]) -> str:
    """Return difficulty, how many items all candidates answer alike, and discrimination by template, in a sentence."""
    hard = np.array([difficulty for difficulty, _ in items.values()])
    known: dict[str, list[float]] = defaultdict(list)
    for name, (_, told) in items.items():
        if told is not None:
            known[clusters[name]].append(told)
    means = np.array([np.mean(values) for values in known.values()])
    low, middle, high = np.percentile(hard, [25, 50, 75])
    return (
        f"difficulty: mean {hard.mean():.2f}, quartiles {low:.2f}, {middle:.2f}, {high:.2f}; "
        f"{sum(told is None for _, told in items.values()) / len(items):.0%} of the items answered alike by all; "
        f"discrimination of the {len(means)} templates that have one: mean {means.mean():.2f}, "
        f"{(means < 0).mean():.0%} below 0"
    )


def main(arguments: list[str]) -> None:
    workspace, suite, metric = Path(arguments[0]), arguments[1], arguments[2]
    found, clusters = scores(workspace, suite, metric)
    if len(found) < FEWEST:
        sys.exit(f"{len(found)} candidates have a run on {suite} with {metric}, and {FEWEST} are wanted")
    items = statistics(found)
    by_template: dict[str, list[tuple[float, float | None]]] = defaultdict(list)
    for name, numbers in items.items():
        by_template[clusters[name]].append(numbers)
    print(f"{suite}, {metric}: {len(found)} candidates, {len(items)} items, {len(by_template)} templates")
    print(summary(items, clusters))
    print("template                                   items  difficulty  discrimination")
    for template, rows in sorted(by_template.items(), key=lambda one: np.mean([row[0] for row in one[1]])):
        known = [row[1] for row in rows if row[1] is not None]
        told = f"{np.mean(known):14.2f}" if known else "             -"
        print(f"{template:<42} {len(rows):>5}  {np.mean([row[0] for row in rows]):>10.2f}  {told}")
    if "--json" in arguments:
        plain = {
            name: {"template": clusters[name], "difficulty": d, "discrimination": r} for name, (d, r) in items.items()
        }
        Path(arguments[arguments.index("--json") + 1]).write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
