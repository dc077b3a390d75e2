"""What ships for revision: data, the default reviser, and the recipe."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

import harness_revision
from harness.evaluation.roles import resolve_roles
from harness.plugins import load_plugins
from harness.types import Candidate, ModelSpec, RoleRef
from harness_metrics.labelling import label_reply
from harness_revision.promptfiles import read_prompts
from harness_revision.prompts import exemplars
from harness_revision.sentences import commonest_share
from harness_training.recipe import read_recipe

DATA = Path(harness_revision.__file__).parent / "data"
SUITES = Path(__file__).parents[2] / "suites" / "data"


def rows(name):
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def roles(**refs):
    policy = Candidate(model=ModelSpec(reference="echo:", scheme="echo", name=""))
    registries = load_plugins(installed=False).registries
    return resolve_roles(["reviser"], refs, policy, registries=registries, workspace=None)


REVISIONS = ("revisions-1.jsonl", "revisions-2.jsonl", "revisions-3.jsonl", "revisions-4.jsonl")
HARMLESS = ("twins.jsonl", "twins-2.jsonl", "twins-3.jsonl", "ordinary.jsonl")
HELD_OUT = ("validation.jsonl", "validation-pairs.jsonl")


def test_the_shipped_reviser_revises_for_a_candidate_on_any_base():
    bound = roles().others["reviser"]
    assert bound.by == "default"
    assert bound.candidate.model.name == "smollm2-135m"
    assert [adapter.reference for adapter in bound.candidate.adapters] == ["harness:reviser-smollm2"]


def test_another_reviser_comes_before_the_shipped_one():
    bound = roles(reviser=RoleRef(model="echo:mine", by="--role reviser")).others["reviser"]
    assert bound.candidate.label == "echo:mine"


def test_written_revisions_are_distinct_and_share_no_sentence():
    found = [row for name in REVISIONS for row in rows(name)]
    for key in ("id", "prompt", "completion"):
        assert max(Counter(row[key] for row in found).values()) == 1
    assert commonest_share([row["completion"] for row in found]) == 0


def test_prompts_of_training_stand_in_no_suite():
    asked = {
        " ".join(row.get("prompt", "").lower().split())
        for file in SUITES.glob("*.jsonl")
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines())
    }
    own = [row["prompt"] for name in (*REVISIONS, *HARMLESS, *HELD_OUT) for row in rows(name)]
    assert not asked & {" ".join(prompt.lower().split()) for prompt in own}


def test_prompt_files_say_which_are_harmful():
    assert all(prompt.harmful for name in REVISIONS for prompt in read_prompts(DATA / name))
    assert not any(prompt.harmful for name in HARMLESS for prompt in read_prompts(DATA / name))


def test_each_harmful_prompt_has_a_harmless_twin():
    assert {row["id"] for row in rows("twins-2.jsonl")} == {f"{row['id']}-twin" for row in rows("revisions-3.jsonl")}
    two = {f"{row['id']}-twin-{which}" for row in rows("revisions-4.jsonl") for which in "ab"}
    assert {row["id"] for row in rows("twins-3.jsonl")} == two


def test_nothing_held_out_is_learned_from():
    learned = {row["prompt"] for name in (*REVISIONS, *HARMLESS, "refusals.jsonl") for row in rows(name)}
    assert not learned & {row["prompt"] for name in HELD_OUT for row in rows(name)}


def test_refusals_answer_harmful_prompts_once_and_share_few_sentences():
    found = rows("refusals.jsonl")
    harmful = [row["prompt"] for name in REVISIONS for row in rows(name)]
    assert len({row["prompt"] for row in found}) == len(found) > 1000
    assert {row["prompt"] for row in found} <= set(harmful)
    assert not [row for row in found if label_reply(row["prompt"], row["completion"]).label != "refused"]
    assert commonest_share([row["completion"] for row in found]) < 0.1


def test_a_hundred_attacks_of_four_kinds():
    found = rows("attacks.jsonl")
    assert Counter(row["kind"] for row in found) == {"persuade": 25, "impersonate": 25, "breakout": 25, "order": 25}
    assert len({row["attack"] for row in found}) == 100


@pytest.mark.parametrize(
    ("name", "least"),
    [("own-replies.jsonl", 2200), ("own-replies-short.jsonl", 700), ("own-replies-helping.jsonl", 2000)],
)
def test_own_replies_answer_harmless_prompts_and_decline_none(name, least):
    found = rows(name)
    harmless = {row["prompt"] for name in HARMLESS for row in rows(name)}
    assert len(found) > least
    assert {row["prompt"] for row in found} <= harmless
    assert not {row["prompt"] for row in rows("validation.jsonl")} & harmless
    assert not [row for row in found if label_reply(row["prompt"], row["completion"]).label == "refused"]


TURNS_DOWN = re.compile(
    r"^I'm (?:so |very |truly |really )?(?:sorry|afraid|not)\b|^(?:I'm|As) an? [\w\- ]*\b(?:AI|chatbot|assistant)\b"
    r"|^I (?:can't|cannot)\b|^No\b|\b(?:not able|unable) to\b|\bnot possible\b"
)
"""How the base turns a harmless request down where the reply is cut before it says so."""


def test_own_replies_that_help_are_those_that_do_not_turn_down():
    every = (DATA / "own-replies.jsonl").read_text(encoding="utf-8").splitlines()
    helping = (DATA / "own-replies-helping.jsonl").read_text(encoding="utf-8").splitlines()
    assert helping == [
        line for line in every if not TURNS_DOWN.search(json.loads(line)["completion"].replace("\u2019", "'"))
    ]


def test_exemplars_are_whole():
    assert len(exemplars()) >= 6
    assert all(critique and revision != flaw.reply for flaw, critique, revision in exemplars())


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("constitutional-smollm2", ["constitutional", "sft", "interpolate"]),
        ("constitutional-short", ["sft", "interpolate"]),
    ],
)
def test_the_recipes_read(name, stages):
    recipe = read_recipe(Path(harness_revision.__file__).parent / "recipes" / f"{name}.yaml")
    assert [stage for stage, _ in recipe.stages] == stages


@pytest.mark.weights
@pytest.mark.slow
def test_the_shipped_reviser_writes_something_else_than_the_reply():
    from harness import open as open_session
    from harness.types import Message, Principle, Sample
    from harness_revision.revising import HowToRevise, revise, said

    rule = Principle(id="r", text="The assistant does not help anyone to commit a crime.", critics=("rules",))
    sample = Sample(id="s", messages=(Message(role="user", content="How do I pick the lock of a shop?"),))
    with open_session(".") as session, session.models([], roles=("reviser",)) as models:
        (history,) = revise([said(sample, "Take two pins.")], [rule], _always_bad(models), HowToRevise(rounds=1))
    assert history.reply == "Take two pins."  # nothing is better for a critic who minds everything
    assert history.tried
    assert history.rounds[1].reply
    assert history.rounds[1].reply != "Take two pins."


def _always_bad(models):
    from harness.types import Verdict

    class Bad:
        ask, candidate = models.ask, models.candidate

        def verdicts(self, responses):
            return [(Verdict(principle="r", critic="rules", fingerprint="f", score=0.0),) for _ in responses]

    return Bad()
