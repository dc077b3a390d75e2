"""An adapter ruined on purpose: normal noise on each of its tensors."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.api.artifacts import store_adapter

if TYPE_CHECKING:
    from harness.api import AdapterSpec
    from harness.api.workspace import Workspace

_WEIGHTS = "adapter_model.safetensors"


def ruined(workspace: Workspace, start: AdapterSpec, amount: float, seed: int) -> AdapterSpec:
    """Return a copy of an adapter with noise, stored in the workspace.

    Args:
        workspace: where to.
        start: the adapter to ruin.
        amount: of noise, in standard deviations of each tensor (the widest one's where all its values are equal).
        seed: of the noise.
    """
    from safetensors.numpy import load_file, save_file

    tensors = load_file(Path(start.path) / _WEIGHTS)
    generator = np.random.default_rng(seed)
    widest = max(float(tensor.std()) for tensor in tensors.values()) or 1.0
    noisy = {
        name: (tensor + generator.normal(0.0, amount * (float(tensor.std()) or widest), tensor.shape)).astype(
            tensor.dtype
        )
        for name, tensor in sorted(tensors.items())
    }
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "adapter"
        copy.mkdir()
        shutil.copyfile(Path(start.path) / "adapter_config.json", copy / "adapter_config.json")
        save_file(noisy, copy / _WEIGHTS, metadata={"format": "pt"})
        return store_adapter(workspace, copy)
