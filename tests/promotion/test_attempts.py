"""Each new try at a promotion spends a smaller part of alpha, the same again nothing, and peeking spends nothing but time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.evaluation.looks import SEQUENTIAL, Design, with_sizes
from harness.evaluation.policies import declare, schedule
from harness.stats.sequential import look_levels
from harness.types import PolicySuite
from harness_promotion.attempts import Trial, attempts, budget, plan_attempt, reset, spend

TRIAL = Trial(suite="tiny", measured="m", arms={"promoted": "base"})


@pytest.fixture
def policy(workspace, make):
    """A policy that the ledger knows."""
    made = make.policy()
    declare(workspace, [made])
    return made


def take(workspace, policy, candidate, tested=TRIAL):
    return spend(workspace, policy, candidate, plan_attempt(workspace, policy, candidate, [tested]))


def test_levels_fall_and_never_spend_more_than_alpha(workspace, policy):
    made = [take(workspace, policy, f"candidate {n}") for n in range(40)]
    assert [attempt.number for attempt in made] == list(range(1, 41))
    assert made[0].level == pytest.approx(0.05 * 0.6079271)
    assert made[9].level == pytest.approx(made[0].level / 100)
    assert sum(attempt.level for attempt in made) < 0.05
    assert budget(workspace, policy).spent == pytest.approx(sum(attempt.level for attempt in made))


@pytest.mark.parametrize(
    "change", [{"measured": "other data"}, {"arms": {"promoted": "something else"}}, {"suite": "another"}]
)
def test_what_is_new_is_an_attempt_and_the_same_again_is_none(workspace, policy, change):
    first = take(workspace, policy, "c")
    again = plan_attempt(workspace, policy, "c", [TRIAL])
    assert (again.number, again.level, again.replay) == (1, first.level, True)
    assert take(workspace, policy, "c") == again
    assert take(workspace, policy, "c", replace(TRIAL, **change)).number == 2
    assert len(attempts(workspace, policy.id, policy.fingerprint)) == 2
    assert plan_attempt(workspace, policy, "c", [TRIAL]).number == 1


def test_planning_spends_nothing(workspace, policy):
    assert [plan_attempt(workspace, policy, name, [TRIAL]).number for name in "abc"] == [1, 1, 1]
    assert attempts(workspace, policy.id, policy.fingerprint) == []


def test_two_plans_for_one_number_cannot_both_be_spent(workspace, policy):
    plans = [plan_attempt(workspace, policy, name, [TRIAL]) for name in "ab"]
    spend(workspace, policy, "a", plans[0])
    with pytest.raises(InputError, match="at the same time"):
        spend(workspace, policy, "b", plans[1])


def test_a_new_version_of_the_policy_has_a_budget_of_its_own(workspace, policy):
    take(workspace, policy, "a")
    other = replace(policy, fingerprint="changed")
    declare(workspace, [other, policy])
    assert take(workspace, other, "b").number == 1
    assert take(workspace, policy, "b").number == 2
    assert (budget(workspace, policy).version, budget(workspace, other).version) == (1, 2)


def test_a_reset_is_an_entry_with_a_reason(workspace, policy):
    with pytest.raises(InputError, match="nothing to reset"):
        reset(workspace, policy, reason="why not")
    take(workspace, policy, "a")
    take(workspace, policy, "b")
    with pytest.raises(InputError, match="needs a reason"):
        reset(workspace, policy, reason="  ")
    entry = reset(workspace, policy, reason="new data")
    assert (entry.kind, entry.body["attempts"], entry.body["reason"]) == ("reset", 2, "new data")
    assert take(workspace, policy, "c").number == 1
    assert take(workspace, policy, "a").number == 2, "what was spent before the reset is forgotten, replays too"
    assert budget(workspace, policy).resets == 1


def test_a_reset_forgets_nothing_of_other_versions_of_the_policy(workspace, policy):
    take(workspace, policy, "a")
    other = replace(policy, fingerprint="changed")
    declare(workspace, [other])
    take(workspace, other, "b")
    assert reset(workspace, other, reason="new data").body["attempts"] == 1
    assert take(workspace, policy, "c").number == 2
    assert (budget(workspace, policy).resets, budget(workspace, other).resets) == (0, 1)


def test_gates_that_were_chosen_after_the_numbers_were_known_are_exploratory(workspace, make, policy):
    who = make.candidate(system="x")
    found = make.evidence(workspace, who, "seen")
    changed = replace(policy, fingerprint="changed afterwards")
    declare(workspace, [changed])
    attempt = plan_attempt(workspace, changed, "seen", [TRIAL])
    assert (attempt.number, attempt.looks) == (0, 1)
    assert f"were known (run {found[0].run.id}) before the policy test was as it is now" in attempt.exploratory
    assert spend(workspace, changed, "seen", attempt) == attempt
    assert attempts(workspace, changed.id, changed.fingerprint) == []
    assert plan_attempt(workspace, changed, "unseen", [TRIAL]).exploratory == ""
    assert plan_attempt(workspace, changed, "seen", [replace(TRIAL, suite="other")]).exploratory == ""
    assert plan_attempt(workspace, policy, "seen", [TRIAL]).exploratory == ""


def test_a_policy_that_nobody_declared_is_exploratory_once_there_are_numbers(workspace, make):
    make.stored_run(workspace, make.run_record(make.candidate(), fingerprint="seen"))
    assert plan_attempt(workspace, make.policy(), "seen", [TRIAL]).exploratory


def test_an_exploratory_decision_never_passes(workspace, make):
    found = make.evidence(workspace, make.candidate(system="x"), "new")
    policy = make.policy()
    attempt = make.attempt(workspace, policy, found, exploratory="it was a look outside the schedule")
    decision = make.really_decide(workspace, policy, found, attempt=attempt)
    assert decision.status == "inconclusive"
    assert decision.sentence.startswith(
        "exploratory, and may not be promoted under the policy test, since it was a look outside the schedule: "
        "the one gate passed"
    )
    assert decision.exploratory == "it was a look outside the schedule"


def test_gates_that_were_checked_more_laxly_than_the_attempt_allows_are_refused(workspace, make):
    gate = replace(make.GATE, alpha=0.05)
    other = make.stored_run(workspace, make.run_record(), 0.0)
    declare(workspace, [make.policy()])
    run = make.stored_run(workspace, make.run_record(
        make.candidate(system="x"), fingerprint="new", checks=(make.check(gate=gate),), baseline_runs={"promoted": other.id}
    ))  # fmt: skip
    evidence = (make.Evidence(gates=(gate,), run=run, baselines={"promoted": other}),)
    with pytest.raises(InputError, match=r"at the level 0\.05, and attempt 1 under the policy test allows 0\.0304"):
        make.decide(workspace, make.policy(), evidence)


def test_looks_share_the_level_and_a_suite_of_one_size_keeps_it(workspace, make):
    suites = (PolicySuite(suite="a", samples=(10, 20, 40)), PolicySuite(suite="b", limit=7), PolicySuite(suite="c"))
    policy = make.policy(suites=suites)
    declare(workspace, [policy])
    assert schedule(policy) == ((10, 7, None), (20, 7, None), (40, 7, None))
    attempt = plan_attempt(workspace, policy, "c", [TRIAL])
    assert attempt.levels == look_levels(attempt.level, (0.25, 0.5, 1.0))
    assert attempt.at_look(1) > attempt.level / 3, "more than an equal part, since the looks share samples"
    assert schedule(make.policy()) == ((None,),)


def promoted(workspace, policy, decision="d1"):
    """Write a decision and its promotion into the ledger, as `decide` and `promote` do."""
    with workspace.ledger.transaction() as ledger:
        body = {"decision": decision, "policy": policy.id, "policy_fingerprint": policy.fingerprint}
        ledger.append("decision", body)
        ledger.append("promotion", {"decision": decision, "policy": policy.id})


def test_a_promotion_begins_a_new_period_and_makes_nothing_new_of_what_was_tried(workspace, policy, monkeypatch):
    monkeypatch.setattr("harness_promotion.attempts.require_known", lambda workspace: None)
    first, second = take(workspace, policy, "a"), take(workspace, policy, "b")
    promoted(workspace, policy)
    assert attempts(workspace, policy.id, policy.fingerprint) == []
    again = plan_attempt(workspace, policy, "a", [TRIAL])
    assert (again.number, again.level, again.replay) == (1, first.level, True)
    assert plan_attempt(workspace, policy, "b", [TRIAL]).level == second.level
    fresh = take(workspace, policy, "c")
    assert (fresh.number, fresh.level) == (1, first.level)


def test_a_promotion_under_another_version_begins_no_period(workspace, policy, monkeypatch):
    monkeypatch.setattr("harness_promotion.attempts.require_known", lambda workspace: None)
    take(workspace, policy, "a")
    promoted(workspace, replace(policy, fingerprint="another"))
    assert plan_attempt(workspace, policy, "c", [TRIAL]).number == 2


def test_declared_attempts_share_alpha_equally_and_end(workspace, policy):
    declared = replace(policy, attempts=3)
    made = [take(workspace, declared, f"candidate {n}") for n in range(3)]
    assert [attempt.level for attempt in made] == [pytest.approx(0.05 / 3)] * 3
    assert budget(workspace, declared).spent == pytest.approx(0.05)
    with pytest.raises(InputError, match=r"all 3 attempts that the policy .* declares between two promotions are made"):
        plan_attempt(workspace, declared, "one more", [TRIAL])
    assert plan_attempt(workspace, declared, "candidate 1", [TRIAL]).replay


def test_looks_that_a_command_asks_for_make_another_attempt_of_the_same_version(workspace, make, policy):
    how = Design(looks=SEQUENTIAL)
    sized = with_sizes(policy, how, [200] * len(policy.suites))
    assert schedule(sized) == ((50,), (100,), (200,))
    assert sized.fingerprint == policy.fingerprint
    first = spend(workspace, sized, "c", plan_attempt(workspace, sized, "c", [TRIAL], design=how))
    assert (first.number, first.looks) == (1, 3)
    assert plan_attempt(workspace, sized, "c", [TRIAL], design=how).replay
    assert plan_attempt(workspace, policy, "c", [TRIAL]).number == 2, "looked at once, it is another test"


def test_the_best_of_several_has_an_equal_part_of_the_level_and_spends_the_whole(workspace, policy):
    how = Design(among=("a", "b", "c"))
    made = spend(workspace, policy, "b", plan_attempt(workspace, policy, "b", [TRIAL], design=how))
    assert made.level == pytest.approx(0.05 * 0.6079271 / 3)
    assert budget(workspace, policy).spent == pytest.approx(0.05 * 0.6079271)
    assert plan_attempt(workspace, policy, "d", [TRIAL]).number == 2


def test_a_false_discovery_rate_needs_fresh_samples_and_gives_level_back(workspace, make):
    made = replace(make.policy(), fdr="saffron")
    declare(workspace, [made])
    first = take(workspace, made, "a", replace(TRIAL, measured="1", samples="s1"))
    assert first.level == pytest.approx(0.0055, abs=1e-4)
    with pytest.raises(InputError, match="fresh samples alone, and attempt 1 had these samples of tiny"):
        plan_attempt(workspace, made, "b", [replace(TRIAL, measured="2", samples="s1")])
    trial = replace(TRIAL, measured="2", samples="s2")
    assert plan_attempt(workspace, made, "b", [trial]).level < first.level
    body = {"policy": made.id, "policy_fingerprint": made.fingerprint, "attempt": 1, "p": 1e-5, "status": "passed",
            "decision": "d" * 12}  # fmt: skip
    with workspace.lock(), workspace.ledger.transaction() as ledger:
        ledger.append("decision", body)
    assert plan_attempt(workspace, made, "b", [trial]).level > first.level


def test_the_first_decision_of_an_attempt_is_the_one_that_counts_for_the_rate(workspace, make):
    """An attempt that failed and passes when it is made anew earns no level for the next."""
    made = replace(make.policy(), fdr="saffron")
    declare(workspace, [made])
    take(workspace, made, "a", replace(TRIAL, measured="1", samples="s1"))
    before = plan_attempt(workspace, made, "b", [replace(TRIAL, measured="2", samples="s2")]).level
    for number, (p, status) in enumerate(((1.0, "failed"), (1e-5, "passed"))):
        body = {"policy": made.id, "policy_fingerprint": made.fingerprint, "attempt": 1, "p": p, "status": status,
                "decision": str(number) * 12}  # fmt: skip
        with workspace.lock(), workspace.ledger.transaction() as ledger:
            ledger.append("decision", body)
    assert plan_attempt(workspace, made, "b", [replace(TRIAL, measured="2", samples="s2")]).level == before


def test_one_fresh_sample_makes_no_set_fresh(workspace, make):
    """Under `fdr` no sample of an earlier attempt may decide again, whatever stands beside it."""
    made = replace(make.policy(), fdr="saffron")
    declare(workspace, [made])
    asked = frozenset("abcdefghij")
    take(workspace, made, "a", replace(TRIAL, measured="1", samples="s1", questions=asked))
    mixed = replace(TRIAL, measured="2", samples="s2", questions=asked - {"a"} | {"new"})
    with pytest.raises(InputError, match="attempt 1 had 9 of the 10 samples of tiny"):
        plan_attempt(workspace, made, "b", [mixed])
    other = replace(TRIAL, measured="2", samples="s2", questions=frozenset("klm"))
    assert plan_attempt(workspace, made, "b", [other]).number == 2


def test_a_choice_among_several_is_one_attempt_whoever_wins(workspace, policy):
    how = Design(among=("a", "b", "c"))
    first = spend(workspace, policy, "a", plan_attempt(workspace, policy, "a", [TRIAL], design=how))
    assert plan_attempt(workspace, policy, "c", [TRIAL], design=how) == first
