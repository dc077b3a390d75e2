"""What a person says of a decision: approved or rejected, with a reason, in the ledger.

Who it was is what the operating system says. It proves nothing about who sat there.
"""

from __future__ import annotations

import getpass
import platform
from typing import TYPE_CHECKING, Literal

from harness.api import HarnessError, InputError
from harness.api.commands import EXIT_GATE
from harness.api.workspace import read_entered_decision, reviews

if TYPE_CHECKING:
    from harness.api import Decision, LedgerEntry
    from harness.api.workspace import Workspace

Word = Literal["approved", "rejected"]


class PromotionRefusedError(HarnessError):
    """The decision did not pass, a person or a plugin stands against it, or its review is missing. Exit code 1."""

    exit_code = EXIT_GATE


def review(workspace: Workspace, decision: str, word: Word, *, reason: str) -> LedgerEntry:
    """Put a person's word about a decision into the ledger; the last one counts.

    Args:
        workspace: where.
        decision: an id, the unique beginning of one, or `latest`.
        word: what the person says.
        reason: why.

    Raises:
        PromotionRefusedError: when a decision is approved that did not pass: a person cannot overrule gates.
        InputError: without a reason, for an unknown decision, or when another process writes.
        BrokenRunError: when the decision's file is not what the ledger has.
    """
    if not reason.strip():
        raise InputError(f"a decision is {word} with a reason", hint='give one with --reason "…"')
    with workspace.lock(), workspace.ledger.transaction() as ledger:
        found, row = read_entered_decision(workspace, decision)
        if word == "approved" and found.status != "passed":
            raise PromotionRefusedError(f"the decision {found.id}: {found.sentence}; nobody can approve that")
        body = {
            "decision": found.id, "decision_sha256": row.body["decision_sha256"], "word": word,
            "reason": reason.strip(), "by": _who(),
        }  # fmt: skip
        return ledger.append("review", body)


def _who() -> str:
    """Return user and machine, as the operating system names them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"


def check_review(workspace: Workspace, decision: Decision) -> LedgerEntry | None:
    """Return the row that approves a decision, or None where no review is asked for and none was given.

    Raises:
        PromotionRefusedError: when a person rejected it last, or its policy asks for an approval that is not there.
    """
    said = reviews(workspace, decision.id)
    if said and said[-1].body.get("word") == "rejected":
        body = said[-1].body
        raise PromotionRefusedError(f"the decision {decision.id} was rejected by {body['by']}: {body['reason']}")
    if not said and decision.review == "manual":
        raise PromotionRefusedError(
            f"the policy {decision.policy} wants a person's word on the decision {decision.id}: "
            f'harness approve {decision.id} --reason "…"'
        )
    return said[-1] if said else None
