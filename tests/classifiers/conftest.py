"""Fixtures for the classifiers: a store of weights, a small Detoxify checkpoint, and a machine without sockets."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.paths import weights_dir
from harness.weights import is_present

LABELS = ("toxic", "severe_toxic", "obscene")
WORDS = ("you", "are", "a", "an", "idiot", "kind", "person", "good", "morning", "hate", "love", "the", "day", ".", ",")


@dataclass(frozen=True)
class SmallCheckpoint:
    """A Detoxify checkpoint of a few kilobytes, and the options that load it."""

    file: Path
    folder: Path
    options: dict[str, Any]


def require_weights(*names: str) -> None:
    """Skip where a catalog entry is absent, unless the environment demands it."""
    missing = [name for name in names if not is_present(name)]
    if missing and os.environ.get("HARNESS_REQUIRE_WEIGHTS") == "1":
        pytest.fail(f"the weights {', '.join(missing)} are absent, and HARNESS_REQUIRE_WEIGHTS=1")
    if missing:
        pytest.skip(f"the weights {', '.join(missing)} are absent; run: make weights")


@pytest.fixture(scope="session")
def surroundings() -> RunContext:
    return RunContext(offline=True, weights=weights_dir())


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> SmallCheckpoint:
    """A tiny random BERT saved as Detoxify saves its own: config and state_dict in one pickle."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    from harness_classifiers.checkpoint import folder_sha256, read_folder

    root = tmp_path_factory.mktemp("detoxify")
    folder = root / "config"
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, num_labels=len(LABELS), initializer_range=1.0,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    config.num_labels = 2  # as a base model's published config says; the classifier must put it right
    config.save_pretrained(folder)
    file = root / "small.ckpt"
    arguments = {
        "num_classes": len(LABELS), "model_type": "bert-base-uncased",
        "model_name": "BertForSequenceClassification", "tokenizer_name": "BertTokenizer",
    }  # fmt: skip
    torch.save(
        {
            "config": {"arch": {"type": "BERT", "args": arguments}, "dataset": {"args": {"classes": list(LABELS)}}},
            "state_dict": model.state_dict(),
        },
        file,
    )
    options = {
        "checkpoint": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "config_path": str(folder), "config_sha256": folder_sha256(read_folder(folder)),
    }  # fmt: skip
    return SmallCheckpoint(file=file, folder=folder, options=options)


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuse every socket; the list holds what was tried."""
    tried: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(repr(arguments))
        raise OSError("this test opens no sockets")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture(scope="session")
def options_of(small_checkpoint: SmallCheckpoint) -> Callable[[str], dict[str, Any]]:
    """Give the options with which a bundled classifier can run on this machine; skip where it cannot."""

    def find(name: str) -> dict[str, Any]:
        if name == "detoxify":
            return small_checkpoint.options
        needed = {"presidio": "spacy-en-md", "minilm-toxicity": "minilm", "toxicity-smollm2": "smollm2-135m"}
        require_weights(*([needed[name]] if name in needed else []))
        return {}

    return find
