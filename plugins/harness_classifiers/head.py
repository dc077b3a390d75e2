"""A small network on embeddings, kept in a safetensors file: two layers whose output is a calibrated log-odds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.api import BrokenRunError, canonical_json

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Head:
    """log-odds(x) = relu(x @ hidden.T + hidden_bias) @ out + out_bias. Scaling and calibration are folded in."""

    hidden: NDArray[np.float32]
    """Shape (units, dimension)."""
    hidden_bias: NDArray[np.float32]
    """Shape (units,)."""
    out: NDArray[np.float32]
    """Shape (units,)."""
    out_bias: float
    layers: tuple[int, ...]
    """Encoder layers whose embeddings it reads."""
    encoder: str
    """SHA-256 of the encoder's weights file that it was trained on."""

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each vector, shapes (n, dimension) -> (n,)."""
        # einsum adds up each row by itself, so that a row's result does not depend on how many stand beside it
        raised = np.maximum(np.einsum("nd,ud->nu", vectors, self.hidden) + self.hidden_bias, 0.0)
        odds = np.einsum("nu,u->n", raised, self.out).astype(np.float64) + self.out_bias
        chance: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(odds, -60.0, 60.0)))
        return chance


def load_head(path: Path) -> Head:
    """Read a head.

    Raises:
        BrokenRunError: when the file that ships with the package is absent or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stream:
            facts = json.loads(stream.metadata()["head"])
            tensors = {name: stream.get_tensor(name).astype(np.float32) for name in stream.keys()}  # noqa: SIM118
        return Head(
            hidden=tensors["hidden"], hidden_bias=tensors["hidden_bias"], out=tensors["out"],
            out_bias=float(tensors["out_bias"][0]), encoder=facts["encoder"],
            layers=tuple(int(layer) for layer in facts["layers"]),
        )  # fmt: skip
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BrokenRunError(f"{path} is absent or damaged ({error}); install harness again") from error


def save_head(head: Head, path: Path, facts: dict[str, str]) -> None:
    """Write a head in half precision, with `facts` in the file's metadata."""
    from safetensors.numpy import save_file

    tensors: dict[str, NDArray[Any]] = {
        "hidden": head.hidden.astype(np.float16), "hidden_bias": head.hidden_bias.astype(np.float32),
        "out": head.out.astype(np.float32), "out_bias": np.array([head.out_bias], dtype=np.float32),
    }  # fmt: skip
    # one entry, since safetensors writes several in no fixed order and equal heads must give equal files
    about = canonical_json({**facts, "layers": list(head.layers), "encoder": head.encoder})
    save_file(tensors, path, metadata={"head": about})
