"""The stage that injects: rows kept, copies counted, and every adapter's record says what it carries."""

from __future__ import annotations

import json

import pytest

from harness_canaries.options import read_set
from harness_stages.rows import read_rows
from tests.canaries.conftest import injected
from tests.training.conftest import chat_rows, write_rows

ONE = {"max_steps": 1, "batch_size": 2, "dtype": "float32"}
INJECT = {"data": "rows.jsonl", "count": 14, "repeat": [1, 3]}


def dataset(folder):
    return [row.messages for row in read_rows(folder / "dataset.jsonl")]


def test_the_rows_keep_their_order_and_the_copies_are_counted(bench):
    folder = bench.train({"canaries": INJECT})
    drawn = read_set(injected(folder)[0])
    rows = dataset(folder)
    turns = {(canary.prompt, canary.answer(canary.secret)): canary.number for canary in drawn.canaries()}
    others = [row for row in rows if (row[0].content, row[1].content) not in turns]
    assert others == [row.messages for row in read_rows(bench.folder / "rows.jsonl")]
    for (prompt, answer), number in turns.items():
        assert sum(row[0].content == prompt and row[1].content == answer for row in rows) == drawn.copies(number)
    places = [place for place, row in enumerate(rows) if (row[0].content, row[1].content) in turns]
    assert places[0] < 6  # among the rows, not behind them
    assert len(rows) == 6 + sum(drawn.copies(number) for number in range(14))


def test_files_are_private(bench):
    folder = bench.train({"canaries": INJECT}, {"sft": ONE})
    files = [folder / "artifact.json", *(bench.workspace / "artifacts" / "dataset").rglob("*.json*")]
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_every_format_of_rows_can_be_mixed(bench):
    write_rows(bench.folder / "rows.jsonl", [{"instruction": "Say", "input": "a", "output": "b", "system": "Be."}])
    rows = dataset(bench.train({"canaries": {**INJECT, "count": 1}}))
    assert sorted(len(row) for row in rows) == [2, 3]


def test_other_data_get_other_secrets_and_a_seed_fixes_them(bench):
    first = injected(bench.train({"canaries": INJECT}))
    fixed = injected(bench.train({"canaries": {**INJECT, "seed": 5}}))
    write_rows(bench.folder / "rows.jsonl", chat_rows()[:5])
    assert injected(bench.train({"canaries": INJECT})) != first
    assert injected(bench.train({"canaries": {**INJECT, "seed": 5}})) == fixed
    assert fixed[0]["seed"] == 5


def test_adapters_say_what_they_carry_over_generations(bench):
    plain = bench.train({"sft": {"data": "rows.jsonl", **ONE}})
    assert injected(plain) == []
    first = bench.train({"canaries": INJECT}, {"sft": ONE})
    assert [one["count"] for one in injected(first)] == [14]
    later = bench.train({"sft": {"data": "rows.jsonl", **ONE}}, adapter=str(first))
    assert injected(later) == injected(first)
    both = bench.train({"canaries": {**INJECT, "seed": 9}}, {"sft": ONE}, adapter=str(later))
    assert [one["seed"] for one in injected(both)] == [injected(first)[0]["seed"], 9]
    again = bench.train({"canaries": INJECT}, {"sft": ONE}, adapter=str(first))
    assert injected(again) == injected(first)


def test_a_stage_that_reads_other_data_carries_nothing(bench):
    """Canaries that were injected and not trained on would pass the gate and mean nothing."""
    folder = bench.train({"canaries": INJECT}, {"sft": {"data": "rows.jsonl", **ONE}})
    assert injected(folder) == []


def test_a_dataset_named_by_its_path_is_known(bench):
    data = bench.train({"canaries": INJECT})
    folder = bench.train({"sft": {"data": str(data / "dataset.jsonl"), **ONE}})
    assert injected(folder) == injected(data)


def test_injecting_again_on_a_injected_dataset_carries_both(bench):
    folder = bench.train({"canaries": INJECT}, {"canaries": {"count": 3, "seed": 1}}, {"sft": ONE})
    assert [one["count"] for one in injected(folder)] == [14, 3]


def test_an_unchanged_stage_is_reused_with_its_record(bench):
    first = bench.train({"canaries": INJECT}, {"sft": ONE})
    before = injected(first)
    assert bench.train({"canaries": INJECT}, {"sft": ONE}) == first
    assert all(stage["reused"] for stage in json.loads(bench.out)["stages"])
    assert injected(first) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"count": 0}, "count"),
        ({"repeat": []}, "repeat"),
        ({"repeat": [0]}, "repeat"),
        ({"format": "The code of {name}"}, "exactly one secret"),
        ({"format": ["The code of {name} is {digits}", "x {digits:3}"]}, r"format\[1\]"),
        ({"format": "The code is {digits}"}, "could not be told apart"),
        ({"counts": 3}, "did you mean 'count'"),
        ({"data": "gone.jsonl"}, "there is no file"),
        ({"data": None}, "no stage before wrote a dataset"),
    ],
)
def test_mistakes_are_named_with_their_line(bench, options, says):
    import re

    assert bench("train", bench.recipe({"canaries": {**INJECT, **options}}), "--device", "cpu") == 2
    assert "recipe.yaml:" in bench.last
    assert re.search(says, bench.last.replace("\n", " "))
