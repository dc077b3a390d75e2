"""What the reviser learns from: replies with what is to be done about them, all in the project's own words.

Replies that break a rule, with a critique and a revision: of the training family, of harmful requests that the base
answers (`revisions-*.jsonl`), and good replies into which one bad sentence was put (`edits.jsonl`), whose revision is
the reply without it. Replies that are in order, of the same sources and of the harmless twins, have the critique
`NOTHING` and no revision. The gating family is not read, nor any suite.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path

import yaml

import harness
from harness.api import Completion, Decoding, Generate, Message, ask
from harness_metrics.labelling import label_reply
from harness_revision.prompts import NOTHING, Flaw

ROOT = Path(__file__).parents[1]
FAMILY = ROOT / "plugins" / "harness_critics" / "data"
OWN = ROOT / "plugins" / "harness_revision" / "data"
HARMFUL = ("revisions-1", "revisions-2", "revisions-3")
HARMLESS = ("twins", "twins-2", "ordinary")
Solved = tuple[Flaw, str, str]
"""(flaw, critique, revision); the revision is empty where there is nothing to mend."""
GOES_ALONG = (
    "It goes along with a request that would do harm, instead of declining it.",
    "It begins to help with something harmful.",
    "Somebody could be harmed by what it explains, and it does not decline.",
    "It treats a harmful request like any other and gives help towards it.",
    "It should have turned this down: what it offers serves a harmful aim.",
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def read(file: Path) -> list[dict[str, str]]:
    """Return the rows of a file of JSON Lines."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def files() -> list[Path]:
    """Return all files that are learned from."""
    own = [OWN / f"{name}.jsonl" for name in (*HARMFUL, *HARMLESS, "edits")]
    return [*own, FAMILY / "training-principles.yaml", *sorted(FAMILY.glob("training-[0-9]*.jsonl"))]


def is_held(row_id: str) -> bool:
    """Tell whether a request and its twin are kept out of training, one in ten, to choose settings by."""
    return int(hashlib.sha256(row_id.removesuffix("-twin").encode()).hexdigest(), 16) % 10 == 0


def base_replies(place: Path, max_new_tokens: int = 48) -> dict[str, str]:
    """Ask the base what the project's own requests get from it; kept in the workspace's cache alone."""
    prompts = dict.fromkeys(row["prompt"] for name in (*HARMFUL, *HARMLESS) for row in read(OWN / f"{name}.jsonl"))
    session = harness.open(place)
    session.writable_workspace()

    def one(prompt: str):
        decoding = Decoding(max_new_tokens=max_new_tokens)
        (reply,) = yield ask("policy", Generate(messages=(Message(role="user", content=prompt),), decoding=decoding))
        return reply.text if isinstance(reply, Completion) else ""

    with session.models([]) as models:
        return dict(zip(prompts, models.ask(one(prompt) for prompt in prompts), strict=True))


def family(rng: random.Random, breaks: int, follows: int) -> list[Solved]:
    """Return rows of the training family: so many that break a rule, and so many that follow it."""
    rules = {one["id"]: one["text"] for one in yaml.safe_load((FAMILY / "training-principles.yaml").read_text("utf-8"))}
    broken, fine = list[Solved](), list[Solved]()
    for file in sorted(FAMILY.glob("training-[0-9]*.jsonl")):
        for row in read(file):
            turns = tuple(Message(**turn) for turn in row["messages"])
            flaw = Flaw(before=turns, reply=row["response"], principle=row["principle"], rule=rules[row["principle"]])
            if row["verdict"] == "breaks":
                broken.append((flaw, row["critique"], row["revision"]))
            else:
                fine.append((flaw, NOTHING, ""))
    rng.shuffle(broken)
    rng.shuffle(fine)
    return broken[:breaks] + fine[:follows]


def harm_rules() -> dict[str, str]:
    """Return the rules of the constitution `harmless`."""
    found = yaml.safe_load((ROOT / "constitutions" / "harmless.yaml").read_text("utf-8"))["principles"]
    return {rule["id"]: rule["text"].strip() for rule in found}


def own(replies: dict[str, str], rng: random.Random, harmless: int) -> list[Solved]:
    """Return revisions of what the base says to harmful requests, and what it says to harmless ones, left as it is."""
    rules, found = harm_rules(), list[Solved]()

    def flaw(row: dict[str, str], reply: str, rule: str) -> Flaw:
        asked = (Message(role="user", content=row["prompt"]),)
        return Flaw(before=asked, reply=reply, principle=rule, rule=rules[rule])

    for name in HARMFUL:
        for row in read(OWN / f"{name}.jsonl"):
            if is_held(row["id"]):
                continue
            reply = replies[row["prompt"]]
            if label_reply(row["prompt"], reply).label == "refused":
                found.append((flaw(row, reply, row["principle"]), NOTHING, ""))
                continue
            critique = row.get("critique") or rng.choice(GOES_ALONG)
            found.append((flaw(row, reply, row["principle"]), critique, row["completion"]))
            if rng.random() < 0.25:  # a good refusal is to be left alone
                found.append((flaw(row, row["completion"], row["principle"]), NOTHING, ""))
    fine = [row for name in HARMLESS for row in read(OWN / f"{name}.jsonl") if not is_held(row["id"])]
    for row in rng.sample(fine, harmless):
        rule = "no_help_with_harm" if rng.random() < 0.5 else rng.choice(list(rules))
        found.append((flaw(row, replies[row["prompt"]], rule), NOTHING, ""))
    return found


def edits(replies: dict[str, str], rng: random.Random, count: int) -> list[Solved]:
    """Return good replies into which one bad sentence was put, and some of the same rules where none was."""
    flaws, found = read(OWN / "edits.jsonl"), list[Solved]()
    asked = [row["prompt"] for name in HARMLESS for row in read(OWN / f"{name}.jsonl") if not is_held(row["id"])]
    rng.shuffle(asked)
    for number, prompt in enumerate(asked):
        if len(found) >= count:
            break
        sentences = _SENTENCE.split(" ".join(replies[prompt].split()))
        sentences = sentences[:3] if replies[prompt].rstrip().endswith((".", "!")) else sentences[:-1][:3]
        if not sentences or "\n" in replies[prompt] or not sentences[-1].endswith((".", "!")):
            continue
        one = flaws[number % len(flaws)]
        before = (Message(role="user", content=prompt),)
        whole = " ".join(sentences)
        if number % 5 == 0:
            found.append((Flaw(before=before, reply=whole, principle=one["id"], rule=one["rule"]), NOTHING, ""))
            continue
        place = rng.randrange(len(sentences) + 1)
        spoilt = " ".join((*sentences[:place], one["flaw"], *sentences[place:]))
        flaw = Flaw(before=before, reply=spoilt, principle=one["id"], rule=one["rule"])
        found.append((flaw, one["critique"], whole))
    return found
