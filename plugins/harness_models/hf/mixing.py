"""Runs rows of several adapters in one pass: the base's weights multiply all rows, an adapter's its own.

Where that is not possible (DoRA, whole modules replaced, layers that are not linear), each adapter's rows take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from harness.api import AdapterSpec
    from harness_models.hf.adapters import AdapterRack


class Mixer:
    """Makes the adapters of rows active for a pass.

    Args:
        rack: the adapters of the base.
        allowed: whether rows of several adapters may share a pass where that is possible.
    """

    def __init__(self, rack: AdapterRack, *, allowed: bool = True) -> None:
        self._rack = rack
        self._allowed = allowed

    def lane(self, adapters: tuple[AdapterSpec, ...]) -> tuple[str, ...]:
        """Return which rows share passes with these adapters': equal lanes do."""
        ids = tuple(adapter.id for adapter in adapters)
        return () if self._allowed and self._rack.mixable(ids) else ids

    @contextmanager
    def using(self, adapters: Sequence[tuple[AdapterSpec, ...]]) -> Iterator[None]:
        """Let each row of a pass use its own adapters.

        Args:
            adapters: of each row, in the order of the batch.
        """
        distinct = dict.fromkeys(adapters)
        if len(distinct) == 1:
            self._rack.activate(next(iter(distinct)))
            yield
            return
        self._rack.hold([adapter for wanted in distinct for adapter in wanted])
        self._rack.activate(())
        places: dict[str, list[int]] = {}
        for place, wanted in enumerate(adapters):
            for adapter in wanted:
                places.setdefault(adapter.id, []).append(place)
        layers = self._rack.layers
        try:
            for layer in layers:
                layer.forward = _segmented(layer, places)
            yield
        finally:
            for layer in layers:
                vars(layer).pop("forward", None)


def _segmented(layer: Any, places: dict[str, list[int]]) -> Callable[..., torch.Tensor]:  # noqa: ANN401 - peft's layer
    """Return a layer's forward in which each adapter adds its product to its own rows."""
    import torch

    own = [
        (torch.tensor(rows, device=layer.weight.device), layer.lora_A[name], layer.lora_B[name], layer.scaling[name])
        for name, rows in places.items()
        if name in layer.lora_A
    ]

    def forward(given: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:  # noqa: ANN401
        result: torch.Tensor = layer.base_layer(given, *args, **more)
        for rows, down, up, scale in own:
            part = given[rows].to(down.weight.dtype)
            result = result.index_add(0, rows, (up(down(part)) * scale).to(result.dtype))
        return result

    return forward
