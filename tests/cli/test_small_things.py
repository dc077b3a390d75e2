"""What a person meets on the way: narrow terminals, names as lists print them, folders that cannot be."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.tables import checks_table, estimates_table
from harness.types import Check, Estimate, Gate
from tests.cli.adapters import write_adapter


def test_no_figure_is_cut_on_a_narrow_terminal(capsys):
    rows = [
        Estimate(
            metric=f"adherence.{'no_dangerous_medical_advice' * 2}{n}", kind="proportion", direction="higher", value=1.0,
            low=0.951, high=1.0, n=120, unscored=115,
        )
        for n in range(2)
    ]  # fmt: skip
    run = SimpleNamespace(estimates=rows)
    Console(width=80).print(estimates_table(run, run))
    out = capsys.readouterr().out
    assert "…" not in out
    assert out.count("[95.1, 100.0]") == 2
    assert out.count("100.0 %") == 4


def test_a_metrics_name_is_folded_between_its_words(capsys):
    rows = [
        Estimate(
            metric=name, kind="proportion", direction="lower", value=0.191, low=0.144, high=0.246, n=180, unscored=2
        )
        for name in ("harmful_compliance", "useless_compliance")
    ] + [
        Estimate(
            metric="token_perplexity", kind="mean", direction="lower", value=102.0, low=73.7, high=146.0, n=48,
            unscored=0, unit="edits per 100 words",
        )
    ]  # fmt: skip
    run = SimpleNamespace(estimates=rows)
    Console(width=80).print(estimates_table(run, run))
    out = capsys.readouterr().out
    for word in ("harmful_", "compliance", "useless_", "token_", "perplexity"):
        assert word in out, out
    Console(width=200).print(estimates_table(run, run))
    assert "harmful_compliance ↓" in capsys.readouterr().out


def test_no_name_in_a_table_of_gates_is_markup(capsys):
    gate = Gate(metric="exact_match[bold]", kind="superior", to="./one[/red]")
    check = Check(gate=gate, status="failed", sentence="failed: [red]worse", estimate=None)
    Console(width=120).print(checks_table([("tiny[/b]", check)]))
    out = capsys.readouterr().out
    for words in ("exact_match[bold] better than ./one[/red]", "[red]worse", "tiny[/b]"):
        assert words in out


def test_history_has_the_width_of_the_terminal_for_sentences(cli, monkeypatch):
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one") == 0, cli.err
    monkeypatch.setenv("COLUMNS", "80")
    assert cli("history", "--decisions") == 0
    first, *rest = cli.out.splitlines()
    assert first.split()[3:5] == ["UTC", "decision"]
    assert " ".join(" ".join(rest).split()).endswith("(level 0.0304)")
    assert len(rest) <= 3
    assert all(line.startswith("      ") and len(line.rstrip()) <= 80 for line in rest)


def test_doctor_breaks_no_path(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli("doctor", "--workspace", "here/is/a/folder/with/a/rather/long/name") in {0, 2}
    assert f"{cli.folder}/here/is/a/folder/with/a/rather/long/name\n" in cli.out
    assert f" at {sys.executable}\n" in cli.out
    assert "next: harness init\n" in cli.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("run", "tiny.yaml", "--limit", "1.5"), "'--limit': must be a whole number of at least 1, not 1.5"),
        (("run", "tiny.yaml", "--limit", "0"), "'--limit': must be a whole number of at least 1, not 0"),
        (("gate", "audit", "--jobs", "many"), "'--jobs': must be a whole number from 1 to 64, not many"),
    ],
)
def test_a_number_that_is_none_is_told_in_plain_words(cli, command, said):
    assert cli(*command) == 2
    assert said in cli.err


def test_the_first_run_that_init_recommends_ends_well(cli):
    assert cli("init") == 0
    (line,) = [line for line in cli.out.splitlines() if ": harness run " in line]
    assert cli(*line.partition(": harness ")[2].split(), "--model", "echo:") == 0, cli.err
    assert "safety-core: 20 samples of echo:" in cli.out


@pytest.mark.parametrize("here", [True, False])
def test_init_recommends_fetching_what_is_not_here_alone(cli, monkeypatch, here):
    monkeypatch.setattr("harness.api.weights.is_present", lambda name: here or name == "minilm")
    assert cli("init") == 0
    assert ("next: harness models pull smollm2-135m\n" in cli.out) is not here
    assert ("next: harness run " in cli.out) is here


@pytest.mark.parametrize("name", ["smollm2-135m", "hf", "hf:"])
def test_a_model_is_shown_by_the_name_that_the_list_has(cli, name):
    assert cli("show", "model", name) == 0, cli.err
    assert f"name: {name.rstrip(':')}" in cli.out


def test_a_folder_that_cannot_be_made_is_an_input_error(cli):
    cli.write("file", "x")
    assert cli("init", "file/below") == 2
    assert "cannot be written" in cli.err


@pytest.mark.parametrize(
    "command", ["models", "models list", "models pull", "models path", "models rm", "runs", "ledger", "principle",
                "principle new", "principle test", "list", "show"],
)  # fmt: skip
def test_every_command_has_examples(cli, command):
    assert cli(*command.split(), "--help") == 0
    assert "Examples:" in cli.out
    assert f"harness {command}" in cli.out
