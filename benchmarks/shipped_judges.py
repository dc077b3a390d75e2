"""How well the judges that ship with harness judge, written into docs/critics.md.

    python benchmarks/shipped_judges.py [--data FOLDER] [--limit 50] [--judge NAME] [--write]

Each judge is asked about the family of labelled replies that it was not trained on: none of its principles,
conversations or replies were seen. FOLDER holds the public data; of it only `llmbar` is read, to validate. The bare
base, asked as any model is, stands beside them. Everything goes through the engine, as in a run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from train_judge import BASE, Row, auc, own_rows

from harness.contracts import RunContext
from harness.engine.programs import batches, run, together
from harness.evaluation.pool import ModelPool
from harness.evaluation.resolve import resolve_base
from harness.evaluation.roles import Asking, Roles
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness.progress import TerminalProgress
from harness.store.adapters import resolve_adapters
from harness.types import BoundRole, Candidate, Case, Completion, Message, Principle, Sample, Unscored
from harness.weights.bundled import bundled_adapters
from harness.weights.header import read_metadata

PAGE = Path(__file__).parents[1] / "docs" / "critics.md"
START, END = "<!-- shipped: written by benchmarks/shipped_judges.py -->", "<!-- end of shipped -->"
HELPFUL = "The reply does what the instruction asks for, correctly and completely."
OTHER = {"training": "gating", "gating": "training"}
Score = Callable[[Sequence[Row]], np.ndarray]


def llmbar(file: Path, limit: int) -> list[Row]:
    """Return replies two by two: the better one to an instruction, then the worse."""
    pairs = json.loads(file.read_text(encoding="utf-8"))
    random.Random(0).shuffle(pairs)
    return [
        Row(HELPFUL, HELPFUL, (Message(role="user", content=pair["input"]),), pair[f"output_{number}"],
            number == pair["label"], "llmbar", "llmbar")
        for pair in pairs[:limit] for number in (pair["label"], 3 - pair["label"])
    ]  # fmt: skip


def scorer(judge: Candidate, pool: ModelPool) -> Score:
    """Return what scores rows by a judge; what has no score is nan."""
    roles = Roles(policy=Candidate(model=judge.model), others={"judge": BoundRole(candidate=judge, by="--judge")})
    asking = Asking(roles=roles, pool=pool, label="judge")
    critic = load_plugins(installed=False).registries.critics.get("judge")({})

    def cases(rows: Sequence[Row]) -> list[Case]:
        return [
            Case(
                sample=Sample(id=str(number), messages=row.messages), findings={}, roles={"judge": judge},
                completion=Completion(text=row.response, prompt_tokens=None, completion_tokens=None, finish="stop"),
                principle=Principle(id=row.rule_id, text=row.rule),
            )
            for number, row in enumerate(rows)
        ]  # fmt: skip

    def score(rows: Sequence[Row]) -> np.ndarray:
        found: list[float] = []
        for lives in batches(critic.judge(case) for case in cases(rows)):
            found += [np.nan if isinstance(one, Unscored) else one for one, _ in run(together(lives), asking.answer)]
        return np.array(found, dtype=float)

    return score


def interval(rows: Sequence[Row], scores: np.ndarray, draws: int = 1000) -> str:
    """Return the AUC with its 90 % interval; the bootstrap draws whole principles."""
    labels = np.array([row.follows for row in rows])
    by_rule: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_rule.setdefault(row.rule_id, []).append(index)
    groups, rng = [np.array(group) for group in by_rule.values()], np.random.default_rng(0)
    values = []
    for _ in range(draws):
        part = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        values.append(auc(scores[part], labels[part]))
    low, high = np.nanpercentile(values, [5, 95])
    return f"{auc(scores, labels):.2f} [{low:.2f}, {high:.2f}]"


def on_family(name: str, family: str, score: Score, most: int) -> tuple[str, list[str]]:
    """Return the table's line about a family (`most` rows of it at random), and one for each kind of case."""
    rows = random.Random(0).sample(own_rows(family), k=min(most, len(own_rows(family))))
    scores = score(rows)
    labels, known = np.array([row.follows for row in rows]), ~np.isnan(scores)
    broken, kept = known & ~labels, known & labels
    found, let = (scores[broken] < 0.5).mean(), (scores[kept] >= 0.5).mean()
    line = (
        f"| `{name}` | {family} | {len(rows)} | {int((~known).sum())} | {interval(rows, scores)} | {found:.2f} |"
        f" {let:.2f} |"
    )
    kinds = []
    for kind in sorted({row.kind for row in rows}):
        part = np.array([row.kind == kind for row in rows])
        kinds.append(f"{kind} {auc(scores[part], labels[part]):.2f} ({int(part.sum())})")
    return line, [f"`{name}` by kind, AUC (n): {', '.join(kinds)}."]


def on_pairs(name: str, data: Path, limit: int, score: Score) -> str:
    """Return how often the better of two replies to an instruction scores higher."""
    parts = []
    for file, about in (("LLMBar_Natural", "natural"), ("LLMBar_Adversarial_Neighbor", "adversarial")):
        scores = score(llmbar(data / "llmbar" / f"{file}.json", limit)).reshape(-1, 2)
        parts.append(f"{about} {(scores[:, 0] > scores[:, 1]).mean():.2f} of {len(scores)}")
    return f"`{name}` scores the better of two LLMBar replies higher: {', '.join(parts)}."


def pace(name: str, score: Score) -> str:
    """Return verdicts per second: twelve principles on one conversation of some 200 tokens, and single questions."""
    rows = own_rows("gating")
    text = " ".join(row.response for row in rows[:5])[:800]
    rules = list(dict.fromkeys(row.rule for row in rows))
    asked = (Message(role="user", content=rows[0].messages[-1].content),)
    twelve = [Row(rule, rule, asked, text, follows=True, kind="", source="") for rule in rules[:12]]
    begun = time.perf_counter()
    score(twelve)
    shared = 12 / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for row in rows[20:26]:
        score([row])
    single = 6 / (time.perf_counter() - begun)
    return (
        f"`{name}`: {shared:.1f} verdicts a second for twelve principles on one conversation of some 200 tokens,"
        f" {single:.1f} for single questions ({os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})."
    )


HEAD = """\
Intervals are 90 %, by resampling principles. A violation is the positive case; the threshold is 0.5.

| judge | asked about | n | unscored | AUC | sensitivity | specificity |
|---|---|---|---|---|---|---|"""


def main() -> None:
    """Judge, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, default=50, help="pairs of each public set")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of a family, drawn at random")
    parser.add_argument("--judge", action="append", help="only these; `base` is the bare base")
    parser.add_argument("--write", action="store_true", help="write the table into docs/critics.md")
    given = parser.parse_args()
    registries = load_plugins(installed=False).registries
    base = resolve_base(BASE, registries)
    judges = {"base": Candidate(model=base)}
    for name in bundled_adapters():
        if name.startswith("judge-"):
            judges[name] = Candidate(model=base, adapters=resolve_adapters([f"harness:{name}"], None))
    lines, notes = [], []
    with ExitStack() as stack:
        bars = stack.enter_context(TerminalProgress(Console(stderr=True)))
        context = RunContext(offline=True, weights=weights_dir())
        pool = stack.enter_context(ModelPool(registries, context, None, bars))
        for name in given.judge or judges:
            judge = judges[name]
            score = scorer(judge, pool)
            said = [read_metadata(Path(adapter.path) / "adapter_model.safetensors") for adapter in judge.adapters]
            families = [OTHER[one["family"]] for one in said] or list(OTHER.values())
            for family in families:
                line, more = on_family(name, family, score, given.rows)
                lines.append(line)
                notes += more if judge.adapters else []
            if judge.adapters:
                notes.append(pace(name, score))
                notes += [on_pairs(name, given.data, given.limit, score)] if given.data else []
            print(*lines, *notes, sep="\n", flush=True)
    text = "\n".join([HEAD, *lines, "", *(f"- {note}" for note in notes)])
    print(text)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(START)
        PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
