"""A stage that writes with a reviser and judges by critics: one file of a plugin, and nothing else."""

from __future__ import annotations

import json

import pytest

from harness.errors import InputError
from harness.plugin_code import PluginError
from harness.plugins import load_plugins
from harness.types import RoleRef

STAGE = '''\
import json
from harness import Critic, Stage, hookimpl
from harness.api import (
    Completion, Decoding, Generate, Message, Response, Sample, StageOutput, ask,
)


class Revise(Stage):
    """Answers, asks a reviser for a better answer, and keeps what its critics do not mind."""

    writes = ("dataset",)
    roles = ("reviser", "judge")

    def check(self, inputs):
        pass

    def inputs(self, inputs):
        return {}

    def run(self, inputs):
        samples = [
            Sample(id=str(number), messages=(Message(role="user", content=text),))
            for number, text in enumerate(inputs.options["prompts"])
        ]
        revised = inputs.models.ask(self.revise(sample) for sample in samples)
        verdicts = inputs.models.verdicts(
            [Response(sample=sample, completion=reply) for sample, reply in zip(samples, revised, strict=True)]
        )
        kept = [
            {"messages": [{"role": "user", "content": sample.prompt}, {"role": "assistant", "content": reply.text}]}
            for sample, reply, own in zip(samples, revised, verdicts, strict=True)
            if all(verdict.score == 1.0 for verdict in own)
        ]
        path = inputs.output / "dataset.jsonl"
        path.write_text("".join(json.dumps(row) + "\\n" for row in kept))
        return StageOutput(adapter=None, dataset=path, figures={"kept": len(kept)})

    def revise(self, sample):
        decoding = Decoding(max_new_tokens=8)
        (reply,) = yield ask("policy", Generate(messages=sample.messages, decoding=decoding))
        assert isinstance(reply, Completion)
        wanted = Message(role="user", content=f"better {sample.prompt}")
        (better,) = yield ask("reviser", Generate(messages=(wanted,), decoding=decoding))
        return better


class Picky(Critic):
    def fingerprint(self):
        return "picky 1"

    def judge(self, case):
        (said,) = yield ask("judge", Generate(messages=(Message(role="user", content=case.completion.text),), decoding=Decoding()))
        return (0.0 if "plums" in said.text else 1.0), said.text


@hookimpl
def register_stages(register):
    register("revise", Revise)


@hookimpl
def register_critics(register):
    register("picky", Picky)
'''
OPTIONS = {"revise": {"prompts": ["figs", "plums", "pears"]}}


@pytest.fixture
def asking(lab):
    (lab.folder / "revise.py").write_text(STAGE)
    (lab.folder / "rules.yaml").write_text("id: rules\nprinciples:\n  - {id: fine, text: Be fine., critics: [picky]}\n")

    def train(*stages, constitution="./rules.yaml", **changes):
        keys = {} if constitution is None else {"constitution": constitution}
        keys["roles"] = {"reviser": "echo:", "judge": "echo:"}
        plugins = load_plugins([str(lab.folder / "revise.py")], installed=False)
        return lab.train(lab.write(*stages, **keys), plugins=plugins, **changes)

    return train


def test_a_stage_asks_the_model_a_reviser_and_critics(asking):
    (result,) = asking(OPTIONS)
    rows = [json.loads(line) for line in result.dataset.read_text().splitlines()]
    assert [row["messages"][1]["content"] for row in rows] == ["better figs", "better pears"]
    assert len(result.record.inputs["role reviser"]) == 64
    (again,) = asking(OPTIONS)
    assert again.reused


def test_another_reviser_trains_anew_and_the_command_line_comes_before_the_recipe(asking):
    asking(OPTIONS)
    (result,) = asking(OPTIONS, roles={"reviser": RoleRef(model="echo:figs", by="--role reviser")})
    assert result.trained
    assert result.dataset.read_text().count("figs") == 4  # the prompt once, the answer thrice
    (default,) = asking(OPTIONS, roles={"reviser": RoleRef(model="echo:plums", by="harness.yaml", default=True)})
    assert default.reused, "the recipe comes before the settings"


def test_what_a_stage_does_not_name_it_may_not_ask(asking, lab):
    path = lab.folder / "revise.py"
    stage = STAGE.replace('("reviser", "judge")', '("judge",)')
    (lab.folder / "revise.py").write_text(stage)
    with pytest.raises(PluginError, match="the stage 'revise' asks the role 'reviser', which its `roles` do not name"):
        asking_again(lab, path)
    path.write_text(STAGE.replace('("reviser", "judge")', '("reviser",)'))
    with pytest.raises(InputError, match="critics ask roles that the stage revise does not name: judge; add them"):
        asking_again(lab, path)


def test_a_stage_that_judges_asks_whom_the_critics_ask(asking, lab):
    """A critic may ask another role than `judge`, as harmful-response does; the stage need not know of it."""
    plugin = lab.folder / "revise.py"
    picky = 'class Picky(Critic):\n    roles = ("labeller",)\n'
    plugin.write_text(STAGE.replace('ask("judge", Gen', 'ask("labeller", Gen').replace("class Picky(Critic):\n", picky))
    recipe = lab.write(OPTIONS, constitution="./rules.yaml",
                       roles={"reviser": "echo:", "judge": "echo:", "labeller": "echo:plums"})  # fmt: skip
    (result,) = lab.train(recipe, plugins=load_plugins([str(plugin)], installed=False))
    assert result.dataset.read_text() == ""
    assert len(result.record.inputs["role labeller"]) == 64


def asking_again(lab, path):
    recipe = lab.write(OPTIONS, constitution="./rules.yaml", roles={"reviser": "echo:"})
    return lab.train(recipe, plugins=load_plugins([str(path)], installed=False))


def test_critics_without_a_constitution_get_one_sentence(asking):
    with pytest.raises(InputError, match="the recipe names no constitution; add constitution: NAME"):
        asking(OPTIONS, constitution=None)


def test_a_stage_says_by_whom_it_was_judged(asking):
    (result,) = asking(OPTIONS)
    assert len(result.record.inputs["whole critic picky"]) == 64
