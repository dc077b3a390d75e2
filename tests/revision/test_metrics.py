"""`critique_resolution`, `revision_damage` and their like in a suite, from a run of the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.store.runs import read_samples
from harness.store.workspace import Workspace
from harness.types import Principle, Sample, Verdict, Version
from harness_revision.metrics import Reviser, RevisionOptions
from tests.cli.conftest import Cli
from tests.revision.test_commands import MILD, RULES

SUITE = """\
id: revising
samples: {{source: jsonl, path: rows.jsonl}}
measure:
  - revision: {{constitution: ./rules.yaml{more}}}
"""
KEPT = "  - {id: greens, text: Speak of no beans., critics: [mild]}\n"


class Fixed:
    """Stands for MiniLM: what speaks of figs means one thing, all else another."""

    def __init__(self, path):
        pass

    def encode(self, texts):
        import numpy as np

        return np.array([[1.0, 0.0] if "figs" in text else [0.0, 1.0] for text in texts])


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("harness_revision.metrics.weights_path", lambda name: tmp_path)
    monkeypatch.setattr("harness_revision.metrics.Embedder", Fixed)
    made = Cli(tmp_path, capsys)
    made.write("mild.py", MILD)
    made.write("rules.yaml", RULES + KEPT)
    made.write("harness.yaml", "model: 'echo:'\nplugins: [./mild.py]\n")
    made.write("suite.yaml", SUITE.format(more=""))
    return made


def rows(cli, *prompts):
    lines = [json.dumps({"id": f"s{number}", "prompt": prompt}) for number, prompt in enumerate(prompts)]
    cli.write("rows.jsonl", "\n".join(lines) + "\n")


def measured(cli, *more):
    assert cli("run", "suite.yaml", "--no-gates", "--json", *more) == 0, cli.err
    (found,) = json.loads(cli.out)["runs"]
    return {one["metric"]: (one["value"], one["n"]) for one in found["run"]["estimates"]}


def stored(cli):
    workspace = Workspace.open(cli.folder / ".harness")
    try:
        (run,) = [path.name for path in workspace.runs.iterdir()]
        return list(read_samples(workspace, run))
    finally:
        workspace.close()


def test_a_suite_measures_what_a_reviser_mends(cli):
    rows(cli, "eat plums", "eat bread", "more plums", "some soup")
    found = measured(cli, "--role", "reviser=echo:eat figs")
    assert found["critique_resolution"] == (1.0, 2)
    assert found["revisions_alike"][0] == 1.0
    assert found["revision_damage"] == (0.0, 2)
    versions = {record.sample.id: record.rewritten["revision"] for record in stored(cli)}
    assert [len(one) for (one,) in versions.values()] == [2, 1, 2, 1]
    assert [one.text for one in versions["s0"][0]] == ["eat plums", "eat figs"]
    assert versions["s0"][0][1].verdicts[0].score == 1.0


def test_a_reviser_that_breaks_another_principle_does_damage(cli):
    rows(cli, "eat plums", "some soup")
    found = measured(cli, "--role", "reviser=echo:eat beans")
    assert found["critique_resolution"][0] == 1.0
    assert found["revision_damage"][0] == 1.0
    cli.write("suite.yaml", SUITE.format(more=", take: better"))
    found = measured(cli, "--role", "reviser=echo:eat beans")
    assert (found["critique_resolution"][0], found["revision_damage"][0]) == (0.0, 0.0)


def test_a_broken_reply_that_nobody_revised_is_not_mended():
    rule = Principle(id="fruit", text="Speak of no plums.", critics=("mild",))
    verdict = Verdict(principle="fruit", critic="mild", fingerprint="f", score=0.0)
    reviser = Reviser(RevisionOptions(principles=("fruit",)), (rule,))
    broken = (Version(text="eat plums", verdicts=(verdict,)),)
    whole = (Version(text="eat bread", verdicts=(replace(verdict, score=1.0),)),)
    found = reviser.measured(Sample(id="s"), [broken, whole], meaning=False)
    assert (found.resolved, found.broken) == ((0, 1), (0, 0))


def test_good_replies_are_revised_too_where_the_suite_says_so(cli):
    cli.write("suite.yaml", SUITE.format(more=", revise: all"))
    rows(cli, "eat bread", "some soup", "eat plums", "more figs")
    found = measured(cli, "--role", "reviser=echo:eat figs")
    assert found["revision_meaning_lost"] == (pytest.approx(2 / 3), 3)
    assert found["revision_damage"][0] == pytest.approx(2 / 3)


def test_a_judge_that_learned_what_the_reviser_learned_is_refused(cli, monkeypatch):
    cli.write("rules.yaml", "id: rules\nprinciples:\n  - {id: fruit, text: Speak of no plums., critics: [judge]}\n")
    rows(cli, "eat plums")
    monkeypatch.setattr("harness_revision.metrics.learned_from", lambda who: iter([("family", "training")]))
    assert cli("run", "suite.yaml", "--role", "reviser=echo:eat figs", "--role", "judge=echo:Yes") == 2
    assert "learned from the same (family training)" in cli.err
    assert "harness:judge-smollm2-gating" in cli.err


def test_wrong_options_name_their_place(cli):
    rows(cli, "eat plums")
    for more, said in ((", rounds: 0", "rounds"), (", revise: some", "revise"), (", round: 2", "round")):
        cli.write("suite.yaml", SUITE.format(more=more))
        assert cli("run", "suite.yaml", "--role", "reviser=echo:x") == 2
        assert "suite.yaml:4" in cli.err
        assert said in cli.err
