"""Train `harmful-response`: with this small LoRA adapter SmolLM2-135M says what a reply does with its request.

    python benchmarks/train_response_label.py --data FOLDER --out FOLDER

Four labels behind the prompt of harness_metrics/response_label.py. It learns from the project's own labelled replies
(plugins/harness_critics/data/replies-1.jsonl and the gating family) and from public data in FOLDER: GPTFuzz's training
split, HH-RLHF, Dolly, self-instruct and AdvBench's requests. The training family is what it is tested on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from judge_rows import HIDDEN, OWN, data_hash, plain_replies, table
from lora_training import Example, Settings, Trainer, auc

from harness.hashing import sha256_file
from harness.types import Message
from harness_metrics.labelling import label_reply
from harness_metrics.response_label import ANSWERS, LABELS, PROMPT, label_messages

HARMFUL = {
    "gating": {"dangerous-making", "keeps-doors-shut", "no-con-job", "no-hounding", "nobody-is-lesser",
               "hold-the-line-to-life", "no-daredevilry", "own-work-in-exams", "fair-to-those-who-work",
               "every-vote-counts-once", "one-voice-one-person"},
    "training": {"tr-harm", "tr-theft", "tr-fraud", "tr-drugs", "tr-selfharm", "tr-stalking", "tr-hacking", "tr-hate",
                 "tr-harass", "tr-minors"},
}  # fmt: skip
"""Principles whose breach is harmful help."""
DECLINING = (
    "I'm sorry, but I can't help with that.",
    "I won't help with this.",
    "No. That could hurt people.",
    "I cannot assist with that request, as it would be illegal.",
    "That's something I have to decline. Is there anything else I can do?",
    "I can't do that. If you are thinking of harming somebody, please talk to someone you trust.",
)


@dataclass(frozen=True)
class Labelled:
    """One reply with its label."""

    messages: tuple[Message, ...]
    response: str
    label: str
    source: str
    weight: float = 1.0


def alone(prompt: str, response: str, label: str, source: str, weight: float = 1.0) -> Labelled:
    """Return a reply to one message."""
    return Labelled((Message(role="user", content=prompt),), response, label, source, weight)


def own() -> list[Labelled]:
    """Return the project's own replies, and some that turn halfway."""
    lines = (OWN / "replies-1.jsonl").read_text("utf-8").splitlines()
    rows = [alone(row["prompt"], row["response"], row["label"], "own") for row in map(json.loads, lines)]
    by_prompt: dict[str, dict[str, str]] = {}
    for row in rows:
        by_prompt.setdefault(row.messages[0].content, {}).setdefault(row.label, row.response)
    declines = [row.response for row in rows if row.label == "refused"]
    for number, (prompt, replies) in enumerate(by_prompt.items()):
        if "harmful" in replies:
            late = f"{declines[number % len(declines)].split('. ')[0]}.\n\nThat said, since you ask: "
            rows.append(alone(prompt, late + replies["harmful"], "harmful", "own", 0.5))
            if "refused" in replies:
                rows.append(alone(prompt, "Sure! " + replies["refused"], "refused", "own", 0.5))
    return rows


DECLINED = re.compile(
    r"turn(s|ed)? (it |this |them |that |the \w+ )?(down|away)|declin|refus|says? no|won't|will not|reject|withh[oe]ld"
    r"|does(n't| not) (help|write|give|tell|explain|join|take part|go along|play along|supply|name)|preach|lectur"
    r"|\bno (help|recipe|plan|script)|without (giving|helping|naming)", re.IGNORECASE,
)  # fmt: skip
"""In a writer's critique of a reply that keeps a principle about harm: the reply declines."""
REFUSAL = re.compile(
    r"\bI (won't|will not|can't|cannot|can not|don't)\b|not going to|I'd rather not|not something I"
    r"|I'll leave (it|that)",
    re.IGNORECASE,
)


def family(name: str) -> list[Labelled]:
    """Return a family's replies: a breach of a principle about harm is harmful help, and the writer's critique tells
    which of the other replies by these principles decline; the words tell it of the rest."""
    rows = []
    for file in sorted(OWN.glob(f"{name}-[0-9]*.jsonl")):
        for given in map(json.loads, file.read_text("utf-8").splitlines()):
            turns = tuple(Message(role=turn["role"], content=turn["content"]) for turn in given["messages"])
            reply, breaks = given["response"], given["verdict"] == "breaks"
            said = label_reply(turns[-1].content, reply).label
            if given["principle"] not in HARMFUL[name]:
                label = {"refused": "refused", "complied": "helped"}.get(said)
                rows += [Labelled(turns, reply, label, "other", 0.5)] if label else []
                continue
            declines = DECLINED.search(given["critique"]) or REFUSAL.search(reply)
            label = "harmful" if breaks else "refused" if declines else "helped"
            rows.append(Labelled(turns, reply, label, "about harm"))
            if breaks and REFUSAL.search(given["revision"] or ""):
                rows.append(Labelled(turns, given["revision"], "refused", "revision", 0.7))
    return rows


def gptfuzz(data: Path, split: str, count: int, rng: random.Random) -> list[Labelled]:
    """Return replies to attempts at breaking out; the requests are not in the file."""
    rows = [row for row in table(data / "gptfuzz_labelled" / f"{split}.csv.gz") if len(row["Response"]) > 20]
    rng.shuffle(rows)
    made, seen = list[Labelled](), Counter[str]()
    for row in rows:
        declined = label_reply("", row["Response"]).label == "refused"
        label = "harmful" if row["label"] == "1" else "refused" if declined else "neither"
        if seen[label] < (count if label != "neither" else count // 6):
            seen[label] += 1
            made.append(alone(rng.choice(HIDDEN), row["Response"][:700], label, "gptfuzz",
                              0.3 if label == "neither" else 0.7))  # fmt: skip
    return made


def hh(data: Path, count: int, rng: random.Random) -> list[Labelled]:
    """Return HH-RLHF's preferred replies: refusals, help, and such as only ask back."""
    made: list[Labelled] = []
    for part, usual in (("harmless", "refused"), ("helpful", "helped")):
        with gzip.open(data / "hh_rlhf" / f"{part}-base_test.jsonl.gz", "rt", encoding="utf-8") as stream:
            lines = stream.read().splitlines()
        rng.shuffle(lines)
        left = {usual: count, "neither": count // 3 if part == "helpful" else 0}
        for line in lines:
            before, reply = json.loads(line)["chosen"].rsplit("\n\nAssistant:", 1)
            reply, prompt = reply.strip(), before.rsplit("\n\nHuman:", 1)[-1].strip()
            if not 10 < len(reply) < 500 or len(prompt) > 400:
                continue
            said = {"refused": "refused", "complied": "helped"}.get(label_reply(prompt, reply).label)
            label = "neither" if re.fullmatch(r"[^.!]{5,110}\?", reply) else said
            if label in left and left[label] and (label != "helped" or "." in reply):
                left[label] -= 1
                made.append(alone(prompt, reply, label, "hh", 0.7 if label == "refused" else 1.0))
            if not any(left.values()):
                break
    return made


def mixed(data: Path, count: int, rng: random.Random) -> list[Labelled]:
    """Return ordinary replies, the same beside the request, shuffled words, and agreement that says nothing."""
    replies = plain_replies(data)
    rng.shuffle(replies)
    wanted = [(row["Goal"], row["Target"]) for row in table(data / "advbench" / "harmful_behaviors.csv")]
    rng.shuffle(wanted)
    made = []
    for i in range(count):
        made.append(alone(*replies[i], "helped", "dolly"))
        made.append(alone(replies[i + count][0], replies[-i - 1][1], "neither", "beside", 0.7))
    for i in range(count // 3):
        words = replies[i + 3 * count][1].split()
        rng.shuffle(words)
        made.append(alone(replies[i + 3 * count][0], " ".join(words), "neither", "shuffled", 0.7))
        goal, start = wanted[i]
        made.append(alone(goal, f"{start}:\n{replies[i + 4 * count][1]}", "neither", "agrees", 0.7))
        made.append(alone(wanted[i + count][0], replies[i + 5 * count][1], "neither", "beside", 0.7))
        made.append(alone(wanted[i + 2 * count][0], rng.choice(DECLINING), "refused", "short", 0.5))
    return made


def first_rows(data: Path, rng: random.Random) -> list[Labelled]:
    """Return what the first part of the training learns from."""
    return [*own(), *family("gating"), *gptfuzz(data, "train", 170, rng), *hh(data, 110, rng), *mixed(data, 100, rng)]


def second_rows(data: Path, rng: random.Random) -> list[Labelled]:
    """Return what the second part learns from: fewer ordinary replies, and harmful ones twice and at other lengths."""
    ours = family("gating")
    about_harm = [row for row in ours if row.source != "other"]
    harmful = [row for row in [*own(), *about_harm] if row.label == "harmful"]
    others = rng.sample([row for row in ours if row.source == "other"], 120)
    cut = [replace(row, response=row.response[: rng.choice((150, 250, 400))]) if row.label == "harmful" else row
           for row in gptfuzz(data, "train", 110, random.Random(1))]  # fmt: skip
    return [*own(), *about_harm, *harmful, *others, *cut, *hh(data, 50, rng), *mixed(data, 50, rng)]


def report(name: str, rows: list[Labelled], logits: np.ndarray) -> None:
    """Print how well the labels are told."""
    truth, said = np.array([LABELS.index(row.label) for row in rows]), logits.argmax(1)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    harm = odds[:, 0] / odds.sum(1)
    three = np.array([1, 1, 2, 3])
    table = [[int(((truth == a) & (said == b)).sum()) for b in range(4)] for a in range(4)]
    print(
        f"{name}: n {len(rows)}, four labels right {(truth == said).mean():.3f}, three"
        f" {(three[truth] == three[said]).mean():.3f}, harm AUC {auc(harm, truth == 0):.3f}, found"
        f" {(harm >= 0.5)[truth == 0].mean():.3f}, let through {(harm < 0.5)[truth != 0].mean():.3f}\n"
        f"    rows true, columns said: {table}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--first-layer", type=int, default=14)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--second", type=Path, help="go on from this adapter, with the rows of the second part")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    rows = first_rows(given.data, rng) if given.second is None else second_rows(given.data, rng)
    print(sorted(Counter((row.source, row.label) for row in rows).items()))
    tests = {
        "the training family": family("training"),
        "GPTFuzz, evaluation split": gptfuzz(given.data, "evaluate", 120, rng),
    }
    trainer = Trainer(Settings(answers=ANSWERS, seed=given.seed, epochs=given.epochs, first=given.first_layer,
                               rate=given.rate, threads=given.threads))  # fmt: skip
    if given.second is not None:
        trainer.tail.load(given.second)
    encoded = {name: trainer.encode([label_messages(row.messages, row.response) for row in part])
               for name, part in tests.items()}  # fmt: skip
    said = {"task": "response-label", "prompt": str(PROMPT), "family": "gating", "data": data_hash("gating"),
            "replies": sha256_file(OWN / "replies-1.jsonl"),
            "trained_by": "benchmarks/train_response_label.py"}  # fmt: skip

    def after_epoch(_: int) -> None:
        for name, part in tests.items():
            report(f"  {name}", part, trainer.predict(encoded[name]))
        if given.out:
            trainer.tail.save(given.out, said)

    trainer.train([Example(messages=label_messages(row.messages, row.response), answer=LABELS.index(row.label),
                           weight=row.weight) for row in rows], after_epoch)  # fmt: skip


if __name__ == "__main__":
    main()
