"""Findings are asked for once, remembered by fingerprint and text, and asked again where the memory is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contracts import Classifier, RunContext
from harness.evaluation.panel import classify
from harness.progress import NoProgress
from harness.store.cache import Cache
from harness.types import ClassifierStatus, Finding


class Letters(Classifier):
    """Says how many of a text's characters are letters."""

    def __init__(self):
        super().__init__({}, RunContext(weights=Path()))
        self.seen = []

    def fingerprint(self):
        return "letters 1"

    def classify(self, texts):
        self.seen += texts
        return [(Finding(label="letter", probability=sum(map(str.isalpha, text)) / len(text)),) for text in texts]


STATUS = (ClassifierStatus(name="letters", fingerprint="letters 1", ran=True),)


@pytest.mark.parametrize("damage", [b"", b"[", b"{}", b'[{"label": 3}]', b"\xff"])
def test_a_damaged_entry_is_classified_again(tmp_path, damage):
    class Damaged(Cache):
        def get_many(self, keys):
            return dict.fromkeys(super().get_many(keys), damage)

    letters = Letters()
    with Damaged(tmp_path / "cache.db") as cache:
        for expected in (2, 4):
            found = classify({"letters": letters}, STATUS, ["ab", "1a", "ab", None], cache=cache, progress=NoProgress())
            assert [entry["letters"][0].probability for entry in found[:3]] == [1.0, 0.5, 1.0]
            assert len(letters.seen) == expected


def test_a_text_is_classified_once(tmp_path):
    letters = Letters()
    with Cache(tmp_path / "cache.db") as cache:
        for _ in range(2):
            classify({"letters": letters}, STATUS, ["ab", "1a", "ab"], cache=cache, progress=NoProgress())
    assert sorted(letters.seen) == ["1a", "ab"]
