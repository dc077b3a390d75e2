"""Log-likelihoods over a loaded model: one pass for a context and all its continuations.

A context and its continuations are laid out in one row. Every continuation sees the context and itself, through a
mask, at the positions it would have alone; single-token continuations need nothing but the context's last logits. A
prefix that many contexts share is computed once. Logits are made only where a token is to be scored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness_models.hf.batching import Budget, Cluster, clusters, run_batches

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded

_LOGIT_BYTES = 256 * 2**20
"""Most bytes of float32 logits at a time."""


@dataclass(frozen=True, kw_only=True)
class Branches:
    """One context and what might follow it, as token ids; neither the context nor a continuation is empty."""

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


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
    """From the start of its batch."""
    batch: int
    """Contexts in the batch."""


def score(
    loaded: Loaded, rows: Sequence[Branches], budget: Budget, deliver: Callable[[int, Scored | None], None]
) -> None:
    """Score every continuation of every row; `deliver(index, None)` where memory does not suffice for one row.

    Results do not depend on what shares a batch, but for rounding (below 1e-3 in float32).
    """
    import torch

    if not rows:
        return
    if loaded.shares:
        plan = clusters([row.context for row in rows])
    else:
        rows, deliver = _unrolled(rows, deliver)
        plan = [Cluster(prefix=0, members=tuple(range(len(rows))))]
    with torch.inference_mode():
        for prefix, members in ((cluster.prefix, cluster.members) for cluster in plan):
            laid = [_lay_out(rows[index], prefix) for index in members]
            cache = _Prefix(loaded, rows[members[0]].context[:prefix])

            def run(
                batch: list[int], laid: list[_Row] = laid, cache: _Prefix = cache, members: tuple[int, ...] = members
            ) -> None:
                begin = time.perf_counter()
                results = _score_batch(loaded, [laid[index] for index in batch], cache)
                seconds = time.perf_counter() - begin
                for index, scores in zip(batch, results, strict=True):
                    deliver(members[index], Scored(scores=scores, seconds=seconds, batch=len(batch)))

            def give_up(index: int, members: tuple[int, ...] = members) -> None:
                deliver(members[index], None)

            run_batches([len(row.tokens) for row in laid], budget, run, give_up)


def _unrolled(
    rows: Sequence[Branches], deliver: Callable[[int, Scored | None], None]
) -> tuple[list[Branches], Callable[[int, Scored | None], None]]:
    """One row for each continuation, for architectures in which branches cannot share a row."""
    flat, home = [], []
    parts: list[dict[int, Scored | None]] = [{} for _ in rows]
    for index, row in enumerate(rows):
        for number, continuation in enumerate(row.continuations):
            flat.append(Branches(context=row.context, continuations=(continuation,)))
            home.append((index, number))

    def gather(position: int, scored: Scored | None) -> None:
        index, number = home[position]
        parts[index][number] = scored
        if len(parts[index]) == len(rows[index].continuations):
            found = [parts[index][number] for number in range(len(parts[index]))]
            whole = [scored for scored in found if scored is not None]
            if len(whole) < len(found):
                deliver(index, None)
                return
            scores = tuple(scored.scores[0] for scored in whole)
            seconds = max(scored.seconds for scored in whole)
            deliver(index, Scored(scores=scores, seconds=seconds, batch=whole[0].batch))

    return flat, gather


# ---------------------------------------------------------------- one batch


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One context without the shared prefix, and its continuations behind it."""

    tokens: list[int]
    positions: list[int]
    branch: list[int]
    """0 for the context, 1, 2, … for the continuations."""
    targets: list[list[tuple[int, int]]]
    """For each continuation, for each of its tokens: index of the state that predicts it, and the token."""


def _lay_out(row: Branches, prefix: int) -> _Row:
    context = row.context[prefix:]
    tokens, branch = list(context), [0] * len(context)
    positions = list(range(prefix, prefix + len(context)))
    targets = []
    for number, continuation in enumerate(row.continuations, start=1):
        sources = [len(context) - 1, *range(len(tokens), len(tokens) + len(continuation) - 1)]
        targets.append(list(zip(sources, continuation, strict=True)))
        tokens += continuation[:-1]
        branch += [number] * (len(continuation) - 1)
        positions += range(len(row.context), len(row.context) + len(continuation) - 1)
    return _Row(tokens=tokens, positions=positions, branch=branch, targets=targets)


class _Prefix:
    """The cached states of a shared prefix, computed when first used."""

    def __init__(self, loaded: Loaded, tokens: tuple[int, ...]) -> None:
        self._loaded = loaded
        self._tokens = tokens
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def expanded(self, rows: int) -> Any:  # noqa: ANN401 - a transformers cache
        """Return a fresh cache that holds the prefix for so many rows; None where there is no prefix."""
        if not self._tokens:
            return None
        if not self._layers:
            cache = self._loaded.new_cache()
            self._loaded.hidden(self._loaded.tensor([self._tokens]), cache=cache)
            self._layers = [(layer.keys, layer.values) for layer in cache.layers]
        cache = self._loaded.new_cache()
        for index, (keys, values) in enumerate(self._layers):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
        return cache


def _score_batch(loaded: Loaded, rows: Sequence[_Row], prefix: _Prefix) -> list[tuple[Score, ...]]:
    longest = max(len(row.tokens) for row in rows)
    ids = loaded.tensor([row.tokens + [0] * (longest - len(row.tokens)) for row in rows])
    # Padding stands on the right, where no real token looks: under the causal mask it needs no mask of its own.
    plain = all(max(row.branch) <= 1 for row in rows)
    mask = positions = None
    if not plain:
        mask = _branch_mask(loaded, rows, longest, len(prefix))
        positions = loaded.tensor([row.positions + [0] * (longest - len(row.tokens)) for row in rows])
    hidden = loaded.hidden(ids, mask=mask, positions=positions, cache=prefix.expanded(len(rows)))
    return _read(loaded, hidden, rows)


def _branch_mask(loaded: Loaded, rows: Sequence[_Row], longest: int, prefix: int) -> torch.Tensor:
    """Return the additive mask (B, 1, L, prefix + L): a token sees the prefix, its context and its own branch."""
    import torch

    device, dtype = loaded.model.device, loaded.model.dtype
    branch = torch.tensor([row.branch + [-1] * (longest - len(row.branch)) for row in rows], device=device)
    seen = (branch[:, None, :] == 0) | (branch[:, None, :] == branch[:, :, None])
    seen &= torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
    mask = torch.zeros(len(rows), 1, longest, prefix + longest, dtype=dtype, device=device)
    mask[:, 0, :, prefix:].masked_fill_(~seen, torch.finfo(dtype).min)
    return mask


def _read(loaded: Loaded, hidden: torch.Tensor, rows: Sequence[_Row]) -> list[tuple[Score, ...]]:
    """Turn hidden states into scores, with logits only at the states that predict a scored token."""
    import torch

    points = sorted({(r, state) for r, row in enumerate(rows) for steps in row.targets for state, _ in steps})
    place = {point: index for index, point in enumerate(points)}
    wanted = [(place[r, state], token) for r, row in enumerate(rows) for steps in row.targets for state, token in steps]
    device = hidden.device
    states = hidden[
        torch.tensor([r for r, _ in points], device=device), torch.tensor([state for _, state in points], device=device)
    ]
    at = torch.tensor([point for point, _ in wanted], device=device)
    tokens = torch.tensor([token for _, token in wanted], device=device)
    logprobs = torch.empty(len(wanted), dtype=torch.float64)
    greedy = torch.empty(len(wanted), dtype=torch.bool)
    width = loaded.model.config.get_text_config().vocab_size * 4
    step = max(1, _LOGIT_BYTES // width)
    for start in range(0, len(points), step):
        logits = loaded.logits(states[start : start + step])
        total, best = logits.logsumexp(dim=-1), logits.argmax(dim=-1)
        here = ((at >= start) & (at < start + step)).nonzero(as_tuple=True)[0]
        local, token = at[here] - start, tokens[here]
        found = here.cpu()
        logprobs[found] = (logits[local, token] - total[local]).double().cpu()
        greedy[found] = (best[local] == token).cpu()
    return _gather(rows, logprobs.clamp(max=0.0).tolist(), greedy.tolist())


def _gather(rows: Sequence[_Row], logprobs: list[float], greedy: list[bool]) -> list[tuple[Score, ...]]:
    result, at = [], 0
    for row in rows:
        scores = []
        for steps in row.targets:
            end = at + len(steps)
            scores.append(Score(logprob=sum(logprobs[at:end]), is_greedy=all(greedy[at:end])))
            at = end
        result.append(tuple(scores))
    return result
