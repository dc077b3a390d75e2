"""What moves the score of a judge that ships, though it should not; written into docs/critics.md.

    python benchmarks/judge_biases.py --data FOLDER [--rows 200] [--own 150] [--only NAME] [--write]

Position (the answers in the other order) and phrasing (three wordings against the first) are measured on the same
replies of the family that a judge was not trained on, length on them within a label. Self-preference needs replies of
the judge's own base with labels: SmolLM2-135M answers requests of FOLDER to which people's replies are known, both
are judged by rules that a program checks (`judge_rows.py`), and scores of one label are compared. Bounds are two-
sided 90 %.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from judge_rows import CHECKS, OTHER_CHECKS, Row, other_replies, own_rows, plain_replies
from lora_training import BASE
from rich.console import Console
from shipped_judges import OTHER, PAGE, scorer

from harness.contracts import RunContext
from harness.evaluation.pool import ModelPool
from harness.evaluation.resolve import resolve_base
from harness.paths import weights_dir
from harness.plugins import load_plugins
from harness.progress import TerminalProgress
from harness.store.adapters import resolve_adapters
from harness.types import Bias, CalibratedReply, Candidate, Completion, Decoding, Generate, Message
from harness.weights.bundled import shipped_dtype
from harness.weights.header import read_metadata
from harness_critics.biases import length_bias, mean_difference, self_preference

START, END = "<!-- biases: written by benchmarks/judge_biases.py -->", "<!-- end of biases -->"
JUDGES = ("judge-smollm2", "judge-smollm2-gating", "judge-smollm2-v2")


def checked_pairs(data: Path, family: str, count: int, rng: random.Random) -> list[Row]:
    """Return people's replies to requests of the other family's sources, under rules that a program checks."""
    replies, checks = (other_replies(data), OTHER_CHECKS) if family == "training" else (plain_replies(data), CHECKS)
    rng.shuffle(replies)
    made = []
    for number, (asked, reply) in enumerate(replies[:count]):
        check, wanted, forbidden = checks[number % len(checks)]
        asks = rng.random() < 0.5
        made.append(Row(rule_id=f"{number % len(checks)}-{asks}", rule=rng.choice(wanted if asks else forbidden),
                        messages=(Message(role="user", content=asked),), response=reply,
                        follows=check(reply) == asks, kind="people"))  # fmt: skip
    return made


def answered(rows: Sequence[Row], family: str, base: Candidate, pool: ModelPool) -> list[Row]:
    """Return the same rows with the base's own replies, labelled by the same checks."""
    checks = OTHER_CHECKS if family == "training" else CHECKS
    requests = [Generate(messages=row.messages, decoding=Decoding(max_new_tokens=80, temperature=0.0)) for row in rows]
    made = []
    for row, reply in zip(rows, pool.core(base.model).answer(base, requests, label="own replies"), strict=True):
        number, asks = row.rule_id.split("-")
        if isinstance(reply, Completion) and reply.text.strip():
            follows = checks[int(number)][0](reply.text) == (asks == "True")
            made.append(replace(row, response=reply.text.strip(), follows=follows, kind="own"))
    return made


def biases(score_of: Any, rows: Sequence[Row], pairs: Sequence[Row]) -> list[Bias]:
    """Return a judge's biases.

    Args:
        score_of: makes what scores rows from the judge's options.
        rows: labelled replies.
        pairs: replies of people and of the base.
    """

    def scores(of: Sequence[Row], **options: Any) -> list[float | None]:
        return [None if np.isnan(one) else float(one) for one in score_of(options)(of)]

    first = scores(rows)
    replies = [
        CalibratedReply(follows=row.follows, score=one, characters=len(row.response))
        for row, one in zip(rows, first, strict=True)
    ]
    own = [
        CalibratedReply(follows=row.follows, score=one, characters=len(row.response), by=row.kind)
        for row, one in zip(pairs, scores(pairs), strict=True)
    ]
    return [
        mean_difference("position", first, scores(rows, orders="no_first"), "Yes named first minus No named first"),
        mean_difference("phrasing", first, scores(rows, phrasings=3), "the first wording minus the mean of three"),
        length_bias(replies),
        self_preference(own, ("own",)),
    ]


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--own", type=int, default=150)
    parser.add_argument("--only", choices=JUDGES, action="append", help="these judges; the others' lines stay")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    registries = load_plugins(installed=False).registries
    base = resolve_base(BASE, registries, dtype=shipped_dtype())
    lines: list[str] = []
    with ExitStack() as stack:
        bars = stack.enter_context(TerminalProgress(Console(stderr=True)))
        pool = stack.enter_context(ModelPool(registries, RunContext(offline=True, weights=weights_dir()), None, bars))
        for name in given.only or JUDGES:
            who = Candidate(model=base, adapters=resolve_adapters([f"harness:{name}"], None))
            family = read_metadata(Path(who.adapters[0].path) / "adapter_model.safetensors")["family"]

            def score_of(options: Mapping[str, Any], who: Candidate = who) -> Any:
                return scorer(registries.critics.get("judge")(options), "judge", who, pool, registries)

            people = checked_pairs(given.data, family, given.own, random.Random(0))
            pairs = [*people, *answered(people, family, Candidate(model=base), pool)]
            rows = random.Random(0).sample(own_rows(OTHER[family]), given.rows)
            for bias in biases(score_of, rows, pairs):
                value = "–" if bias.value is None else f"{bias.value:+.3f} [{bias.low:+.3f}, {bias.high:+.3f}]"
                lines.append(f"| `{name}` | {bias.name} | {bias.n} | {value} | {bias.note} |")
                print(lines[-1], flush=True)
    if given.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        stood = [one for one in rest.partition(END)[0].splitlines() if one.startswith("| `")]
        lines += [one for one in stood if given.only and one.split("`")[1] not in given.only]
        lines.sort(key=lambda one: JUDGES.index(one.split("`")[1]))
        text = "\n".join(["| judge | bias | n | value | measured as |", "|---|---|---|---|---|", *lines])
        PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
