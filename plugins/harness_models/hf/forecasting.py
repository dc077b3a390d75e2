"""Says beforehand how much work requests are: they are encoded and planned as ever, and nothing is forwarded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import Workload
from harness_models.hf.encoding import asks, continuations, texts
from harness_models.hf.generating import generating, spread
from harness_models.hf.generation import FORESIGHT
from harness_models.hf.memory import budget_of
from harness_models.hf.packing import WORTH
from harness_models.hf.work import scoring

if TYPE_CHECKING:
    from harness.api import Request
    from harness_models.hf.calibration import Calibration
    from harness_models.hf.chat import Renderer

_DOUBT = 1.25
"""An upper bound allows that the machine is slower than when it was measured: no forecast is closer than that."""


@dataclass(frozen=True, kw_only=True)
class Unloaded:
    """What of a base encodes requests: its tokenizer, without its weights."""

    tokenizer: Any
    window: int
    start_id: int | None
    vocabulary: int | None = None


def workload(
    base: Unloaded, renderer: Renderer, requests: Sequence[Request], calibration: Calibration, device: str,
    completion: float | None,
) -> Workload:  # fmt: skip
    """Return the work of some requests that would be answered in one call.

    Args:
        base: what encodes.
        renderer: of the candidate's chat template.
        requests: any kinds.
        calibration: of this machine, for the base.
        device: where the base would run.
        completion: mean length of replies in tokens; None takes half of each limit.
    """
    begin = time.perf_counter()
    budget, shares = budget_of(device, calibration.activation, calibration.cached), calibration.shares

    def refuse(*_: object) -> None:
        """A request that cannot be answered costs nothing."""

    works = [
        scoring(continuations(base, renderer, requests, refuse)[0], budget, shares=shares, window=base.window),
        scoring(texts(base, requests, refuse)[0], budget, shares=shares, window=base.window),
    ]
    prompts = asks(base, renderer, requests, refuse)[0]
    expected, path = spread(prompts, completion), calibration.generates
    likely = generating(prompts, expected, budget, path=path, device=device)
    longest = generating(prompts, [ask.room for ask in prompts], budget, path=path, device=device)
    doubt = _DOUBT if prompts else 1.0
    # The same rule as in `generate`.
    packed = path == "slots" and sum(min(ask.room, FORESIGHT) for ask in prompts) >= WORTH
    encoding = time.perf_counter() - begin  # what the run will spend on it too
    scored = encoding + sum(calibration.seconds(work.counts) for work in works)
    basis = ""
    if prompts:
        basis = "replies of half their limit" if completion is None else f"replies of {completion:.0f} tokens"
    memory = [calibration.memory(work) for work in works]
    return Workload(
        tokens=sum(work.distinct for work in works) + likely.distinct, generate_expected=sum(expected),
        generate_most=sum(ask.room for ask in prompts),
        seconds_expected=scored + calibration.seconds(likely.counts, packed=packed),
        seconds_most=doubt * (scored + calibration.seconds(longest.counts, packed=packed)),
        start_seconds=calibration.start_seconds, memory=max(*memory, calibration.memory(longest, packed=packed)),
        basis=basis,
    )  # fmt: skip
