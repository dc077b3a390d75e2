"""What a decision says to a person, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.commands import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Check, OverallStatus, Policy, Veto
    from harness_promotion.attempts import Attempt


def sentence(
    policy: Policy, checks: Sequence[tuple[str, Check]], vetoes: Sequence[Veto], status: OverallStatus,
    attempt: Attempt, look: int,
) -> str:  # fmt: skip
    """Return whether the candidate may be promoted, why, and at which attempt and level."""
    where = f"at {which(attempt, look)}"
    if status == "passed":
        head = "may be promoted" if policy.review == "none" else "may be promoted once a person approves it"
        return f"{head}: {_passed(checks)} of the policy {policy.id} passed {where}"
    parts = []
    for word in ("failed", "inconclusive"):
        found = [f"{suite} {check.gate.metric}" for suite, check in checks if check.status == word]
        if found:
            head = "the one gate" if len(checks) == 1 else f"{len(found)} of {len(checks)} gates"
            verb = "is " if len(checks) == 1 and word == "inconclusive" else ""
            parts.append(f"{head} {verb}{word} ({', '.join(found)})")
    if all(check.status == "not_applicable" for _, check in checks):
        parts.append("no gate applies on this device")
    parts += [f"vetoed by {veto.owner} ({safe_text(veto.reason, one_line=True)})" for veto in vetoes]
    if attempt.exploratory:
        gates = "; ".join(parts) or f"{_passed(checks)} passed"
        return (
            f"exploratory, and may not be promoted under the policy {policy.id}, since {attempt.exploratory}: {gates}, "
            f"at the level {attempt.at_look(look):.3g}; next: {attempt.next_step}"
        )
    return f"may not be promoted under the policy {policy.id} {where}: {'; '.join(parts)}"


def _passed(checks: Sequence[tuple[str, Check]]) -> str:
    applied = sum(check.status != "not_applicable" for _, check in checks)
    apply = "applies" if applied == 1 else "apply"
    rest = "" if applied == len(checks) else f" that {apply} here, of {len(checks)},"
    return ("the one gate" if applied == 1 else f"all {applied} gates") + rest


def which(attempt: Attempt, look: int) -> str:
    """Return which attempt and look it is, and its level."""
    looks = f", look {look} of {attempt.looks}" if attempt.looks > 1 else ""
    chosen = f", the best of {attempt.among}" if attempt.among > 1 else ""
    return f"attempt {attempt.number}{looks}{chosen} (level {attempt.at_look(look):.3g})"
