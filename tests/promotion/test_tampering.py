"""What somebody with access to the files may change, and what says so: each row of the table is one of them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BrokenRunError
from harness.store.adapters import adapter_id
from harness.store.promoted import alias_path, live
from harness.store.workspace import Workspace
from harness_inspect.removing import remove_runs
from harness_promotion.attempts import Trial, budget, plan_attempt
from harness_promotion.promoting import promote
from tests.promotion.lived_in import complaints, live_in, verdicts
from tests.store import builders


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("lived-in") / "ws"
    live_in(root)
    assert complaints(root) == []
    return root


@pytest.fixture
def root(origin, tmp_path) -> Path:
    """A workspace of its own, in which things happened."""
    return shutil.copytree(origin, tmp_path / "ws")


def rows(root: Path, kind: str) -> list[dict]:
    workspace = Workspace.open(root)
    found = [dict(entry.body) for entry in workspace.ledger.entries(kind)]
    workspace.close()
    return found


def decision(root: Path, place: int = -1) -> Path:
    return root / "decisions" / f"{rows(root, 'decision')[place]['decision']}.json"


def run(root: Path, place: int = -2) -> Path:
    """Return a run's folder; the last one is behind no decision."""
    return root / "runs" / rows(root, "run")[place]["run"]


def adapter(root: Path, place: int = -1) -> Path:
    body = rows(root, "promotion")[place]
    return root / body["candidate"]["adapters"][0]["path"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


def append(path: Path, text: str = " ") -> None:
    path.write_bytes(path.read_bytes() + text.encode())


def sql(root: Path, *statements: str) -> None:
    connection = sqlite3.connect(root / "ledger.db")
    for trigger in ("entries_no_update", "entries_no_delete", "entries_in_order"):
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def cut_to_promotion(root: Path) -> None:
    sql(root, "DELETE FROM entries WHERE number > (SELECT max(number) FROM entries WHERE kind = 'promotion')")


def rewrite(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


Tamper = Callable[[Path], object]
TABLE: dict[str, tuple[Tamper, str]] = {
    "a decision is deleted": (lambda r: decision(r).unlink(), "its file is gone"),
    "a refused decision is called passed": (
        lambda r: rewrite(decision(r, 2), status="passed"), "is not what the ledger has",
    ),
    "a decision is put there": (
        lambda r: shutil.copy(decision(r), r / "decisions" / "0123456789ab.json"), "does not know this decision",
    ),
    "a run behind a decision is deleted": (lambda r: shutil.rmtree(run(r)), "a decision rests on this run"),
    "a run is deleted without a word": (lambda r: shutil.rmtree(run(r, -1)), "say that it was removed"),
    "a run is put there": (lambda r: shutil.copytree(run(r), r / "runs" / "20260101-x"), "does not know this run"),
    "a run's record is edited": (lambda r: append(run(r) / "run.json"), "is not what"),
    "a run's record is deleted": (lambda r: (run(r) / "run.json").unlink(), "is not what"),
    "a bit of the promoted weights flips": (
        lambda r: flip(adapter(r) / "adapter_model.safetensors"), "has changed since it was stored",
    ),
    "the promoted adapter's configuration is edited": (
        lambda r: rewrite(adapter(r) / "adapter_config.json", lora_alpha=99), "has changed since it was stored",
    ),
    "the promoted adapter's configuration names code, and its record forgets what it was": (
        lambda r: (
            rewrite(adapter(r) / "adapter_config.json", auto_mapping={"parent_library": "os"}),
            (adapter(r) / "artifact.json").unlink(),
        ),
        "adapter_config.json: the file has changed since",
    ),
    "the promoted adapter is deleted": (lambda r: shutil.rmtree(adapter(r)), "no such adapter folder"),
    "the ledger is deleted": (lambda r: (r / "ledger.db").unlink(), "gone or empty"),
    "the ledger is emptied": (lambda r: (r / "ledger.db").write_bytes(b""), "gone or empty"),
    "the ledger is cut after the last promotion": (cut_to_promotion, "does not know this decision"),
    "the ledger is cut before it": (
        lambda r: sql(r, "DELETE FROM entries WHERE number > 5"), "lost, cut short or built anew",
    ),
    "a row of the ledger is edited": (
        lambda r: sql(r, "UPDATE entries SET body = replace(body, 'failed', 'passed')"), "is bad",
    ),
    "a row of the ledger is deleted": (lambda r: sql(r, "DELETE FROM entries WHERE number = 7"), "row 7 of the ledger"),
    "an intent is put there": (lambda r: (r / ".intent-00").write_text("{}"), "is no intent"),
    "the alias names another head": (
        lambda r: rewrite(r / "adapters" / "promoted", head="0" * 64), "lost, cut short or built anew",
    ),
}  # fmt: skip
DEEP: dict[str, tuple[Tamper, str]] = {
    "a run's samples are edited": (lambda r: flip(run(r) / "samples.parquet"), "is not what it was"),
    "a run's suite is edited": (lambda r: append(run(r) / "suite.yaml"), "is not what it was"),
    "a run's constitutions are edited": (lambda r: append(run(r) / "constitutions.json"), "is not what it was"),
    "an older adapter's configuration is edited where its id does not look": (
        lambda r: rewrite(adapter(r, 0) / "adapter_config.json", task_type="X"), "the file has changed since",
    ),
    "a bit of an older adapter flips": (
        lambda r: flip(adapter(r, 0) / "adapter_model.safetensors"), "has changed since it was stored",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", [*TABLE, *DEEP])
def test_verify_says_what_was_changed(root, what):
    tamper, words = (TABLE | DEEP)[what]
    tamper(root)
    assert any(words in complaint for complaint in complaints(root, deep=what in DEEP)), complaints(root)


@pytest.mark.parametrize(
    "what", ["the alias is edited", "the alias is deleted", "the guards in the ledger are dropped"]
)
def test_what_only_repeats_the_ledger_is_put_right(root, what):
    before = verdicts(root), alias_path(Workspace(root)).read_text()
    if what == "the alias is edited":
        rewrite(root / "adapters" / "promoted", adapters=["/elsewhere"])
    elif what == "the alias is deleted":
        (root / "adapters" / "promoted").unlink()
    else:
        sql(root)
    assert complaints(root) == []
    assert (verdicts(root), alias_path(Workspace(root)).read_text()) == before


def test_attempts_do_not_come_back_when_the_ledger_is_cut(root):
    cut_to_promotion(root)
    workspace = Workspace.open(root)
    policy = builders.policy()
    trial = Trial(suite="tiny", measured="m", arms={})
    for count in (lambda: plan_attempt(workspace, policy, "new", [trial]), lambda: budget(workspace, policy)):
        with pytest.raises(BrokenRunError, match="attempts are not counted until then"):
            count()
    workspace.close()


def test_nothing_is_promoted_on_a_run_that_was_edited(root):
    flip(run(root) / "samples.parquet")
    workspace = Workspace.open(root)
    before = live(workspace)
    with pytest.raises(BrokenRunError, match="is not what it was when the run was made"):
        promote(workspace, "latest", builders.plugins())
    assert live(workspace) == before
    workspace.close()


def test_a_run_that_was_deleted_by_hand_can_be_said_to_be_gone(root):
    folder = run(root, -1)
    shutil.rmtree(folder)
    workspace = Workspace.open(root)
    assert remove_runs(workspace, [folder.name]) == [folder.name]
    workspace.close()
    assert complaints(root) == []


def test_an_adapter_is_what_its_name_says(root):
    assert adapter_id(adapter(root)) == adapter(root).name
