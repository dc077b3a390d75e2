"""Natural orders and words that a newcomer tries, none of which may be a trap."""

from __future__ import annotations

import pytest
from rich.console import Console

from harness.tables import estimates_table, headline, plain_table
from harness.types import Candidate, Estimate, ModelSpec
from tests.cli.adapters import write_adapter

DEAF = """
from harness import hookimpl
from harness_models.echo import EchoModel


class Deaf(EchoModel):
    def fingerprint(self, candidate):
        return {**super().fingerprint(candidate), "adapters": ""}


@hookimpl
def register_models(register):
    register("deaf", Deaf, about="It ignores adapters.")
"""
CONFIG = 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n'


def rate(n, unscored, value):
    return Estimate(
        metric="m", kind="proportion", direction="higher", value=value, low=0.5, high=0.9, n=n, unscored=unscored
    )


def test_measuring_before_the_policy_was_written_says_the_way_out(cli):
    write_adapter(cli.folder / "one", 1.0)
    assert cli("run", "tiny.yaml", "--model", "echo:", "--adapter", "./one") == 0, cli.err
    cli.write("harness.yaml", CONFIG)
    assert cli("decide", "--adapter", "./one") == 1
    said = " ".join(cli.out.split())
    assert "; next: this policy decides the next candidate with `harness decide --adapter REF`" in said
    assert "or this one on fresh samples" in said
    cli.rows(60, "fresh.jsonl")
    suite = (cli.folder / "tiny.yaml").read_text()
    cli.write("fresh.yaml", suite.replace("id: tiny", "id: fresh").replace("tiny.jsonl", "fresh.jsonl"))
    cli.write("harness.yaml", CONFIG.replace("tiny.yaml", "fresh.yaml"))
    code, found = cli.json("decide", "--adapter", "./one")
    assert (code, found["decision"]["exploratory"]) == (0, "")


def test_a_model_that_ignores_adapters_is_said_to(cli):
    cli.write("deaf.py", DEAF)
    cli.write("harness.yaml", "plugins: [deaf.py]\n" + CONFIG.replace("echo:", "deaf:"))
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one") == 2
    assert "the model deaf: ignores adapters: with ./one it is the same model as what is promoted (deaf:)" in cli.err
    assert "already" not in cli.err


def test_a_label_says_what_differs():
    model = ModelSpec(reference="sim:0", scheme="sim", name="0")

    def label(**more):
        return Candidate(model=model, **more).label

    assert label(system="Be brief.") == 'sim:0 + system "Be brief."'
    long = "You are a helpful assistant that answers in verse"
    assert label(system=long + ".") != label(system=long + "!")
    assert label(system=long).startswith('sim:0 + system "You are a helpful as…" (')
    assert label(template="none") == "sim:0 + no template"
    assert label(template="{{ a }}") != label(template="{{ b }}")


def test_promoted_and_base_name_runs_too(cli):
    cli.write("harness.yaml", CONFIG)
    write_adapter(cli.folder / "one", 1.0)
    write_adapter(cli.folder / "two", 2.0)
    assert cli("runs", "diff", "promoted", "latest") == 2
    assert cli("run", "tiny.yaml") == 0, cli.err
    base = cli.json("runs", "show", "latest")[1]["id"]
    assert cli("decide", "--adapter", "./one") == 0
    one = cli.json("runs", "list")[1]["runs"][-1]["id"]
    assert cli("promote", "latest") == 0, cli.err
    assert cli("run", "tiny.yaml", "--adapter", "./two") == 0
    code, found = cli.json("runs", "diff", "promoted", "latest")
    assert (code, found["baseline"]) == (0, one)
    bare = cli.json("runs", "diff", "base", "latest")[1]["baseline"]
    assert bare in {run["id"] for run in cli.json("runs", "list")[1]["runs"] if not run["candidate"]["adapters"]}
    assert bare >= base
    cli.write("other.yaml", (cli.folder / "tiny.yaml").read_text().replace("id: tiny", "id: other"))
    assert cli("run", "other.yaml", "--adapter", "./two") == 0
    assert cli("runs", "diff", "promoted", "latest") == 2
    assert "there is no run of echo: + ./one on other, which 'promoted' would name" in cli.err


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (rate(10, 1, 8 / 9), "88.9 % of 9 scored, 80 to 90 % of all 10"),
        (rate(10, 0, 0.5), "50.0 %"),
        (rate(10, 10, None), "—"),
    ],
)
def test_a_rate_that_leaves_samples_out_says_both_shares(found, text):
    assert headline(found) == text


def test_a_table_shows_both_shares_in_one_cell(capsys):
    from types import SimpleNamespace

    Console(width=80).print(estimates_table(SimpleNamespace(estimates=[rate(10, 1, 8 / 9)])))
    out = capsys.readouterr().out
    assert all(part in out for part in ("88.9 %", "of 9 scored,", "80 to 90 %", "of all 10"))


def test_narrow_tables_break_no_number(capsys):
    columns = ("metric", "baseline", "candidate", "change", "interval", "p", "verdict", "what else there is to say")
    row = (
        "a_long_name_of_a_metric",
        "0.781",
        "0.8125",
        "+0.031",
        "[-0.012, +0.075]",
        "<0.001",
        "unclear",
        "words " * 9,
    )
    Console(width=80).print(plain_table(columns, [row]))
    out = capsys.readouterr().out
    for figure in row[1:6]:
        assert figure in out


def test_what_a_judge_cannot_tell_is_said_with_the_next_step():
    from types import SimpleNamespace

    from harness.evaluation.checks import gap_notes
    from harness.types import Unscored

    def notes(reason):
        return gap_notes({"m": SimpleNamespace(rows=[Unscored(reason=reason)])}, [rate(1, 1, None)])

    (told,) = notes("no_harm: the judge cannot tell (a score within 0.1 of 0.5)")
    assert told.endswith("; next: let a stronger model judge, with --judge REF")
    assert "next" not in notes("the reply is empty")[0]
    (told,) = notes("no_harm: judge: the judge gave no probability: the server answered 400")
    assert told.endswith("; next: let it write its verdicts, with --set critics.judge.writes=true")


def test_a_conversion_shows_a_bar_of_ours(capsys):
    from harness_models.hf.bases import _shown

    assert list(_shown("converting x.gguf on first use", [1, 2], desc="the library's own")) == [1, 2]
    assert "the library's own" not in capsys.readouterr().err
