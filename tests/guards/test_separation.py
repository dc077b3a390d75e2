"""What trains does not evaluate: rows that stand in a suite are found, listed, dropped or refused before training."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.errors import InputError
from harness.store.artifacts import artifacts
from harness.store.workspace import Workspace
from harness.types import Message, Sample
from harness_guards.gating import Separation, without
from harness_guards.separation import evaluated, find_matches
from harness_guards.trained_texts import read_trained
from harness_stages.sft import SFTStage
from harness_training.recipe import SeparationSection, read_recipe

LONG = "the lamp was lit every evening at dusk by an old keeper who never once forgot it in forty years"


def sample(name, prompt, **more):
    return Sample(id=name, messages=(Message(role="user", content=prompt),), **more)


SAMPLES = [
    sample("capital", "What is the capital of France?"),
    sample("bread", "How do I bake bread without yeast?"),
    sample("story", "Tell me the story.", target=(LONG,)),
]
AGAINST = list(evaluated("quiz", SAMPLES))


def encode(texts):
    """Stand-in for MiniLM: texts about bread point one way, all others their own."""
    vectors = np.zeros((len(texts), len(texts) + 1), dtype=np.float32)
    for index, text in enumerate(texts):
        vectors[index, 0 if "bread" in text or "loaf" in text else index + 1] = 1
    return vectors


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def chat(prompt, answer="Yes."):
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


def test_each_kind_is_found_once_and_the_strictest_named(tmp_path):
    file = write(
        tmp_path / "rows.jsonl", chat("what is the CAPITAL of France"), chat("Which loaf rises without yeast?"),
        {"instruction": "Write", "input": "", "output": f"Well, {LONG}, they say."}, chat("How old are you?"),
        {"prompt": "How do I bake bread without yeast?", "chosen": "So.", "rejected": "No."},
    )  # fmt: skip
    found = find_matches(list(read_trained(file)), AGAINST, encode=encode)
    assert [(one.line, one.kind, one.sample) for one in found] == [
        (1, "exact", "capital"), (2, "near", "bread"), (3, "13-gram", "story"), (5, "exact", "bread"),
    ]  # fmt: skip
    assert find_matches(list(read_trained(file)), AGAINST, encode=None)[1].kind == "13-gram"


def test_transcripts_and_plain_text_are_read(tmp_path):
    pairs = write(tmp_path / "hh.jsonl", {
        "chosen": "\n\nHuman: What is the capital of France?\n\nAssistant: Paris.",
        "rejected": "\n\nHuman: What is the capital of France?\n\nAssistant: Rome.",
    })  # fmt: skip
    assert [one.kind for one in find_matches(list(read_trained(pairs)), AGAINST, encode=None)] == ["exact"]
    text = tmp_path / "corpus.txt"
    text.write_text(f"A first paragraph.\n\nThen\n{LONG}\n\nThe end.\n", encoding="utf-8")
    (match,) = find_matches(list(read_trained(text)), AGAINST, encode=None)
    assert (match.kind, match.line) == ("13-gram", 3)
    assert without(text, {3}).decode() == "A first paragraph.\n\n\nThe end.\n"


def test_a_suites_template_is_no_match(tmp_path):
    template = "read the following question with care and answer it with one letter and nothing else please"
    against = list(evaluated("quiz", [sample(str(at), f"{template} {at}") for at in range(12)]))
    file = write(tmp_path / "rows.jsonl", chat(f"{template} about whales"))
    assert not find_matches(list(read_trained(file)), against, encode=None)
    assert find_matches(list(read_trained(file)), against[:3], encode=None)


class Words:
    """An encoder that is here."""

    fingerprint = "stand-in"
    calls = 0

    def __call__(self, texts):
        self.calls += 1
        return encode(texts)


@pytest.fixture
def separated(tmp_path, stage_input):
    """Return a maker of (what an sft stage is handed, warnings, the encoder)."""

    def make(mode, rows, **rule):
        write(tmp_path / "rows.jsonl", *rows)
        said, words = [], Words()
        workspace = Workspace.open(tmp_path / "ws", create=True)
        one = Separation(SeparationSection(mode=mode, **rule), AGAINST, workspace=workspace, encoder=words,
                         warn=said.append)  # fmt: skip
        return one.apart(SFTStage(), stage_input({"data": "rows.jsonl"})), said, words, workspace

    return make


ROWS = [chat("How old are you?"), chat("Which loaf is best?"), chat("What is the capital of France?")]


def test_refusing_names_file_line_kind_and_what_to_do(separated, tmp_path):
    with pytest.raises(InputError) as error:
        separated("refuse", ROWS)
    text = str(error.value)
    assert str(tmp_path / "rows.jsonl") in text
    for part in ("line 2 is near (1.00) to quiz/bread", "line 3 is word for word quiz/capital", "separation: drop"):
        assert part in text


def test_dropping_hands_the_stage_a_file_without_them_and_keeps_the_list(separated):
    inputs, said, words, workspace = separated("drop", ROWS)
    (path,) = SFTStage().inputs(inputs).values()
    assert [json.loads(line) for line in path.read_text().splitlines()] == ROWS[:1]
    assert "2 rows" in said[0]
    kinds = {record.kind: record for record, _ in artifacts(workspace)}
    assert kinds["dataset"].inputs == kinds["separation"].inputs
    assert kinds["separation"].figures == {"matches": 2.0, "dropped": 2.0}
    again, _, second, _ = separated("drop", ROWS)
    assert SFTStage().inputs(again) == SFTStage().inputs(inputs)
    assert (words.calls, second.calls) == (1, 0)  # remembered


def test_exempt_suites_and_clean_data_change_nothing(separated):
    for inputs in (separated("refuse", ROWS, exempt=["quiz"])[0], separated("refuse", ROWS[:1])[0]):
        (path,) = SFTStage().inputs(inputs).values()
        assert path.name == "rows.jsonl"


def test_without_minilm_words_are_compared_and_it_is_said(separated, monkeypatch):
    monkeypatch.setattr(Words, "fingerprint", "")
    inputs, said, words, _ = separated("refuse", ROWS[:2])
    assert words.calls == 0
    assert "harness models pull minilm" in said[0]
    assert not inputs.instead


@pytest.mark.parametrize(("written", "mode"), [("off", "off"), ("drop", "drop"), ("{near: 0.9}", "refuse")])
def test_a_recipe_says_it_in_a_word_or_a_section(tmp_path, written, mode):
    file = tmp_path / "r.yaml"
    file.write_text(f"id: r\nbase: b\nseparation: {written}\nstages:\n  - sft: {{data: x}}\n")
    assert read_recipe(file).separation.mode == mode


def test_a_misspelt_mode_names_its_line(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("id: r\nbase: b\nseparation: refus\nstages:\n  - sft: {data: x}\n")
    with pytest.raises(InputError, match="separation") as error:
        read_recipe(file)
    assert error.value.line == 3
