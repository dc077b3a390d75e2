"""A recipe as a graph of stages: who reads whom, in which order, and what cannot be."""

from __future__ import annotations

import pytest

from harness.errors import BrokenRunError, InputError
from harness.plugins import BUNDLED, load_plugins

PLUGIN = '''
"""Stages without a model: rows, and what is made of them."""

from harness import hookimpl
from harness.api import Stage, StageOutput


class Rows(Stage):
    """Says a word, behind what it reads."""

    reads = {"dataset": "dataset"}
    writes = ("dataset",)

    def check(self, inputs):
        pass

    def inputs(self, inputs):
        return {}

    def run(self, inputs):
        path = inputs.output / "rows.jsonl"
        before = "" if inputs.dataset is None else inputs.dataset.read_text()
        path.write_text(before + inputs.options.get("say", "") + "\\n")
        return StageOutput(dataset=path)


class Pairs(Rows):
    """Prefers the one to the other."""

    reads = {"better": "dataset", "worse": "dataset"}
    writes = ("preferences",)

    def run(self, inputs):
        path = inputs.output / "pairs.jsonl"
        path.write_text(inputs.others["better"].read_text() + ">" + inputs.others["worse"].read_text())
        return StageOutput(others={} if inputs.options.get("nothing") else {"preferences": path})


class Reward(Rows):
    """Reads preferences."""

    reads = {"preferences": "preferences"}
    writes = ("reward",)

    def run(self, inputs):
        folder = inputs.output / "head"
        folder.mkdir()
        (folder / "head.safetensors").write_text(inputs.others["preferences"].read_text())
        (folder / "head.json").write_text("{}")
        return StageOutput(others={"reward": folder}, figures={"accuracy": 1.0})


class Counted(Rows):
    """Counts the lines of what it reads before it runs."""

    def workload(self, inputs):
        return {"rows": float(len(inputs.dataset.read_text().splitlines())), "steps": 1.0, "tokens": 1.0}


@hookimpl
def register_stages(register):
    register("rows", Rows)
    register("counted", Counted)
    register("pairs", Pairs)
    register("scorer", Reward)
'''
UNUSED = [f"no:{name}" for name in BUNDLED if name not in {"harness_models", "harness_stages"}]
PAIRS = {"pairs": {}, "name": "both", "from": {"better": "good", "worse": "bad"}}
GRAPH = (
    {"scorer": {}, "name": "judge", "from": {"preferences": "both"}},  # before what it reads, in the file
    {"rows": {"say": "yes"}, "name": "good"},
    {"rows": {"say": "no"}, "name": "bad", "from": {"dataset": "start"}},
    PAIRS,
)


@pytest.fixture
def graph(lab, tmp_path):
    file = tmp_path / "stages_of_mine.py"
    file.write_text(PLUGIN)
    plugins = load_plugins([str(file), *UNUSED], installed=False)

    def train(*stages, **changes):
        return lab.train(lab.write(*stages), plugins=plugins, **changes)

    return train


def test_stages_run_behind_those_that_they_read_and_any_kind_is_kept(lab, graph):
    results = graph(*GRAPH)
    assert [result.name for result in results] == ["good", "bad", "both", "judge"]
    assert [dict(result.reads) for result in results[2:]] == [
        {"better": "good", "worse": "bad"}, {"preferences": "both"},
    ]  # fmt: skip
    head = results[-1].kept["reward"]
    assert (head.path / "head.safetensors").read_text() == "yes\n>no\n"
    assert head.path == lab.workspace.artifacts / "reward" / head.artifact.id
    assert head.artifact.inputs["preferences"] == results[2].record.files["preferences.jsonl"]
    assert results[2].word == "made"
    assert not lab.leftovers()


def test_only_what_stands_on_a_change_is_made_anew(graph):
    graph(*GRAPH)
    changed = (*GRAPH[:2], {**GRAPH[2], "rows": {"say": "never"}}, GRAPH[3])
    planned = graph(*changed, dry_run=True)
    assert [result.word for result in planned] == ["reused", "would be made", "would be made", "would be made"]
    assert [result.reused for result in graph(*changed)] == [True, False, False, False]


def test_a_dry_run_asks_no_stage_about_data_that_are_not_made_yet(graph):
    stages = ({"rows": {"say": "a"}}, {"counted": {}})
    assert [result.word for result in graph(*stages, dry_run=True)] == ["would be made", "would be made"]
    graph(stages[0])
    assert "1 rows" in graph(*stages, dry_run=True)[1].note


def test_without_from_a_stage_reads_what_the_nearest_before_it_wrote(graph):
    first, second = graph({"rows": {"say": "a"}}, {"rows": {"say": "b"}})
    assert (first.name, second.name) == ("rows", "rows-2")
    assert second.kept["dataset"].path.read_text() == "a\nb\n"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"rows": {}, "name": "a", "from": {"dataset": "b"}}, {"rows": {}, "name": "b"}],
         r"recipe.yaml:\d+: stages\[0\].from: the stages read each other: a ← b ← a"),
        ([{"rows": {}, "name": "good"}, {"rows": {}, "from": {"dataset": "god"}}],
         r"recipe.yaml:\d+: stages\[1\].from.dataset: no stage of this recipe is called 'god'; did you mean 'good'"),
        ([{"rows": {}, "from": {"datasets": "start"}}],
         r"recipe.yaml:\d+: stages\[0\].from.datasets: .* did you mean 'dataset'"),
        ([{"rows": {}, "name": "good"}, {"scorer": {}, "from": {"preferences": "good"}}],
         r"stages\[1\].from.preferences: the stage 'good' writes dataset, and what is read here is of the kind pref"),
        ([{"rows": {}, "name": "x"}, {"rows": {}, "name": "x"}], r"stages\[1\].name: 'x' stands twice"),
        ([{"rows": {}, "name": "start"}], "stands for where the recipe starts"),
        ([{"rows": {}, "from": {"dataset": 3}}], r"stages\[0\].from: must say of each role whose artifact it is"),
        ([{"rows": {}, "sft": {}}], "one entry names 2 stages"),
        ([{"rows": "a.jsonl", "name": "a"}], r"stages\[0\].rows: is text"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(lab, graph, stages, message):
    with pytest.raises(InputError, match=message):
        graph(*stages)
    assert not lab.kept()


def test_a_stage_that_writes_something_else_than_it_says_keeps_nothing(lab, graph):
    with pytest.raises(BrokenRunError, match="the stage pairs wrote nothing, and its `writes` names preferences"):
        graph(*GRAPH[1:3], {**PAIRS, "pairs": {"nothing": True}})
    assert not (lab.workspace.artifacts / "preferences").exists()
