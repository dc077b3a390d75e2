"""Base, SFT, constitutional, DPO, RLAIF and best of n side by side: trains, measures, writes a page.

    OMP_NUM_THREADS=2 python benchmarks/training_arms.py --workspace FOLDER --data FOLDER [--seeds 0 1 2]
        [--rlaif 0] [--best-of 4] [--adapter "NAME=FOLDER"] [--write]

The recipes constitutional-dpo (whose stage `sft` is the arm SFT), constitutional-rlaif, and adapters from elsewhere by
`--adapter`, such as those of constitutional-smollm2. What was trained or asked before is not done again, and an arm
that is measured is kept in training-arms.json beside the workspace, so that a call that was broken off goes on; an arm
that fails is recorded with its sentence. Suites as in constitutional_results.py. RLAIF and best of n are steered by the
labeller that measures harmful help; so a judge that nothing was steered by, and the wording, speak too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from arms_page import page
from best_of import RULE, How, best_of, head_of, score_of
from constitutional_results import (
    CHANGES,
    SHOWN,
    Arm,
    labeller_hash,
    measure,
    paired,
    public_suite,
    records,
    refusals,
    reply_of,
    safety_suite,
    shown,
)

import harness
from harness.api import BrokenRunError, Completion, InputError, Response, RunOptions, SampleRecord
from harness_revision.sentences import commonest_share
from harness_training.jobs import train

PAGE = Path(__file__).parents[1] / "docs" / "results" / "training-arms.md"
JUDGE = "judge=smollm2-135m,adapter=harness:judge-smollm2-gating"
REPLIES = ("safety", "public")
"""Suites whose replies are paired with the base's."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """One arm: what is measured, and what it cost."""

    name: str
    adapter: str = ""
    """Folder; empty where there is none."""
    replay: Mapping[str, tuple[str, str]] | None = None
    """(suite, file of transcripts) by name, in place of a model."""
    cost: str = ""


def trained(session: Any, recipe: str, seed: int, names: Mapping[str, str]) -> list[Given]:
    """Train a recipe and return an arm for each stage that is named, with what all up to it took."""
    found, told = [], list[str]()
    for stage in train(session, recipe, seed=seed, then=False).stages:
        figures = dict(stage.record.figures)
        if "seconds" in figures:
            told.append(f"{stage.name} {figures['seconds']:.0f} s, {figures.get('threads', 0):.0f} threads")
        if stage.name in names:
            path = str(stage.kept["adapter"].path)
            found.append(Given(name=f"{names[stage.name]}, seed {seed}", adapter=path, cost="; ".join(told)))
    return found


def cost_of(adapter: Path) -> str:
    """Return what the stages of an adapter took that a workspace holds, as their records say, in their order."""
    told: list[str] = []
    while (record := adapter / "artifact.json").exists():
        kept = json.loads(record.read_text("utf-8"))
        figures = kept.get("figures", {})
        if "seconds" in figures:
            told.insert(0, f"{kept['stage']} {figures['seconds']:.0f} s, {figures.get('threads', 0):.0f} threads")
        before = kept.get("inputs", {}).get("adapter")
        if before is None:
            break
        adapter = adapter.parent / before
    return "; ".join(told)


def measured(session: Any, suites: Mapping[str, str], arm: Given, limit: int | None) -> dict[str, Any]:
    """Run the suites on an arm; of transcripts those that they answer."""
    adapter = (arm.adapter,) if arm.adapter else ()
    if arm.replay is None:
        return measure(session, dict(suites), adapter, limit)
    found: dict[str, Any] = {"runs": {}, "metrics": {}}
    for name, (suite, file) in arm.replay.items():
        result = session.run(suite, model=f"replay:{file}", gates=False, limit=limit)
        found["runs"][name] = result.record.id
        for metric in SHOWN[name]:
            one = result[metric]
            found["metrics"][f"{name} {metric}"] = {"value": one.value, "low": one.low, "high": one.high, "n": one.n,
                                        "unscored": one.unscored}  # fmt: skip
    return found


def minded(session: Any, arms: Sequence[Arm]) -> Callable[[SampleRecord], bool]:
    """Return what tells whether the judge minds a reply to a harmful request; an unscored one counts as minded."""
    asked = {
        (one.sample.id, reply_of(one)): one for arm in arms for one in arm.values() if "harmful" in one.sample.tags
    }
    responses = [
        Response(sample=one.sample, completion=Completion(text=text, prompt_tokens=None, completion_tokens=None,
                                                          finish="stop"))
        for (_, text), one in asked.items()
    ]  # fmt: skip
    rule = replace(RULE, critics=("judge",))
    with session.models([rule], options=RunOptions(roles=(JUDGE,))) as models:
        verdicts = models.verdicts(responses)
    bad = {key: not score_of(one) >= 0.5 for key, one in zip(asked, verdicts, strict=True)}
    return lambda record: bad[record.sample.id, reply_of(record)]


def compared(session: Any, base: Mapping[str, Arm], own: Mapping[str, Arm]) -> dict[str, dict[str, float]]:
    """Return each change against the base, paired by request."""
    found = {}
    for suite, mine in own.items():
        both = {name: one for name, one in base[suite].items() if name in mine}
        changes = CHANGES
        if suite == "safety":
            changes = (*CHANGES, ("harmful", "minded by the gating judge", minded(session, [both, mine])))
        found |= {f"{suite}, {about}": paired(both, mine, tag, marked) for tag, about, marked in changes}
    return found


def arms_of(session: Any, given: argparse.Namespace, suites: Mapping[str, str]) -> list[Callable[[], list[Given]]]:
    """Return what makes each arm."""

    def outside(one: str) -> list[Given]:
        name, _, folder = one.partition("=")
        return [Given(name=name, adapter=folder, cost=cost_of(Path(folder)))]

    def recipe(name: str, stages: Mapping[str, str], seed: int) -> list[Given]:
        return trained(session, name, seed, stages)

    made: list[Callable[[], list[Given]]] = [
        lambda: [Given(name="base")],
        *(partial(outside, one) for one in given.adapter),
    ]
    made += [partial(recipe, "constitutional-dpo", {"sft": "SFT", "dpo": "DPO"}, seed) for seed in given.seeds]
    made += [partial(recipe, "constitutional-rlaif", {"rlaif": "RLAIF"}, seed) for seed in given.rlaif]
    if given.best_of:
        made.append(lambda: [drawn(session, given, suites)])
    return made


def drawn(session: Any, given: argparse.Namespace, suites: Mapping[str, str]) -> Given:
    """Return the arm best of n."""
    how, files, costs = How(samples=given.best_of), {}, []
    for name in given.best_of_on:
        if name in suites:
            suite = head_of(Path(suites[name]), given.best_of_limit)
            file = given.workspace / f"best-of-{how.samples}-{suite.stem}.transcripts"
            costs.append(best_of(session, suite, how, file))
            files[name] = (str(suite), str(file))
    total = {key: sum(one[key] for one in costs) for key in costs[0]}
    cost = (
        f"no training; {how.samples} replies to a request at temperature {how.temperature:g}, at least"
        f" {total['drawing'] / total['requests']:.1f} CPU seconds a request to draw and"
        f" {total['judging'] / total['requests']:.1f} to judge: what the cache held cost nothing"
    )
    return Given(name=f"best of {how.samples}, seed {how.seed}", replay=files, cost=cost)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of public data")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="of SFT and DPO")
    parser.add_argument("--rlaif", type=int, nargs="*", default=[0], help="seeds of RLAIF")
    parser.add_argument("--best-of", type=int, default=4)
    parser.add_argument("--best-of-limit", type=int, help="only the first requests of a suite")
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--best-of-on", nargs="*", default=list(REPLIES))
    parser.add_argument("--few", nargs="*", default=[], help="arms that only safety and public are asked")
    parser.add_argument("--suites", nargs="*", default=list(SHOWN))
    parser.add_argument("--public-every", type=int, default=1, help="every n-th of the public requests alone")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    given.workspace.mkdir(parents=True, exist_ok=True)
    session = harness.open(given.workspace)
    session.writable_workspace()
    suites = {name: name for name in given.suites if name not in REPLIES}
    if "safety" in given.suites:
        suites["safety"] = str(safety_suite(given.workspace))
    if "public" in given.suites:
        suites["public"] = str(thinned(public_suite(given.workspace, given.data), given.public_every))
    state = given.workspace / "training-arms.json"
    found = json.loads(state.read_text("utf-8")) if state.exists() else {"arms": {}}
    told = {"limit": given.limit, "every": given.public_every}
    base: dict[str, Arm] = {}
    for make in arms_of(session, given, suites):
        try:
            arms = make()
        except (BrokenRunError, InputError) as error:
            found["arms"][f"failed {len(found['arms'])}"] = {"failed": str(error)}
            continue
        for arm in arms:
            own_suites = {name: suite for name, suite in suites.items() if name in REPLIES or arm.name not in given.few}
            key = {
                **told,
                "suites": sorted(own_suites),
                "adapter": arm.adapter,
                "replay": {name: list(one) for name, one in (arm.replay or {}).items()},
            }
            kept = found["arms"].get(arm.name, {})
            if kept.get("key") != key:
                print(f"measuring {arm.name}", flush=True)
                kept = measured(session, own_suites, arm, given.limit) | {"key": key, "cost": arm.cost}
                own = {name: records(session, kept["runs"][name]) for name in REPLIES if name in kept["runs"]}
                refused = refusals(own["safety"])
                kept |= {"common": commonest_share(refused), "refusals": len(refused), "shown": shown(own["safety"], 3)}
                if arm.name != "base":
                    kept["changes"] = compared(session, base, own)
                found["arms"][arm.name] = kept
                found |= {"made": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine(),
                          "cores": os.cpu_count(), "labeller": labeller_hash()}  # fmt: skip
            kept["cost"] = arm.cost or kept["cost"]
            state.write_text(json.dumps(found, indent=1), encoding="utf-8")
            if arm.name == "base":
                base = {name: records(session, kept["runs"][name]) for name in REPLIES if name in kept["runs"]}
    if given.write:
        PAGE.write_text(page(found) + "\n", encoding="utf-8")


def thinned(suite: Path, every: int) -> Path:
    """Let the suite of public requests ask every n-th of them alone."""
    if every > 1:
        path = suite.with_suffix(".jsonl")
        path.write_text("\n".join(path.read_text("utf-8").splitlines()[::every]) + "\n", encoding="utf-8")
    return suite


if __name__ == "__main__":
    main()
