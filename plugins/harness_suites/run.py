"""`harness run`: suites on a candidate, a table with intervals, gates, an exit code, a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import CandidateOptions, RunOptions, to_plain
from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    Checked,
    FiniteRange,
    Outputs,
    WholeRange,
    candidate_options,
    common_options,
    gathered,
    output_options,
    precision_check_option,
    remote_options,
    role_option,
    run_parts,
    seed_option,
)

if TYPE_CHECKING:
    from harness.api.workspace import SuiteRun

_EPILOG = """\b
Examples:
  harness run safety-core --limit 20 --no-gates
      (a first look at the bare base)
  harness run persona --adapter ./my-adapter
  harness run safety-core --adapter ./my-adapter --limit 120
  harness run safety-core privacy --adapter promoted --adapter ./patch
  harness run truthfulqa --data ./TruthfulQA.csv --model hf:org/name@main
  harness run mmlu --data ./mmlu --few-shot 5 --tag astronomy --no-gates
  harness run persona --temperature 0.7 --set ask.stop='["\\n"]'
  harness run safety-core --principle my_principle -p ./my_plugins
  harness run my-suite.yaml \\
      --model openai:qwen3@http://localhost:11434/v1 --concurrency 32"""


@click.command(epilog=_EPILOG)
@click.argument("suites", nargs=-1, required=True, metavar="SUITE…")
@candidate_options
@gathered(
    RunOptions, "options",
    click.option("--baseline", metavar="REF", help="Stands for `promoted` in gates: `base`, a model, an adapter."),
    click.option("--judge", metavar="REF", help="The model that critics ask: short for --role judge=REF."),
    role_option,
    click.option("--principle", "principles", multiple=True, metavar="ID", help="Judge by this principle too."),
    click.option("--constitution", metavar="NAME|FILE", help="Judge adherence by this one instead of the suite's."),
    click.option("--limit", type=WholeRange(min=1), metavar="N", help="At most N samples a suite, clusters whole."),
    click.option("--data", type=click.Path(path_type=Path), help="Replaces the suite's own data file."),
    click.option("--temperature", type=FiniteRange(0, 5), metavar="T", help="Instead of the suite's; 0 is greedy."),
    click.option("--top-p", type=FiniteRange(0, 1, min_open=True), metavar="P", help="Instead of the suite's."),
    click.option("--max-new-tokens", type=WholeRange(1, 32768), metavar="N", help="Instead of the suite's."),
    click.option("--few-shot", type=WholeRange(0, 100), metavar="N", help="N solved examples before each question."),
    click.option("--epochs", type=WholeRange(1, 1000), metavar="N",
                 help="N draws of each sample, as one cluster; needs a temperature. --limit counts samples."),
    click.option("--epochs-reducer", metavar="HOW",
                 help="Of a sample's draws: mean, worst, best, or pass@K (the chance that one of K is right)."),
    click.option("--sample-id", "sample_ids", multiple=True, metavar="ID", help="Only this sample; may be repeated."),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only samples with it, or another --tag."),
    click.option("--exclude-tag", "exclude_tags", multiple=True, metavar="TAG", help="No sample with it."),
    click.option("--shuffle", is_flag=True, help="Ask in an order drawn from the seed."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
                 help="Any option of the suite's file, such as ask.stop or measure.toxicity.at; may be repeated."),
    precision_check_option,
    click.option("--no-gates", "gates", flag_value=False, default=True, help="Measure without gates: a first look."),
)  # fmt: skip
@seed_option
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it takes; ask nothing.")
@common_options
@remote_options
@output_options
def run(
    app: App, suites: tuple[str, ...], who: CandidateOptions, options: RunOptions, seed: int, dry_run: bool,
    outputs: Outputs,
) -> int:  # fmt: skip
    """Run suites on a model with adapters, and check their gates."""
    app.require_plugins()
    session = app.bind(seed=seed)
    candidate = session.candidate(who)
    if dry_run:
        found = session.job("forecast")(suites, candidate, options)
        if app.json:
            app.print_json(found.plain())
        else:
            app.show(found.renderables())
        return EXIT_PASSED
    outcomes = session.run_suites(suites, candidate, options)
    if app.json:
        app.print_json({"runs": [_plain(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            app.show(run_parts(outcome.run, outcome.baselines))
        if not options.gates:
            app.console.print(
                "next: harness samples latest (what was said, the worst first), harness report", style="dim"
            )
    outputs.write([Checked(run=outcome.run, checks=outcome.run.checks) for outcome in outcomes])
    return EXIT_PASSED if all(outcome.run.accepted for outcome in outcomes) else EXIT_GATE


def _plain(outcome: SuiteRun) -> dict[str, Any]:
    return {
        "status": outcome.run.status,
        "run": to_plain(outcome.run),
        "baselines": {name: record.id for name, record in outcome.baselines.items()},
    }
