"""--dry-run with --json prints one document, for every command that has both."""

from __future__ import annotations

import json

import click
import pytest

from tests.cli.adapters import write_adapter
from tests.cli.test_eighty_columns import every_command

ARGUMENTS = {
    "cache prune": ("--keep", "0"),
    "gate audit": ("--full",),
    "review": ("latest", "--metric", "exact_match"),
    "revise": ("Who are you?", "--response", "I am a nurse.", "--constitution", "demo"),
    "run": ("tiny.yaml", "--model", "echo:"),
    "sweep": ("mine.yaml", "--over", "learning_rate=1e-4,5e-4"),
    "tournament": ("--adapter", "./a1", "--adapter", "./a2"),
    "train": ("mine.yaml",),
}
"""By command: what it needs besides."""


def names():
    return sorted(
        " ".join(path)
        for path, command in every_command()
        if {"--dry-run", "--json"} <= {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
    )


def test_every_command_with_both_is_tried():
    assert names() == sorted(ARGUMENTS)


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_a_dry_run_prints_json_and_leaves_nothing(cli, tiny_base, name):
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies: {mine: {suites: [tiny.yaml]}}\n')
    for adapter in ("a1", "a2"):
        write_adapter(cli.folder / adapter, int(adapter[1]))
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    cli.write("train.jsonl", "".join(json.dumps({"messages": turns}) + "\n" for _ in range(4)))
    cli.write("mine.yaml", f"id: mine\nbase: {tiny_base}\nstages: [{{sft: {{data: train.jsonl, epochs: 1}}}}]\n")
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0, cli.err
    before = sorted(path.name for path in (cli.folder / ".harness" / "runs").iterdir())
    assert cli(*name.split(), *ARGUMENTS[name], "--dry-run", "--json") == 0, cli.err
    assert isinstance(json.loads(cli.out), dict)
    assert "warning" not in cli.err
    assert sorted(path.name for path in (cli.folder / ".harness" / "runs").iterdir()) == before
    assert not (cli.folder / ".harness" / "artifacts" / "adapter").exists()
