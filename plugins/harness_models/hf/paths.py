"""Finds out by trying which way of generating an architecture allows: in slots, in padded batches, or in plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from harness.api import InputError
from harness_models.hf import graphs
from harness_models.hf.batching import first_line
from harness_models.hf.plain import padded, with_one_more
from harness_models.hf.probing import alike, narrowed
from harness_models.hf.reach import reach_of
from harness_models.hf.slots import Slots

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded

Path = Literal["slots", "padded", "plain"]
"""`slots`: rows come and go. `padded`: batches that wait for their longest row, padded on the left. `plain`: the same
without padding, so that only rows of equal length share a batch."""
_PROBE = 12


def generation_path(loaded: Loaded) -> Path:
    """Return the quickest way whose logits are those of a plain pass; found out once for each loaded model.

    Raises:
        InputError: when none is.
    """
    if loaded.generates is None:
        if loaded.own:  # known by its code
            loaded.generates, loaded.shelves = "slots", True
        elif loaded.equal_lengths:  # rows of other lengths change what a row computes
            loaded.generates = "plain"
        elif not loaded.plain and _agrees_when_narrowed(loaded):
            loaded.generates = "slots"
            _probe_graphs(loaded)
        else:
            loaded.generates = "padded" if _agrees(loaded, _padded) else "plain"
        if loaded.generates == "plain" and not loaded.equal_lengths and not _agrees(loaded, _one_by_one):
            loaded.generates = None
            raise InputError(
                f"a {type(loaded.model).__name__} cannot generate here: with what its cache holds, it does not go on as"
                " from the whole text",
                hint="score with it alone, or use a model of another architecture",
            )
    return loaded.generates


def _agrees_when_narrowed(loaded: Loaded) -> bool:
    """Try slots with a sliding window so narrow that a short probe reaches beyond it."""
    reach = loaded.reach
    config = loaded.model.config.get_text_config()
    try:
        with narrowed(config):
            loaded.reach = reach_of(config) or reach
            loaded.shelves = config._attn_implementation == "sdpa" and _on_shelves(loaded)  # noqa: SLF001
            return loaded.shelves or _agrees(loaded, _in_slots)
    finally:
        loaded.reach = reach


def _on_shelves(loaded: Loaded) -> bool:
    loaded.shelves = True
    return _agrees(loaded, _in_slots)


def _agrees(loaded: Loaded, way: Callable[[Loaded, list[list[int]]], torch.Tensor]) -> bool:
    """Compare logits of two rows of unlike length with those of plain passes."""
    size = loaded.model.config.get_text_config().vocab_size
    long = [(7 * number + 3) % size for number in range(_PROBE)]
    rows = [long, [*long[:4], *((5 * number + 1) % size for number in range(_PROBE // 2 - 2))]]
    expected = [loaded.logits(loaded.hidden(loaded.tensor([row])))[0, -1] for row in rows]
    try:
        found = loaded.logits(way(loaded, rows))
    except (AttributeError, TypeError, RuntimeError, ValueError, KeyError, IndexError):
        return False
    return all(alike(a, b, loaded) for a, b in zip(found, expected, strict=True))


def _in_slots(loaded: Loaded, rows: list[list[int]]) -> torch.Tensor:
    """Run a shared prefix, the rests, a move to another slot, and one step."""
    prefix = Slots(loaded)
    prefix.enter(1, 3)
    prefix.fill([rows[0][:3]])
    slots = Slots(loaded)
    slots.enter(1, 2 * 64)
    slots.fill([rows[0][:-1]])
    slots.enter(2, _PROBE)
    slots.fill([rows[0][:5], rows[1][:-1]], prefix)
    slots.leave(1)
    return slots.step([row[-1] for row in rows], [len(row) - 1 for row in rows])


def _one_by_one(loaded: Loaded, rows: list[list[int]]) -> torch.Tensor:
    """Run each row but for its last token alone, and then one step."""
    import torch
    from transformers import DynamicCache

    found = []
    for row in rows:
        cache = DynamicCache(config=loaded.model.config)
        loaded.hidden(loaded.tensor([row[:-1]]), cache=cache)
        found.append(loaded.hidden(loaded.tensor([row[-1:]]), cache=cache)[:, -1])
    return torch.cat(found)


def _padded(loaded: Loaded, rows: list[list[int]]) -> torch.Tensor:
    """Run the rows but for their last tokens as a padded batch, and then one step."""
    from transformers import DynamicCache

    cache = DynamicCache(config=loaded.model.config)
    ids, mask, positions = padded(loaded, [row[:-1] for row in rows])
    loaded.hidden(ids, mask=mask, positions=positions, cache=cache)
    last = loaded.tensor([[row[-1]] for row in rows])
    return loaded.hidden(last, mask=with_one_more(mask), positions=positions[:, -1:] + 1, cache=cache)[:, -1]


def _probe_graphs(loaded: Loaded) -> None:
    """Find out whether recorded steps give the logits of plain passes; `Loaded.ungraphed` says why not."""
    if graphs.recorder_of(loaded.model.device) is None:
        return
    loaded.graphs = True
    try:
        if not _steps_agree(loaded):
            loaded.ungraphed = "other logits than those of plain passes"
    except Exception as error:  # noqa: BLE001 - whatever stops a recording, steps go on without
        loaded.ungraphed = first_line(error)
    loaded.graphs = not loaded.ungraphed


def _steps_agree(loaded: Loaded) -> bool:
    """Run three rows of unlike length until a step was recorded and ran again; then another shelf, and fewer rows."""
    size = loaded.model.config.get_text_config().vocab_size
    lengths, more = [6, 9, 2], 3 * graphs.WARM
    rows = [[(7 * index + length) % size for index in range(length + more)] for length in lengths]
    expected = [loaded.logits(loaded.hidden(loaded.tensor([row])))[0] for row in rows]
    slots = Slots(loaded)
    slots.enter(len(rows), max(map(len, rows)), 2)
    slots.fill([row[:length] for row, length in zip(rows, lengths, strict=True)])
    for step in range(more):
        if step == graphs.WARM + 3:  # recorded, and run again twice
            slots.widen(1, 100)
            slots.leave(0)  # the last row takes its slot
            rows, lengths, expected = [rows[2], rows[1]], [lengths[2], lengths[1]], [expected[2], expected[1]]
        found = loaded.logits(slots.step([row[at] for row, at in zip(rows, lengths, strict=True)], lengths))
        if not all(alike(one, whole[at], loaded) for one, whole, at in zip(found, expected, lengths, strict=True)):
            return False
        lengths = [length + 1 for length in lengths]
    return True
