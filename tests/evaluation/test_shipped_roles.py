"""Who plays a role that nobody is bound to: an adapter that ships, where its base is here; else the candidate's base."""

from __future__ import annotations

import pytest

from harness.evaluation.roles import resolve_roles
from harness.plugins import load_plugins
from harness.types import Candidate, ModelSpec, RoleRef
from harness.weights import bundled

POLICY = Candidate(model=ModelSpec(reference="./base", scheme="hf", name="./base", dtype="float32"))
REGISTRIES = load_plugins(installed=False).registries


def played(role: str, **refs: RoleRef):
    return resolve_roles([role], refs, POLICY, registries=REGISTRIES, workspace=None)


def test_the_shipped_judge_judges_whatever_the_candidates_base(
    shipped_judge: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.evaluation.roles.is_present", lambda name: True)
    bound = played("judge").others["judge"]
    assert bound.by == "default"
    assert bound.candidate.model.name == "smollm2-135m"
    assert [adapter.reference for adapter in bound.candidate.adapters] == ["harness:judge-smollm2"]
    assert played("judge").notes() == ()


def test_without_its_base_the_candidates_judges_and_the_run_says_what_would(
    shipped_judge: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.evaluation.roles.is_present", lambda name: False)
    roles = played("judge")
    assert roles.others["judge"].candidate == Candidate(model=POLICY.model)
    (note,) = roles.notes()
    assert "bare base" in note
    assert "harness models pull smollm2-135m" in note


def test_who_is_named_plays(shipped_judge: None) -> None:
    roles = played("judge", judge=RoleRef(by="--judge"))
    assert roles.others["judge"].candidate.adapters == ()
    assert roles.others["judge"].by == "--judge"


def test_replies_are_labelled_by_what_ships_and_by_no_bare_base(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.reference for one in played("labeller").others["labeller"].candidate.adapters] == [
        "harness:harmful-response"
    ]


def test_a_named_number_format_holds_for_shipped_roles_too() -> None:
    assert played("labeller").others["labeller"].candidate.model.dtype == "float32"


def test_judge_and_labeller_share_one_base(shipped_judge: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evaluation.roles.is_present", lambda name: True)
    roles = resolve_roles(["judge", "labeller"], {}, POLICY, registries=REGISTRIES, workspace=None)
    assert roles.others["judge"].candidate.model == roles.others["labeller"].candidate.model


def test_one_adapter_at_most_ships_for_a_role() -> None:
    roles = [adapter.role for adapter in bundled.bundled_adapters().values() if adapter.role]
    assert len(roles) == len(set(roles))
