"""Decoding steps of fixed shapes, which a GPU records once and then runs again without Python: CUDA graphs.

A step of few rows launches hundreds of small kernels, and launching takes longer than they do. What is recorded reads
and writes at fixed addresses, so that tokens and positions are put into buffers before it runs again. Rows are filled
up to a bucket and columns to a multiple, so that few shapes occur; what belongs to a shelf that was resized, emptied or
moved, or to other adapters, is dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import torch

from harness_models.hf.batching import first_line, is_memory

if TYPE_CHECKING:
    from harness_models.hf.loading import Loaded
    from harness_models.hf.shelf import Shelf
    from harness_models.hf.slots import Slots, Written

WARM = 4
"""Steps of a shape that run as they are before it is recorded: a shape that soon changes is not worth that."""
_MOST = 32
"""Shapes kept, the most recently used."""
_COLUMNS = 256
"""Columns that a step attends over come in multiples of it."""
_RECORDING = Lock()
"""A process may record one graph at a time; replicas on other GPUs wait."""


class Recorder(Protocol):
    """Makes a function over buffers quicker to run again."""

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Return what does the same again, at the same addresses; may run the function, but need not."""
        ...


class CudaRecorder:
    """Records by `torch.cuda.CUDAGraph`.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()  # shared: only one of them runs at a time

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Run a function once on the stream that it is recorded on, and then record it."""
        with _RECORDING, torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                function()
            current.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            try:  # other threads may use other GPUs meanwhile
                with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                    function()
            finally:
                torch.cuda.set_stream(current)  # a recording that fails leaves its own
        return graph.replay


def recorder_of(device: torch.device) -> Recorder | None:
    """Return what records steps on a device; None where nothing does."""
    return CudaRecorder(device) if device.type == "cuda" else None


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The rows of a shelf in a step."""

    shelf: Shelf
    made: int
    """Tells its storage from any other."""
    rows: int
    """Its first ones, in use or not."""
    end: int
    """Columns that they attend over."""


@dataclass(eq=False)
class _Fixed:
    """A step of one shape, with its buffers."""

    given: torch.Tensor
    """Tokens, positions, and the row of each slot, (3, R)."""
    run: Callable[[], None]
    """As it is, or as it was recorded."""
    out: list[torch.Tensor]
    """The hidden states (R, H), once it was run."""
    steps: int = 0


_Shape = tuple[tuple[str, ...], tuple[_Place, ...]]
"""Ids of the active adapters, and the places."""


class FixedSteps:
    """The steps of some slots.

    Args:
        loaded: the model; its `adapted` says when what was recorded is out of date.
        slots: whose passes they are; a weak reference will do, and makes no circle.
    """

    def __init__(self, loaded: Loaded, slots: Slots) -> None:
        self._loaded = loaded
        self._slots = slots
        self._recorder = recorder_of(loaded.model.device)
        self._fixed: OrderedDict[_Shape, _Fixed] = OrderedDict()
        self._adapted = loaded.adapted

    def step(self, shelves: Collection[Shelf], tokens: Sequence[int], lengths: Sequence[int]) -> torch.Tensor:
        """Run one more token of each row; return the hidden states (B, H).

        Args:
            shelves: those in use.
            tokens: the newest token of the row in each slot.
            lengths: how many tokens of it are in its slot already.
        """
        places = []
        for shelf in shelves:
            longest = max(lengths[slot] for slot in shelf.slots)
            end = min(-(-(longest + 1) // _COLUMNS) * _COLUMNS, shelf.columns)
            shelf.reach(lengths)
            rows = min(_bucket(len(shelf.slots)), shelf.rows)
            places.append(_Place(shelf=shelf, made=shelf.made, rows=rows, end=end))
        fixed = self._of(tuple(places))
        ids, positions, order = ([0] * fixed.given.shape[1] for _ in range(3))
        first = 0
        for place in places:
            for row, slot in enumerate(place.shelf.slots, start=first):
                ids[row], positions[row], order[slot] = tokens[slot], lengths[slot], row
            first += place.rows
        fixed.given.copy_(torch.tensor([ids, positions, order]))
        fixed.steps += 1
        if fixed.steps == WARM + 1 and self._recorder is not None:
            fixed.run = self._recorded(fixed.run, self._recorder)
        fixed.run()
        return fixed.out[0][fixed.given[2, : len(tokens)]]

    def let_go(self) -> None:
        """Drop what belongs to shelves that are empty or have another storage now."""
        for shape in list(self._fixed):
            if any(not place.shelf.slots or place.made != place.shelf.made for place in shape[1]):
                del self._fixed[shape]

    def _of(self, places: tuple[_Place, ...]) -> _Fixed:
        """Return the step of a shape, made where it is not at hand."""
        if self._adapted != self._loaded.adapted:
            self._fixed.clear()
            self._adapted = self._loaded.adapted
        shape = (self._loaded.active, places)
        if shape not in self._fixed:
            self.let_go()
            self._fixed[shape] = self._make(places)
        self._fixed.move_to_end(shape)
        while len(self._fixed) > _MOST:
            self._fixed.popitem(last=False)
        return self._fixed[shape]

    def _make(self, places: tuple[_Place, ...]) -> _Fixed:
        device = self._loaded.model.device
        given = torch.zeros(3, sum(place.rows for place in places), dtype=torch.long, device=device)
        written: list[Written] = []
        first = 0
        for place in places:
            own = slice(first, first + place.rows)
            written.append((place.shelf, own, torch.arange(place.rows, device=device), given[1, own], place.end))
            first += place.rows
        out: list[torch.Tensor] = []
        slots = self._slots
        before = max(place.end for place in places) - 1  # the same however long the rows are

        def run() -> None:
            hidden = slots.forward(given[0], given[1], written, before)
            if out:
                out[0].copy_(hidden)
            else:
                out.append(hidden.clone())

        return _Fixed(given=given, run=run, out=out)

    def _recorded(self, run: Callable[[], None], recorder: Recorder) -> Callable[[], None]:
        try:
            return recorder.record(run)
        except RuntimeError as error:
            if is_memory(error):
                raise
            self._recorder, self._loaded.graphs, self._loaded.ungraphed = None, False, first_line(error)
            return run


def _bucket(rows: int) -> int:
    """Return how many rows a step of so many runs: 1, 2, 4, 8, 16, 24 and so on."""
    return 1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8
