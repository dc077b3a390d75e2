"""`harness suite`: write, check and show suites of one's own data."""

from __future__ import annotations

import os
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import InputError, RunOptions
from harness.api.commands import EXIT_PASSED, App, Output, WholeRange, common_options, gathered

if TYPE_CHECKING:
    from harness.api.workspace import PreparedSuite
    from harness_suites.proposing import Proposal

_FEWEST = 20
"""Samples below which no gate says much, whatever perfect data could pass."""
_MARK = "# Written by `harness suite new`"
_NEW = """\b
Examples:
  harness suite new my-suite --data questions.jsonl
  harness suite new my-suite --data table.csv --column prompt=Frage \\
      --column target=Antwort
  harness run my-suite.yaml --limit 20 --no-gates"""
_CHECK = """\b
Examples:
  harness suite check my-suite.yaml
  harness suite check mmlu --data ./mmlu"""
_SHOW = """\b
Examples:
  harness suite show my-suite.yaml --samples 3
  harness suite show mmlu --data ./mmlu --few-shot 2 --samples 1"""

_read_options = gathered(
    RunOptions, "options",
    click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Replaces the suite's own data file."),
    click.option("--few-shot", type=WholeRange(0, 100), metavar="N", help="N solved examples before each question."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any option of the suite's file."),
)  # fmt: skip


@click.group(epilog=_NEW)
def suite() -> None:
    """Write, check and show suites of your own data."""


@suite.command(epilog=_NEW)
@click.argument("name")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), metavar="FILE", help="JSONL, JSON, CSV, Parquet."
)
@click.option("--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="What a column is; may be repeated.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="The file to write.  [default: NAME.yaml]")
@click.option("--force", is_flag=True, help="Let --to replace a file that harness did not write.")
@common_options
def new(app: App, name: str, data: Path, columns: tuple[str, ...], to: Path | None, force: bool) -> int:
    """Look at a data file's columns, and write a commented suite that runs."""
    from harness_suites.proposing import gates_to_try, propose, suite_text

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        close = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        raise InputError(
            f"{name!r} cannot name a suite: use lower-case letters, digits and hyphens", hint=f"try {close!r}"
        )
    given = dict(column.partition("=")[::2] for column in columns)
    path = Path(f"{name}.yaml") if to is None else to
    output = Output(path=path, marks=(_MARK,), force=force, workspace=app.workspace_path, mode=0o644)
    output.check()
    proposal = propose(data, given)
    relative = os.path.relpath(data.resolve(), path.resolve().parent)
    for gate in (*gates_to_try(proposal), ""):
        output.write(suite_text(name, relative, proposal, gate))
        try:
            prepared = _prepared(app, str(path.resolve()), RunOptions())
        except InputError as error:
            if not gate or not (error.key or "").startswith("gates"):
                raise
        else:
            if not gate or len(prepared.samples) >= _FEWEST:
                break
    _say_new(app, path, proposal, prepared, gate=gate)
    return EXIT_PASSED


def _say_new(app: App, path: Path, proposal: Proposal, prepared: PreparedSuite, *, gate: str) -> None:
    if app.json:
        app.print_json(
            {"file": str(path), "source": proposal.source, "columns": dict(proposal.columns), "kind": proposal.kind,
             "samples": len(prepared.samples), "gate": gate.partition("    #")[0]}
        )  # fmt: skip
        return
    mapped = ", ".join(f"{column} is {field}" for field, column in proposal.columns.items())
    _say(app, f"{path}: {len(prepared.samples)} samples; {mapped}; {prepared.metrics[0].name} is measured")
    _say(app, f"next: harness suite show {path} --samples 3, then harness run {path} --limit 20 --no-gates")


@suite.command(epilog=_CHECK)
@click.argument("name", metavar="SUITE")
@_read_options
@common_options
def check(app: App, name: str, options: RunOptions) -> int:
    """Read a suite and all its samples as a run would, and ask no model."""
    import numpy as np

    from harness.api.stats import effective_clusters

    prepared = _prepared(app, name, options)
    samples = prepared.samples
    clusters = len({cluster for cluster in samples.clusters if cluster is not None})
    sizes = Counter(samples.clusters)
    alone = sizes.pop(None, 0)
    weigh = effective_clusters(np.array([*sizes.values(), *[1] * alone], dtype=np.float64))
    tags = sorted({tag for sample in samples for tag in sample.tags})
    facts = {
        "suite": prepared.suite.id, "file": str(prepared.suite.path), "samples": len(samples), "clusters": clusters,
        "effective_clusters": round(weigh, 1), "tags": tags[:50],
        "metrics": [metric.name for metric in prepared.metrics],
        "gates": len(prepared.gates), "roles": list(prepared.roles),
    }  # fmt: skip
    if app.json:
        app.print_json(facts)
        return EXIT_PASSED
    grouped = f" in {clusters} clusters, which weigh as {weigh:.0f} even ones" if clusters else ""
    metrics = "1 metric" if len(prepared.metrics) == 1 else f"{len(prepared.metrics)} metrics"
    _say(app, f"{facts['suite']}: {facts['samples']} samples{grouped}, {metrics}")
    gates = "it has no gates"
    if prepared.gates:
        which = "its one gate" if len(prepared.gates) == 1 else f"its {len(prepared.gates)} gates"
        gates = f"{which} can be passed at this size"
    _say(app, f"{gates}; besides the candidate it asks {', '.join(prepared.roles) or 'nobody'}")
    if tags:
        _say(app, f"tags: {', '.join(tags[:20])}{', …' if len(tags) > 20 else ''}")
    return EXIT_PASSED


@suite.command(epilog=_SHOW)
@click.argument("name", metavar="SUITE")
@click.option(
    "--samples", "count", type=WholeRange(min=0), default=3, show_default=True, metavar="N", help="The first N."
)
@_read_options
@common_options
def show(app: App, name: str, count: int, options: RunOptions) -> int:
    """Show a suite's first samples as the model is asked them, and what is accepted."""
    from harness.api import to_plain

    prepared = _prepared(app, name, options)
    shown = list(islice(prepared.samples, count))
    if app.json:
        app.print_json({"suite": prepared.suite.id, "samples": [to_plain(sample) for sample in shown]})
        return EXIT_PASSED
    ask = prepared.suite.ask
    _say(app, f"{prepared.suite.id}: {prepared.suite.about or 'says nothing of what it measures'}", style="bold")
    decoding = f"at most {ask.max_new_tokens} new tokens, temperature {ask.temperature:g}"
    _say(app, f"{len(prepared.samples)} samples, {decoding}; measures {', '.join(m.name for m in prepared.metrics)}")
    for sample in shown:
        tags = f" [{', '.join(sample.tags)}]" if sample.tags else ""
        _say(app, f"\n{sample.id}{tags}", style="bold")
        for message in sample.messages:
            _say(app, f"{message.role}: {message.content}")
        for choice in sample.choices:
            _say(app, f"  choice: {choice}")
        right = [sample.choices[sample.answer]] if sample.answer is not None else [*sample.target]
        if right:
            _say(app, f"accepted: {' | '.join(right)}")
    return EXIT_PASSED


def _prepared(app: App, name: str, options: RunOptions) -> PreparedSuite:
    """Read a suite as a run would; gates that cannot be passed are refused."""
    from harness.api import Candidate
    from harness.api.workspace import require_attainable_gates, resolve_base

    app.require_plugins()
    model = resolve_base(app.config.model, app.plugins.registries)
    (prepared,) = app.session.prepare([name], Candidate(model=model), options)
    require_attainable_gates(prepared)
    return prepared


def _say(app: App, text: str, *, style: str = "") -> None:
    from harness.api.commands import safe_text

    app.console.print(safe_text(text), style=style, markup=False, soft_wrap=True)
