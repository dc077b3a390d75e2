"""An audit's results as rows of text, for the terminal and for docs/gate-audit.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness_audit.audit import Audit, Result
    from harness_audit.full import Outcome

FULL_HEADER = ("adapter", "what is true of it", "policy", "expected", "decided", "gates that did not pass", "right")


def header() -> tuple[str, ...]:
    """Return the headings of `rows`."""
    return ("suite", "gate", "truth", "n", "simulated", "passed", "rate", "95 % upper", "allowed or planned", "finding")


def rows(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """Return one row for each result."""
    return [
        (
            result.suite, result.condition, result.truth, " + ".join(str(n) for n in result.samples),
            f"{result.simulations:,}", f"{result.promotes:,}", percent(result.rate), percent(result.high),
            _against(result), result.finding,
        )
        for result in results
    ]  # fmt: skip


def percent(share: float) -> str:
    """Return a share in percent with the digits that simulations can carry."""
    return f"{100 * share:.1f} %"


def _against(result: Result) -> str:
    if result.allowed is not None:
        return f"≤ {percent(result.allowed)}"
    return "—" if result.planned is None else f"plan {percent(result.planned)}"


def summary(found: Audit) -> str:
    """Return one sentence about the whole audit."""
    nulls = [r for r in found.results if r.claim in {"at most", "never"}]
    powers = [r for r in found.results if r.claim == "power"]
    broken, short = (sum(r.finding == kind for r in found.results) for kind in ("broken", "short"))
    worst = max((r.rate for r in nulls), default=0.0)
    head = "the gates keep their promises" if not broken + short else f"{broken + short} promises do not hold"
    return (
        f"{head}: {len(nulls) - broken} of {len(nulls)} false truths passed no more often than allowed (the most often "
        f"{percent(worst)}), {len(powers) - short} of {len(powers)} good ones as often as planned; "
        f"{sum(r.simulations for r in found.results):,} simulations in {found.seconds:.0f} s"
    )


def full_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return one row for each decision of the full audit."""
    return [
        (
            outcome.adapter, outcome.truth, outcome.policy, outcome.expected, outcome.decided,
            ", ".join(outcome.refused_by) or "none", "yes" if outcome.right else "NO",
        )
        for outcome in outcomes
    ]  # fmt: skip
