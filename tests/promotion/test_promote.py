"""Promotion checks everything again and changes everything or nothing; rollback finds its way back."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import hookimpl
from harness.errors import EXIT_GATE, BrokenRunError, InputError
from harness.store import promoted as promoted_module
from harness.store.adapters import promoted, resolve_adapters
from harness.store.atomic import write_file
from harness.store.decisions import decision_path
from harness.store.promoted import alias_path, live
from harness.store.workspace import Workspace
from harness_promotion.promoting import PromotionRefusedError, promote, rollback


def test_promotion_and_its_alias(workspace, plugins, decided, tmp_path):
    assert promoted(workspace) is None
    assert not alias_path(workspace).exists()
    decision = decided("one", 1.0)
    entry = promote(workspace, decision.id, plugins)
    assert (entry.kind, entry.body["decision"], entry.body["before"]) == ("promotion", decision.id, 0)
    shutil.rmtree(tmp_path / "one")
    (spec,) = promoted(workspace).adapters
    assert spec.path == str(workspace.artifacts / "adapter" / spec.id)
    assert spec.reference == str(tmp_path / "one")
    assert resolve_adapters(["promoted"], workspace) == (replace(spec, reference="promoted"),)
    alias = json.loads(alias_path(workspace).read_text())
    assert (alias["entry"], alias["head"], alias["adapters"]) == (entry.number, entry.hash, [spec.path])
    assert alias["candidate_fingerprint"] == "fp-one"
    workspace.ledger.verify(entry.hash)


def test_a_moved_workspace_still_knows_what_is_promoted(workspace, plugins, decided, tmp_path):
    promote(workspace, decided("one", 1.0).id, plugins)
    workspace.close()
    shutil.move(workspace.root, tmp_path / "moved")
    moved = Workspace.open(tmp_path / "moved")
    assert promoted(moved).adapters[0].path.startswith(str(tmp_path / "moved"))
    assert json.loads(alias_path(moved).read_text())["adapters"][0].startswith(str(tmp_path / "moved"))
    moved.close()


@pytest.mark.parametrize("damage", ["{", None, '{"adapters": ["/tmp/evil"]}'])
def test_the_alias_is_derived_from_the_ledger_on_open(workspace, plugins, decided, damage):
    promote(workspace, decided("one", 1.0).id, plugins)
    path = alias_path(workspace)
    right = path.read_text()
    path.unlink() if damage is None else path.write_text(damage)
    Workspace.open(workspace.root).close()
    assert path.read_text() == right


def test_an_alias_without_a_promotion_goes_away(workspace):
    alias_path(workspace).write_text("{}")
    Workspace.open(workspace.root).close()
    assert not alias_path(workspace).exists()


def lose(workspace, how: str) -> None:
    """Damage the ledger as a person or an accident would."""
    for suffix in ("-wal", "-shm"):
        workspace.ledger_path.with_name(f"ledger.db{suffix}").unlink(missing_ok=True)
    if how == "deleted":
        workspace.ledger_path.unlink()
        return
    if how == "emptied":
        workspace.ledger_path.write_bytes(b"")
        return
    other = sqlite3.connect(workspace.ledger_path)
    for trigger in ("entries_no_update", "entries_no_delete"):
        other.execute(f"DROP TRIGGER {trigger}")
    newest = "(SELECT max(number) FROM entries)"
    other.execute(
        f"DELETE FROM entries WHERE number = {newest}" if how == "cut"
        else f"UPDATE entries SET body = '[]' WHERE number IN (2, {newest})" if how == "malformed"
        else f"UPDATE entries SET body = replace(body, 'one', 'two') WHERE number = {newest}"
    )  # fmt: skip
    other.commit()
    other.close()


@pytest.mark.parametrize(
    ("how", "words"),
    [("deleted", "gone or empty"), ("emptied", "gone or empty"), ("cut", "lost, cut short or built anew"),
     ("malformed", "row 2 of the ledger is bad"), ("tampered", "of the ledger is bad: its content")],
)  # fmt: skip
def test_no_alias_is_derived_from_a_ledger_that_is_not_what_it_was(workspace, plugins, decided, how, words):
    promote(workspace, decided("one", 1.0).id, plugins)
    before = alias_path(workspace).read_text()
    workspace.close()
    lose(workspace, how)
    for _ in range(2):
        with pytest.raises(BrokenRunError, match=words):
            Workspace.open(workspace.root)
    assert alias_path(workspace).read_text() == before


def test_a_ledger_that_is_gone_is_not_begun_anew_while_decisions_are_here(workspace, decided):
    decided("one", 1.0)
    workspace.close()
    lose(workspace, "deleted")
    with pytest.raises(BrokenRunError, match="attempts and promotions would be forgotten"):
        Workspace.open(workspace.root)
    assert not workspace.ledger_path.exists()


def test_another_workspaces_alias_is_not_overwritten_in_silence(workspace, plugins, decided, tmp_path):
    promote(workspace, decided("one", 1.0).id, plugins)
    other = Workspace.open(tmp_path / "other", create=True)
    alias_path(other).write_text(alias_path(workspace).read_text())
    with pytest.raises(BrokenRunError, match="or delete the alias"):
        Workspace.open(other.root)
    alias_path(other).unlink()
    Workspace.open(other.root).close()


@pytest.mark.parametrize("status", ["failed", "inconclusive"])
def test_only_what_passed_is_promoted(workspace, plugins, decided, status):
    decision = decided("one", 1.0, status=status)
    with pytest.raises(PromotionRefusedError, match="may not be promoted") as caught:
        promote(workspace, decision.id, plugins)
    assert caught.value.exit_code == EXIT_GATE
    assert promoted(workspace) is None


def test_a_stale_decision_is_refused(workspace, plugins, decided):
    first, second = decided("one", 1.0), decided("two", 2.0)
    promote(workspace, first.id, plugins)
    with pytest.raises(
        InputError, match=r"compared with echo:, but what is promoted is echo: \+ .*/one, since entry.*decide again"
    ):
        promote(workspace, second.id, plugins)
    with pytest.raises(InputError, match="promoted already"):
        promote(workspace, first.id, plugins)
    assert len(workspace.ledger.entries("promotion", "refusal", "rollback")) == 1


def test_an_upgraded_engine_does_not_make_the_baseline_another(workspace, plugins, decided, make, tmp_path):
    promote(workspace, decided("one", 1.0).id, plugins)
    who = make.candidate(*resolve_adapters([str(make.adapter(tmp_path / "two", 2.0))], workspace))
    found = make.evidence(
        workspace, who, "new", baseline=promoted(workspace), baseline_fingerprint="same parts, newer torch"
    )
    promote(workspace, make.decide(workspace, make.policy(), found).id, plugins)
    assert live(workspace).fingerprint == "new"


@pytest.mark.parametrize("which", ["candidate", "baseline"])
@pytest.mark.parametrize("name", ["run.json", "samples.parquet", "suite.yaml"])
def test_changed_evidence_is_refused(workspace, plugins, decided, which, name):
    decision = decided("one", 1.0)
    (run,) = decision.runs if which == "candidate" else decision.baseline_runs
    path = workspace.runs / run / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(BrokenRunError, match=name):
        promote(workspace, decision.id, plugins)
    assert promoted(workspace) is None


def test_a_changed_decision_is_refused(workspace, plugins, decided):
    decision = decided("one", 1.0)
    write_file(decision_path(workspace, decision.id), "{}")
    with pytest.raises(BrokenRunError, match="not what the ledger has"):
        promote(workspace, decision.id, plugins)


def test_a_changed_ledger_is_refused(workspace, plugins, decided):
    decision = decided("one", 1.0)
    other = sqlite3.connect(workspace.ledger_path)
    other.execute("DROP TRIGGER entries_no_update")
    other.execute("UPDATE entries SET created = 'then' WHERE number = 2")
    other.commit()
    other.close()
    with pytest.raises(BrokenRunError, match="row 2 of the ledger is bad"):
        promote(workspace, decision.id, plugins)


def test_a_changed_or_lost_adapter_is_refused(workspace, plugins, decided, make, tmp_path):
    decision = decided("one", 1.0)
    make.adapter(tmp_path / "one", 5.0)
    with pytest.raises(BrokenRunError, match="changed"):
        promote(workspace, decision.id, plugins)
    shutil.rmtree(tmp_path / "one")
    with pytest.raises(InputError, match="no such adapter folder"):
        promote(workspace, decision.id, plugins)
    assert promoted(workspace) is None
    assert not list(workspace.artifacts.rglob("*.safetensors"))


@pytest.mark.parametrize("name", ["", "adapter_model.safetensors"])
def test_what_is_promoted_lies_in_the_workspace_and_is_no_link(workspace, plugins, decided, tmp_path, name):
    decision = decided("one", 1.0)
    (spec,) = decision.candidate.adapters
    kept = workspace.artifacts / "adapter" / spec.id
    kept.parent.mkdir(parents=True)
    if name:
        shutil.copytree(tmp_path / "one", kept)
        (kept / name).unlink()
    (kept / name).symlink_to(tmp_path / "one" / name)
    with pytest.raises(BrokenRunError, match="is a link"):
        promote(workspace, decision.id, plugins)
    assert promoted(workspace) is None


def test_a_plugin_can_object_at_the_last_moment(workspace, make, decided):
    class Guard:
        @hookimpl
        def veto_promotion(self, run, baseline):
            return f"not {run.suite} against {baseline.candidate_fingerprint}"

    decision = decided("one", 1.0)
    with pytest.raises(PromotionRefusedError, match="vetoed by guard: not tiny against base"):
        promote(workspace, decision.id, make.plugins(guard=Guard()))
    assert promoted(workspace) is None


def test_a_veto_of_a_promotion_stays_in_the_ledger(workspace, make, decided):
    class Guard:
        @hookimpl
        def veto_promotion(self, run, baseline):
            return "not on\na Friday"

    decision = decided("one", 1.0)
    before = len(workspace.ledger.entries())
    for _ in range(2):
        with pytest.raises(PromotionRefusedError, match=r"vetoed by guard: not on a Friday \(entry \d+\)"):
            promote(workspace, decision.id, make.plugins(guard=Guard()))
    assert len(workspace.ledger.entries()) == before + 2
    assert not list(workspace.artifacts.rglob("*.safetensors")), "nothing is kept of what was refused"
    for entry in workspace.ledger.entries("promotion", "refusal", "rollback"):
        assert (entry.kind, entry.body["decision"]) == ("refusal", decision.id)
        assert entry.body["vetoes"] == [{"owner": "guard", "reason": "not on\na Friday"}]
        assert entry.body["candidate_fingerprint"] == "fp-one"
    assert live(workspace) is None
    promote(workspace, decision.id, make.plugins())
    assert [entry.kind for entry in workspace.ledger.entries("promotion", "refusal", "rollback")] == [
        "refusal",
        "refusal",
        "promotion",
    ]
    workspace.ledger.verify()


class UnshowableError(Exception):
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("answer", "words"),
    [(UnshowableError(), "a UnshowableError that cannot be shown"), ("\ud800", "?"), ("x" * 10_000, "…"), ("", "no reason"),
     (RuntimeError("\udfff"), "could not check"), (False, "neither a reason nor None"), (UnshowableError, "neither")],
)  # fmt: skip
def test_whatever_a_plugin_answers_is_a_veto_that_can_be_kept(workspace, make, decided, answer, words):
    class Guard:
        @hookimpl
        def veto_promotion(self, run, baseline):
            if isinstance(answer, Exception):
                raise answer
            return answer

    decision = decided("one", 1.0)
    plugins = make.plugins(guard=Guard())
    with pytest.raises(PromotionRefusedError, match="vetoed by guard"):
        promote(workspace, decision.id, plugins)
    (veto,) = workspace.ledger.last("refusal").body["vetoes"]
    assert words in veto["reason"]
    assert len(veto["reason"]) <= 2000


def test_plugins_are_told_and_cannot_undo(workspace, make, decided):
    seen: list[str] = []

    class Observer:
        @hookimpl
        def promotion_changed(self, entry):
            seen.append(entry.kind)
            raise RuntimeError("the registry is down")

    warnings: list[str] = []
    plugins = make.plugins(registry=Observer())
    promote(workspace, decided("one", 1.0).id, plugins, warn=warnings.append)
    rollback(workspace, plugins, warn=warnings.append)
    assert seen == ["promotion", "rollback"]
    assert len(warnings) == 2
    assert all("plugin registry failed in promotion_changed: " in warning for warning in warnings)
    assert all("the registry is down" in warning for warning in warnings)
    assert len(workspace.ledger.entries("promotion", "refusal", "rollback")) == 2


def test_an_alias_that_cannot_be_written_is_a_warning(workspace, plugins, decided, monkeypatch):
    decision = decided("one", 1.0)

    def refuse(path, text):
        raise BrokenRunError(f"{path}: the disk is full")

    warnings: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(promoted_module, "write_file", refuse)
        promote(workspace, decision.id, plugins, warn=warnings.append)
    assert "stands in the ledger" in warnings[0]
    Workspace.open(workspace.root).close()
    assert json.loads(alias_path(workspace).read_text())["candidate_fingerprint"] == "fp-one"


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(workspace, decided):
    decisions = [decided("a", 1.0).id, decided("b", 2.0).id]
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent / "store")!r})
import builders
from harness.errors import HarnessError
from harness_promotion.promoting import promote
from harness.store.workspace import Workspace
workspace = Workspace.open({str(workspace.root)!r})
print("ready", flush=True)
sys.stdin.readline()
try:
    promote(workspace, sys.argv[1], builders.plugins())
    print("won")
except HarnessError as error:
    print("told", error.exit_code, error)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in decisions
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(process.communicate()[0] for process in processes)
    assert answers[1] == "won\n"
    assert answers[0].startswith("told 2")
    assert "is writing in this workspace" in answers[0] or "what is promoted is" in answers[0]
    assert len(workspace.ledger.entries("promotion", "refusal", "rollback")) == 1
    workspace.ledger.verify()


def test_the_second_promotion_sees_the_first_even_without_the_lock(workspace, plugins, decided, monkeypatch):
    """Should the lock ever not hold (some network file systems), the ledger's transaction still orders the two."""
    first, second = decided("a", 1.0), decided("b", 2.0)
    other = Workspace.open(workspace.root)
    promote(other, first.id, plugins)
    with pytest.raises(InputError, match="what is promoted is"):
        promote(workspace, second.id, plugins)
    other.close()


def test_a_promoted_system_prompt_needs_no_adapter(workspace, plugins, make):
    found = make.evidence(workspace, make.candidate(system="be kind"), "kind")
    promote(workspace, make.decide(workspace, make.policy(), found).id, plugins)
    assert promoted(workspace) == replace(make.candidate(), system="be kind")


def test_the_weights_that_a_promotion_rests_on_are_read_whole(tmp_path, monkeypatch):
    """Whatever is remembered of them: a note can be forged by whoever reads its key."""
    import time
    from types import SimpleNamespace

    from harness.contracts import RunContext
    from harness.hashing import sha256_file
    from harness.plugins import load_plugins
    from harness.references import resolve_model
    from harness.types import Candidate
    from harness.weights import memo
    from harness_promotion.preflight import Preflight, read_weights

    file = tmp_path / "replies.jsonl"
    file.write_text("{}\n")
    time.sleep(0.06)
    reads = []
    monkeypatch.setattr(memo, "sha256_file", lambda path: reads.append(path) or sha256_file(path))
    surroundings = RunContext(offline=True, weights=tmp_path / "store")
    plugins = load_plugins(())
    spec = resolve_model(f"replay:{file}", dtype="auto", device="cpu", schemes=["replay"])
    decision = SimpleNamespace(candidate=Candidate(model=spec))
    model = plugins.registries.models.get("replay")(spec, surroundings)
    for _ in range(2):
        model.fingerprint(decision.candidate)
    assert len(reads) == 1
    read_weights(decision, plugins, Preflight(policy=None, context=surroundings))
    assert len(reads) == 2
