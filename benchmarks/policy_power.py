"""How often a candidate that is equal on average is promoted, by how far it differs from what it is compared with.

    python benchmarks/policy_power.py [--simulations N] [POLICY …]

On the rows that ship with harness: once two adapters of one recipe, which differ little, and once a recipe's adapter
and its bare base, exchanged at random sample by sample, which differ much. At the level of the first attempt.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from harness.evaluation.policies import find_policy
from harness.plugins import load_plugins
from harness.reading.config import read_config
from harness.stats.proportion import clopper_pearson
from harness_audit.policies import policy_cases, replayed
from harness_audit.recorded import alike, shipped
from harness_audit.replay import replay


def row(name: str, *, close: bool, simulations: int) -> str:
    registries = load_plugins(()).registries
    populations = {one.suite: one for one in shipped(registries)[0]}
    found = replayed(find_policy(name, read_config(Path("/")), registries), populations, registries)
    cases = list(policy_cases(name, found, seed=0, alike=alike(registries) if close else None))
    tally = replay(next(case for case in cases if case.name == f"{name}: equal at attempt 1"), simulations=simulations,
                   seed=5)  # fmt: skip
    interval = clopper_pearson(tally.promotes, simulations, 0.05)
    whom = "two adapters of one recipe" if close else "a recipe's adapter and its base, exchanged"
    ends = f"[{100 * (interval.low or 0):.0f}, {100 * (interval.high or 1):.0f}]"
    return f"| `{name}` | {whom} | {100 * tally.promotes / simulations:.0f} {ends} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("policies", nargs="*", default=["strict", "fresh"])
    parser.add_argument("--simulations", type=int, default=200)
    chosen = parser.parse_args()
    print("| policy | arms | promoted, % [90 %] |\n| --- | --- | ---: |", flush=True)
    with ProcessPoolExecutor(2) as pool:
        waiting = [
            pool.submit(row, name, close=close, simulations=chosen.simulations)
            for name in chosen.policies for close in (True, False)
        ]  # fmt: skip
        for one in waiting:
            print(one.result(), flush=True)


if __name__ == "__main__":
    main()
