"""Puts LoRA adapters beside the layers of our own Llama, without peft: nothing of the base is replaced or written to.

Only pairs of halves on the linear layers are taken, see `harness_models.hf.pairs`; whatever else an adapter asks for is
left to peft. An adapter's tensors are read into memory of their own, under names that must be those its configuration
promises, so that no file can reach a tensor of the base. `tests/models/test_plain_adapters.py` compares with peft.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from harness.api import WEIGHTS_FILE, read_adapter_config, tensor_shapes
from harness.api.weights import pair_scale
from harness_models.hf.pairs import NotPlainError, pairs_only
from harness_models.hf.rack import Rack
from harness_models.hf.tensors import Tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.api import AdapterSpec, ModelSpec
    from harness_models.hf.llama import Added, Llama
    from harness_models.hf.loading import Loaded

_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


class Pairs:
    """The halves of the pairs beside one product of a layer: it gains (given · downᵀ) · upᵀ.

    Args:
        down: (R, inputs); halves of several pairs below each other.
        up: (outputs, R), scaled.
    """

    def __init__(self, down: torch.Tensor, up: torch.Tensor) -> None:
        self.down, self.up = down, up
        self._turned = up.t()

    def __call__(self, given: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        """Add to a product (…, outputs) of what it was made from (…, inputs), in place."""
        low = functional.linear(given.reshape(-1, given.shape[-1]), self.down)
        result.view(-1, result.shape[-1]).addmm_(low, self._turned)
        return result


class _OfRows:
    """Pairs of several adapters, each of which adds to its own rows of a batch."""

    def __init__(self, own: Sequence[tuple[torch.Tensor, Pairs]]) -> None:
        self._own = own

    def __call__(self, given: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        for rows, pairs in self._own:
            low = functional.linear(given[rows], pairs.down)
            result.index_add_(0, rows, functional.linear(low, pairs.up))
        return result


_Layers = list[dict[str, Pairs]]
"""For each layer its pairs, by the product that they stand beside."""


class PlainRack(Rack):
    """The adapters of one loaded base of our own.

    Args:
        loaded: the base.
        spec: the base's reference, for messages.
    """

    def __init__(self, loaded: Loaded, spec: ModelSpec) -> None:
        self._model: Llama = loaded.model
        parts = self._model.parts
        super().__init__(loaded, spec, {f"{name}.weight": (part.rows, part.inputs) for name, part in parts.items()})
        self._pairs: dict[str, _Layers] = {}
        self._joined: dict[tuple[str, ...], _Layers] = {}
        """Of several adapters that act together."""

    def mixable(self, ids: Sequence[str]) -> bool:  # noqa: ARG002 - the contract's
        """Tell that they are: nothing else is taken."""
        return True

    @contextmanager
    def apart(self, places: Mapping[str, Sequence[int]]) -> Iterator[None]:
        """Let each of these adapters act on its own rows of a batch and on no other."""
        rows = {name: torch.tensor(own) for name, own in places.items()}
        mixed: list[dict[str, Added]] = []
        for index in range(len(self._model.layers)):
            here = {name: self._pairs[name][index] for name in places}
            products = dict.fromkeys(product for pairs in here.values() for product in pairs)
            mixed.append({
                product: _OfRows([(rows[name], pairs[product]) for name, pairs in here.items() if product in pairs])
                for product in products
            })  # fmt: skip
        self._active = None
        try:
            self._model.add(mixed)
            yield
        finally:
            self._model.add(None)
            self._active = ()

    def _switch(self, wanted: tuple[str, ...]) -> None:
        if not wanted:
            self._model.add(None)
        elif len(wanted) == 1:
            self._model.add(self._pairs[wanted[0]])
        else:
            if wanted not in self._joined:
                self._joined[wanted] = _joined([self._pairs[name] for name in wanted])
            self._model.add(self._joined[wanted])

    def _drop(self, name: str) -> None:
        del self._pairs[name]
        self._joined = {names: pairs for names, pairs in self._joined.items() if name not in names}

    def _add(self, adapter: AdapterSpec) -> None:
        if not pairs_only(Path(adapter.path)):
            raise NotPlainError
        super()._add(adapter)

    def _put_on(self, adapter: AdapterSpec, folder: Path) -> None:
        """Read an adapter.

        Raises:
            NotPlainError: where it is more than pairs, or other than its configuration says.
        """
        model, found = self._model, tensor_shapes(folder / WEIGHTS_FILE)
        scales = _scales(read_adapter_config(folder), model)
        ranks = {name: found.get(f"{_PREFIX}{name}{_DOWN}", (0,))[0] for name in scales}
        wanted: dict[str, tuple[int, ...]] = {}
        for name, rank in ranks.items():
            wanted[f"{_PREFIX}{name}{_DOWN}"] = (rank, model.parts[name].inputs)
            wanted[f"{_PREFIX}{name}{_UP}"] = (model.parts[name].rows, rank)
        if not scales or found != wanted:
            raise NotPlainError
        try:
            tensors = Tensors(folder, torch.float32)
            halves = {name: tensors.one(name, shape) for name, shape in wanted.items()}
        except KeyError as error:  # of another number format
            raise NotPlainError from error
        self._pairs[adapter.id] = self._beside(halves, scales)

    def _beside(self, halves: Mapping[str, torch.Tensor], scales: Mapping[str, float]) -> _Layers:
        """Bring the pairs of one product together: their down halves below each other, each up half in its own rows."""
        groups: list[dict[str, list[str]]] = [{} for _ in self._model.layers]
        for name in scales:
            part = self._model.parts[name]
            groups[part.layer].setdefault(part.product, []).append(name)
        result: _Layers = []
        for group in groups:
            here = {}
            for product, names in group.items():
                down = torch.cat([halves[f"{_PREFIX}{name}{_DOWN}"] for name in names])
                up = torch.zeros(self._model.parts[names[0]].outputs, len(down))
                column = 0
                for name in names:
                    half, part = halves[f"{_PREFIX}{name}{_UP}"] * scales[name], self._model.parts[name]
                    up[part.first : part.first + part.rows, column : column + half.shape[1]] = half
                    column += half.shape[1]
                here[product] = Pairs(down.to(self._model.dtype), up.to(self._model.dtype))
            result.append(here)
        return result


def _scales(config: dict[str, Any], model: Llama) -> dict[str, float]:
    """Return the scale of each pair that a configuration promises.

    Raises:
        NotPlainError: where it promises pairs on other modules too, or cannot be read.
    """
    try:
        scales = {name: pair_scale(config, name) for name in (*model.parts, *model.others)}
    except (re.error, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NotPlainError from error
    if any(scales[name] is not None for name in model.others):
        raise NotPlainError
    return {name: scale for name, scale in scales.items() if scale is not None}


def _joined(adapters: Sequence[_Layers]) -> _Layers:
    """Return the pairs of several adapters as those of one."""
    result: _Layers = []
    for layers in zip(*adapters, strict=True):
        products = dict.fromkeys(product for pairs in layers for product in pairs)
        here = {product: [pairs[product] for pairs in layers if product in pairs] for product in products}
        result.append({
            product: Pairs(torch.cat([one.down for one in each]), torch.cat([one.up for one in each], dim=1))
            for product, each in here.items()
        })  # fmt: skip
    return result
