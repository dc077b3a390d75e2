"""What a newcomer does in a natural order, on candidates of every kind, and what tables say of it."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from harness.progress import TerminalProgress, _state
from harness.tables import unbroken

CONFIG = 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n'
SENTENCE = (
    "exact_match is 89.5 % [65.6, 98.2], with 1 of 20 unscored taken as the worst, against +0.0 points [-1.5, 2.25]"
)


@pytest.mark.parametrize("width", range(16, 60, 3))
def test_a_sentence_breaks_at_no_figure_and_loses_nothing(capsys, width):
    table = Table.grid()
    table.add_row(unbroken(SENTENCE))
    Console(width=width).print(table)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(" ".join(lines).split()) == SENTENCE
    for figure in ("89.5 %", "[65.6, 98.2]", "[-1.5, 2.25]"):
        assert sum(figure in line for line in lines) == 1


def test_fields_that_columns_do_not_name_keep_their_names(cli):
    cli.rows(8, target="x", reply="say 1", choices=["yes", "no"], answer=0, tags=["a"])
    suite = (cli.folder / "tiny.yaml").read_text()
    cli.write("tiny.yaml", suite.replace("path: tiny.jsonl", "path: tiny.jsonl, columns: {target: reply}").replace(
        "[exact_match]", "[exact_match, accuracy]"))  # fmt: skip
    code, found = cli.json("run", "tiny.yaml", "--model", "echo:", "--tag", "a", "--no-gates")
    assert code == 0, cli.err
    values = {one["metric"]: (one["value"], one["n"]) for one in found["runs"][0]["run"]["estimates"]}
    assert values["exact_match"] == (1 / 8, 8)
    assert values["accuracy"][1] == 8


def test_a_suite_whose_metric_applies_to_nothing_is_an_error_that_says_why(cli):
    cli.write("tiny.jsonl", '{"question": "say 1", "gold": "say 1"}')
    suite = (cli.folder / "tiny.yaml").read_text()
    cli.write("tiny.yaml", suite.replace("path: tiny.jsonl", "path: tiny.jsonl, columns: {prompt: question}"))
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 2
    assert "exact_match: applies to none of the 1 samples: the sample is not answered with text" in cli.err
    assert "look at the samples' fields and at samples.columns" in cli.err


def test_history_and_status_tell_two_prompts_apart(cli):
    cli.write("harness.yaml", CONFIG)
    for prompt in ("Be brief.", "Be kind."):
        assert cli("decide", "--system", prompt) == 0, cli.err
        assert cli("promote", "latest") == 0, cli.err
    assert cli("history") == 0
    assert all(f'echo: + system "{prompt}"' in cli.out for prompt in ("Be brief.", "Be kind."))
    assert cli("status") == 0
    assert 'echo: + system "Be kind."' in cli.out


def test_base_and_promoted_name_the_runs_of_whole_models(cli):
    cli.write("harness.yaml", CONFIG)
    replies = [{"prompt": f"say {n}", "response": f"say {n}"} for n in range(36)]
    cli.write("tuned.jsonl", "\n".join(map(json.dumps, replies)))
    assert cli("decide", "--model", "replay:tuned.jsonl") == 0, cli.err
    tuned, base = (
        next(run["id"] for run in cli.json("runs", "list")[1]["runs"] if run["candidate"]["model"]["scheme"] == scheme)
        for scheme in ("replay", "echo")
    )
    assert cli.json("runs", "diff", "base", tuned)[1]["baseline"] == base
    assert cli("promote", "latest") == 0, cli.err
    assert cli("run", "tiny.yaml", "--system", "Be brief.") == 0, cli.err
    assert cli.json("runs", "diff", "promoted", "latest")[1]["baseline"] == tuned
    assert cli("runs", "diff", "promoted", "latest") == 0
    # A rate that leaves samples out says so here too, whole, at the width of a narrow terminal.
    for words in ("of 36 scored,", "90 to 100 %", "of all 40"):
        assert words in cli.out


def test_narrow_comparisons_break_no_word_or_figure(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cli.write("replies.jsonl", json.dumps({"prompt": "say 1", "response": "say 1"}))
    for model in ("echo:", "replay:replies.jsonl"):
        cli("run", "tiny.yaml", "--model", model, "--no-gates")
    first, second = (run["id"] for run in cli.json("runs", "list")[1]["runs"])
    assert cli("runs", "diff", first, second) == 0, cli.err
    lines = cli.out.splitlines()
    first_line = next(place for place, line in enumerate(lines) if line.strip().startswith("exact_match "))
    row = "\n".join(lines[first_line : first_line + 4])  # figures may stand on the row's next lines, but whole
    assert re.search(r"exact_match .*100\.0 % .* (worse|unclear)", row)
    assert re.search(r" \[[-+.\d]+, [-+.\d]+\]\s", row)
    assert "100.0 % of 1 scored" in row


def test_a_recipe_that_makes_a_whole_model_says_how_it_is_judged(cli, tiny_base, tiny_adapter):
    cli.write("merge.yaml", f"id: whole\nbase: {tiny_base}\nadapter: {tiny_adapter}\nstages:\n  - merge: {{}}\n")
    assert cli("train", "merge.yaml") == 0, cli.err
    assert "nothing was trained" not in cli.out
    model = re.search(r"next: harness run SUITE --model (\w+), or harness decide --model \1", cli.out)
    assert model, cli.out
    assert cli("run", "tiny.yaml", "--model", model[1], "--limit", "2", "--no-gates") == 0, cli.err


def test_progress_says_its_unit():
    out = StringIO()
    with TerminalProgress(Console(file=out, force_terminal=True, width=120)) as bars:
        task = bars.start("answers", 2, unit="samples")
        task.advance(2)
        task.finish()
    assert "2/2 samples" in out.getvalue()
    assert _state("answers", 1, 2, "samples", 0.5) == "answers: 1/2 samples in 0.5 s (2.0/s, 0 s left)"
