"""Runs rows of several adapters in one pass: the base's weights multiply all rows, an adapter's its own.

Where that is not possible (DoRA, whole modules replaced, layers that are not linear), each adapter's rows take turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api import AdapterSpec
    from harness_models.hf.rack import Rack


class Mixer:
    """Makes the adapters of rows active for a pass.

    Args:
        rack: the adapters of the base.
        allowed: whether rows of several adapters may share a pass where that is possible.
    """

    def __init__(self, rack: Rack, *, allowed: bool = True) -> None:
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
        places: dict[str, list[int]] = {}
        for place, wanted in enumerate(adapters):
            for adapter in wanted:
                places.setdefault(adapter.id, []).append(place)
        with self._rack.mixed(places):
            yield
