"""harness cache: what is kept, what prune takes away, and that a warm run asks and imports next to nothing."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "tokenizers", "peft", "safetensors.torch", "aiohttp", "streamlit"}


@pytest.fixture
def filled(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0, cli.err
    return cli


def test_stats_say_what_is_kept(cli, filled):
    code, found = cli.json("cache", "stats")
    assert code == 0
    assert found["entries"] == 40
    assert found["file_bytes"] > 0
    assert found["oldest"] <= found["newest"]
    assert cli("cache", "stats") == 0
    assert "40 entries" in cli.out


def test_an_empty_workspace_has_an_empty_cache_and_stays_without_one(cli):
    assert cli("init") == 0
    assert cli.json("cache", "stats")[1]["entries"] == 0
    assert cli.json("cache", "prune", "--keep", "0")[1]["entries"] == 0
    assert not (cli.folder / ".harness" / "cache.db").exists()
    assert cli("cache", "stats", "--workspace", "elsewhere") == 2


def test_prune_forgets_and_the_next_run_asks_again(cli, filled):
    assert cli.json("cache", "prune", "--older-than", "1h")[1]["entries"] == 0
    code, found = cli.json("cache", "prune", "--keep", "0", "--dry-run")
    assert (code, found["entries"], found["kept"], found["dry_run"]) == (0, 40, 0, True)
    assert cli.json("run", "tiny.yaml", "--model", "echo:")[1]["runs"][0]["run"]["model_calls"] == 0
    code, found = cli.json("cache", "prune", "--keep", "0")
    assert (code, found["entries"], found["kept"], found["dry_run"]) == (0, 40, 0, False)
    assert cli.json("run", "tiny.yaml", "--model", "echo:")[1]["runs"][0]["run"]["model_calls"] == 40
    assert cli("cache", "prune", "--keep", "1GB") == 0
    assert "forgot 0 entries" in cli.out


def test_forged_replies_are_not_believed_asked_again_counted_and_found(cli, filled):
    import sqlite3

    assert cli.json("cache", "verify")[1]["refused"] == 0
    other = sqlite3.connect(cli.folder / ".harness" / "cache.db")
    other.execute("UPDATE entries SET value = substr(value, 1, 32) || CAST(upper(substr(value, 33)) AS BLOB)")
    other.commit()
    other.close()
    code, found = cli.json("cache", "verify")
    assert (code, found["entries"], found["refused"]) == (1, 40, 40)
    run = cli.json("run", "tiny.yaml", "--model", "echo:")[1]["runs"][0]["run"]
    assert run["model_calls"] == 40
    assert "40 cached rows were not what this workspace wrote, and were asked again" in run["notes"]
    assert cli("cache", "verify") == 0
    assert "0 of 40 entries" in cli.out


def test_prune_keeps_runs_and_decisions(cli, filled):
    before = cli.json("runs", "list")[1]
    assert cli("cache", "prune", "--keep", "0") == 0
    assert cli.json("runs", "list")[1] == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--older-than 30d"),
        (("--older-than", "soon"), "no length of time"),
        (("--older-than", "-3d"), "no length of time"),
        (("--older-than", "30"), "no length of time"),
        (("--keep", "2 apples"), "no size"),
        (("--keep", "1" * 400 + "GB"), "no size"),
    ],
)
def test_what_is_no_quantity_is_refused(cli, filled, options, words):
    assert cli("cache", "prune", *options) == 2
    assert words in cli.err
    assert cli.json("cache", "stats")[1]["entries"] == 40


def test_prune_refuses_while_another_command_writes(cli, filled):
    from harness.store.workspace import Workspace

    with Workspace.open(".harness").working("harness run big"):
        assert cli("cache", "prune", "--keep", "0") == 2
        assert "harness run big" in cli.err
        assert cli("cache", "prune", "--keep", "0", "--dry-run") == 0
        assert cli("cache", "stats") == 0


def warm(cli, *arguments: object) -> tuple[dict, set[str], float]:
    """Run a command in a process of its own: its document, its heavy imports, and the seconds that it computed."""
    code = (
        "import sys\nfrom harness.cli.main import run\n"
        f"code = run({[*map(str, arguments), '--json']!r})\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cli.folder, capture_output=True, text=True, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1), done.stderr
    heavy = set(done.stderr.strip().splitlines()[-1].split()) if done.stderr.strip() else set()
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), heavy, seconds


def test_a_warm_run_of_two_thousand_requests_takes_under_three_seconds_and_loads_nothing(cli, tiny_base, tiny_adapter):
    cli.write(
        "long.yaml",
        "id: long\nsamples: {source: jsonl, path: long.jsonl}\nask: {max_new_tokens: 1}\nmeasure: [exact_match]\n",
    )
    cli.rows(2000, "long.jsonl")
    options = ["run", "long.yaml", "--model", tiny_base, "--adapter", tiny_adapter]
    assert cli.json(*options)[1]["runs"][0]["run"]["model_calls"] == 2000
    document, heavy, seconds = warm(cli, *options)
    assert document["runs"][0]["run"]["model_calls"] == 0
    assert not heavy
    assert seconds < 3  # of computing: the machine that runs the tests may be busy with other things


def test_a_warm_run_with_judge_and_classifier_loads_neither(cli, shipped_judge):
    options = ["run", "safety-core", "--model", "echo:", "--limit", "12", "--no-gates", "--principle", "civility"]
    code, _ = cli.json(*options)
    if code == 2:
        pytest.skip("the weights of the classifier are not here")
    document, heavy, _ = warm(cli, *options)
    assert document["runs"][0]["run"]["model_calls"] == 0
    assert not heavy


def test_comparing_with_what_is_promoted_costs_the_candidate_alone(cli, tiny_base, tiny_adapter, other_tiny_adapter):
    cli.write(
        "tiny.yaml",
        "id: tiny\nsamples: {source: jsonl, path: tiny.jsonl}\nask: {max_new_tokens: 4}\nmeasure: [exact_match]\n"
        "gates:\n  - {metric: exact_match, non_inferior: {to: promoted, margin: 0.5}}\n",
    )
    cli.rows(12)
    calls = []
    for adapter in (tiny_adapter, other_tiny_adapter):
        options = ["run", "tiny.yaml", "--model", tiny_base, "--adapter", adapter, "--baseline", "base"]
        code, document = cli.json(*options)
        assert code in (0, 1), cli.err
        calls.append(document["runs"][0]["run"]["model_calls"])
        assert document["runs"][0]["baselines"]
    total = cli.json("cache", "stats")[1]["entries"]
    assert calls == [12, 12]
    assert total == 36  # the bare base was asked once, not twice
