"""Finds out by trying, not by a list of names, which shortcuts an architecture allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness_models.hf.batching import first_line
from harness_models.hf.layout import joined, lay_out, tree_mask
from harness_models.hf.planning import Branches, plan
from harness_models.hf.reach import reach_of, rotates_by_length

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded

_PROBE = 12
"""Tokens of a probe."""
_FAILS = (AttributeError, TypeError, RuntimeError, ValueError, KeyError, IndexError)
"""What an architecture raises that cannot take what it is given; a compiler of kernels may raise anything."""
_LONG_PROBE = 300
"""The same where it is to reach over several blocks."""
_WINDOW = 5
"""A sliding window is narrowed to this while probing, so that a short probe reaches beyond it."""
_EXACT = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}
"""Most of what the same operations done once more may differ by, about a unit in the last place."""


def probe(loaded: Loaded) -> None:
    """Set what `loaded` may do: take body and head apart, and share prefixes and sequences.

    What fails here is done the plain way, and `Loaded.plain` says why.
    """
    config = loaded.model.config.get_text_config()
    rows = _rows(loaded, _PROBE)
    whole = loaded.model(input_ids=loaded.tensor(rows), use_cache=False).logits.float()
    ids = loaded.tensor(rows[:1])
    loaded.split = _find_head(loaded, ids, whole[:1])
    reach = reach_of(config)
    loaded.equal_lengths = rotates_by_length(config)
    if loaded.equal_lengths:
        loaded.plain = "its rotary embedding depends on the longest sequence of a pass"
    elif reach is None:
        loaded.plain = "its layers are not all attention over everything or over a window"
    else:
        loaded.reach = reach
        with narrowed(config):
            loaded.reach = reach_of(config) or reach
            same = getattr(config, "sliding_window", None) is None  # else the plain passes are to be narrow too
            if _disagrees(loaded, rows, whole if same else None):
                loaded.plain = "a tree mask behind a cached prefix changes its scores"
            elif _by_blocks(loaded.place.device):
                loaded.blocks = True
                loaded.dense = _disagrees(loaded, _rows(loaded, min(_LONG_PROBE, loaded.window)), None)
                loaded.blocks = not loaded.dense
        loaded.reach = reach


@contextmanager
def narrowed(config: Any) -> Iterator[None]:  # noqa: ANN401 - a transformers configuration
    window = getattr(config, "sliding_window", None)
    if window is not None:
        config.sliding_window = min(window, _WINDOW)
    try:
        yield
    finally:
        if window is not None:
            config.sliding_window = window


def _find_head(loaded: Loaded, ids: torch.Tensor, whole: torch.Tensor) -> bool:
    """Find what the head does besides multiplying; False where nothing that we know of.

    The right one repeats the model's own operations, so the nearest is taken, and must be as good as exact: a soft cap
    changes small logits by less than two passes in bfloat16 may differ.
    """
    tried = []
    for after in _heads(loaded.model.config.get_text_config()):
        loaded.after_head = after
        try:
            tried.append((distance(loaded.logits(loaded.hidden(ids)), whole), after))
        except (AttributeError, TypeError, RuntimeError):
            break
    nearest, loaded.after_head = min(tried, key=lambda one: one[0], default=(math.inf, None))
    if nearest <= _EXACT[loaded.place.dtype]:
        return True
    loaded.after_head = None
    return False


def _heads(config: Any) -> list[Callable[[torch.Tensor], torch.Tensor] | None]:  # noqa: ANN401
    """What architectures do to logits after the head: nothing, a soft cap (Gemma 2), a scale (Cohere, Granite)."""
    found: list[Callable[[torch.Tensor], torch.Tensor] | None] = [None]
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        found.append(lambda logits: (logits / cap).tanh() * cap)
    times = getattr(config, "logit_scale", None)
    if times:
        found.append(lambda logits: logits * times)
    divided = getattr(config, "logits_scaling", None)
    if divided:
        found.append(lambda logits: logits / divided)
    return found


def alike(found: torch.Tensor, expected: torch.Tensor, loaded: Loaded) -> bool:
    """Tell whether two sets of logits differ by rounding alone: a wrong mask is off by far more."""
    return distance(found, expected) <= (1e-3 if loaded.place.dtype == "float32" else 0.1)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far logits are from the expected ones, as a share of their spread; infinite for other shapes."""
    if found.shape != expected.shape:
        return math.inf
    apart, spread = float((found - expected).norm()), float((expected - expected.mean()).norm())
    if math.isnan(apart):
        return math.inf
    return apart / spread if spread > 0 else (math.inf if apart > 0 else 0.0)


def _by_blocks(device: str) -> bool:
    """Tell whether a device is of the kind that attends over blocks."""
    return device.startswith("cuda")


def _rows(loaded: Loaded, length: int) -> list[list[int]]:
    """Return two rows that part, the second with the end of the first turned round."""
    size, fork = loaded.model.config.get_text_config().vocab_size, length * 2 // 3
    ids = [(7 * index + 3) % size for index in range(length)]
    return [ids, [*ids[:fork], *ids[fork:][::-1]]]


def _disagrees(loaded: Loaded, rows: list[list[int]], whole: torch.Tensor | None) -> str:
    """Compare two paths behind a cached prefix, in one sequence under a mask, with plain passes; say what is wrong.

    Over blocks, that sequence stands there twice.

    Args:
        loaded: the model.
        rows: the paths with a token behind each.
        whole: the logits of plain passes over the rows, where they are known.
    """
    import torch

    from harness_models.hf.prefix import KeptPrefix

    half, fork = len(rows[0]) // 2, len(rows[0]) * 2 // 3
    branches = [Branches(context=tuple(rows[0][:fork]), continuations=tuple(tuple(row[fork:]) for row in rows))]
    trie = plan(branches, pack_tokens=10 * len(rows[0]))
    layout = lay_out(trie, trie.groups[0].packs[0], half, branches)
    copies, faults = (2, (Exception,)) if loaded.blocks else (1, _FAILS)
    if copies > 1:
        layout = joined([layout] * copies)
    try:
        hidden = loaded.hidden(
            loaded.tensor([layout.tokens]),
            mask=tree_mask(loaded, [layout], len(layout.tokens), half),
            positions=loaded.tensor([layout.positions]),
            cache=KeptPrefix(loaded, tuple(rows[0][:half]), None).behind(),
        )
        found = loaded.logits(hidden[0])
        for index, path in enumerate(trie.paths):
            if whole is None:
                plain = loaded.logits(loaded.hidden(loaded.tensor([path.tokens])))[0, fork - 1 :]
            else:
                plain = whole[path.number, fork - 1 : -1]
            states = [state for read, state, _ in layout.reads if read == index]
            if not alike(found[states], torch.cat([plain] * copies), loaded):
                return "other scores than those of plain passes"
    except faults as error:
        return first_line(error)
    return ""
