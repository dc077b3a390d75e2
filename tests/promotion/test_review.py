"""A person's word counts beside the gates, and never instead of them."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.store.decisions import reviews
from harness.store.promoted import live
from harness_promotion.promoting import PromotionRefusedError, promote
from harness_promotion.reviewing import review


@pytest.fixture
def decided(workspace, make):
    def _decided(name="new", *, status="passed", review="manual"):
        found = make.evidence(workspace, make.candidate(system=name), name, status=status)
        return make.decide(workspace, make.policy(review=review), found)

    return _decided


def test_a_manual_review_is_needed_and_recorded(workspace, make, decided):
    decision = decided()
    assert decision.sentence.startswith("may be promoted once a person approves it: the one gate")
    with pytest.raises(PromotionRefusedError, match=f"wants a person's word on the decision {decision.id}"):
        promote(workspace, decision.id, make.plugins())
    assert live(workspace) is None
    said = review(workspace, decision.id[:6], "approved", reason="read forty answers")
    assert (said.body["word"], said.body["reason"], "@" in said.body["by"]) == ("approved", "read forty answers", True)
    entry = promote(workspace, decision.id, make.plugins())
    assert entry.body["review"] == said.number


def test_the_last_word_counts_under_any_policy(workspace, make, decided):
    decision = decided(review="none")
    review(workspace, decision.id, "rejected", reason="another voice")
    with pytest.raises(PromotionRefusedError, match=r"was rejected by .*: another voice"):
        promote(workspace, decision.id, make.plugins())
    review(workspace, decision.id, "approved", reason="it was a misunderstanding")
    promote(workspace, decision.id, make.plugins())
    assert [entry.body["word"] for entry in reviews(workspace, decision.id)] == ["rejected", "approved"]


@pytest.mark.parametrize("status", ["failed", "inconclusive"])
def test_nobody_can_overrule_gates(workspace, decided, status):
    decision = decided(status=status)
    with pytest.raises(PromotionRefusedError, match="nobody can approve that"):
        review(workspace, decision.id, "approved", reason="please")
    assert review(workspace, decision.id, "rejected", reason="indeed").body["word"] == "rejected"


def test_a_word_needs_a_reason_and_a_decision(workspace, decided):
    decision = decided()
    with pytest.raises(InputError, match="with a reason"):
        review(workspace, decision.id, "approved", reason=" ")
    with pytest.raises(InputError, match="no decision"):
        review(workspace, "zzz", "approved", reason="x")
    assert reviews(workspace, decision.id) == []
