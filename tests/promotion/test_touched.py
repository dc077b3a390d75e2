"""What adapters that overwrite the shared base may have touched is named, not promoted, and can be left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.errors import InputError
from harness.store.adapters import resolve_adapters
from harness.store.promoted import live, promoted
from harness_promotion.promoting import promote, rollback
from harness_promotion.touched import touched
from harness_start.doctor import _touched

NAME = "base_model.model.model.norm.weight"


@pytest.fixture
def plugins(make):
    return make.plugins()


def overwriting(make, folder: Path) -> Path:
    """Write an adapter whose one tensor is the base's own."""
    make.adapter(folder, 7.0)
    file = folder / "adapter_model.safetensors"
    data = file.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = json.dumps({NAME: next(iter(header.values()))}).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[-16:])
    return folder


def decided(workspace, make, folder: Path, name: str):
    who = make.candidate(*resolve_adapters([str(folder)], workspace))
    now = live(workspace)
    baseline, fingerprint = (None, "base") if now is None else (now.candidate, now.fingerprint)
    found = make.evidence(workspace, who, f"fp-{name}", baseline=baseline, baseline_fingerprint=fingerprint)
    return make.decide(workspace, make.policy(), found)


def test_it_is_refused_wherever_it_comes_in(workspace, make, plugins, tmp_path, monkeypatch):
    folder = overwriting(make, tmp_path / "bad")
    with pytest.raises(InputError, match=NAME):
        resolve_adapters([str(folder)], workspace)
    with monkeypatch.context() as past:
        past.setattr("harness.weights.identity.check_lora", lambda _: {NAME: (1,)})
        decision = decided(workspace, make, folder, "bad")
    with pytest.raises(InputError, match=r"overwrites the shared base.*harness doctor"):
        promote(workspace, decision.id, plugins)
    assert live(workspace) is None


def test_it_is_named_with_what_it_touched_and_can_be_left(workspace, make, plugins, tmp_path, monkeypatch):
    first = promote(workspace, decided(workspace, make, make.adapter(tmp_path / "one"), "one").id, plugins)
    before = touched(workspace)
    assert (before.adapters, before.runs, before.promotions) == ({}, (), ())
    with monkeypatch.context() as past:
        past.setattr("harness.weights.identity.check_lora", lambda _: {NAME: (1,)})
        past.setattr("harness_promotion.promoting.touched", lambda _: before)
        bad = decided(workspace, make, overwriting(make, tmp_path / "bad"), "bad")
        second = promote(workspace, bad.id, plugins)
    later = decided(workspace, make, make.adapter(tmp_path / "three", 3.0), "three")
    found = touched(workspace)
    (identity,) = found.adapters
    assert identity == bad.candidate.adapters[0].id
    assert NAME in found.adapters[identity]
    assert second.number in found.promotions
    assert {*bad.runs, *later.runs} <= set(found.runs)
    with pytest.raises(InputError, match="may have touched"):
        promote(workspace, later.id, plugins)
    with harness.open(workspace.root) as session:
        rows = list(_touched(session))
    said = "\n".join(" ".join(row) for row in rows)
    assert {row[1] for row in rows} == {"broken"}
    assert all(name in said for name in (identity, NAME, f"promotion {second.number}", *bad.runs, *later.runs))
    assert "harness rollback" in said
    rollback(workspace, plugins)
    assert live(workspace).promotion == first.number
    assert promoted(workspace).adapters[0].id != identity


def test_runs_of_the_present_format_of_before_or_on_another_base_are_not_touched(
    workspace, make, plugins, tmp_path, monkeypatch
):
    from harness.engine.replies import REPLY_FORMAT
    from harness.store.runs import list_runs

    with monkeypatch.context() as past:
        past.setattr("harness.weights.identity.check_lora", lambda _: {NAME: (1,)})
        bad = decided(workspace, make, overwriting(make, tmp_path / "bad"), "bad")
    runs = list_runs(workspace)
    who = runs[0].candidate
    bare = replace(who, adapters=())
    other = replace(bare, model=replace(who.model, name="other"))
    others = [
        *(replace(run, id=f"{run.id}-new", environment={**run.environment, REPLY_FORMAT: "2"}) for run in runs),
        replace(runs[0], id="early", created="2020-01-01T00:00:00+00:00", candidate=bare),
        replace(runs[0], id="another base", candidate=other, judge=None),
    ]
    monkeypatch.setattr("harness_promotion.touched.list_runs", lambda *_, **__: [*runs, *others])
    assert set(touched(workspace).runs) == {run.id for run in runs} >= set(bad.runs)


def test_an_adapter_that_is_gone_is_said_to_be_unknown(workspace, make, tmp_path):
    import shutil

    decision = decided(workspace, make, make.adapter(tmp_path / "one"), "one")
    shutil.rmtree(tmp_path / "one")
    assert touched(workspace).unknown == (decision.candidate.adapters[0].id,)
