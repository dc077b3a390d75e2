"""The jobs `session.promote`, `session.rollback` and `session.touched`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.workspace import find_policy
from harness_promotion import promoting
from harness_promotion import touched as touching
from harness_promotion.preflight import Preflight

if TYPE_CHECKING:
    from harness.api import DecisionResult, LedgerEntry, Policy, Session


def promote(
    session: Session, decision: str | DecisionResult = "latest", *, policy: Policy | None = None
) -> LedgerEntry:
    """Promote the candidate of a decision that passed, after checking every hash again.

    Args:
        session: in whose workspace it is.
        decision: an id, the beginning of one, `latest`, or what `session.decide` gave.
        policy: by which it was decided; None looks for it by its name.

    Raises:
        PromotionRefusedError: when the decision did not pass, or waits for a person, or there is a veto.
        InputError: when it is unknown or stale.
        BrokenRunError: when a file is not what it was.
    """
    plugins = session.require_plugins()

    def named(name: str) -> Policy:
        return policy or find_policy(name, session.config, plugins.registries)

    name = decision if isinstance(decision, str) else decision.decision.id
    preflight = Preflight(policy=named, context=session.context)
    return promoting.promote(session.workspace, name, plugins, warn=session.warn, preflight=preflight)


def rollback(session: Session, to: str | None = None, *, leaves: int | None = None, reason: str = "") -> LedgerEntry:
    """Go back to what was promoted before, or to a promotion's entry, a decision's id or `base`.

    Args:
        session: in whose workspace it is.
        to: where; None is the promotion before.
        leaves: number of the ledger's entry that is left; said once more, it changes nothing.
        reason: recorded in the ledger.

    Raises:
        InputError: when there is nothing to go back to.
        BrokenRunError: when a file is not what it was.
    """
    plugins = session.require_plugins()
    return promoting.rollback(session.workspace, plugins, leaves=leaves, to=to, reason=reason, warn=session.warn)


def touched(session: Session) -> touching.Touched:
    """Return what adapters that overwrite the shared base may have touched; raises as reading them does."""
    return touching.touched(session.workspace)
