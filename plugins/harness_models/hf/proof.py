"""Proves that a loaded base is byte for byte what it was when it was loaded, whatever adapters were put on it."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from harness.api import BaseChangedError

if TYPE_CHECKING:
    import torch

_BLOCK = 4096
"""Bytes whose sum is digested where nobody would forge a proof."""


class BaseProof:
    """The SHA-256 of every parameter and buffer of a base as it was loaded, tied ones once.

    Of the digests that the standard library computes without the interpreter's lock, SHA-256 was the fastest that
    nobody can forge: 0.93 GB/s on one core without instructions of its own for it, several tensors at a time.

    Args:
        model: the bare base, before any adapter is put on it.
        reference: of the base, for messages.
        forgeable: whether adapters may be put on the base, so that somebody could forge a proof. Where none is,
            only faults are to be noticed, and sums over every 4 kilobytes are digested: a tenth of the time.
    """

    def __init__(self, model: torch.nn.Module, reference: str, *, forgeable: bool = True) -> None:
        self.forgeable = forgeable
        self._of = _sha256 if forgeable else _summed
        self._model = model
        self._reference = reference
        self._modules = dict(model.named_modules())
        self._digests = self._digest()

    def check(self, when: str) -> None:
        """Compare the base with what it was.

        Args:
            when: since when it may have changed, such as `after the adapter x was put on it`.

        Raises:
            BaseChangedError: naming a tensor that changed.
        """
        there = {id(module) for module in self._model.modules()}
        changed = [name or "the model itself" for name, module in self._modules.items() if id(module) not in there]
        now = self._digest()
        changed += sorted(
            name for name in self._digests.keys() | now.keys() if self._digests.get(name) != now.get(name)
        )
        if changed:
            raise BaseChangedError(
                f"the base {self._reference} is not what it was when it was loaded, {when}: {len(changed)} of its parts"
                f" changed, such as {changed[0]}; nothing of this run is kept: run it again without that adapter, and"
                " where no adapter was at work, test this machine's memory"
            )

    def _digest(self) -> dict[str, str]:
        """Return the digests by name. The modules are the base's own: peft puts them inside its wrappers."""
        tensors: dict[str, torch.Tensor] = {}
        first: dict[int, str] = {}
        for prefix, module in self._modules.items():
            own: dict[str, Any] = {**module._parameters, **module._buffers}  # noqa: SLF001 - as they are held now
            for name, tensor in own.items():
                if name.endswith("inv_freq") and _follows_length(module):
                    continue
                if tensor is not None and first.setdefault(id(tensor), f"{prefix}.{name}") == f"{prefix}.{name}":
                    tensors[f"{prefix}.{name}"] = tensor
        largest_first = sorted(tensors, key=lambda name: (-tensors[name].numel(), name))
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            digests = dict(
                zip(largest_first, pool.map(lambda name: self._of(tensors[name]), largest_first), strict=True)
            )
        return {name: digests[name] for name in tensors}


def _follows_length(module: torch.nn.Module) -> bool:
    """Tell whether transformers computes a module's rotary frequencies anew by the length of the text."""
    kinds = getattr(module, "rope_type", "")
    return bool({"dynamic", "longrope"} & set(kinds.values() if isinstance(kinds, dict) else [kinds]))


def _sha256(tensor: torch.Tensor) -> str:
    import torch

    plain = tensor.detach()
    digest = hashlib.sha256(f"{plain.dtype} {tuple(plain.shape)}".encode())
    digest.update(plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _summed(tensor: torch.Tensor) -> str:
    """Digest the sums of a tensor's bytes, eight at a time: no single fault leaves them as they were."""
    import torch

    whole = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    if whole.numel() % _BLOCK:
        return _sha256(tensor)
    sums = whole.view(torch.int64).view(-1, _BLOCK // 8).sum(dim=1)
    return _sha256(sums) + f" {tensor.dtype} {tuple(tensor.shape)}"
