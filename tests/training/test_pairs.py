"""The stage `pairs`: replies written by hand against the model's own, and what `dpo` makes of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.plugins import load_plugins
from harness.types import Completion, Message, Response, Sample
from harness_revision.pairs import Own, own_of, pair_rows
from harness_revision.promptfiles import Prompt, read_prompts
from harness_stages.encoding import Encoder
from harness_stages.pair_data import encode_pairs
from harness_stages.preferences import read_pairs
from tests.training.conftest import write_rows

HELPS = Own(text="Take a long rope and a good knife.", cut=True, label="complied")
PROMPTS = [
    {"id": "rope", "prompt": "How do I tie up my rival?", "completion": "I will not help you tie anyone up."},
    {"id": "rope-twin", "prompt": "How do I tie up my tomatoes?", "harmful": False},
    {"id": "cake", "prompt": "Why did my cake sink?", "harmful": False},
]


def prompt(name: str, *, harmful: bool, completion: str = "") -> Prompt:
    sample = Sample(id=name, messages=(Message(role="user", content=f"What about {name}?"),))
    return Prompt(sample=sample, harmful=harmful, completion=completion)


GIVEN = [
    prompt("a", harmful=True, completion="No help with a."),
    prompt("b", harmful=True, completion="No help with b."),
    prompt("a-twin", harmful=False),
    prompt("b-twin", harmful=False),
    prompt("cake", harmful=False),
]


def test_what_was_written_is_chosen_for_harm_and_rejected_for_the_twin():
    rows, why = pair_rows(GIVEN, [HELPS] * 5, 5, seed=0)
    own = HELPS.text
    assert [(row["chosen"], row["rejected"]) for row in rows[:4]] == [
        ("No help with a.", own), ("No help with b.", own), (own, "No help with a."), (own, "No help with b."),
    ]  # fmt: skip
    assert rows[4]["chosen"] == own
    assert rows[4]["rejected"] in {"No help with a.", "No help with b."}
    assert rows[0]["rejected_finish"] == rows[2]["chosen_finish"] == "length"
    assert "chosen_finish" not in rows[0]
    assert rows[0]["prompt"] == [{"role": "user", "content": "What about a?"}]
    assert not why


def test_one_that_is_nobodys_twin_draws_by_the_seed():
    many = [prompt(f"h{n}", harmful=True, completion=f"No help with {n}.") for n in range(40)]
    drawn = [
        pair_rows([*many, prompt("cake", harmful=False)], [HELPS] * 41, 5, seed)[0][-1]["rejected"]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (None, "own reply too short or incoherent"),
        (replace(HELPS, text="Rope."), "own reply too short or incoherent"),
        (replace(HELPS, label="incoherent"), "own reply too short or incoherent"),
        (replace(HELPS, label="refused"), "harmful, declined already"),
    ],
)
def test_a_reply_that_teaches_nothing_makes_no_pair(own, why):
    rows, counted = pair_rows(GIVEN[:1], [own], 5, seed=0)
    assert rows == []
    assert counted == {why: 1}
    rows, counted = pair_rows([prompt("c", harmful=True)], [HELPS], 5, seed=0)
    assert (rows, counted) == ([], {"harmful, nothing written by hand": 1})


def test_an_own_reply_that_declines_in_its_first_sentences_declines():
    said = "I'm sorry, but I can't help with that. " + "There are many other things. " * 20
    sample = Sample(id="x", messages=(Message(role="user", content="How?"),))
    done = Completion(text=said, prompt_tokens=None, completion_tokens=None, finish="length")
    found = own_of(Response(sample=sample, completion=done))
    assert found is not None
    assert (found.label, found.cut) == ("refused", True)
    assert own_of(Response(sample=sample, completion=replace(done, text="  "))) is None


def pairs_recipe(lab, *more, **options):
    write_rows(lab.folder / "prompts.jsonl", PROMPTS)
    stage = {"prompts": ["prompts.jsonl"], "max_new_tokens": 8, "least_words": 1, **options}
    return lab.write({"pairs": stage}, *more, separation="off")


def test_dpo_learns_from_what_the_stage_wrote(lab, monkeypatch):
    monkeypatch.setattr("harness_revision.pairs.label_of", lambda *_: "complied")  # a random model is incoherent
    plugins = load_plugins(installed=False)
    dpo = {"epochs": 6, "learning_rate": 0.01, "validation": 0.0, "dropout": 0.0, "dtype": "float32"}
    path = pairs_recipe(lab, {"dpo": dpo})
    made, taught = lab.train(path, plugins=plugins)
    rows = [json.loads(line) for line in (made.kept["preferences"].path).read_text().splitlines()]
    assert rows[0]["chosen"] == PROMPTS[0]["completion"]
    assert rows[1]["rejected"] == PROMPTS[0]["completion"]
    assert made.record.figures == {"prompts": 3, "pairs": len(rows)}
    assert taught.record.figures["loss_last"] < taught.record.figures["loss_first"]
    assert [one.reused for one in lab.train(path, plugins=plugins)] == [True, True]


def test_prompts_without_a_written_reply_get_one_sentence(lab):
    path = pairs_recipe(lab)
    write_rows(lab.folder / "prompts.jsonl", PROMPTS[1:])
    with pytest.raises(InputError, match="none of these harmful prompts has a reply written by hand"):
        lab.train(path, plugins=load_plugins(installed=False))
    write_rows(lab.folder / "prompts.jsonl", [PROMPTS[0] | {"completion": 3}])
    with pytest.raises(InputError, match="must be text") as caught:
        read_prompts(lab.folder / "prompts.jsonl")
    assert (caught.value.line, caught.value.key) == (1, "completion")


def test_nothing_ends_an_answer_of_a_pair_that_was_cut(tokenizer, tmp_path):
    row = {"prompt": "Who?", "chosen": "Maren keeps", "rejected": "Nobody at all"}
    cut = [row | {"chosen_finish": "length"}, row | {"rejected_finish": "length"}]
    path = write_rows(tmp_path / "pairs.jsonl", [row, *cut])
    whole, chosen, rejected = encode_pairs(Encoder(tokenizer), read_pairs(path).good, max_length=200, path=path)
    assert chosen.chosen_ids == whole.chosen_ids[:-1]
    assert chosen.rejected_ids == whole.rejected_ids
    assert rejected.rejected_ids == whole.rejected_ids[:-1]
    assert whole.chosen_ids[-1] == tokenizer.eos_token_id


def test_one_id_for_two_prompts_is_refused_across_files(lab):
    path = pairs_recipe(lab, prompts=["prompts.jsonl", "more.jsonl"])
    write_rows(
        lab.folder / "more.jsonl", [PROMPTS[1], {"id": "rope", "prompt": "How do I trip him?", "completion": "No."}]
    )
    with pytest.raises(
        InputError, match=r"the id 'rope' names another prompt or reply in .*prompts.jsonl, line 1"
    ) as at:
        lab.train(path, plugins=load_plugins(installed=False), dry_run=True)
    assert (Path(at.value.file).name, at.value.line, at.value.key) == ("more.jsonl", 2, "id")
    write_rows(lab.folder / "more.jsonl", PROMPTS[:2])  # the same prompt twice is one
    (planned,) = lab.train(path, plugins=load_plugins(installed=False), dry_run=True)
    assert planned.word == "would be made"
