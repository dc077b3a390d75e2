"""Rows for training and judging the minilm-toxicity head, read from public data beside the checkout.

Every source is under a licence that allows it (MIT, Apache-2.0, CC-BY, public domain). Rows are read, never copied.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IDENTITIES = (
    "women", "men", "gay people", "lesbians", "bisexual people", "trans people", "straight people", "Black people",
    "white people", "Asian people", "Latino people", "Arabs", "Native Americans", "Roma people", "immigrants",
    "refugees", "Muslims", "Jews", "Christians", "Hindus", "Buddhists", "Sikhs", "atheists", "disabled people",
    "deaf people", "blind people", "autistic people", "people with depression", "old people", "teenagers",
    "Africans", "Mexicans", "Chinese people", "Indians", "Russians", "Americans", "poor people", "homeless people",
)  # fmt: skip
NEUTRAL = (
    "Many {x} live in this town.", "Some of my best friends are {x}, and we meet every week.",
    "The survey asked {x} how they travel to work.", "The library has a new shelf of novels by {x}.",
    "{x} are often overlooked in medical trials, the report found.", "We want {x} to feel welcome at this school.",
    "I read an article about how {x} celebrate the new year.", "What challenges do {x} face when looking for a job?",
    "The museum opened an exhibition on the history of {x}.", "As a group, {x} vote much like everyone else here.",
    "{x} deserve the same rights as all other citizens.", "I am proud to stand with {x}.",
    "Discrimination against {x} is illegal in most countries.", "It is wrong to say hateful things about {x}.",
    "The festival was organised by {x} from the neighbourhood.", "My doctor works mostly with {x}.",
    "I really like {x}.", "Thank you to all the {x} who helped us.", "{x} can be whatever they want to be.",
    "Let us celebrate {x} this month.",
)  # fmt: skip
HOSTILE = (
    "{x} are disgusting.", "I can't stand {x}.", "{x} are all liars and thieves.", "Nobody wants {x} around here.",
    "{x} are too stupid to understand anything.", "We should get rid of {x}.", "{x} make me sick.",
    "The world would be better without {x}.", "{x} don't deserve any rights.", "Keep {x} away from decent folk.",
    "{x} are worthless and lazy.", "I hope {x} suffer.", "Never trust {x}, they ruin everything.",
    "{x} are like animals.", "Honestly, {x} are the worst.", "Someone should teach {x} a painful lesson.",
)  # fmt: skip
COUNTER = (
    'Saying "{s}" is cruel and wrong.', '"{s}" is a hateful thing to say, and I disagree.',
    'He was fired for writing "{s}" in an email.', 'Anyone who claims that "{s}" has never listened to them.',
    'Stop telling people "{s}", it hurts.', 'It is simply not true that "{s}"',
)  # fmt: skip
_QUOTED_TWEET = re.compile(r"^[\s!\"]*(RT\s+)?(@\w+:?\s*)+")
_MENTION = re.compile(r"@\w+:?")
_LINK = re.compile(r"https?://\S+")
_SPACE = re.compile(r"\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Texts with their labels and where they came from.

    Attributes:
        texts: n texts.
        labels: shape (n,), 1 for toxic.
        sources: n names.
    """

    texts: list[str]
    labels: np.ndarray
    sources: list[str]

    def where(self, keep: np.ndarray) -> Rows:
        """Return the rows at a boolean mask or indices, shape (n,) or (m,)."""
        chosen = np.flatnonzero(keep) if keep.dtype == bool else keep
        return Rows(
            texts=[self.texts[i] for i in chosen],
            labels=self.labels[chosen],
            sources=[self.sources[i] for i in chosen],
        )


def rows_of(parts: list[tuple[str, int, str]]) -> Rows:
    """Build rows from (text, label, source), the first of equal texts winning."""
    seen: dict[str, tuple[str, int, str]] = {}
    for part in parts:
        seen.setdefault(part[0].casefold(), part)
    kept = [part for part in seen.values() if part[0]]
    return Rows(
        texts=[text for text, _, _ in kept],
        labels=np.array([label for _, label, _ in kept], dtype=np.int64),
        sources=[source for _, _, source in kept],
    )


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file that may be gzipped."""
    data = path.read_bytes()
    yield from io.StringIO((gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8"), newline="")


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file that may be gzipped."""
    return list(csv.DictReader(io.StringIO("".join(read_lines(path)))))


def clean_tweet(tweet: str) -> str:
    """Strip what only tweets have, so that the head cannot learn the medium instead of the message."""
    text = html.unescape(html.unescape(tweet))
    text = _QUOTED_TWEET.sub("", text)
    text = _LINK.sub("", _MENTION.sub("", text))
    return _SPACE.sub(" ", text).strip(" \"'!:")


def davidson(folder: Path, rng: random.Random, *, offensive: int) -> list[tuple[str, int, str]]:
    """Return tweets: hate (0) and offensive (1) are toxic, neither (2) is not; offensive ones are thinned."""
    parts = [
        (clean_tweet(row["tweet"]), int(row["class"]), "davidson")
        for row in read_csv(folder / "davidson_hate" / "labeled_data.csv.gz")
    ]
    common = [part for part in parts if part[1] == 1]
    kept = set(rng.sample(range(len(common)), min(offensive, len(common))))
    thinned = [part for index, part in enumerate(common) if index in kept]
    rest = [part for part in parts if part[1] != 1]
    return [(text, int(kind != 2), source) for text, kind, source in rest + thinned]


def benign(folder: Path, rng: random.Random) -> list[tuple[str, int, str]]:
    """Return texts of other media that are taken as not toxic: answers, questions, stories, polite refusals."""
    pools: dict[str, tuple[int, list[str]]] = {}
    helpful = [json.loads(line)["chosen"] for line in read_lines(folder / "hh_rlhf" / "helpful-base_test.jsonl.gz")]
    pools["hh_helpful"] = (900, [text.rsplit("Assistant:", 1)[-1].strip() for text in helpful])
    seeds = [json.loads(line) for line in read_lines(folder / "instruction_prompts" / "self_instruct_seed_tasks.jsonl")]
    pools["self_instruct"] = (300, [x for s in seeds for x in (s["instruction"], s["instances"][0]["output"])])
    refusals = [
        row["Response"] for row in read_csv(folder / "gptfuzz_labelled" / "train.csv.gz") if row["label"] == "0"
    ]
    pools["gptfuzz_refusals"] = (500, [text for text in refusals if text.isascii() and len(text) < 900])
    contexts = [
        f"{row['context']} {row['question']}"
        for name in ("Age", "Religion")
        for row in map(json.loads, read_lines(folder / "bbq" / f"{name}.jsonl.gz"))
    ]
    pools["bbq"] = (400, contexts)
    gatsby = (folder / "public_domain_corpora" / "gatsby.txt").read_text(encoding="utf-8", errors="replace")
    pools["gatsby"] = (500, [_SPACE.sub(" ", p).strip() for p in re.split(r"\n\s*\n", gatsby) if 40 < len(p) < 600])
    pools["gsm8k"] = (200, [json.loads(line)["question"] for line in read_lines(folder / "gsm8k" / "test.jsonl.gz")])
    chosen: list[tuple[str, int, str]] = []
    for source, (count, texts) in pools.items():
        plain = sorted({text.strip()[:900] for text in texts if text.strip()})
        chosen += [(text, 0, source) for text in rng.sample(plain, min(count, len(plain)))]
    return chosen


def identities(rng: random.Random, count: int) -> list[tuple[str, int, str]]:
    """Return `count` neutral and `count` hostile sentences about the same groups, and half as many against hostility.

    So a group's name alone says nothing, and a hostile sentence that is quoted to be rejected is not toxic.
    """
    hostile = [template.format(x=name) for template in HOSTILE for name in IDENTITIES]
    pools = (
        (0, count, [template.format(x=name) for template in NEUTRAL for name in IDENTITIES]),
        (1, count, hostile),
        (0, count // 2, [template.format(s=sentence) for template in COUNTER for sentence in hostile]),
    )
    return [
        (text[0].upper() + text[1:], label, "identities")
        for label, number, pool in pools
        for text in rng.sample(pool, min(number, len(pool)))
    ]


def mixtures(tweets: list[tuple[str, int, str]], calm: list[tuple[str, int, str]], rng: random.Random, count: int,
             ) -> list[tuple[str, int, str]]:  # fmt: skip
    """Return `count` texts that carry one toxic tweet amid calm prose, and half as many with a harmless tweet."""
    prose = [sentence for text, _, _ in calm for sentence in _SENTENCE.split(text) if 20 < len(sentence) < 160]
    parts: list[tuple[str, int, str]] = []
    for label, number in ((1, count), (0, count // 2)):
        pool = [text for text, kind, _ in tweets if kind == label]
        for tweet in rng.sample(pool, min(number, len(pool))):
            around = rng.sample(prose, rng.choice((1, 1, 2)))
            around.insert(rng.randrange(len(around) + 1), tweet.rstrip(".") + ".")
            parts.append((" ".join(around), label, "mixture"))
    return parts


def unrelated(rows: Rows, others: Rows) -> np.ndarray:
    """Return a mask, shape (n,): rows that share no 24 letters in a row with any of the others.

    People repeat and quote each other's tweets; without this, a test would hold what training saw.
    """
    length = 24

    def shingles(text: str) -> set[str]:
        letters = "".join(character for character in text.casefold() if character.isalnum())
        return {letters[i : i + length] for i in range(max(1, len(letters) - length + 1))}

    seen: set[str] = set()
    for text in others.texts:
        seen |= shingles(text)
    return np.array([not shingles(text) & seen for text in rows.texts], dtype=bool)
