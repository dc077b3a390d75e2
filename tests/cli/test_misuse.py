"""What people type wrongly: one sentence that names what they typed, before anything is run."""

from __future__ import annotations

import pytest

from tests.cli.adapters import write_adapter


def run(cli, *options: str) -> int:
    """Run the tiny suite without a model."""
    return cli("run", "tiny.yaml", "--model", "echo:", "--limit", 20, *options)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--model", "the model reference is empty"),
        ("--judge", "the model reference is empty"),
        ("--adapter", "the adapter reference is empty"),
        ("--baseline", "the adapter reference is empty"),
    ],
)
def test_an_empty_reference_is_not_the_default(cli, option, said):
    """As of an unset variable in a shell script: measuring another model in silence would be worse than an error."""
    cli.write("harness.yaml", 'model: "echo:"\njudge: "echo:"\n')
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().replace("{metric: exact_match, min: 0.5}",
              "{metric: exact_match, non_inferior: {to: promoted, margin: 0.2}}"))  # fmt: skip
    assert cli("run", "tiny.yaml", option, "") == 2, cli.out
    assert said in cli.err


def test_an_empty_policy_is_not_the_default(cli):
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    write_adapter(cli.folder / "one", 1.0)
    assert cli("decide", "--adapter", "./one", "--policy", "") == 2
    assert "no policy is called ''" in cli.err


@pytest.mark.parametrize("command", [["run", "tiny.yaml", "--timeout", "nan"], ["plan", "tiny.yaml", "--power", "nan"],
                                     ["plan", "tiny.yaml", "--discordant", "NaN"]])  # fmt: skip
def test_not_a_number_is_in_no_range(cli, command):
    assert cli(*command) == 2
    assert "is no number" in cli.err


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
def test_a_file_that_cannot_be_written_is_refused_before_the_run(cli, option):
    assert run(cli, option, "nowhere/out") == 2
    assert "nowhere/out: cannot be written" in cli.err
    assert not (cli.folder / ".harness").exists()


def test_the_trial_of_an_output_leaves_what_was_there(cli):
    cli.write("old.xml", "old")
    assert cli("run", "nothing.yaml", "--model", "echo:", "--junit", "old.xml", "--markdown", "new.md") == 2
    assert (cli.folder / "old.xml").read_text() == "old"
    assert not (cli.folder / "new.md").exists()


@pytest.mark.parametrize("option", ["--principle", "--constitution"])
def test_rules_that_nobody_knows_are_the_command_lines_fault(cli, option):
    assert run(cli, option, "civilty") == 2
    kind = option.removeprefix("--")
    assert cli.err.startswith(f"error: {option}: no {kind} is called 'civilty'"), cli.err


def test_a_constitution_on_the_command_line_is_a_path_from_here(cli):
    suites = cli.folder / "suites"
    suites.mkdir()
    for name in ("tiny.yaml", "tiny.jsonl"):
        (cli.folder / name).rename(suites / name)
    cli.write("rules.yaml", "id: rules\nversion: 1\nprinciples: [{use: civility, weight: 1}]\n")
    assert cli("run", "suites/tiny.yaml", "--model", "echo:", "--constitution", "rules.yaml", "--dry-run") == 0, cli.err


def test_an_adapters_file_is_not_its_folder(cli):
    folder = write_adapter(cli.folder / "one", 1.0)
    assert run(cli, "--adapter", f"{folder}/adapter_model.safetensors") == 2
    assert "this is a file, not an adapter's folder; name the folder that holds it" in cli.err


def test_gates_that_were_left_out_are_not_said_to_be_missing(cli):
    assert run(cli, "--no-gates") == 0, cli.err
    assert "no gates were checked" in cli.out
    assert run(cli, "--no-gates", "--dry-run") == 0, cli.err
    assert "nothing was asked" in cli.out
    assert "can be passed" not in cli.out
    assert run(cli, "--dry-run") == 0, cli.err
    assert "gates can be passed at this size" in cli.out


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("id", "Ünï", "tiny.yaml:1: id: may hold lower-case letters, digits and hyphens only, not 'Ünï'"),
        ("measure", "exact_match", "measure: must be a list, as in [a, b], not 'exact_match'"),
        ("measure", "[]", "measure: must name at least 1"),
        ("gates", '[{metric: exact_match, min: "x"}]', "gates[0].min: must be a number, not 'x'"),
        ("ask", "{max_new_tokens: 0}", "ask.max_new_tokens: must be greater than or equal to 1, not 0"),
        ("ask", "{max_new_tokens: many}", "ask.max_new_tokens: must be a whole number, not 'many'"),
        ("about", "[]", "about: must be text"),
        ("samples", "here", "samples: must be a mapping of keys, as in {key: value}, not 'here'"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(cli, key, value, said):
    settings = {"id": "tiny", "about": "x", "samples": "{source: jsonl, path: tiny.jsonl}", "measure": "[exact_match]"}
    settings[key] = value
    cli.write("tiny.yaml", "".join(f"{name}: {text}\n" for name, text in settings.items()))
    assert run(cli) == 2
    assert said in cli.err


def test_a_gate_against_an_adapter_that_is_not_there_names_its_place(cli):
    gates = "gates:\n  - {metric: exact_match, superior: {to: promtoed}}\n"
    cli.write("tiny.yaml", (cli.folder / "tiny.yaml").read_text().split("gates:")[0] + gates)
    for more in ([], ["--dry-run"]):
        assert run(cli, *more) == 2
        assert "tiny.yaml:7: gates[0]: no adapter is called 'promtoed'" in cli.err


def test_a_plugin_that_harness_yaml_names_wrongly_is_told_with_its_line(cli):
    cli.write("harness.yaml", 'model: "echo:"\nplugins:\n  - ./nope\n')
    assert run(cli) == 2
    assert "harness.yaml:3: plugins[0]: there is no plugin file or folder " in cli.err


def test_an_export_to_a_folder_that_is_not_there_is_an_input_error(cli):
    assert run(cli) == 0
    assert cli("ledger", "export", "-o", "nowhere/ledger.jsonl") == 2
    assert "cannot be written" in cli.err or "could not be written" in cli.err


def test_a_policy_is_shown_as_yaml_writes_it(cli):
    assert cli("show", "policy", "demo") == 0
    assert "\n  - suite: persona\n    gates:\n      - metric: answer_match\n" in cli.out, cli.out
    assert "False" not in cli.out
