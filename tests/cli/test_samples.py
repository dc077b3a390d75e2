"""`harness samples`: what the model said, the worst first."""

from __future__ import annotations

import csv
import json

import pytest

from tests.cli.adapters import write_adapter

SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match, length]
gates:
  - {metric: exact_match, min: 0.1}
"""


@pytest.fixture
def home(cli):
    """Two runs: the echo model, and one that says `say 3` to all."""
    rows = [
        {"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}", "tags": ["odd"] if n % 2 else ["even"]}
        for n in range(8)
    ]
    rows.append({"id": "bad", "prompt": "=cmd()\x1b[31m\nred", "target": "x", "tags": ["odd", "hostile"]})
    cli.write("tiny.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n")
    cli.write("tiny.yaml", SUITE)
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0, cli.err + cli.out
    assert cli("run", "tiny.yaml", "--model", "echo:say 3") in {0, 1}, cli.err
    return cli


def ids(cli, *arguments):
    code, found = cli.json("samples", "latest", *arguments)
    assert code == 0
    return [sample["sample"] for sample in found["samples"]]


def test_the_worst_come_first_and_filters_narrow_them(home):
    assert ids(home, "--limit", "20") == ["s0", "s1", "s2", "s4", "s5", "s6", "s7", "bad", "s3"]
    assert ids(home, "--limit", "2") == ["s0", "s1"]
    assert ids(home, "--failed", "--tag", "odd") == ["s1", "s5", "s7", "bad"]
    assert ids(home, "--tag", "odd", "--tag", "hostile") == ["bad"]
    assert ids(home, "--grep", "SAY [45]") == ["s4", "s5"]
    assert home("samples", "latest") == 0
    assert "exact_match 0" in home.out
    assert "  reply: say 3" in home.out
    assert "9 of 9 samples, the worst by exact_match first" in home.out


def test_flips_show_both_replies(home):
    runs = [run["id"] for run in home.json("runs", "list")[1]["runs"]]
    assert ids(home, "--flips", runs[0]) == ["s0", "s1", "s2", "s4", "s5", "s6", "s7"]
    assert home("samples", "latest", "--flips", runs[0], "--limit", "1") == 0
    assert "s0 exact_match 1 → 0" in home.out
    assert "before: say 0" in home.out
    assert "1 of 7 flipped" in home.out


def test_one_sample_in_full_and_the_nearest_id(home):
    assert home("samples", "latest", "--id", "s3") == 0
    for words in ("s3 exact_match 1", "user:", "reply (stop):", "accepted:", "metric exact_match:"):
        assert words in home.out
    assert home("samples", "latest", "--id", "s33") == 2
    assert "s3" in home.err


def test_text_of_models_is_made_safe(home):
    run = home.json("runs", "list")[1]["runs"][0]["id"]
    assert home("samples", run, "--id", "bad") == 0
    assert "\x1b" not in home.out
    assert home("samples", run, "--csv", "out.csv", "--jsonl", "out.jsonl") == 0, home.err
    with (home.folder / "out.csv").open(newline="") as stream:
        rows = {row["sample"]: row for row in csv.DictReader(stream)}
    assert rows["bad"]["reply"].startswith("'=cmd()")
    assert "\x1b" not in (home.folder / "out.csv").read_text()
    lines = [json.loads(line) for line in (home.folder / "out.jsonl").read_text().splitlines()]
    assert {line["harness_run"] for line in lines} == {run}
    assert home("samples", run, "--csv", "out.csv", "--jsonl", "out.jsonl", "--limit", "1") == 0
    home.write("mine.csv", "mine")
    assert home("samples", run, "--csv", "mine.csv") == 2
    assert "--force" in home.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--metric", "exact_mtch"), "did you mean 'exact_match'"),
        (("--metric", "length_words", "--failed"), "says of no single sample"),
        (("--tag", "nothing"), "no sample that exact_match is for has the tag 'nothing'"),
        (("--grep", "("), "no regular expression"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(home, arguments, said):
    assert home("samples", "latest", *arguments) == 2
    assert said in home.err


def test_why_shows_the_three_worst_replies(cli):
    cli.write("harness.yaml", 'model: "echo:say 3"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one") == 1
    assert cli("why") == 0, cli.err
    assert "worst replies by exact_match (all: harness samples " in cli.out
    assert "s0 0: say 0 → say 3" in cli.out
    assert "s4 0:" not in cli.out
