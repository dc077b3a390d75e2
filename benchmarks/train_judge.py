"""Train a judge: a small LoRA adapter with which SmolLM2-135M says whether a reply follows a principle, any principle.

    python benchmarks/train_judge.py --family training --data FOLDER --out FOLDER [--hold 10] [--test gating]

It reads (principle, conversation, reply, verdict) of one family in plugins/harness_critics/data and rows made from the
public data in FOLDER (see judge_rows.py), and learns the log-odds of Yes against No behind the prompt of
harness_critics/trained.py. `--hold` leaves out so many principles, drawn by `--fold`, and reports on them: settings
were chosen so. `--test` names the other family, none of whose principles, conversations or replies were seen.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from judge_rows import Row, checked_rows, data_hash, harm_rows, own_rows, short_rows, swapped
from lora_training import Example, Settings, Trainer, auc, pin

from harness.types import Message
from harness_critics.trained import ANSWERS, PROMPT, judge_messages

LIMIT = 2000
"""Characters of a turn that training shows; judging shows more."""


def asked(row: Row) -> tuple[Message, ...]:
    """Return the prompt of a row."""
    return judge_messages(row.messages, row.response, row.rule, max_reply_chars=LIMIT, max_context_chars=LIMIT)


def report(name: str, rows: Sequence[Row], scores: np.ndarray) -> None:
    """Print how well the scores order the rows."""
    labels = np.array([row.follows for row in rows])
    by_rule: dict[str, list[int]] = {}
    by_pair: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_rule.setdefault(row.rule_id, []).append(index)
        by_pair.setdefault(row.pair, []).append(index)
    inside = [auc(scores[part], labels[part]) for part in by_rule.values()]
    pairs = [
        scores[a] > scores[b] for part in by_pair.values() for a in part for b in part if labels[a] and not labels[b]
    ]
    print(
        f"{name}: n {len(rows)}, AUC {auc(scores, labels):.3f}, mean within a principle {np.nanmean(inside):.3f},"
        f" accuracy at 0 {((scores > 0) == labels).mean():.3f}, pairs {np.mean(pairs):.3f} ({len(pairs)})",
        flush=True,
    )


def training_rows(given: argparse.Namespace, held: set[str]) -> list[Row]:
    """Return what is learned from."""
    rng = random.Random(given.seed)
    rows = [row for row in own_rows(given.family, revisions=True) if row.rule_id not in held]
    rows = [row for row in rows if row.kind != "revision" or rng.random() < given.revisions]
    short = short_rows(given.family)
    rows += [*short, *swapped(short, given.swapped, rng)]
    if given.data:
        rows += [*checked_rows(given.data, given.checked, rng, given.family), *harm_rows(given.data, given.harm, rng)]
    if given.share < 1:
        kept = {pair: rng.random() < given.share for pair in dict.fromkeys(row.pair for row in rows if row.pair)}
        rows = [row for row in rows if (kept[row.pair] if row.pair else rng.random() < given.share)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="training")
    parser.add_argument("--data", type=Path, help="the public data; without it, the family alone")
    parser.add_argument("--test")
    parser.add_argument("--hold", type=int, default=0)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--first-layer", type=int, default=10)
    parser.add_argument("--revisions", type=float, default=0.5, help="share of the revisions that are learned from")
    parser.add_argument("--share", type=float, default=1.0, help="share of all that is learned from, pairs together")
    parser.add_argument("--stop", type=int, help="end after so many passes, the rate falling as over --epochs")
    parser.add_argument("--swapped", type=int, default=60)
    parser.add_argument("--checked", type=int, default=180)
    parser.add_argument("--harm", type=int, default=50)
    parser.add_argument("--start", type=Path, help="go on from this adapter; --rate should then be lower")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pin", type=Path, help="train nothing: pin the files of this folder of shipped data")
    given = parser.parse_args()
    if given.pin:
        pin(given.pin)
        return
    rules = sorted({row.rule_id for row in own_rows(given.family)})
    random.Random(given.fold).shuffle(rules)
    held_rules = set(rules[: given.hold])
    rows = training_rows(given, held_rules)
    held = [row for row in own_rows(given.family) if row.rule_id in held_rules]
    trainer = Trainer(Settings(answers=ANSWERS, seed=given.seed, epochs=given.epochs, first=given.first_layer,
                               rate=given.rate, threads=given.threads))  # fmt: skip
    if given.start:
        trainer.tail.load(given.start)
    encoded = trainer.encode([asked(row) for row in held])
    said = {"task": "judge", "prompt": str(PROMPT), "family": given.family, "data": data_hash(given.family),
            "trained_by": "benchmarks/train_judge.py"}  # fmt: skip

    def after_epoch(done: int) -> bool:
        if held:
            logits = trainer.predict(encoded)
            report("  held-out principles", held, logits[:, 0] - logits[:, 1])
        if given.out:
            trainer.tail.save(given.out, said)
        return given.stop == done

    trainer.train(
        [Example(messages=asked(row), answer=int(not row.follows), group=row.pair, weight=row.weight) for row in rows],
        after_epoch,
    )
    if given.test:
        test = own_rows(given.test)
        logits = trainer.predict(trainer.encode([asked(row) for row in test]))
        report(f"the other family ({given.test})", test, logits[:, 0] - logits[:, 1])


if __name__ == "__main__":
    main()
