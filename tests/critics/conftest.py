"""Fixtures for critics: embeddings without weights."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from harness_critics import meaning


class WordVectors:
    """Stands for the embedder: texts with the same words are near."""

    def __init__(self, *_: object) -> None:
        pass

    def encode(self, texts):
        vectors = np.zeros((len(texts), 384), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().encode("utf-8", "replace").split():
                row[zlib.crc32(word.strip(b".,!?")) % 384] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@pytest.fixture(autouse=True)
def _words_for_meanings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare by words in tests that are not about the weights."""
    if request.node.get_closest_marker("weights") is None:
        monkeypatch.setattr(meaning, "Embedder", WordVectors)
        monkeypatch.setattr(meaning, "weights_hash", lambda *_, **__: "words")
        monkeypatch.setattr(meaning, "weights_path", lambda *_, **__: "words")
