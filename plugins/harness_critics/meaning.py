"""Texts by meaning: MiniLM sentence embeddings, passages of a corpus, and what of it is near a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import (
    MINILM,
    Critic,
    Embedder,
    InputError,
    parse_json,
    read_lines,
    read_text,
    sha256_file,
    sha256_json,
    weights_hash,
    weights_path,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.api import CriticKit, RunContext, Sample

_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"”’')\]])\s+|\n+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SUFFIXES = (".txt", ".md", ".jsonl")
_REMEMBERED = 20_000
"""Texts whose vectors are kept, at 1.5 kB each: corpora and questions come again and again."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, as far as full stops and line ends tell."""
    return [part.strip() for part in _SENTENCE.split(text) if part and re.search(r"\w", part)]


def numbers(text: str) -> frozenset[str]:
    """Return the numbers written in digits, thousands without commas."""
    return frozenset(found.replace(",", "").rstrip(".") for found in _NUMBER.findall(text))


def passages(text: str, *, words: int = 80) -> list[str]:
    """Cut a text into paragraphs, and longer ones between sentences into pieces of about so many words."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        piece: list[str] = []
        for sentence in sentences(paragraph):
            if piece and sum(len(one.split()) for one in (*piece, sentence)) > words:
                found.append(" ".join(piece))
                piece = []
            piece.append(sentence)
        if piece:
            found.append(" ".join(piece))
    return found


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Files of text that answers may rest on."""

    files: tuple[Path, ...]

    @classmethod
    def at(cls, path: str, key: str) -> Corpus:
        """Find the files of a path: a .txt, .md or .jsonl file, or a folder of them.

        Raises:
            InputError: where there is none.
        """
        place = Path(path).expanduser()
        files = sorted(one for one in place.rglob("*") if one.suffix in _SUFFIXES) if place.is_dir() else [place]
        if not files or not all(one.is_file() for one in files):
            raise InputError(
                "holds no .txt, .md or .jsonl file" if place.is_dir() else "no such corpus", file=place, key=key,
                hint="name a file or folder of texts; .jsonl has a `text` on each line",
            )  # fmt: skip
        return cls(files=tuple(files))

    def fingerprint(self) -> str:
        """Return the SHA-256 of all files."""
        return sha256_json([sha256_file(file) for file in self.files])

    def passages(self) -> Iterator[str]:
        """Yield the passages of all files.

        Raises:
            InputError: naming file and line of what is no text.
        """
        for file in self.files:
            if file.suffix != ".jsonl":
                yield from passages(read_text(file, what="corpus"))
                continue
            for number, line in read_lines(file, what="corpus"):
                row = parse_json(line, file, number) if line.strip() else {"text": ""}
                if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                    raise InputError(
                        "has no text", file=file, line=number, key="text", hint='write {"text": "…"} on each line'
                    )
                yield from passages(row["text"])


class Meaning:
    """Vectors of texts, made by MiniLM on first use and kept.

    Args:
        context: where the weights lie.
    """

    def __init__(self, context: RunContext) -> None:
        self._store = context.weights
        self._embedder: Embedder | None = None
        self._known: dict[str, NDArray[np.float32]] = {}

    def fingerprint(self) -> str:
        """Return the hash of the weights.

        Raises:
            InputError: where they are not here, with the command that brings them.
        """
        return weights_hash(MINILM, store=self._store)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of unit length for each text, shape (n, 384); zeros for what says nothing."""
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            if self._embedder is None:
                self._embedder = Embedder(weights_path(MINILM, store=self._store))
            if len(self._known) + len(new) > _REMEMBERED:
                self._known = {text: self._known[text] for text in texts if text in self._known}
            self._known.update(zip(new, self._embedder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, 384), np.float32)

    def similarity(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosines of all pairs, shape (len(first), len(second)), in [−1, 1]."""
        found: NDArray[np.float32] = self.vectors(first) @ self.vectors(second).T
        return found

    def nearest(self, text: str, among: Sequence[str], count: int) -> list[tuple[str, float]]:
        """Return the texts nearest to one, the nearest first, each with its cosine."""
        if not among:
            return []
        cosines = self.similarity([text], among)[0]
        best = sorted(range(len(among)), key=lambda place: (-float(cosines[place]), place))[:count]
        return [(among[place], float(cosines[place])) for place in best]


class MeaningCritic(Critic):
    """A critic that compares texts by meaning."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._meaning: Meaning | None = None

    def equip(self, kit: CriticKit) -> None:
        """Take the place of the weights."""
        self._meaning = Meaning(kit.context)

    @property
    def meaning(self) -> Meaning:
        """The embeddings.

        Raises:
            InputError: before `equip`.
        """
        if self._meaning is None:
            raise InputError("a critic that compares meanings was not equipped", hint="call equip(kit) after making it")
        return self._meaning


def given_context(sample: Sample, *, conversation_words: int | None = None) -> list[str]:
    """Return the passages that a sample hands to who answers: its `metadata.context`, and long texts in its turns.

    Args:
        sample: whose metadata may hold `context`, a text or a list of texts.
        conversation_words: turns of system and user of at least so many words are taken too; None takes none.
    """
    written = sample.metadata.get("context", ())
    texts = [written] if isinstance(written, str) else [one for one in written if isinstance(one, str)]
    if conversation_words is not None:
        texts += [
            turn.content
            for turn in sample.messages
            if turn.role != "assistant" and len(turn.content.split()) >= conversation_words
        ]
    return [passage for text in texts for passage in passages(text)]
