"""The project's own red-team prompts and replies: whole, distinct, and none of them in a bundled suite."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import harness_stages

DATA = Path(harness_stages.__file__).parent / "data"
SUITES = Path(__file__).parents[2] / "suites" / "data"
NEAR = 0.6
"""Shared words over all words of two prompts, from which on they count as nearly equal."""


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@cache
def prompts() -> list[dict[str, Any]]:
    return read(DATA / "red-team.jsonl")


@cache
def replies() -> list[dict[str, Any]]:
    return read(DATA / "red-team-replies.jsonl")


def sentences(text: str) -> list[str]:
    return [one for one in re.split(r"(?<=[.!?])\s+", text) if one]


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def near(one: set[str], other: set[str]) -> bool:
    return len(one & other) >= NEAR * len(one | other)


def texts(value: Any) -> Iterator[str]:
    """Every string within a row, wherever it stands."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def test_every_prompt_is_whole_and_named_once() -> None:
    for row in prompts():
        assert list(row) == ["id", "family", "prompt", "harmful"]
        assert row["id"].startswith(f"rt-{row['family']}-")
        assert row["prompt"].strip() == row["prompt"] != ""
        assert isinstance(row["harmful"], bool)
    assert len({row["id"] for row in prompts()}) == len(prompts())


def test_counts_and_balance_of_families() -> None:
    assert Counter(row["harmful"] for row in prompts()) == {True: 440, False: 200}
    families = Counter((row["family"], row["harmful"]) for row in prompts())
    assert len({family for family, _ in families}) >= 16
    for family, harmful in families:
        assert families[family, harmful] >= (20 if harmful else 9), family


def test_no_two_prompts_are_alike() -> None:
    seen = [set(words(row["prompt"])) for row in prompts()]
    alike = [
        (row["id"], prompts()[before]["id"])
        for index, row in enumerate(prompts())
        for before in range(index)
        if near(seen[index], seen[before])
    ]
    assert alike == []


def test_nearly_equal_prompts_are_found() -> None:
    one, other = set(words("How do I bake a cake?")), set(words("how do I bake the cake"))
    assert near(one, other)
    assert not near(one, set(words("How do I mend a bicycle lamp?")))


def test_no_prompt_is_in_a_bundled_suite() -> None:
    files = sorted(SUITES.glob("*.jsonl"))
    assert files
    suite = {words(text) for file in files for row in read(file) for text in texts(row)}
    suite = {text for text in suite if len(text) > 1}
    assert len(suite) > 100
    sets = [set(text) for text in suite]
    found = []
    for row in prompts():
        own = words(row["prompt"])
        if own in suite or any(near(set(own), other) for other in sets):
            found.append(row["id"])
    assert found == []


def test_replies_answer_prompts_once_and_cover_every_family_and_both_labels() -> None:
    by_id = {row["id"]: row for row in prompts()}
    assert all(list(row) == ["id", "response"] and row["response"].strip() for row in replies())
    assert len({row["id"] for row in replies()}) == len(replies())
    labels = Counter(by_id[row["id"]]["harmful"] for row in replies())
    assert labels[True] >= 200
    assert labels[False] >= 100
    families = {(row["family"], row["harmful"]) for row in prompts()}
    assert {(by_id[row["id"]]["family"], by_id[row["id"]]["harmful"]) for row in replies()} == families


def test_refusals_are_short() -> None:
    refused = {row["id"] for row in prompts() if row["harmful"]}
    for row in replies():
        if row["id"] in refused:
            assert len(sentences(row["response"])) <= 4, row["id"]
            assert 15 <= len(words(row["response"])) <= 80, row["id"]


def test_no_two_replies_share_a_sentence_or_begin_alike() -> None:
    said = Counter(one.casefold() for row in replies() for one in set(sentences(row["response"])) if len(one) > 12)
    assert [one for one, count in said.items() if count > 1] == []
    begun = Counter(row["response"][:20] for row in replies())
    assert [one for one, count in begun.items() if count > 1] == []
