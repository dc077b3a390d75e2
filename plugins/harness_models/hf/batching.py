"""How rows share passes: prefixes that many have in common, batches of like length, and less when memory runs out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness_models.hf.planning import common

if TYPE_CHECKING:
    from harness_models.hf.loading import Loaded

Result = TypeVar("Result")

_SHORTEST_PREFIX = 16
"""A shorter common prefix is not worth a pass of its own."""
_SMALLEST_CLUSTER = 4
BLOCK = 128
"""Tokens of a block of a mask by blocks: what the kernels of torch's `flex_attention` are tuned for."""
_NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""What torch, its allocator on a CPU, and the libraries that it calls on a GPU say."""


@dataclass(kw_only=True)
class Budget:
    """How much one batch may hold. It shrinks when memory runs out, and stays shrunk."""

    tokens: int
    """Rows times their longest length, in one pass."""
    rows: int
    """Sequences in one pass."""
    pack: int = 384
    """Most tokens of one packed sequence of many paths."""
    cached: int = 32_768
    """Tokens whose keys and values are held at a time."""
    mask: int = 2**26
    """Most elements of one mask: rows times their longest length times that with the prefix before it, if it is dense;
    if it is by blocks, blocks of queries times blocks of keys, each of which takes half of an element's bytes."""

    def halve(self) -> bool:
        """Allow half as much; False when a single row is the least there is."""
        if self.rows <= 1:
            return False
        self.rows = max(1, self.rows // 2)
        self.tokens = max(1, self.tokens // 2)
        self.cached = max(1, self.cached // 2)
        self.mask = max(1, self.mask // 2)
        return True


def batches(lengths: Sequence[int], budget: Budget, behind: int = 0, *, joined: bool = False) -> list[list[int]]:
    """Group indices by length, longest first, so that too large a batch fails early. A row always fits alone.

    Args:
        lengths: of the rows.
        budget: what a batch may hold.
        behind: tokens of the prefix that all stand behind, which a mask has columns for.
        joined: whether rows stand behind each other as one sequence under a mask by blocks, so that none is padded.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    result: list[list[int]] = []
    for index in order:
        last = result[-1] if result else []
        if joined:
            tokens = sum(lengths[one] for one in last) + lengths[index]
            mask = -(-tokens // BLOCK) * -(-(behind + tokens) // BLOCK)
        else:
            tokens = (len(last) + 1) * lengths[last[0]] if last else 0
            mask = tokens * (behind + lengths[last[0]]) if last else 0
        fits = last and tokens <= budget.tokens and mask <= budget.mask
        if fits and len(last) < budget.rows:
            last.append(index)
        else:
            result.append([index])
    return result


def common_prefix(rows: Sequence[tuple[int, ...]]) -> int:
    """Return how many leading tokens all rows have in common."""
    return common(min(rows), max(rows))  # in lexicographic order the first and the last differ earliest


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Rows that begin alike."""

    prefix: int
    """Leading tokens in common, to be computed once; 0 where it is not worth it."""
    members: tuple[int, ...]


def clusters(rows: Sequence[tuple[int, ...]]) -> list[Cluster]:
    """Group rows by long common prefixes. The last token of a row never counts as prefix: its logits are needed.

    Rows in lexicographic order are walked once: a row joins while it keeps at least half of the prefix. Small groups
    are gathered again, because many small batches cost more than they save.
    """
    order = sorted(range(len(rows)), key=lambda index: rows[index])
    groups: list[tuple[int, list[int]]] = []
    for index in order:
        row = rows[index]
        if groups:
            prefix, members = groups[-1]
            shared = min(common_prefix([row, rows[members[0]]]), prefix)
            if shared >= _SHORTEST_PREFIX and (2 * shared >= prefix or len(members) == 1):
                members.append(index)
                groups[-1] = (min(shared, len(row) - 1), members)
                continue
        groups.append((len(row) - 1, [index]))
    large = [(prefix, members) for prefix, members in groups if len(members) >= _SMALLEST_CLUSTER]
    rest = [index for _, members in groups if len(members) < _SMALLEST_CLUSTER for index in members]
    result = [Cluster(prefix=prefix, members=tuple(members)) for prefix, members in large]
    if rest:
        shared = min(common_prefix([rows[index] for index in rest]), *(len(rows[index]) - 1 for index in rest))
        worth = shared >= _SHORTEST_PREFIX and len(rest) > 1
        result.append(Cluster(prefix=shared if worth else 0, members=tuple(sorted(rest))))
    return result


def run_batches(
    lengths: Sequence[int], budget: Budget, run: Callable[[list[int]], None], give_up: Callable[[int], None]
) -> None:
    """Call `run(indices)` for batches within the budget; on lost memory halve the budget and go on with what is left.

    `run` may be called again with indices that it has delivered in part: it must skip those. `give_up(index)` is called
    for a row that does not fit even alone.
    """
    queue = batches(lengths, budget)
    while queue:
        batch = queue.pop(0)
        if out_of_memory(lambda batch=batch: run(batch)):  # type: ignore[misc]
            left = [index for rest in queue for index in rest]
            if len(batch) == 1 and not budget.halve():
                give_up(batch[0])
            else:
                budget.rows = min(budget.rows, len(batch))
                budget.halve()
                left = batch + left
            queue = [[left[i] for i in group] for group in batches([lengths[index] for index in left], budget)]


def out_of_memory(work: Callable[[], None]) -> bool:
    """Do the work; tell whether memory ran out, after freeing what it held."""
    try:
        work()
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
    else:
        return False
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return True


def is_memory(error: Exception) -> bool:
    """Tell whether an exception says that memory ran out."""
    text = str(error)
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def first_line(error: Exception) -> str:
    """Return what an exception says, in short, for a record."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"


def or_dense(loaded: Loaded, work: Callable[[], Result]) -> Result:
    """Do work; where a kernel fails that the probe at load did not meet, do it again, under dense masks from then on.

    Args:
        loaded: the model; its `dense` then says why.
        work: passes that may be done again, and that choose their masks by `loaded`.
    """
    over_blocks = loaded.blocks
    try:
        return work()
    except Exception as error:
        if not over_blocks or is_memory(error):
            raise
        if loaded.blocks:  # else the work holds other work that said so already
            loaded.blocks, loaded.dense = False, first_line(error)
    return work()
