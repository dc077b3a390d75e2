"""A run that measures nothing says why, and progress says of what."""

from __future__ import annotations

import io

from rich.console import Console

from harness.progress import TerminalProgress


def test_a_run_whose_metrics_apply_to_no_sample_is_an_error(cli):
    cli.write("tiny.yaml", "id: tiny\nsamples: {path: tiny.jsonl}\nmeasure: [accuracy, perplexity]\n")
    cli.write("tiny.jsonl", '{"prompt": "a"}\n{"prompt": "b"}\n')
    assert cli("run", "tiny.yaml", "--model", "echo:") == 2
    said = " ".join(cli.err.split())
    assert "tiny.yaml: nothing was measured: accuracy" in said
    assert "applies to none of the 2 samples" in said
    assert "look at the samples' fields" in said
    assert list((cli.folder / ".harness" / "runs").iterdir()) == []


def test_a_bar_says_what_it_counts():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with TerminalProgress(console) as progress:
        progress.start("tiny: candidate", 10, unit="samples").advance(3)
    assert "3/10 samples" in console.file.getvalue()
