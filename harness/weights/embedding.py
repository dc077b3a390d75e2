"""Sentence embeddings by MiniLM (catalog name `minilm`): mean-pooled, of unit length, offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.threads import FreeCores, use_threads
from harness.weights.windows import cut_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINILM = "minilm"
"""Its name in the catalog."""
WIDTH = 384
LAST = 6
WINDOW = 254
"""Tokens that one pass reads, besides the two special ones: the model was trained on 256."""


class Embedder:
    """Turns texts into vectors. Loads on first use; the vector of a text does not depend on what shares its batch.

    Args:
        folder: the model's folder, `harness.weights.weights_path("minilm")`.
        layers: encoder layers, 1 to 6, whose pooled states are put side by side. The last alone is all-MiniLM-L6-v2
            as its authors publish it.
        device: a torch device.
        batch_size: windows in one pass.
    """

    def __init__(
        self, folder: Path, *, layers: Sequence[int] = (LAST,), device: str = "cpu", batch_size: int = 32
    ) -> None:
        self.folder = folder
        self.layers = tuple(layers)
        self.device = device
        self.batch_size = batch_size
        self._model: Any = None
        self._tokenizer: Any = None
        self._threads: int | None = None

    @property
    def dimension(self) -> int:
        """Numbers in one vector: 384 for each layer."""
        return WIDTH * len(self.layers)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, shape (n, dimension); each layer's part has unit length.

        A text of more than 254 tokens is cut into windows, and gets the mean of their vectors. A text without anything
        but white space gets zeros.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for index, windows in enumerate(self.encode_windows(texts)):
            if len(windows):
                vectors[index] = _unit(windows.mean(axis=0).reshape(-1, WIDTH)).reshape(-1)
        return vectors

    def encode_windows(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the vectors of each text's windows of 254 tokens, shape (windows, dimension); none if empty."""
        if not texts:
            return []
        self._load()
        parts = [[part for part in windows if part.strip()] for windows in cut_windows(texts, self._tokenizer, WINDOW)]
        flat = [part for windows in parts for part in windows]
        vectors = np.zeros((len(flat), self.dimension), dtype=np.float32)
        order = sorted(range(len(flat)), key=lambda index: len(flat[index]))
        for begin in range(0, len(order), self.batch_size):
            chosen = order[begin : begin + self.batch_size]
            vectors[chosen] = self._pool([flat[index] for index in chosen])
        ends = np.cumsum([len(windows) for windows in parts])
        return np.split(vectors, ends[:-1])

    def close(self) -> None:
        """Free the model."""
        self._model = self._tokenizer = None

    def _load(self) -> None:
        if self._model is None:
            self._load_anew()
        use_threads(self._threads)

    def _load_anew(self) -> None:
        cores = FreeCores()
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # progress is the harness's own to show
        self._tokenizer = AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        model = AutoModel.from_pretrained(str(self.folder), local_files_only=True, use_safetensors=True)
        self._model = model.float().eval().to(self.device)
        self._threads = cores.threads(WIDTH) if self.device == "cpu" else None

    def _pool(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=WINDOW + 2, return_tensors="pt")
        batch = batch.to(self.device)
        with torch.inference_mode():
            states = self._model(**batch, output_hidden_states=True).hidden_states
            mask = batch["attention_mask"].unsqueeze(-1).float()
            pooled = [(states[layer] * mask).sum(1) / mask.sum(1) for layer in self.layers]
            joined = torch.cat([torch.nn.functional.normalize(one, dim=1) for one in pooled], dim=1)
        found: NDArray[np.float32] = joined.cpu().numpy()
        return found


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows, shape (n, d), to length one."""
    scaled: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return scaled
