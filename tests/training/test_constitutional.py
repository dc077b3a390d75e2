"""The stages `constitutional` and `preferences`, on echoes."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from harness.errors import BrokenRunError, InputError
from harness.plugins import load_plugins
from harness.types import Completion, Message, Principle, Response, Sample, Unscored, Verdict
from harness_revision.constitutional import own_rows
from harness_revision.preferences import preferred
from harness_revision.revising import HowToRevise, Round, revise, said

CRITICS = """\
from harness import Critic, hookimpl


class Mild(Critic):
    def fingerprint(self):
        return "mild 1"

    def score(self, sample, reply, principle, replies, findings):
        return (0.1 if "plums" in reply.text else 0.9), ""


@hookimpl
def register_critics(register):
    register("mild", Mild)
"""
RULES = "id: rules\nprinciples:\n  - {id: fruit, text: Speak of no plums., critics: [mild]}\n"
PROMPTS = [
    {"id": "a", "family": "fruit", "prompt": "tell me of plums, please do", "harmful": True},
    {"id": "b", "family": "fruit", "prompt": "tell me of all ripe figs.", "harmful": False},
    {"id": "c", "family": "fruit", "prompt": "plums plums plums plums plums!", "harmful": True},
]


@pytest.fixture
def asking(lab):
    (lab.folder / "mild.py").write_text(CRITICS)
    (lab.folder / "rules.yaml").write_text(RULES)
    (lab.folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROMPTS))

    def train(*stages, base="echo:", reviser="echo:eat figs and pears instead", **keys):
        lab.base = base
        keys = {"constitution": "./rules.yaml", "roles": {"reviser": reviser}, **keys}
        plugins = load_plugins([str(lab.folder / "mild.py")], installed=False)
        return lab.train(lab.write(*stages, **{k: v for k, v in keys.items() if v is not None}), plugins=plugins)

    return train


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_revisions_that_critics_pass_become_a_dataset(asking, lab):
    (result,) = asking(
        {"constitutional": {"prompts": ["prompts.jsonl"]}},
        base=str(lab.base),
        reviser="echo:eat figs and pears instead",
    )
    found = rows(result.dataset)
    assert {row["source"] for row in found} <= {"revision", "own reply"}
    assert all(row["messages"][-1]["role"] == "assistant" for row in found)
    assert "plums" not in " ".join(row["messages"][-1]["content"] for row in found)


def test_what_is_not_resolved_is_not_learned_from(asking, lab):
    with pytest.raises(BrokenRunError, match=r"no revision was kept .2 not resolved.; name another reviser"):
        asking(
            {"constitutional": {"prompts": ["prompts.jsonl"], "revise_all": True}},
            base=str(lab.base),
            reviser="echo:plums again and again, always",
        )


def test_a_missing_constitution_and_a_missing_file_get_one_sentence(asking, lab):
    with pytest.raises(InputError, match="the stage constitutional revises by a constitution"):
        asking({"constitutional": {"prompts": ["prompts.jsonl"]}}, base=str(lab.base), constitution=None)
    with pytest.raises(InputError, match="there is no file"):
        asking({"constitutional": {"prompts": ["none.jsonl"]}}, base=str(lab.base))
    with pytest.raises(InputError, match=r"no file of prompts ships as 'own:none.jsonl'"):
        asking({"constitutional": {"prompts": ["own:none.jsonl"]}}, base=str(lab.base))


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"prompt": 1}, "needs a prompt"),
        ({"prompt": "a", "harmful": "yes"}, "must be true or false"),
        (3, "is no JSON"),
    ],
)
def test_a_wrong_row_is_named_by_line(asking, lab, row, cause):
    (lab.folder / "prompts.jsonl").write_text(json.dumps(PROMPTS[0]) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(InputError, match=cause) as caught:
        asking({"constitutional": {"prompts": ["prompts.jsonl"]}}, base=str(lab.base))
    assert caught.value.line == 2


def test_ties_are_dropped_and_nothing_left_is_one_sentence(asking, lab):
    stage = {"preferences": {"prompts": ["prompts.jsonl"], "samples": 3, "max_new_tokens": 8}}
    with pytest.raises(BrokenRunError, match=r"no preference was kept: [0-9]+ ties and 0 pairs"):
        asking(stage, base=str(lab.base))  # a random model never says plums: all pairs are ties


def test_the_constitution_prefers_by_weighted_log_odds():
    heavy, light = (
        Principle(id=name, text=name, critics=("c",), weight=weight) for name, weight in (("h", 3), ("l", 1))
    )
    confidence, by = preferred({"h": 0.9, "l": 0.1}, {"h": 0.1, "l": 0.9}, (heavy, light))
    assert confidence == pytest.approx((3 - 1) * 2 * math.log(9) / 4)
    assert by == "h"
    assert preferred({"h": 0.1, "l": 0.9}, {"h": 0.9, "l": 0.1}, (heavy, light))[0] == pytest.approx(-confidence)
    assert preferred({"h": Unscored(reason="x")}, {"h": 0.1}, (heavy, light)) is None


def test_harmless_replies_are_judged_where_the_recipe_says_so(asking, lab):
    (lab.folder / "mild.py").write_text(CRITICS.replace('"plums" in reply.text', '"figs" in sample.prompt'))

    def figures(**options):
        stage = {"prompts": ["prompts.jsonl"], "least_words": 1, "max_new_tokens": 16, **options}
        return asking({"constitutional": stage}, base=str(lab.base))[0].record.figures

    kept = figures()["kept_own"]
    judged = figures(judge_benign=True)
    assert judged["kept_own"] == 0
    assert judged["dropped, harmless, broke a principle or unscored"] == 1
    assert kept <= 1


def test_own_replies_that_decline_or_break_are_not_learned_and_cut_ones_do_not_end():
    """A small base declines some harmless requests; to learn from that would teach it to."""
    said = {
        "How do I kill a frozen tab?": "I'm sorry, but I can't help with that request.",
        "What do figs cost here?": "A kilo of figs costs about four",
        "Name a fruit, please.": "The fig is a fruit that people have liked for long.",
    }
    sample = [Sample(id=text, messages=(Message(role="user", content=text),)) for text in said]
    replies = [
        Response(sample=one, completion=Completion(text=said[one.prompt], prompt_tokens=None, completion_tokens=None,
                                                   finish="length" if "four" in said[one.prompt] else "stop"))
        for one in sample
    ]  # fmt: skip
    rows, dropped = own_rows(replies, least_words=5)
    assert dropped == {"harmless, refused or incoherent": 1}
    assert [row["messages"][-1]["content"] for row in rows] == [said[one.prompt] for one in sample[1:]]
    assert [row.get("finish") for row in rows] == ["length", None]


def test_revisions_beyond_a_limit_end_the_stage(asking, lab):
    stage = {"prompts": ["prompts.jsonl"], "revise_all": True, "least_words": 1, "stop_if": {"repetition": 0.5}}
    with pytest.raises(BrokenRunError, match=r"stop_if ends the stage in its first round: .*runs of four words"):
        asking({"constitutional": stage}, base=str(lab.base), reviser="echo:" + "figs " * 30)
    with pytest.raises(
        InputError, match=r"constitutional.stop_if.entropy: unknown key; known keys: distinct, length, repetition"
    ):
        asking({"constitutional": {**stage, "stop_if": {"entropy": 0.5}}}, base=str(lab.base))


def test_the_round_before_is_taken_where_a_later_one_is_beyond_a_limit():
    sample = Sample(id="a", messages=(Message(role="user", content="of plums"),))
    rules = [Principle(id=name, text=name, critics=("mild",)) for name in ("fruit", "herbs")]
    drafts = iter(["plums and figs", "worse " * 9])
    mends = {"plums": (0.1, 0.1), "plums and figs": (0.9, 0.1)}  # each version mends one principle more

    class Models:
        def candidate(self, role):
            return SimpleNamespace(adapters=())

        def ask(self, programs):
            return [Round(reply=next(drafts), scores={}, principle="fruit") for _ in programs]

        def verdicts(self, responses):
            return [
                tuple(
                    Verdict(principle=rule.id, critic="mild", fingerprint="1", score=score)
                    for rule, score in zip(rules, mends.get(one.completion.text, (0.9, 0.9)), strict=True)
                )
                for one in responses
            ]

    def watch(number, replies):
        return "too long" if "worse" in replies[0] else ""

    how = HowToRevise(rounds=3)
    (history,) = revise([said(sample, "plums")], rules, Models(), how, watch=watch)
    assert [one.reply for one in history.rounds] == ["plums", "plums and figs"]
