"""Log-likelihoods over a loaded model: a token that many requests have in common is forwarded once.

`planning` cuts the trie of all requests into packs and prefixes, `layout` turns a pack into one sequence under a tree
mask; here they are run. Logits are made only where a token is to be scored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness_models.hf.batching import Budget, batches, or_dense, out_of_memory
from harness_models.hf.layout import Layout, joined, lay_out, tree_mask
from harness_models.hf.planning import Branches, Group, Pack, Plan, Prefix, plan, separate

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded
    from harness_models.hf.prefix import KeptPrefix

_LOGIT_BYTES = {"cpu": 16 * 2**20}
_MORE_LOGIT_BYTES = 256 * 2**20
"""Most bytes of float32 logits at a time, by kind of device; a GPU is not busy with less."""

Deliver = Callable[[int, "Scored | None"], None]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The score of one continuation."""

    logprob: float
    """Natural logarithm, summed over the tokens."""
    is_greedy: bool


@dataclass(frozen=True, kw_only=True)
class Scored:
    """All scores of one context."""

    scores: tuple[Score, ...]
    seconds: float
    """From the start of the batch that completed it."""
    batch: int
    """Contexts in that batch."""


def score(
    loaded: Loaded,
    rows: Sequence[Branches],
    budget: Budget,
    deliver: Deliver,
    begun: tuple[Prefix, KeptPrefix] | None = None,
) -> None:
    """Score every continuation of every row; `deliver(index, None)` where memory does not suffice for one path.

    Results do not depend on what shares a batch, but for rounding (below 1e-3 in float32).

    Args:
        loaded: the model, with the wanted adapters active.
        rows: what to score.
        budget: how much may be in flight; shrinks when memory runs out.
        deliver: called once for each row.
        begun: what all contexts begin with, where it is at hand; see `harness_models.hf.beginnings`.
    """
    import torch

    from harness_models.hf.prefix import KeptPrefix

    if not rows:
        return
    behind = None if begun is None else begun[0]
    trie = separate(rows) if loaded.plain else plan(rows, pack_tokens=budget.pack, window=loaded.window, behind=behind)
    scores = _Scores(rows, deliver)
    with torch.inference_mode():
        held = [] if begun is None else [begun]  # from the root down to the current group's
        for group in trie.groups:
            parent = None if group.prefix is None else group.prefix.parent
            while held and held[-1][0] not in (parent, group.prefix):
                held.pop()
            if group.prefix is not None and not (held and held[-1][0] is group.prefix):
                above = held[-1][1] if held else None
                held.append((group.prefix, KeptPrefix(loaded, group.prefix.tokens, above)))
            _run_group(loaded, rows, trie, group, held[-1][1] if held else None, budget, scores)


class _Scores:
    """Collects the scores of a row's continuations, and delivers the row when it has all."""

    def __init__(self, rows: Sequence[Branches], deliver: Deliver) -> None:
        self._deliver = deliver
        self._found: list[dict[int, Score | None]] = [{} for _ in rows]
        self._wanted = [len(row.continuations) for row in rows]

    def add(self, row: int, number: int, score: Score | None, seconds: float, batch: int) -> None:
        found = self._found[row]
        found[number] = score
        if len(found) < self._wanted[row]:
            return
        scores = tuple(score for _, score in sorted(found.items()) if score is not None)
        whole = len(scores) == self._wanted[row]
        self._deliver(row, Scored(scores=scores, seconds=seconds, batch=batch) if whole else None)


def _run_group(
    loaded: Loaded, rows: Sequence[Branches], trie: Plan, group: Group, prefix: KeptPrefix | None, budget: Budget,
    scores: _Scores,
) -> None:  # fmt: skip
    """Run the packs behind one prefix, batched by length; on lost memory with less at a time, down to one path."""
    queue = batched(group.packs, budget, loaded=loaded, depth=group.depth)
    while queue:
        batch = queue.pop(0)
        begin, lone = time.perf_counter(), -1
        found: dict[int, Score | None] = {}
        if out_of_memory(lambda batch=batch, found=found: found.update(_run_batch(loaded, rows, trie, batch, prefix))):  # type: ignore[misc]
            left = [pack for rest in queue for pack in rest]
            budget.halve()
            if len(batch) == 1:
                lone = batch[0].first
                batch = _smaller(trie, batch[0], group.depth)
                budget.pack = max(1, budget.pack // 2)
            queue = batched([*batch, *left], budget, loaded=loaded, depth=group.depth)
            if batch:
                continue
            found = {lone: None}
        seconds = time.perf_counter() - begin
        contexts = len({trie.paths[index].row for index in found})
        for index, one in found.items():
            scores.add(trie.paths[index].row, trie.paths[index].number, one, seconds, contexts)


def batched(packs: Sequence[Pack], budget: Budget, *, loaded: Loaded | None = None, depth: int = 0) -> list[list[Pack]]:
    """Group packs by length; those without branches apart, since they need no mask.

    Args:
        packs: behind one prefix.
        budget: what a batch may hold.
        loaded: the model, where it is known: only packs of equal length may share a batch, or none is padded.
        depth: tokens of that prefix.
    """
    equal = loaded is not None and loaded.equal_lengths
    kinds: dict[tuple[bool, int], list[Pack]] = {}
    for pack in packs:
        kinds.setdefault((not pack.branching, pack.size if equal else 0), []).append(pack)
    behind = 0 if loaded is not None and loaded.apart else depth
    result = []
    for (linear, _), alike in sorted(kinds.items()):
        one = loaded is not None and loaded.joins(branching=not linear, depth=depth)
        found = batches([pack.size for pack in alike], budget, behind, joined=one)
        result += [[alike[index] for index in batch] for batch in found]
    return result


def _smaller(trie: Plan, pack: Pack, depth: int) -> list[Pack]:
    """Return the halves of a pack; nothing where it is a single path."""
    middle = (pack.first + pack.last) // 2
    return [
        _part(trie, pack, depth, first, last)
        for first, last in ((pack.first, middle), (middle, pack.last))
        if pack.last - pack.first > 1
    ]


def _part(trie: Plan, pack: Pack, depth: int, first: int, last: int) -> Pack:
    """Return a part of a pack, as a pack of its own."""
    size = len(trie.paths[first].tokens) - depth
    size += sum(len(trie.paths[index].tokens) - trie.paths[index].shared for index in range(first + 1, last))
    return Pack(first=first, last=last, size=size, branching=pack.branching)


# ---------------------------------------------------------------- one batch


def _run_batch(
    loaded: Loaded, rows: Sequence[Branches], trie: Plan, batch: Sequence[Pack], prefix: KeptPrefix | None
) -> dict[int, Score]:
    """Forward a batch; return the scores of its paths."""
    return or_dense(loaded, lambda: _run(loaded, rows, trie, batch, prefix))


def _run(
    loaded: Loaded, rows: Sequence[Branches], trie: Plan, batch: Sequence[Pack], prefix: KeptPrefix | None
) -> dict[int, Score]:
    depth, cache = (0, None) if prefix is None else (prefix.depth, prefix.behind())
    layouts = [lay_out(trie, pack, depth, rows) for pack in batch]
    one = loaded.joins(branching=batch[0].branching, depth=depth)
    if one:
        layouts = [joined(layouts)]
    longest = max(len(item.tokens) for item in layouts)
    ids = loaded.tensor([item.tokens + [0] * (longest - len(item.tokens)) for item in layouts])
    # Padding stands on the right, where no real token looks: under the causal mask it needs no mask of its own.
    mask = positions = None
    if batch[0].branching or one:
        mask = tree_mask(loaded, layouts, longest, 0 if loaded.apart else depth)
        positions = loaded.tensor([item.positions + [0] * (longest - len(item.positions)) for item in layouts])
    points = sorted({(place, state) for place, item in enumerate(layouts) for _, state, _ in item.reads})
    places, states = loaded.tensor([*zip(*points, strict=True)])
    hidden = loaded.hidden(ids, mask=mask, positions=positions, cache=cache, at=(places, states))
    return _read(loaded, hidden, points, layouts)


def _read(
    loaded: Loaded, states: torch.Tensor, points: Sequence[tuple[int, int]], layouts: Sequence[Layout]
) -> dict[int, Score]:
    """Turn the states (N, H) that predict scored tokens into the scores of paths.

    Args:
        loaded: the model.
        states: one for each of the points.
        points: layout and index in it.
        layouts: the batch.
    """
    import torch

    device = states.device
    wanted = [(place, state, token) for place, item in enumerate(layouts) for _, state, token in item.reads]
    where = {point: index for index, point in enumerate(points)}
    at = torch.tensor([where[place, state] for place, state, _ in wanted], device=device)
    tokens = torch.tensor([token for _, _, token in wanted], device=device)
    logprobs = torch.empty(len(wanted), device=device)
    greedy = torch.empty(len(wanted), dtype=torch.bool, device=device)
    most = _LOGIT_BYTES.get(loaded.place.device, _MORE_LOGIT_BYTES)
    step = max(1, most // (loaded.model.config.get_text_config().vocab_size * 4))
    for start in range(0, len(points), step):
        logits = loaded.logits(states[start : start + step])
        here = ((at >= start) & (at < start + step)).nonzero(as_tuple=True)[0]
        local, token = at[here] - start, tokens[here]
        chosen = logits[local, token]
        top, likeliest = logits.max(dim=-1)  # with the first of equal ones; an argmax alone takes three times as long
        greedy[here] = likeliest[local] == token
        # Not log_softmax, whose sum over a vocabulary in float32 is off by some 1e-5, always to one side.
        total = logits.sub_(top[:, None]).exp_().sum(dim=-1).log_()
        logprobs[here] = chosen - top[local] - total[local]
    owners = [index for item in layouts for index, _, _ in item.reads]
    sums: dict[int, tuple[float, bool]] = {}
    for index, logprob, is_greedy in zip(owners, logprobs.clamp(max=0.0).tolist(), greedy.tolist(), strict=True):
        before, all_greedy = sums.get(index, (0.0, True))
        sums[index] = (before + logprob, all_greedy and is_greedy)
    return {index: Score(logprob=logprob, is_greedy=greedy) for index, (logprob, greedy) in sums.items()}
