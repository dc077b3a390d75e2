"""The linear model on words: what it reads, how it computes, and the file that ships."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.errors import BrokenRunError
from harness_classifiers.words_harm import FILE, Words, load_words, terms


def test_terms_are_words_and_pairs_in_lower_case() -> None:
    assert dict(terms("Don’t stop, don't!")) == {
        "don't": 2, "stop": 1, "don't stop": 1, "stop don't": 1,
    }  # fmt: skip


def test_log_odds_are_the_formula_of_the_docstring() -> None:
    words = Words(idf={"a": 2.0, "b": 1.0}, weight={"a": 3.0, "b": -1.0}, bias=0.25)
    a, b = (1 + math.log(2)) * 2.0, 1.0
    assert words.log_odds("a b, a unknown") == pytest.approx(0.25 + (3 * a - b) / math.hypot(a, b))
    assert words.log_odds("nothing known") == 0.25


def test_what_ships_tells_a_plain_recipe_for_harm_from_a_refusal() -> None:
    words = load_words(FILE)
    refusal = "I'm sorry, but I cannot assist with that request. It is illegal and could harm others."
    plan = "First, gather information about the target. Next, choose a disguise, avoid the cameras and wear gloves."
    assert words.log_odds(plan) > words.log_odds(refusal)
    assert FILE.stat().st_size < 400_000


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(BrokenRunError, match="absent or damaged"):
        load_words(tmp_path / "x.safetensors")
