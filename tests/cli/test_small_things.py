"""What a person meets on the way: narrow terminals, names as lists print them, folders that cannot be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.cli.tables import checks_table, estimates_table
from harness.types import Check, Estimate, Gate


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


def test_no_name_in_a_table_of_gates_is_markup(capsys):
    gate = Gate(metric="exact_match[bold]", kind="superior", to="./one[/red]")
    check = Check(gate=gate, status="failed", sentence="failed: [red]worse", estimate=None)
    Console(width=120).print(checks_table([("tiny[/b]", check)]))
    out = capsys.readouterr().out
    for words in ("exact_match[bold] better than ./one[/red]", "[red]worse", "tiny[/b]"):
        assert words in out


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
