"""The short labelled replies: rules in two wordings, pairs of replies to one prompt, nothing shared between families."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness_critics

DATA = Path(harness_critics.__file__).parent / "data"
FAMILIES = ("training", "gating")


def short(family: str) -> list[dict[str, Any]]:
    files = sorted(DATA.glob(f"short-{family}*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_prompt_has_a_reply_that_follows_and_one_that_breaks(family: str) -> None:
    rows = short(family)
    assert all(list(row) == ["rule", "also", "prompt", "response", "verdict"] for row in rows)
    assert all(text.strip() for row in rows for text in row.values())
    verdicts: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        verdicts.setdefault((row["rule"], row["prompt"]), []).append(row["verdict"])
    assert all(sorted(found) == ["breaks", "follows"] for found in verdicts.values())
    assert len({row["response"] for row in rows}) == len(rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_length_and_the_mark_of_a_cut_do_not_tell_the_verdict(family: str) -> None:
    rows = short(family)
    words = {
        verdict: [len(row["response"].split()) for row in rows if row["verdict"] == verdict]
        for verdict in ("follows", "breaks")
    }
    follows, breaks = (sum(counts) / len(counts) for counts in words.values())
    assert abs(follows - breaks) < 5
    cut = Counter(row["verdict"] for row in rows if "[…]" in row["response"])
    assert cut["breaks"] <= 3 * cut["follows"]


def test_the_families_share_no_rule_prompt_or_reply() -> None:
    training, gating = (short(family) for family in FAMILIES)
    for key in ("prompt", "response"):
        assert not {row[key] for row in training} & {row[key] for row in gating}
    rules = [{row[key] for row in rows for key in ("rule", "also")} for rows in (training, gating)]
    for own, family in zip(rules, FAMILIES, strict=True):
        own |= {rule["text"] for rule in yaml.safe_load((DATA / f"{family}-principles.yaml").read_text("utf-8"))}
    assert not rules[0] & rules[1]


def test_the_rules_that_a_program_checks_are_others_in_each_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import judge_rows

    ours, theirs = (
        {rule for _, wanted, forbidden in checks for rule in (*wanted, *forbidden)}
        for checks in (judge_rows.CHECKS, judge_rows.OTHER_CHECKS)
    )
    assert not ours & theirs


def test_no_short_row_is_a_held_out_reply_or_prompt() -> None:
    held = [
        json.loads(line)
        for file in DATA.glob("heldout-*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    prompts = {row["messages"][-1]["content"] for row in held}
    replies = {row["response"] for row in held}
    rows = [*short("training"), *short("gating")]
    assert not {row["response"] for row in rows} & replies
    # Met by chance, by writers who did not see each other's rows, with other replies; data/README.md says so.
    assert {row["prompt"] for row in rows} & prompts <= {"Is a tomato a fruit?"}
