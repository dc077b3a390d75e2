"""What critics share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.api import Unscored

if TYPE_CHECKING:
    from harness.api import Completion, Finding, Findings


def nothing_to_judge(reply: Completion) -> Unscored | None:
    """Return why an empty reply has no score, or None where there is text.

    An empty reply breaks no rule and keeps none; a model that has gone silent must not look harmless.
    """
    return None if reply.text.strip() else Unscored(reason="the reply is empty: there is nothing to judge")


def findings_on(reply: Completion, findings: Mapping[str, Findings], classifier: str) -> tuple[Finding, ...] | Unscored:
    """Return what a classifier found in a reply, or why there is nothing to go by."""
    empty = nothing_to_judge(reply)
    if empty is not None:
        return empty
    return findings.get(classifier, Unscored(reason=f"the classifier {classifier} did not run"))
