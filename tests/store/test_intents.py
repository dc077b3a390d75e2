"""A row is appended after a kill only for what an intent of this ledger named, as it named it; all else is set aside."""

from __future__ import annotations

import json

import pytest

from harness.errors import BrokenRunError
from harness.hashing import sha256_json
from harness.store import decisions, intents, recovery, runs
from harness.store.workspace import Workspace


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def killed(workspace, make, monkeypatch):
    """A run that is in place without its row, its id, and the intent that was left."""

    def die(*_):
        raise Killed

    make.stored_run(workspace, make.run_record(fingerprint="before"))
    with monkeypatch.context() as patch:
        patch.setattr(runs, "commit", die)
        with pytest.raises(Killed):
            make.stored_run(workspace, make.run_record())
    (intent,) = intents.intent_files(workspace)
    return json.loads(intent.read_text())["name"], intent


def signed(content: dict) -> tuple[str, str]:
    """Return what an intent's file is called and says, its digest made anew as a forger would."""
    content = {key: value for key, value in content.items() if key != "digest"}
    return f".intent-{str(content.get('sha256'))[:32]}", json.dumps({**content, "digest": sha256_json(content)})


def test_what_was_killed_in_between_gets_its_row(workspace, killed):
    run, _ = killed
    with workspace.lock("next"):
        pass
    assert runs.check_run(workspace, run).id == run
    assert len(workspace.ledger.entries("run")) == 2
    assert intents.intent_files(workspace) == []


def test_a_row_that_was_appended_is_not_appended_again(workspace, killed):
    run, intent = killed
    text = intent.read_text()
    with workspace.lock("next"):
        pass
    intent.write_text(text)
    with workspace.lock("and next"):
        pass
    assert [row.body["run"] for row in workspace.ledger.entries("run")].count(run) == 1


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda c: {**c, "kind": "promotion"}, "is not what was written"),
        (lambda c: {**c, "kind": "decision"}, "is no name for a decision"),
        (lambda c: {**c, "name": "../../outside"}, "is no name for a run"),
        (lambda c: {**c, "name": ["x"]}, "is not what was written"),
        (lambda c: {**c, "previous": "f" * 64}, "the ledger holds no row ffffffffffffffff"),
        (lambda c: {**c, "previous": "0" * 64}, "the ledger went on after"),
        (lambda c: {**c, "sha256": "a" * 64}, "is not what was to be put in place"),
        (lambda c: {**c, "body": {"status": "passed"}}, "is no intent that was written here"),
        (lambda c: {"kind": "run"}, "is no intent that was written here"),
    ],
)
def test_a_forged_intent_is_set_aside(workspace, killed, forge, words):
    run, intent = killed
    name, text = signed(forge(json.loads(intent.read_text())))
    intent.unlink()
    (workspace.root / name).write_text(text)
    refused(workspace, name, words)
    assert run not in [row.body["run"] for row in workspace.ledger.entries("run")]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"digest": 1}'])
def test_a_damaged_intent_is_set_aside(workspace, killed, damage):
    _, intent = killed
    intent.write_bytes(damage)
    refused(workspace, intent.name, "is no")


@pytest.mark.parametrize("key", ["kind", "name", "sha256", "previous", "digest"])
def test_an_intent_with_one_changed_value_is_set_aside(workspace, killed, key):
    _, intent = killed
    content = json.loads(intent.read_text())
    value = content[key]
    intent.write_text(json.dumps({**content, key: ("1" if value.startswith("0") else "0") + value[1:]}))
    refused(workspace, intent.name, "")


@pytest.mark.parametrize("name", [runs.RUN_FILE, runs.SAMPLES_FILE, runs.SUITE_FILE])
def test_a_run_that_is_not_what_was_intended_gets_no_row(workspace, killed, name):
    run, intent = killed
    file = workspace.runs / run / name
    if name == runs.SUITE_FILE:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    refused(workspace, intent.name, "is not what was")


def test_an_intent_of_another_workspace_is_set_aside(workspace, killed, tmp_path, make):
    run, intent = killed
    other = Workspace.open(tmp_path / "other", create=True)
    (workspace.runs / run).rename(other.runs / run)
    (other.root / intent.name).write_bytes(intent.read_bytes())
    refused(other, intent.name, "the ledger holds no row")
    other.close()


def test_a_decision_that_was_killed_in_between_gets_its_row(workspace, make, monkeypatch):
    monkeypatch.setattr(decisions, "commit", lambda *_: None)
    found = make.evidence(workspace, make.candidate(), "fp")
    decision = make.decide(workspace, make.policy(), found)
    assert workspace.ledger.entries("decision") == ()
    with workspace.lock("next"):
        pass
    assert decisions.read_decision(workspace, decision.id) == decision


def refused(workspace: Workspace, name: str, words: str) -> None:
    before = workspace.ledger.entries()
    with (
        pytest.raises(BrokenRunError, match="nothing was put into the ledger for it") as caught,
        workspace.lock("next"),
    ):
        pass
    assert words in str(caught.value)
    assert workspace.ledger.entries() == before
    assert (workspace.root / recovery.QUARANTINE / name.removeprefix(".")).is_file()
    with workspace.lock("and next"):
        pass
    assert workspace.ledger.entries() == before
