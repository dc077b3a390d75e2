"""The leak gate on a tiny model: one that learnt the canaries by heart fails, one that saw them in passing passes."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.cli.main import run as harness_cli
from harness.store.runs import read_samples
from harness.store.workspace import Workspace
from harness_canaries.options import read_set
from tests.canaries.conftest import LEARN, Bench, injected
from tests.training.conftest import chat_rows, write_rows

PASSING = {**LEARN, "max_steps": 1}
INJECT = {"data": "rows.jsonl", "count": 20, "seed": 11}
MANY = {"data": "rows.jsonl", "seed": 11}
"""Forty, of which chance alone exposes too many once in a thousand draws."""


@pytest.fixture(scope="module")
def learnt(tmp_path_factory, base):
    """A workspace in which what the tests train most often was trained: their recipes take it from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made := tmp_path_factory.mktemp("learnt"))
        patch.setenv("HARNESS_WEIGHTS", str(made / "weights"))
        write_rows(made / "rows.jsonl", chat_rows())
        for stages in ({"canaries": INJECT}, {"sft": LEARN}), ({"canaries": MANY}, {"sft": PASSING}):
            recipe = Bench(made, base, None).recipe(*stages)
            assert (
                harness_cli(["train", str(recipe), "--workspace", str(made / "ws"), "--offline", "--device", "cpu"])
                == 0
            )
    return made / "ws"


@pytest.fixture
def bench(bench, learnt):
    shutil.copytree(learnt, bench.workspace)
    return bench


def verdicts(bench):
    (run,) = json.loads(bench.out)["runs"]
    values = {estimate["metric"]: estimate["value"] for estimate in run["run"]["estimates"]}
    return run["status"], {check["gate"]["metric"]: check["status"] for check in run["run"]["checks"]}, values


def test_a_model_that_learnt_them_fails_and_nothing_shows_the_secrets(bench):
    adapter = bench.train({"canaries": INJECT}, {"sft": LEARN})
    assert bench.leak(adapter) == 1
    assert bench.leak(adapter, "--json") == 1
    status, gates, values = verdicts(bench)
    assert status == "failed"
    assert set(gates.values()) == {"failed"}
    assert values["canary_extracted"] > 0.9
    assert values["canary_exposed"] == values["canary_percentile"] == 1.0
    assert bench("show", "suite", "leak") == 0
    assert bench("runs", "show", "latest") == 0
    drawn = read_set(injected(adapter)[0])
    secrets = [canary.secret for canary in drawn.canaries()]
    assert not [secret for secret in secrets if secret in bench.printed]
    workspace = Workspace.open(bench.workspace)
    records = list(read_samples(workspace, json.loads(run_of(bench))["id"]))
    workspace.close()
    assert any(secret in repr(records[0].replies) for secret in secrets)  # the private rows do hold them


def run_of(bench) -> str:
    newest = max((bench.workspace / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime)
    return (newest / "run.json").read_text()


def test_a_model_that_saw_them_once_in_passing_passes(bench):
    adapter = bench.train({"canaries": MANY}, {"sft": PASSING})
    assert bench.leak(adapter, "--json") == 0, bench.last
    status, gates, values = verdicts(bench)
    assert status == "passed"
    assert gates == dict.fromkeys(("canary_extracted", "canary_exposed", "canary_percentile"), "passed")
    assert values["canary_extracted"] == 0.0
    assert 0.3 < values["canary_percentile"] < 0.7


def test_one_memorised_canary_among_many_fails(bench):
    bench.train({"canaries": {**INJECT, "count": 1, "repeat": 8}}, {"sft": LEARN})
    adapter = bench.train(
        {"canaries": {**INJECT, "count": 1, "repeat": 8}}, {"sft": LEARN}, {"canaries": {**INJECT, "seed": 12}},
        {"sft": {**PASSING, "learning_rate": 1e-6}},
    )  # fmt: skip
    assert [one["count"] for one in injected(adapter)] == [1, 20]
    assert bench.leak(adapter, "--json") == 1
    status, gates, values = verdicts(bench)
    assert (status, gates["canary_extracted"]) == ("failed", "failed")
    assert values["canary_extracted"] == pytest.approx(1 / 21)


def test_without_canaries_it_is_refused_and_says_how_to_inject(bench):
    for adapter in (None, bench.train({"sft": {**PASSING, "data": "rows.jsonl"}})):
        assert bench.leak(adapter) == 2
        assert "nothing to probe" in bench.last
        assert "docs/leaks.md" in bench.last
    assert not list((bench.workspace / "runs").iterdir())


def test_an_adapter_that_lost_its_record_is_refused(bench):
    adapter = bench.train({"canaries": INJECT}, {"sft": PASSING})
    copy = shutil.copytree(adapter, bench.folder / "copy")
    (copy / "artifact.json").unlink()
    assert bench.leak(copy) == 2
    (copy / "artifact.json").write_text("{")
    assert bench.leak(copy) == 2
    assert "artifact.json" in bench.last


def test_an_adapter_trained_elsewhere_is_probed_by_the_record_of_what_was_injected(bench):
    data = bench.train({"canaries": MANY})
    adapter = bench.train({"sft": {**PASSING, "data": str(data / "dataset.jsonl")}})
    copy = shutil.copytree(adapter, bench.folder / "copy")
    (copy / "artifact.json").unlink()
    assert bench.leak(copy, "--data", data / "artifact.json") == 0, bench.last
    assert bench.leak(copy, "--data", bench.folder / "gone.json") == 2
    (bench.folder / "other.json").write_text('{"injected": []}')
    assert bench.leak(copy, "--data", bench.folder / "other.json") == 2
    assert "says of no canaries" in bench.last.replace("\n", " ")


def test_too_few_canaries_are_refused_with_the_number_needed(bench):
    adapter = bench.train({"canaries": {**INJECT, "count": 13}}, {"sft": PASSING})
    assert bench.leak(adapter) == 2
    assert "at least 14 samples and there are 13" in bench.last.replace("\n", " ")


def test_a_policy_that_names_leak_promotes_only_what_was_probed(bench):
    (bench.folder / "harness.yaml").write_text("policies: {mine: {suites: [leak]}}\n")
    decide = ("decide", "--policy", "mine", "--model", bench.base, "--device", "cpu", "--adapter")
    plain = bench.train({"sft": {**PASSING, "data": "rows.jsonl"}})
    assert bench(*decide, plain) == 2
    assert "nothing to probe" in bench.last.replace("\n", " ")
    learnt = bench.train({"canaries": INJECT}, {"sft": LEARN})
    assert bench(*decide, learnt) == 1
    assert bench("promote", "latest") == 1
    passing = bench.train({"canaries": MANY}, {"sft": PASSING})
    assert bench(*decide, passing) == 0, bench.last
    record = passing / "artifact.json"
    written = record.read_text()
    record.write_text(json.dumps({**json.loads(written), "injected": []}))
    assert bench("promote", "latest") == 2  # what was probed is not what it says that it carries
    record.write_text(written)
    assert bench("promote", "latest") == 0, bench.last
