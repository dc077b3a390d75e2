"""From scores and generated texts to replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.api import Completion, LogProb, NoReply, Reply, Timing

if TYPE_CHECKING:
    from harness_models.hf.planning import Branches
    from harness_models.hf.rows import Ask, Generated
    from harness_models.hf.scoring import Scored

NO_MEMORY = NoReply(reason="not enough memory for this request alone")


def log_prob(row: Branches, scored: Scored, number: int) -> LogProb:
    """Return the reply to one continuation of a scored row."""
    found = scored.scores[number]
    return LogProb(
        logprob=found.logprob,
        tokens=len(row.continuations[number]),
        is_greedy=found.is_greedy,
        timing=Timing(total=scored.seconds, batch=scored.batch),
    )


def summed(parts: Sequence[LogProb | None]) -> Reply:
    """Return the reply to a text whose windows were scored; a NoReply where memory did not suffice for one."""
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return NO_MEMORY
    timings = [part.timing for part in whole if part.timing is not None]
    return LogProb(
        logprob=sum(part.logprob for part in whole),
        tokens=sum(part.tokens for part in whole),
        is_greedy=all(part.is_greedy for part in whole),
        timing=Timing(total=sum(timing.total for timing in timings), batch=max(timing.batch for timing in timings)),
    )


def completion(ask: Ask, generated: Generated | None) -> Reply:
    """Return the reply to what was continued; a NoReply where memory did not suffice."""
    if generated is None:
        return NO_MEMORY
    return Completion(
        text=generated.text,
        prompt_tokens=len(ask.prompt),
        completion_tokens=generated.tokens,
        finish=generated.finish,
        timing=Timing(total=generated.seconds, first_token=generated.first_token, batch=generated.batch),
    )
