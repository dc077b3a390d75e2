"""How often a candidate that is equal on average is promoted, by how far it differs from what it is compared with.

    python benchmarks/policy_power.py [--simulations N] [POLICY …]

On the rows that ship with harness: once two adapters of one recipe, which differ little, and once a recipe's adapter
and its bare base, exchanged at random sample by sample, which differ much. At the level of the first attempt.

    python benchmarks/policy_power.py --workspace DIR [--half choose|audit] [--each] [POLICY …]

On the rows of a workspace's newest runs that were compared with another, exchanged likewise: all, or of banks the half
of the templates by which margins may be chosen or the other, which audits them. `--each` adds each gate alone, which
says what costs most.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from audit_rows import audited

from harness.evaluation.policies import find_policy
from harness.evaluation.stored import open_run
from harness.plugins import load_plugins
from harness.reading.config import read_config
from harness.stats.proportion import clopper_pearson
from harness.store.runs import list_runs
from harness.store.workspace import Workspace
from harness_audit.policies import Replayed, policy_cases, replayed
from harness_audit.population import Population
from harness_audit.recorded import alike, from_workspace, shipped
from harness_audit.replay import replay


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Which rows are drawn from."""

    workspace: Path | None = None
    half: str = ""
    close: bool = False


def of_workspace(folder: Path, half: str) -> dict[str, Population]:
    """Return the populations of the newest compared runs by suite, of banks one half of the templates."""
    workspace, registries = Workspace.open(folder / ".harness"), load_plugins(()).registries
    found = {one.suite: one for one in from_workspace(workspace, registries)}
    if not half:
        return found
    newest = {run.suite: run.id for run in list_runs(workspace, problems=[]) if run.baseline_runs}
    for suite in [name for name in found if name.endswith("-bank")]:
        run = open_run(workspace, registries, newest[suite])
        clusters = next(iter(run.tables.values())).clusters
        keep = np.flatnonzero([audited(str(one)) == (half == "audit") for one in clusters])
        whole = found[suite]
        found[suite] = replace(
            whole, clusters=whole.clusters[keep],
            arms={arm: {name: column.take(keep) for name, column in columns.items()}
                  for arm, columns in whole.arms.items()},
        )  # fmt: skip
    return found


def populations(name: str, drawn: Drawn) -> Replayed:
    registries = load_plugins(()).registries
    if drawn.workspace is None:
        rows = {one.suite: one for one in shipped(registries)[0]}
    else:
        rows = of_workspace(drawn.workspace, drawn.half)
    return replayed(find_policy(name, read_config(Path("/")), registries), rows, registries)


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
    whom += f", {drawn.half} half" if drawn.half else ""
    left = f", without {len(found.left_out)} gates that the rows do not hold" if found.left_out else ""
    return f"| `{name}` | {whom}{left} | {promoted(name, found, drawn, simulations)} |"


def alone(name: str, place: int, number: int, drawn: Drawn, simulations: int) -> str:
    found = populations(name, drawn)
    part = found.parts[place]
    gate = part.gates[number]
    mine = replace(part.population, metrics={gate.metric: part.population.metrics[gate.metric]}).complete()
    single = replace(found, parts=(replace(part, gates=(gate,), population=mine),))
    told = promoted(name, single, drawn, simulations)
    return f"| `{name}` | {part.population.suite} {gate.metric} {gate.kind} alone, {part.n} samples | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("policies", nargs="*", default=["strict", "fresh"])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--half", choices=["choose", "audit"], default="")
    parser.add_argument("--each", action="store_true")
    chosen = parser.parse_args()
    given = Drawn(workspace=chosen.workspace, half=chosen.half)
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
