"""Generates in batches that wait for their longest row: for architectures that cannot take rows in slots."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from harness_models.hf.batching import Budget, run_batches
from harness_models.hf.sampling import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from harness_models.hf.loading import Loaded
    from harness_models.hf.rows import Generated, Row
    from harness_models.hf.stopping import Decode


def generate_plainly(
    loaded: Loaded,
    rows: Sequence[Row],
    budget: Budget,
    decode: Decode,
    deliver: Callable[[int, Generated | None], None],
    *,
    padding: bool,
) -> None:
    """Continue the rows; see `harness_models.hf.generation.generate`.

    Args:
        loaded: the model.
        rows: what to continue.
        budget: how much one batch may hold.
        decode: token ids to text.
        deliver: called once for each row's index.
        padding: whether rows of unlike length may share a batch, padded on the left.
    """
    groups = [list(rows)] if padding else _of_equal_length(rows)
    finished: set[int] = set()

    def once(index: int, generated: Generated | None) -> None:
        finished.add(index)
        deliver(index, generated)

    for group in groups:

        def run(batch: list[int], group: list[Row] = group) -> None:
            left = [group[place] for place in batch if group[place].index not in finished]
            # What a lost batch had said already is kept, so rows that began alike may have come apart.
            for same in ([left] if left else []) if padding else _of_equal_length(left):
                _run_batch(loaded, same, decode, once)

        def give_up(place: int, group: list[Row] = group) -> None:
            once(group[place].index, None)

        run_batches([row.full_length for row in group], budget, run, give_up)


def _of_equal_length(rows: Sequence[Row]) -> list[list[Row]]:
    ordered = sorted(rows, key=lambda row: (-row.length, row.index))
    return [list(same) for _, same in groupby(ordered, key=lambda row: row.length)]


def padded(loaded: Loaded, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, mask and positions, each (B, L), of rows padded on the left."""
    longest = max(map(len, rows))
    ids = loaded.tensor([[*[0] * (longest - len(row)), *row] for row in rows])
    mask = loaded.tensor([[*[0] * (longest - len(row)), *[1] * len(row)] for row in rows])
    return ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0)


def _run_batch(
    loaded: Loaded, rows: list[Row], decode: Decode, deliver: Callable[[int, Generated | None], None]
) -> None:
    """Generate until every row is finished."""
    from transformers import DynamicCache

    cache = DynamicCache(config=loaded.model.config)
    for row in rows:
        row.join(len(rows))
    ids, mask, positions = padded(loaded, [row.ids for row in rows])
    even = len({row.length for row in rows}) == 1
    while True:
        given: dict[str, Any] = {} if even else {"mask": mask, "positions": positions}
        hidden = loaded.hidden(ids, cache=cache, **given)
        tokens = choose(loaded.logits(hidden[:, -1]), rows)
        live = []
        for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            generated = row.take(token, loaded.end_ids, decode)
            if generated is None:
                live.append(place)
            else:
                deliver(row.index, generated)
        if not live:
            return
        rows = [rows[place] for place in live]
        ids = loaded.tensor([[tokens[place]] for place in live])
        positions = positions[:, -1:] + 1
        mask = with_one_more(mask)
        if len(live) < mask.shape[0]:
            kept = loaded.tensor(live)
            # Not batch_select_indices, which layers without attention lack.
            cache.reorder_cache(kept)
            mask, positions = mask[kept], positions[kept]


def with_one_more(mask: torch.Tensor) -> torch.Tensor:
    """Return the mask (B, L) with a column of ones behind it."""
    import torch

    return torch.cat([mask, mask.new_ones(mask.shape[0], 1)], dim=1)
