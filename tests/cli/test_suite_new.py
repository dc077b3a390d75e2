"""`harness suite new`, `check` and `show`: from a data file to a suite that runs; and shell completion."""

from __future__ import annotations

import json
import subprocess

import pytest


def jsonl(cli, rows, name="data.jsonl"):
    return cli.write(name, "\n".join(json.dumps(row) for row in rows) + "\n")


def made(cli, *arguments):
    code, found = cli.json("suite", "new", "mine", *arguments)
    assert code == 0, cli.err
    return found


ROWS = {
    "numbers": ([{"question": f"{n} + 1?", "answer": str(n + 1)} for n in range(80)], {"prompt": "question", "target": "answer"}),
    "answers": ([{"input": f"say {n}", "expected": f"say {n}x"} for n in range(80)], {"prompt": "input", "target": "expected"}),
    "choices": (
        [{"query": f"{n}?", "options": ["yes", "no"], "label": n % 2, "subject": "odd"} for n in range(80)],
        {"prompt": "query", "choices": "options", "answer": "label", "tags": "subject"},
    ),
    "open": ([{"goal": f"Tell me of {n}."} for n in range(80)], {"prompt": "goal"}),
    "texts": (
        [{"instruction": f"say {n}", "output": "a long answer " * 6} for n in range(80)],
        {"prompt": "instruction", "target": "output"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_a_suite_is_proposed_for_every_kind_of_data_and_runs(cli, kind):
    rows, columns = ROWS[kind]
    jsonl(cli, rows)
    found = made(cli, "--data", "data.jsonl")
    assert (found["kind"], found["columns"], found["samples"]) == (kind, columns, 80)
    assert found["gate"]
    assert cli("suite", "check", "mine.yaml") == 0, cli.err
    metrics = {"answers": "2 metrics", "open": "4 metrics"}.get(kind, "1 metric")
    assert f"80 samples, {metrics}\n" in cli.out
    assert "its one gate can be passed at this size" in cli.out
    assert cli("run", "mine.yaml", "--model", "echo:", "--limit", "40", "--no-gates") == 0, cli.err


def test_csv_and_named_columns(cli):
    cli.write("table.csv", "Frage,Antwort\n" + "".join(f"say {n},say {n}\n" for n in range(30)))
    assert cli("suite", "new", "mine", "--data", "table.csv") == 2
    assert "no column looks like what is asked; columns: Frage, Antwort; say --column prompt=NAME" in cli.err
    assert not (cli.folder / "mine.yaml").exists()
    found = made(cli, "--data", "table.csv", "--column", "prompt=Frage", "--column", "target=Antwort")
    assert found["source"] == "csv"
    assert cli("run", "mine.yaml", "--model", "echo:", "--no-gates") == 0, cli.err


def test_columns_of_no_field_are_passed_over_and_a_reply_is_a_target(cli):
    jsonl(cli, [{"prompt": f"say {n}", "target": f"say {n}", "level": 1, "tags": ["odd"]} for n in range(30)])
    assert made(cli, "--data", "data.jsonl")["columns"] == {"prompt": "prompt", "target": "target", "tags": "tags"}
    _, found = cli.json("suite", "show", "mine.yaml", "--samples", "1")
    assert (found["samples"][0]["tags"], found["samples"][0]["target"]) == (["odd"], ["say 0"])
    jsonl(cli, [{"prompt": f"say {n}", "reply": f"say {n}"} for n in range(30)])
    assert made(cli, "--data", "data.jsonl")["columns"] == {"prompt": "prompt", "target": "reply"}


def test_few_samples_get_no_gate_and_a_file_of_others_stays(cli):
    jsonl(cli, [{"prompt": "say 1", "target": "say 1"}] * 2)
    assert made(cli, "--data", "data.jsonl")["gate"] == ""
    assert "# No gate is proposed" in (cli.folder / "mine.yaml").read_text()
    assert cli("suite", "new", "mine", "--data", "data.jsonl") == 0  # its own earlier output
    cli.write("mine.yaml", "id: other\n")
    assert cli("suite", "new", "mine", "--data", "data.jsonl") == 2
    assert "--force" in cli.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("My Suite", "--data", "tiny.jsonl"), "try 'my-suite'"),
        (("mine", "--data", "nothing.jsonl"), "no such data file"),
        (("mine", "--data", "tiny.yaml"), "use one of .jsonl"),
        (("mine", "--data", "tiny.jsonl", "--column", "promt=x"), "no sample field 'promt'"),
        (("mine", "--data", "tiny.jsonl", "--column", "prompt=x"), "no column 'x'"),
    ],
)
def test_what_cannot_be_proposed_is_one_sentence(cli, arguments, said):
    assert cli("suite", "new", *arguments) == 2
    assert said in cli.err


def test_show_gives_the_samples_as_they_are_asked(cli):
    assert cli("suite", "show", "tiny.yaml", "--samples", "2", "--few-shot", "1") == 0, cli.err
    assert cli.out.count("assistant: say ") == 2
    assert "accepted: say 0" in cli.out
    assert "s2" not in cli.out
    _, found = cli.json("suite", "show", "tiny.yaml", "--samples", "1")
    assert [sample["id"] for sample in found["samples"]] == ["s0"]


def test_check_refuses_gates_that_nothing_could_pass(cli):
    cli.rows(3)
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().replace("min: 0.5", "min: 0.99"))
    assert cli("suite", "check", "tiny.yaml") == 2
    assert "gates[0]" in cli.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_three_shells(cli, shell):
    assert cli("completion", shell) == 0
    assert "_HARNESS_COMPLETE" in cli.out
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=cli.out, text=True, check=False).returncode == 0


def test_parquet_and_json_are_looked_at_too(cli):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"question": f"{n}?", "answer": f"say {n}"} for n in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), cli.folder / "data.parquet")
    cli.write("data.json", json.dumps(rows))
    for source in ("parquet", "json"):
        assert made(cli, "--data", f"data.{source}")["source"] == source
    cli.write("data.json", json.dumps([1, 2]))
    assert cli("suite", "new", "mine", "--data", "data.json") == 2
    assert "the rows must be objects" in cli.err
