"""Bundled recipes hold together; stages of other people hand datasets on; the documentation names every option."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import BrokenRunError, InputError
from harness.plugins import BUNDLED, load_plugins
from harness.progress import NoProgress
from harness.reading.recipe import resolve_path
from harness.types import ModelSpec, StageInput
from harness_stages.sft_options import SFTOptions
from harness_training.recipe import read_recipe

PLUGIN = '''
"""A stage that asks the model and hands what it says on, and one that breaks."""

import json

from harness import hookimpl
from harness.contracts import Stage
from harness.types import Decoding, Generate, Message, StageOutput


class Ask(Stage):
    writes = ("dataset",)

    def check(self, inputs):
        pass

    def inputs(self, inputs):
        return {}

    def run(self, inputs):
        ask = Generate(messages=(Message(role="user", content="Who?"),), decoding=Decoding(max_new_tokens=4))
        replies = inputs.generate((ask, ask))
        assert replies[0] == replies[1]
        row = {"prompt": "Who?", "completion": inputs.options["say"] + str(len(replies))}
        path = inputs.output / "dataset.jsonl"
        path.write_text(json.dumps(row) + "\\n")
        return StageOutput(adapter=None, dataset=path, figures={"replies": 2.0})


class Bad(Stage):
    def check(self, inputs):
        pass

    def inputs(self, inputs):
        return {}

    def run(self, inputs):
        how = inputs.options["how"]
        if how == "raise":
            raise ZeroDivisionError("by nought")
        if how == "nothing":
            return StageOutput(adapter=None, dataset=None, figures={})
        path = inputs.output / "dataset.jsonl"
        path.write_text("")
        return StageOutput(adapter=None, dataset=path, figures={"loss": float("nan")})


@hookimpl
def register_stages(register):
    register("ask", Ask)
    register("bad", Bad)
'''
UNUSED = [f"no:{name}" for name in BUNDLED if name not in {"harness_models", "harness_stages"}]


@pytest.fixture
def plugins(tmp_path):
    file = tmp_path / "stages_of_mine.py"
    file.write_text(PLUGIN)
    return load_plugins([str(file), *UNUSED], installed=False)


def test_a_stage_hands_its_dataset_on(lab, plugins):
    path = lab.write({"ask": {"say": "Maren "}}, {"sft": {"max_steps": 1, "dtype": "float32"}})
    asked, taught = lab.train(path, plugins=plugins)
    assert asked.adapter is None
    assert json.loads(asked.dataset.read_text())["completion"] == "Maren 2"
    assert asked.record.figures == {"replies": 2}
    assert taught.record.inputs["data"] == asked.record.files["dataset.jsonl"]
    again = lab.train(path, plugins=plugins)
    assert [result.reused for result in again] == [True, True]
    assert again[1].adapter == taught.adapter
    asked.dataset.write_text("{}")
    assert [result.trained for result in lab.train(path, plugins=plugins)] == [True, False]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", r"ZeroDivisionError: by nought"),
        ("nothing", "wrote nothing, and its `writes` names adapter"),
        ("nan", "gave loss as nan"),
    ],
)
def test_a_stage_that_breaks_leaves_nothing(lab, plugins, how, message):
    with pytest.raises(BrokenRunError, match=message):
        lab.train(lab.write({"bad": {"how": how}}), plugins=plugins)
    assert not lab.kept()


@pytest.mark.parametrize("name", [entry.name for entry in load_plugins(UNUSED, installed=False).registries.recipes])
def test_bundled_recipes_hold_together(name, tmp_path):
    registries = load_plugins(UNUSED, installed=False).registries
    recipe = read_recipe(registries.recipes.get(name))
    assert recipe.id == name
    for index, (stage, options) in enumerate(recipe.stages):
        inputs = StageInput(
            model=ModelSpec(reference=recipe.base, scheme="hf", name=recipe.base), base_path=tmp_path, adapter=None,
            dataset=None, options=options, recipe_path=recipe.path, seed=0, output=tmp_path, constitution=None,
            critics={}, generate=None, progress=NoProgress(), offline=True, place=("stages", index, stage),
        )  # fmt: skip
        made = registries.stages.get(stage)()
        made.check(inputs)
        assert all(path.is_file() for path in made.inputs(inputs).values())


def test_paths(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    assert resolve_path("rows.jsonl", recipe) == tmp_path / "rows.jsonl"
    assert resolve_path("/abs/rows.jsonl", recipe) == Path("/abs/rows.jsonl")
    assert resolve_path("bundled:suites/data/persona-train.jsonl", recipe).is_file()
    for wrong in ("bundled:", "bundled:suites", "bundled:suites/../../x", "bundled:plugins/x.py"):
        with pytest.raises(InputError, match="names no bundled file"):
            resolve_path(wrong, recipe)


def test_the_documentation_names_every_option_with_its_default():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    table = {cell.strip() for line in text.splitlines() if line.startswith("| `") for cell in line.split("|")[1:2]}
    named = {name.strip("` ") for cell in table for name in cell.split(",")}
    assert set(SFTOptions.model_fields) <= named
