"""The held-out labelled replies, on which critics are measured and nothing is trained or chosen."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml

import harness_critics

DATA = Path(harness_critics.__file__).parent / "data"
CONSTITUTIONS = Path(__file__).parents[2] / "constitutions"
PRINCIPLES = {
    "heldout-personal": {
        "truthfulness", "professional_appropriateness", "privacy_protection", "helpful_expertise", "consistency",
    },
    "heldout-harmless-1": {"no_help_with_harm", "no_hate"},
    "heldout-harmless-2": {
        "no_violence", "no_weapons", "no_self_harm", "no_illegal_drugs", "no_cybercrime", "no_fraud",
    },
    "heldout-harmless-3": {
        "no_harassment", "protects_children", "respects_privacy", "no_dangerous_medical_advice", "no_misinformation",
        "no_extremism",
    },
    "heldout-harmless-4": {"no_hate", "no_cybercrime", "no_violence", "no_illegal_drugs"},
    "heldout-personal-2": {"privacy_protection"},
}  # fmt: skip
CONSTITUTION = {
    "heldout-personal": "personal", "heldout-harmless-1": "harmless", "heldout-harmless-2": "harmless",
    "heldout-harmless-3": "harmless", "heldout-harmless-4": "harmless", "heldout-personal-2": "personal",
}  # fmt: skip
KEYS = ["id", "principle", "messages", "response", "verdict", "kind"]
KINDS = {
    "plain", "quotes_to_condemn", "fiction", "counter_speech", "lecturing_refusal", "polite_compliance", "late_turn",
    "other_language", "code", "multi_turn",
}  # fmt: skip


@cache
def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def texts(row: dict[str, Any]) -> list[str]:
    return [*(turn["content"] for turn in row["messages"]), row["response"]]


def sentences(text: str) -> set[str]:
    """The text's sentences and lines of three words or more, in lower case and without marks."""
    parts = (re.sub(r"\W+", " ", part.lower()).split() for part in re.split(r"(?<=[.!?…:])[\"'”»)]*\s+|\n+", text))
    return {" ".join(part) for part in parts if len(part) >= 3}


def is_contrast(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows answer one prompt, one of them well."""
    same = one["messages"] == other["messages"] and one["principle"] == other["principle"]
    return bool(same and one["verdict"] != other["verdict"])


@pytest.mark.parametrize("name", PRINCIPLES)
def test_every_row_is_whole(name: str) -> None:
    for row in rows(name):
        assert list(row) == KEYS, row["id"]
        assert re.fullmatch(rf"{row['principle']}-\d{{3}}", row["id"])
        assert row["verdict"] in {"follows", "breaks"}
        assert row["kind"] in KINDS
        assert all(list(turn) == ["role", "content"] for turn in row["messages"])
        assert all(text.strip() for text in texts(row))
        said = [turn["role"] for turn in row["messages"] if turn["role"] != "system"]
        assert said == ["user", "assistant"] * (len(said) // 2) + ["user"], row["id"]
        assert row["kind"] != "multi_turn" or len(row["messages"]) > 1, row["id"]
    assert len({row["id"] for row in rows(name)}) == len(rows(name))


@pytest.mark.parametrize("name", PRINCIPLES)
def test_each_principle_has_fifty_rows_or_more_of_either_verdict(name: str) -> None:
    counts = Counter((row["principle"], row["verdict"]) for row in rows(name))
    assert counts.keys() == {(rule, verdict) for rule in PRINCIPLES[name] for verdict in ("follows", "breaks")}
    assert all(counts[rule, "follows"] == counts[rule, "breaks"] >= 50 for rule in PRINCIPLES[name])
    listed = yaml.safe_load((CONSTITUTIONS / f"{CONSTITUTION[name]}.yaml").read_text(encoding="utf-8"))
    assert PRINCIPLES[name] <= {rule["id"] for rule in listed["principles"]}


@pytest.mark.parametrize("name", PRINCIPLES)
def test_enough_rows_are_hard_and_length_does_not_tell_the_verdict(name: str) -> None:
    for rule in PRINCIPLES[name]:
        own = [row for row in rows(name) if row["principle"] == rule]
        assert sum(row["kind"] != "plain" for row in own) >= 0.4 * len(own)
        follows, breaks = (
            mean(len(row["response"].split()) for row in own if row["verdict"] == verdict)
            for verdict in ("follows", "breaks")
        )
        assert 0.85 <= breaks / follows <= 1.15


def test_no_two_replies_share_a_sentence_and_prompts_recur_only_in_pairs_of_opposite_verdict() -> None:
    replies: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    prompts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in [row for name in PRINCIPLES for row in rows(name)]:
        asked = {sentence for turn in row["messages"] for sentence in sentences(turn["content"])}
        for sentence in asked:
            prompts[sentence].append(row)
        for sentence in sentences(row["response"]) - asked:
            replies[sentence].append(row)
    # Two replies to one prompt may begin alike, and turn apart.
    shared = {
        sentence: [row["id"] for row in said]
        for sentence, said in replies.items()
        if len(said) > 1 and not (len(said) == 2 and is_contrast(*said))
    }
    assert shared == {}
    assert replies.keys() & prompts.keys() == set()
    # What the user writes may stand twice in one principle, where only the reply tells the verdict.
    contrasts = [
        sentence
        for sentence, askers in prompts.items()
        if len({row["principle"] for row in askers}) == 1
        and sorted(row["verdict"] for row in askers) == ["breaks", "follows"]
    ]
    # Short requests ("Help me answer.") may recur elsewhere.
    recurring = {
        sentence: [row["id"] for row in askers]
        for sentence, askers in prompts.items()
        if len(askers) > 1 and len(sentence.split()) >= 6
    }
    assert {sentence: ids for sentence, ids in recurring.items() if sentence not in contrasts} == {}


@pytest.mark.parametrize("name", PRINCIPLES)
def test_single_words_hardly_tell_the_verdict(name: str) -> None:
    """Naive Bayes over the words of replies, in ten parts; replies to one prompt lie in one part."""
    prompts = {json.dumps(row["messages"]): None for row in rows(name)}
    part = {prompt: number % 10 for number, prompt in enumerate(prompts)}
    replies = [
        (
            part[json.dumps(row["messages"])],
            row["verdict"] == "breaks",
            set(re.findall(r"\w+|\[…\]|[!?]", text.lower())),
        )
        for row in rows(name)
        for text in [row["response"]]
    ]
    right = 0
    for held in range(10):
        known = [(breaks, words) for number, breaks, words in replies if number != held]
        uses = {
            verdict: Counter(word for breaks, words in known if breaks is verdict for word in words)
            for verdict in (True, False)
        }
        of = Counter(breaks for breaks, _ in known)
        for number, breaks, words in replies:
            if number == held:
                odds = math.fsum(
                    math.log((uses[True][word] + 1) / (of[True] + 2))
                    - math.log((uses[False][word] + 1) / (of[False] + 2))
                    for word in words
                )
                right += (odds > 0) is breaks
    assert right < 0.75 * len(replies), right / len(replies)


def test_no_sentence_was_seen_in_training_or_in_a_constitution() -> None:
    seen: set[str] = set()
    for file in [*DATA.glob("training-[0-9]*.jsonl"), *DATA.glob("gating-[0-9]*.jsonl")]:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            seen |= {sentence for text in [*texts(row), row["revision"]] for sentence in sentences(text)}
    for file in CONSTITUTIONS.glob("*.yaml"):
        for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["principles"]:
            for example in [example for group in rule.get("examples", {}).values() for example in group]:
                seen |= sentences(example["prompt"]) | sentences(example["response"])
    assert len(seen) > 1000
    # Short turns of phrase ("How can I help?") may recur; the identifiers alone are shown when more does.
    recurs = {sentence for sentence in seen if len(sentence.split()) >= 5}
    shared = [
        row["id"] for name in PRINCIPLES for row in rows(name) for text in texts(row) if sentences(text) & recurs
    ]  # fmt: skip
    assert shared == [], "reword the newer of the two rows"
