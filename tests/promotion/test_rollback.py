"""Rollback finds its way back, once, and to what was promoted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import hookimpl
from harness.errors import BrokenRunError, InputError
from harness.store.adapters import promoted
from harness.store.promoted import alias_path, live
from harness_promotion.promoting import promote, rollback, target_of


def fingerprints(workspace):
    now = live(workspace)
    return None if now is None or now.candidate is None else now.fingerprint


def test_rollback_walks_back_and_can_be_told_where(workspace, plugins, decided):
    with pytest.raises(InputError, match="nothing was ever promoted"):
        rollback(workspace, plugins)
    entries = [
        promote(workspace, decided(name, weight).id, plugins) for name, weight in (("a", 1.0), ("b", 2.0), ("c", 3.0))
    ]
    assert rollback(workspace, plugins, reason="users complained").body["reason"] == "users complained"
    assert fingerprints(workspace) == "fp-b"
    rollback(workspace, plugins, leaves=live(workspace).entry.number)
    assert fingerprints(workspace) == "fp-a"
    rollback(workspace, plugins, leaves=live(workspace).entry.number)
    assert fingerprints(workspace) is None
    assert json.loads(alias_path(workspace).read_text())["candidate"] is None
    with pytest.raises(InputError, match="nothing was before it"):
        rollback(workspace, plugins, leaves=live(workspace).entry.number)
    rollback(workspace, plugins, to=str(entries[2].number))
    assert fingerprints(workspace) == "fp-c"
    rollback(workspace, plugins, to=entries[0].body["decision"][:9])
    assert fingerprints(workspace) == "fp-a"


def test_the_beginning_of_a_decision_may_have_no_letter(workspace, plugins, decided):
    first = promote(workspace, decided("a", 1.0).id, plugins)
    body = {**first.body, "decision": "4440152519e0ffff"}
    with_digits = workspace.ledger.append("promotion", body)
    now = live(workspace)
    assert now is not None
    assert target_of(workspace, now, "444015251") == with_digits.number
    with pytest.raises(InputError, match="entry 4440152 is no promotion"):
        target_of(workspace, now, "4440152")
    rollback(workspace, plugins, to="base")
    assert fingerprints(workspace) is None
    for wrong in ("1", "99", "nonsense", "", "-1", "²"):
        with pytest.raises(InputError, match="promotion"):
            rollback(workspace, plugins, to=wrong)
    assert workspace.ledger.verify().head == workspace.ledger.head()


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("to", [None, "base"])
def test_a_rollback_that_is_said_again_goes_back_once(workspace, decided, make, named, to):
    told = []
    plugins = make.plugins(watcher=Watcher(told))
    promote(workspace, decided("a", 1.0).id, plugins)
    left = promote(workspace, decided("b", 2.0).id, plugins).number
    told.clear()
    answers = [rollback(workspace, plugins, leaves=left if named else None, to=to) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].body["leaves"] == left
    assert fingerprints(workspace) == (None if to else "fp-a")
    assert told == [answers[0].number] * 3


class Watcher:
    """Notes the entries that it is told of."""

    def __init__(self, told: list[int]) -> None:
        self.told = told

    @hookimpl
    def promotion_changed(self, entry):
        self.told.append(entry.number)


def test_a_rollback_that_comes_too_late_is_told_what_is_promoted(workspace, plugins, decided):
    left = promote(workspace, decided("a", 1.0).id, plugins).number
    now = promote(workspace, decided("b", 2.0).id, plugins).number
    with pytest.raises(InputError, match=f"since entry {now}, not {left}"):
        rollback(workspace, plugins, leaves=left)
    rollback(workspace, plugins, leaves=now)
    with pytest.raises(InputError, match=f"not {left}"):
        rollback(workspace, plugins, leaves=left)
    with pytest.raises(InputError, match=f"not {now}"):
        rollback(workspace, plugins, leaves=now, to="base")  # it left that entry for another
    assert fingerprints(workspace) == "fp-a"


def test_after_a_rollback_the_next_promotion_goes_back_to_what_was_live(workspace, plugins, decided):
    promote(workspace, decided("a", 1.0).id, plugins)
    promote(workspace, decided("b", 2.0).id, plugins)
    rollback(workspace, plugins)
    promote(workspace, decided("c", 3.0).id, plugins)
    rollback(workspace, plugins)
    assert fingerprints(workspace) == "fp-a"


def test_a_decision_can_be_promoted_again_after_a_rollback(workspace, plugins, decided):
    decision = decided("a", 1.0)
    promote(workspace, decision.id, plugins)
    rollback(workspace, plugins)
    promote(workspace, decision.id, plugins)
    assert fingerprints(workspace) == "fp-a"


def test_rollback_refuses_a_damaged_adapter(workspace, plugins, decided, make):
    promote(workspace, decided("a", 1.0).id, plugins)
    old = Path(promoted(workspace).adapters[0].path)
    promote(workspace, decided("b", 2.0).id, plugins)
    make.adapter(old, 7.0)
    with pytest.raises(BrokenRunError, match="changed since it was stored"):
        rollback(workspace, plugins)
    assert fingerprints(workspace) == "fp-b"
