"""How often a candidate that is equal on average is promoted, by how far it differs from what it is compared with.

    python benchmarks/policy_power.py [--simulations N] [POLICY …]

On the rows that ship with harness: once two adapters of one recipe, which differ little, and once a recipe's adapter
and its bare base, exchanged at random sample by sample, which differ much. At the level of the first attempt.

    python benchmarks/policy_power.py --workspace DIR [--pair A B] [--half choose|audit] [--unscored] [--each] …

On the rows of a workspace: of the newest runs of two adapters (by their ids; `base` is the bare base), or of those that
were compared with another, exchanged likewise; all of them, or of banks the half of the templates by which margins may
be chosen or the other, which audits them. `--unscored` keeps samples that could not be scored as they were recorded,
which the gates take as the worst; else pairs that were scored are drawn alone, as in the audit. `--each` adds each gate
alone, which says what costs most.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from audit_rows import audited

from harness.evaluation.policies import find_policy
from harness.evaluation.stored import StoredRun, open_run
from harness.plugins import load_plugins
from harness.reading.config import read_config
from harness.stats.kinds import kind_of as metric_kind
from harness.stats.proportion import clopper_pearson
from harness.store.runs import list_runs
from harness.store.workspace import Workspace
from harness_audit.policies import Replayed, policy_cases, replayed
from harness_audit.population import BASELINE, CANDIDATE, Column, Population
from harness_audit.recorded import alike, numbered, shipped
from harness_audit.replay import replay


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Which rows are drawn from."""

    workspace: Path | None = None
    pair: tuple[str, str] | None = None
    half: str = ""
    close: bool = False
    unscored: bool = False


def of_workspace(drawn: Drawn) -> dict[str, Population]:
    """Return the populations of a workspace's newest runs by suite, of banks one half of the templates."""
    workspace, registries = Workspace.open(drawn.workspace / ".harness"), load_plugins(()).registries
    names = {(): "base"}
    arms: dict[str, dict[str, StoredRun]] = {}
    compared: dict[str, tuple[str, str]] = {}
    for record in list_runs(workspace, problems=[]):
        ids = tuple(one.id for one in record.candidate.adapters)
        arms.setdefault(record.suite, {})[names.get(ids, ids[0] if ids else "base")] = record.id
        if record.baseline_runs:
            compared[record.suite] = (record.id, next(iter(record.baseline_runs.values())))
    if drawn.pair is not None:
        compared = {
            suite: tuple(runs[one] for one in drawn.pair)
            for suite, runs in arms.items()
            if set(drawn.pair) <= set(runs)
        }
    return {
        suite: _population(suite, *(open_run(workspace, registries, one) for one in runs), half=drawn.half)
        for suite, runs in compared.items()
    }  # fmt: skip


def _population(suite: str, own: StoredRun, other: StoredRun, *, half: str) -> Population:
    metrics = {
        name: metric for name, metric in own.metrics.items() if metric_kind(metric).summed and name in other.tables
    }
    table = own.tables[next(iter(metrics))]
    place = {one: at for at, one in enumerate(other.tables[next(iter(metrics))].ids)}
    keep = [
        at for at, (one, cluster) in enumerate(zip(table.ids, table.clusters, strict=True))
        if one in place and (not half or not suite.endswith("-bank") or audited(str(cluster)) == (half == "audit"))
    ]  # fmt: skip
    return Population(
        suite=suite, metrics=metrics, source=f"{own.record.id} against {other.record.id}",
        clusters=np.array(numbered([table.clusters[at] for at in keep]), dtype=np.int64),
        arms={
            CANDIDATE: {name: Column.of([own.tables[name].rows[at] for at in keep]) for name in metrics},
            BASELINE: {
                name: Column.of([other.tables[name].rows[place[table.ids[at]]] for at in keep]) for name in metrics
            },
        },
    )  # fmt: skip


def populations(name: str, drawn: Drawn) -> Replayed:
    registries = load_plugins(()).registries
    rows = {one.suite: one for one in shipped(registries)[0]} if drawn.workspace is None else of_workspace(drawn)
    found = replayed(find_policy(name, read_config(Path("/")), registries), rows, registries)
    if not drawn.unscored:
        return found
    parts = []
    for part in found.parts:
        whole = rows[part.population.suite]
        metrics = {one: whole.metrics[one] for one in part.population.metrics}
        parts.append(replace(part, population=replace(whole, metrics=metrics)))
    return replace(found, parts=tuple(parts))


def promoted(name: str, found: Replayed, drawn: Drawn, simulations: int) -> str:
    others = alike(load_plugins(()).registries) if drawn.close else None
    cases = list(policy_cases(name, found, seed=0, alike=others))
    tally = replay(
        next(case for case in cases if case.name == f"{name}: equal at attempt 1"), simulations=simulations, seed=5
    )
    interval = clopper_pearson(tally.promotes, simulations, 0.05)
    ends = f"[{100 * (interval.low or 0):.0f}, {100 * (interval.high or 1):.0f}]"
    return f"{100 * tally.promotes / simulations:.0f} {ends}"


def row(name: str, drawn: Drawn, simulations: int) -> str:
    found = populations(name, drawn)
    whom = "two adapters of one recipe" if drawn.close else "an adapter and its base, exchanged"
    if drawn.pair is not None:
        whom = f"{drawn.pair[0][:6]} and {drawn.pair[1][:6]}, exchanged"
    whom += f", {drawn.half} half" if drawn.half else ""
    whom += ", unscored as recorded" if drawn.unscored else ""
    left = f", without {len(found.left_out)} gates that the rows do not hold" if found.left_out else ""
    return f"| `{name}` | {whom}{left} | {promoted(name, found, drawn, simulations)} |"


def alone(name: str, place: int, number: int, drawn: Drawn, simulations: int) -> str:
    found = populations(name, drawn)
    part = found.parts[place]
    gate = part.gates[number]
    mine = replace(part.population, metrics={gate.metric: part.population.metrics[gate.metric]})
    single = replace(found, parts=(replace(part, gates=(gate,), population=mine),))
    told = promoted(name, single, drawn, simulations)
    return f"| `{name}` | {part.population.suite} {gate.metric} {gate.kind} alone, {part.n} samples | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("policies", nargs="*", default=["strict", "fresh"])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--half", choices=["choose", "audit"], default="")
    parser.add_argument("--pair", nargs=2, metavar=("A", "B"))
    parser.add_argument("--unscored", action="store_true")
    parser.add_argument("--each", action="store_true")
    chosen = parser.parse_args()
    given = Drawn(
        workspace=chosen.workspace, half=chosen.half, unscored=chosen.unscored,
        pair=None if chosen.pair is None else (chosen.pair[0], chosen.pair[1]),
    )  # fmt: skip
    print("| policy | arms | promoted, % [90 %] |\n| --- | --- | ---: |", flush=True)
    with ProcessPoolExecutor(2) as pool:
        waiting = [
            pool.submit(row, name, replace(given, close=close), chosen.simulations)
            for name in chosen.policies for close in ((True, False) if chosen.workspace is None else (False,))
        ]  # fmt: skip
        if chosen.each:
            waiting += [
                pool.submit(alone, name, place, number, given, chosen.simulations)
                for name in chosen.policies
                for place, part in enumerate(populations(name, given).parts)
                for number, _ in enumerate(part.gates)
            ]
        for one in waiting:
            print(one.result(), flush=True)


if __name__ == "__main__":
    main()
