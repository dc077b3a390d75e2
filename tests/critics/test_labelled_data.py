"""The project's own labelled replies: two families of critics' data that share nothing."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness_critics

DATA = Path(harness_critics.__file__).parent / "data"
FAMILIES = ("training", "gating")
KEYS = ["id", "principle", "messages", "response", "verdict", "kind", "critique", "revision"]
KINDS = {
    "plain", "quotes_to_condemn", "fiction", "counter_speech", "lecturing_refusal", "polite_compliance", "late_turn",
    "other_language", "code", "multi_turn",
}  # fmt: skip


@cache
def rows(family: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(DATA.glob(f"{family}-[0-9]*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


@cache
def rules(family: str) -> dict[str, str]:
    listed = yaml.safe_load((DATA / f"{family}-principles.yaml").read_text(encoding="utf-8"))
    assert all(list(rule) == ["id", "text"] for rule in listed)
    found = {rule["id"]: rule["text"] for rule in listed}
    assert len(found) == len(listed)
    return found


def prompts(family: str) -> set[str]:
    return {json.dumps(row["messages"]) for row in rows(family)}


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_is_whole(family: str) -> None:
    for row in rows(family):
        assert list(row) == KEYS, row["id"]
        assert row["principle"] in rules(family)
        assert row["id"].startswith(f"{row['principle']}-")
        assert row["verdict"] in {"follows", "breaks"}
        assert row["kind"] in KINDS
        assert row["messages"][-1]["role"] == "user"
        assert all(set(turn) == {"role", "content"} and turn["content"].strip() for turn in row["messages"])
        assert all(row[key].strip() for key in ("response", "critique", "revision"))
        assert (row["revision"] == row["response"]) is (row["verdict"] == "follows"), row["id"]
    assert len({row["id"] for row in rows(family)}) == len(rows(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_are_balanced_in_every_principle_and_not_told_by_length(family: str) -> None:
    counts = Counter((row["principle"], row["verdict"]) for row in rows(family))
    assert set(counts) == {(rule, verdict) for rule in rules(family) for verdict in ("follows", "breaks")}
    for rule in rules(family):
        follows, breaks = counts[rule, "follows"], counts[rule, "breaks"]
        assert min(follows, breaks) >= 3, rule
        assert abs(follows - breaks) <= 2, rule
    mean = {
        verdict: sum(own) / len(own)
        for verdict in ("follows", "breaks")
        for own in [[words(row["response"]) for row in rows(family) if row["verdict"] == verdict]]
    }
    assert abs(mean["follows"] - mean["breaks"]) < 5


@pytest.mark.parametrize("family", FAMILIES)
def test_most_rows_are_hard_and_every_kind_is_there(family: str) -> None:
    kinds = Counter(row["kind"] for row in rows(family))
    assert set(kinds) == KINDS
    assert kinds["plain"] <= 0.6 * len(rows(family))
    assert all(count >= 10 for count in kinds.values())


def test_the_families_share_no_principle_conversation_or_reply() -> None:
    assert len(rows("training")) >= 1820
    assert len(rules("training")) >= 180
    assert len(rows("gating")) >= 1050
    assert len(rules("gating")) >= 58
    assert not set(rules("training")) & set(rules("gating"))
    assert not {text.lower() for text in rules("training").values()} & {t.lower() for t in rules("gating").values()}
    assert not prompts("training") & prompts("gating")
    replies = [row["response"] for family in FAMILIES for row in rows(family)]
    assert len(set(replies)) == len(replies)


@pytest.mark.parametrize(("file", "count"), [("training-3", 800), ("gating-2", 416)])
def test_contrasts_are_pairs_that_differ_in_the_reply_alone(file: str, count: int) -> None:
    lines = (DATA / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for row in map(json.loads, lines):
        pair = pairs.setdefault((row["principle"], json.dumps(row["messages"])), {})
        assert row["verdict"] not in pair, row["id"]
        pair[row["verdict"]] = row["response"]
    assert 2 * len(pairs) == len(lines) == count
    # Were the longer reply mostly of one verdict, a judge could learn to count words.
    longer = sum(words(pair["follows"]) > words(pair["breaks"]) for pair in pairs.values())
    shorter = sum(words(pair["follows"]) < words(pair["breaks"]) for pair in pairs.values())
    assert 0.45 <= longer / (longer + shorter) <= 0.55
