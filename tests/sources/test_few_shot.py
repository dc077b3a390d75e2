"""Solved examples of public sets: from the split beside the file, else from the file itself, and the record says which."""

from __future__ import annotations

import json

import pytest

from harness.contracts import RunContext
from harness.errors import InputError
from harness.evaluation.prepare import SuiteOptions, prepare_suite
from harness.plugins import load_plugins


def rows(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


def arc(name):
    choices = [{"text": f"right of {name}", "label": "A"}, {"text": "wrong", "label": "B"}]
    return {"id": name, "question": {"stem": f"What is {name}?", "choices": choices}, "answerKey": "A"}


def hellaswag(name):
    return {"ind": name, "ctx": f"Then {name}", "endings": [f"right of {name}", "b", "c", "d"], "label": 0, "activity_label": name}  # fmt: skip


def piqa(name):
    return {"goal": f"Do {name}", "sol1": f"right of {name}", "sol2": "wrong"}


def winogrande(name):
    return {"qID": name, "sentence": f"The {name} was _ .", "option1": f"right of {name}", "option2": "wrong", "answer": "1"}  # fmt: skip


def gsm8k(name):
    return {"question": f"How many {name}?", "answer": f"right of {name}, so 3.\n#### 3"}


SETS = {
    "arc": ("ARC-Easy-Test.jsonl", "ARC-Easy-Train.jsonl", arc),
    "hellaswag": ("hellaswag_val.jsonl", "hellaswag_train.jsonl", hellaswag),
    "piqa": ("valid.jsonl", "train.jsonl", piqa),
    "winogrande": ("dev.jsonl", "train_xl.jsonl", winogrande),
    "gsm8k": ("test.jsonl", "train.jsonl", gsm8k),
}


def write(folder, name, split, *words):
    folder.mkdir(exist_ok=True)
    path = folder / SETS[name][split]
    path.write_text(rows(*(SETS[name][2](word) for word in words)))
    if name == "piqa":
        path.with_name(path.stem + "-labels.lst").write_text("0\n" * len(words))
    return path


def prepared(name, path, tmp_path, **changes):
    registries = load_plugins(installed=False).registries
    options = SuiteOptions(data=path, changes={f"few_shot.{key}": value for key, value in changes.items()})
    return prepare_suite(name, registries, RunContext(weights=tmp_path), options)


@pytest.mark.parametrize("name", SETS)
def test_examples_are_of_the_train_file_where_it_lies_beside(tmp_path, name):
    path = write(tmp_path / "set", name, 0, "one", "two", "three")
    alone = prepared(name, path, tmp_path, n=2).samples
    assert alone.examples_from == "the suite's own data"
    assert [message.role for message in alone[0].messages] == ["user", "assistant", "user", "assistant", "user"]
    shown = " ".join(message.content for message in alone[0].messages[:-1])
    assert "right of two" in shown
    assert "right of three" in shown
    assert "one" not in shown
    train = write(tmp_path / "set", name, 1, "four", "five")
    for given in (path, tmp_path / "set"):
        found = prepared(name, given, tmp_path, n=2).samples
        assert found.examples_from == "the split train"
        assert len(found) == 3
        for sample in found:
            shown = " ".join(message.content for message in sample.messages[:-1])
            assert "right of four" in shown
            assert "right of five" in shown
    folder = tmp_path / "train"
    folder.mkdir()
    for file in (train, train.with_name("train-labels.lst")):
        if file.exists():
            file.rename(folder / file.name)
    assert prepared(name, path, tmp_path, n=1).samples.examples_from == "the split train"
    assert prepared(name, path, tmp_path, n=1, split="own").samples.examples_from == "the suite's own data"


def test_arc_takes_the_dev_file_where_there_is_no_train_file(tmp_path):
    path = write(tmp_path / "set", "arc", 0, "one")
    (tmp_path / "set" / "ARC-Easy-Dev.jsonl").write_text(rows(arc("four")))
    (tmp_path / "set" / "ARC-Challenge-Train.jsonl").write_text(rows(arc("of another set")))
    found = prepared("arc", path, tmp_path, n=1).samples
    assert found.examples_from == "the split dev"
    assert found[0].messages[1].content == "right of four"


def test_gsm8ks_examples_show_the_steps(tmp_path):
    path = write(tmp_path / "set", "gsm8k", 0, "one", "two")
    found = prepared("gsm8k", path, tmp_path, n=1).samples[0]
    assert found.messages[1].content == "right of two, so 3.\n#### 3"
    assert found.target == ("3",)


def test_a_split_that_is_insisted_on_must_be_there(tmp_path):
    path = write(tmp_path / "set", "gsm8k", 0, "one", "two")
    with pytest.raises(InputError, match=r"test\.jsonl: GSM8K has no file of the split train beside it .*train\.jsonl"):
        prepared("gsm8k", path, tmp_path, n=1, split="train")
    with pytest.raises(InputError, match="GSM8K has no split 'dev'"):
        prepared("gsm8k", path, tmp_path, n=1, split="dev")
    alone = tmp_path / "truthful.csv"
    alone.write_text("Question,Best Answer,Incorrect Answers\nIs it?,No,Yes\nIs he?,No,Yes\n")
    with pytest.raises(InputError, match="has no other split to take examples from"):
        prepared("truthfulqa", alone, tmp_path, n=1, split="train")
    assert prepared("truthfulqa", alone, tmp_path, n=1).samples.examples_from == "the suite's own data"
