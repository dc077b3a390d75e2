"""A decision passes only when all the evidence is there, belongs together, and passed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import hookimpl
from harness.errors import BrokenRunError, InputError
from harness.store import runs
from harness.store.atomic import write_file
from harness.store.decisions import decision_path, find_decision, read_decision
from harness.types import Gate, PolicySuite, Veto
from harness_inspect.removing import remove_runs
from harness_promotion.deciding import collect_vetoes


@pytest.fixture
def good(workspace, make):
    return make.evidence(workspace, make.candidate(system="be kind"), "new")


def test_a_decision_names_everything_by_hash(workspace, make, good):
    decision = make.decide(workspace, make.policy(), good)
    (item,) = good
    assert decision.status == "passed"
    assert decision.sentence == "may be promoted: the one gate of the policy test passed at attempt 1 (level 0.0304)"
    assert decision.runs == {item.run.id: runs.run_sha256(workspace, item.run.id)}
    baseline = item.baselines["promoted"]
    assert decision.baseline_runs == {baseline.id: runs.run_sha256(workspace, baseline.id)}
    assert (decision.candidate_fingerprint, decision.baseline_fingerprint) == ("new", "base")
    assert decision.checks == (("tiny", item.run.checks[0]),)
    assert read_decision(workspace, decision.id) == decision
    assert read_decision(workspace, decision.id[:5]) == decision
    assert find_decision(workspace, "latest") == decision.id
    assert workspace.ledger.last().body["decision"] == decision.id


@pytest.mark.parametrize(("status", "words"), [("failed", "the one gate failed (tiny accuracy)"),
                                               ("inconclusive", "the one gate is inconclusive (tiny accuracy)")])  # fmt: skip
def test_what_did_not_pass_is_stored_as_refused(workspace, make, status, words):
    found = make.evidence(workspace, make.candidate(system="x"), "new", status=status)
    decision = make.decide(workspace, make.policy(), found)
    assert decision.status == status
    assert decision.sentence == f"may not be promoted under the policy test at attempt 1 (level 0.0304): {words}"
    assert read_decision(workspace, decision.id).status == status
    assert workspace.ledger.last("decision").body["status"] == status


def test_a_veto_fails_the_decision(workspace, make, good):
    decision = make.decide(workspace, make.policy(), good, vetoes=[Veto(owner="guard", reason="too late at night")])
    assert decision.status == "failed"
    assert "vetoed by guard (too late at night)" in decision.sentence


def test_whatever_is_not_none_is_a_veto(make, good):
    class Plugin:
        def __init__(self, answer):
            self.answer = answer

        @hookimpl
        def veto_promotion(self, run, baseline):
            assert baseline is not None
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    plugins = make.plugins(
        silent=Plugin(None), says=Plugin("no"), empty=Plugin(" "), odd=Plugin(False), broken=Plugin(ValueError("oops"))
    )
    vetoes = {veto.owner: veto.reason for veto in collect_vetoes(plugins, good)}
    assert vetoes == {
        "says": "no", "empty": "it gave no reason", "odd": "it answered False, which is neither a reason nor None",
        "broken": "it could not check: ValueError: oops",
    }  # fmt: skip


OTHER_GATE = Gate(metric="accuracy", kind="min", limit=0.1)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"suites": (PolicySuite(suite="tiny"), PolicySuite(suite="more"))}, "names 2 suites, and 1 were run"),
        ({"suites": (PolicySuite(suite="tiny", limit=10),)}, "a limit of None samples"),
        ({"suites": (PolicySuite(suite="tiny", gates=(OTHER_GATE,)),)}, "other gates"),
    ],
)
def test_evidence_must_be_what_the_policy_asks_for(workspace, make, good, policy, words):
    with pytest.raises(InputError, match=words):
        make.decide(workspace, make.policy(**policy), good)
    assert list(workspace.decisions.iterdir()) == []


def test_a_gate_cannot_be_left_out(workspace, make, good):
    with pytest.raises(InputError, match="under other gates"):
        make.decide(workspace, make.policy(), [replace(good[0], gates=(*good[0].gates, OTHER_GATE))])


def test_no_gates_decide_nothing(workspace, make, good):
    bare = make.write_run(
        workspace, replace(good[0].run, id="20261120-bare", checks=()), map(make.sample_record, range(4)), "", ()
    )
    with pytest.raises(InputError, match="has no gates"):
        make.decide(workspace, make.policy(), [replace(good[0], gates=(), run=bare)])


def test_there_must_be_a_run_of_what_is_promoted(workspace, make, good):
    with pytest.raises(InputError, match="not run on what is promoted"):
        make.decide(workspace, make.policy(), [replace(good[0], baselines={})])


@pytest.mark.parametrize("field", ["samples_fingerprint", "suite_fingerprint", "judge_fingerprint"])
def test_pairs_must_pair(workspace, make, good, field):
    other = replace(good[0].baselines["promoted"], **{field: "another"})
    with pytest.raises(InputError, match="differ in"):
        make.decide(workspace, make.policy(), [replace(good[0], baselines={"promoted": other})])


def test_a_candidate_is_not_compared_with_itself(workspace, make):
    found = make.evidence(workspace, make.candidate(), "base")
    with pytest.raises(InputError, match="is the bare base"):
        make.decide(workspace, make.policy(), found)


def test_runs_of_different_candidates_do_not_mix(workspace, make, good):
    policy = make.policy(suites=(PolicySuite(suite="tiny"),) * 2)
    other = make.evidence(workspace, make.candidate(system="other"), "other")
    with pytest.raises(InputError, match="different candidates"):
        make.decide(workspace, policy, (*good, *other))


def test_what_is_handed_over_must_be_what_is_stored(workspace, make, good):
    forged = replace(good[0].run, seconds=0.1)
    with pytest.raises(BrokenRunError, match="not stored as it was judged"):
        make.decide(workspace, make.policy(), [replace(good[0], run=forged)])


def test_changed_files_are_no_evidence(workspace, make, good):
    write_file(workspace.runs / good[0].run.id / "samples.parquet", "x")
    with pytest.raises(BrokenRunError, match=r"samples\.parquet"):
        make.decide(workspace, make.policy(), good)


def test_a_changed_decision_is_found_out(workspace, make):
    found = make.evidence(workspace, make.candidate(system="x"), "new", status="failed")
    decision = make.decide(workspace, make.policy(), found)
    path = decision_path(workspace, decision.id)
    write_file(path, path.read_text().replace('"failed"', '"passed"'))
    with pytest.raises(BrokenRunError, match="not what the ledger has"):
        read_decision(workspace, decision.id)
    path.rename(decision_path(workspace, "0" * 12))
    with pytest.raises(BrokenRunError, match="not in the ledger"):
        read_decision(workspace, "0" * 12)
    with pytest.raises(BrokenRunError, match="its file is gone"):
        read_decision(workspace, "latest")


@pytest.mark.parametrize("name", ["../runs", "", "zzz", "../../x", "/etc/passwd"])
def test_names_of_decisions_never_leave_the_folder(workspace, make, good, name):
    make.decide(workspace, make.policy(), good)
    with pytest.raises(InputError):
        read_decision(workspace, name)


def test_runs_behind_a_decision_cannot_be_removed(workspace, make, good):
    decision = make.decide(workspace, make.policy(), good)
    for run in (*decision.runs, *decision.baseline_runs):
        with pytest.raises(InputError, match=f"the decision {decision.id} rests on it"):
            remove_runs(workspace, [run])
        runs.check_run(workspace, run)
