"""`harness run`: suites on a candidate, a table with intervals, gates, an exit code, a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.context import MOST_SEED, App, WholeRange, common_options, remote_options
from harness.cli.outputs import Checked, Outputs, output_options
from harness.errors import EXIT_GATE, EXIT_PASSED, InputError

if TYPE_CHECKING:
    from harness.evaluation.prepare import PreparedSuite
    from harness.evaluation.runner import SuiteRun
    from harness.plugins import Registries
    from harness.types import Candidate, RunSpec

_EPILOG = """\b
Examples:
  harness run safety-core --limit 20 --no-gates     (a first look at the bare base)
  harness run persona --adapter ./my-adapter
  harness run safety-core --adapter ./my-adapter --limit 120
  harness run safety-core privacy --adapter promoted --adapter ./patch
  harness run truthfulqa --data ./TruthfulQA.csv --model hf:org/name@main
  harness run safety-core --principle my_principle -p ./my_plugins
  harness run my-suite.yaml --model openai:qwen3@http://localhost:11434/v1 --concurrency 32"""


@click.command(epilog=_EPILOG)
@click.argument("suites", nargs=-1, required=True, metavar="SUITE…")
@click.option("--model", metavar="REF", help="The base model.  [default: harness.yaml's, else smollm2-135m]")
@click.option("--adapter", "adapters", multiple=True, metavar="REF", help="A LoRA adapter; repeated ones compose.")
@click.option("--baseline", metavar="REF", help="Stands for `promoted` in every gate: `base` or an adapter.")
@click.option("--judge", metavar="REF", help="The model that critics ask.  [default: the bare base]")
@click.option("--principle", "principles", multiple=True, metavar="ID", help="Judge by this principle too.")
@click.option("--constitution", metavar="NAME|FILE", help="Judge adherence by this one instead of the suite's.")
@click.option("--limit", type=WholeRange(min=1), metavar="N", help="At most N samples a suite, clusters whole.")
@click.option(
    "--seed",
    type=WholeRange(0, MOST_SEED),
    default=0,
    show_default=True,
    help="Of the subset, sampling and resampling.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Replaces the suite's own data file.")
@click.option("--system", metavar="TEXT", help="A system prompt; it is part of the candidate.")
@click.option("--template", default="auto", show_default=True, metavar="auto|none|FILE", help="The chat template.")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True,
    help="Of the weights.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--drift-check", type=WholeRange(min=0), metavar="K",
    help="Samples computed again in float32 for each gate's metric where the dtype is another; 0 is none."
    "  [default: 32]",
)  # fmt: skip
@click.option("--no-gates", is_flag=True, help="Measure without gates: for a look at a few samples.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it takes; ask nothing.")
@common_options
@remote_options
@output_options
def run(
    app: App,
    suites: tuple[str, ...],
    model: str | None,
    adapters: tuple[str, ...],
    baseline: str | None,
    judge: str | None,
    principles: tuple[str, ...],
    constitution: str | None,
    limit: int | None,
    seed: int,
    data: Path | None,
    system: str | None,
    template: str,
    dtype: str,
    device: str,
    drift_check: int | None,
    no_gates: bool,
    dry_run: bool,
    outputs: Outputs,
) -> int:
    """Run suites on a model with adapters, and check their gates."""
    from harness.evaluation.prepare import prepare_suite
    from harness.evaluation.resolve import resolve_base, resolve_candidate
    from harness.promotion.policies import declare_all
    from harness.types import RunSpec

    app.require_plugins()
    if data is not None and len(suites) > 1:
        raise InputError("--data replaces one suite's data file, and several suites are named", hint="run them singly")
    registries = app.plugins.registries
    constitution = _rules(registries, principles, constitution)
    workspace = app.writable_workspace()
    if not dry_run:
        declare_all(workspace, app.config, registries)
    base = resolve_base(app.model(model), registries, dtype=dtype, device=device)
    candidate = resolve_candidate(base, adapters, workspace, system=system, template=_template(template))
    spec = RunSpec(
        suites=suites, model=base.reference, adapters=adapters, baseline=baseline, judge=judge, principles=principles,
        limit=limit, seed=seed, offline=app.offline, constitution=constitution,
        data=None if data is None else str(data),
    )  # fmt: skip
    prepared = [
        prepare_suite(
            suite,
            registries,
            app.surroundings(seed=seed),
            limit=limit,
            seed=seed,
            data=data,
            principles=principles,
            constitution=constitution,
            gates=() if no_gates else None,
            adapters=candidate.adapters,
        )
        for suite in suites
    ]
    judge = app.judge(judge)
    if dry_run:
        return _forecast(app, prepared, candidate, spec, judge)
    outcomes = _run(app, prepared, candidate, spec, judge, drift_check)
    checked = [Checked(run=outcome.run, checks=outcome.run.checks) for outcome in outcomes]
    outputs.write(checked)
    return EXIT_PASSED if all(outcome.status == "passed" for outcome in outcomes) else EXIT_GATE


def _rules(registries: Registries, principles: tuple[str, ...], constitution: str | None) -> str | None:
    """Check the rules that the command line names, and return the constitution, a path as this folder means it."""
    from harness.errors import unknown_name
    from harness.evaluation.constitutions import Constitutions

    known = Constitutions(registries, Path.cwd())
    for name in principles:
        if name not in known:
            raise unknown_name("principle", name, [entry.name for entry in registries.principles], key="--principle")
    if constitution is None:
        return None
    if constitution not in known:
        names = [entry.name for entry in registries.constitutions]
        raise unknown_name("constitution", constitution, names, key="--constitution")
    named = constitution in registries.constitutions or constitution in registries.principles
    return constitution if named else str(Path(constitution).expanduser().resolve())


def _template(option: str) -> str:
    from harness.reading.files import read_text

    return option if option in {"auto", "none"} else read_text(Path(option), what="chat template")


def _run(
    app: App, prepared: list[PreparedSuite], candidate: Candidate, spec: RunSpec, judge: str | None,
    drift_check: int | None,
) -> tuple[SuiteRun, ...]:  # fmt: skip
    from harness.evaluation.runner import Setting, run_suites

    workspace = app.writable_workspace()
    with workspace.working("harness run"), app.progress() as progress:
        outcomes = run_suites(
            prepared, candidate,
            Setting(
                plugins=app.plugins, workspace=workspace, surroundings=app.surroundings(seed=spec.seed),
                progress=progress, spec=spec, drift_check=drift_check,
            ),
            baseline=spec.baseline, judge=judge,
        )  # fmt: skip
    for outcome in outcomes:
        for warning in outcome.warnings:
            app.warn(warning)
    if app.json:
        app.print_json({"runs": [_plain(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            show_run(app, outcome)
    return outcomes


def _plain(outcome: SuiteRun) -> dict[str, Any]:
    from harness.serial import to_plain

    return {
        "status": outcome.run.verdict,
        "run": to_plain(outcome.run),
        "baselines": {name: record.id for name, record in outcome.baselines.items()},
    }


def show_run(app: App, outcome: SuiteRun) -> None:
    """Print a run as tables: metrics beside the baseline's, gates, notes, and where it lies."""
    from harness.cli.drift_table import DRIFT_COLUMNS, drift_line, drift_rows, dtype_of
    from harness.tables import checks_table, estimates_table, plain_table, status_text
    from harness.terminal import safe_text

    run, console = outcome.run, app.console
    arms = sorted(outcome.baselines.items(), key=lambda arm: arm[0] != "promoted")
    baseline = next((other for _, other in arms if other.id != run.id), None)
    console.print(
        f"\n{run.suite}: {run.samples} samples of {safe_text(run.candidate.label)}", style="bold", markup=False
    )
    if baseline is not None:
        console.print(f"baseline: {safe_text(baseline.candidate.label)}", style="dim", markup=False)
    console.print(estimates_table(run, baseline))
    if run.checks:
        console.print(checks_table((run.suite, check) for check in run.checks))
        console.print("gates: ", status_text(run.status), sep="")
    else:
        console.print("no gates were checked", style="dim")
    if run.drift is not None:
        console.print(safe_text(drift_line(run.drift)), markup=False)
        if rows := drift_rows(run):
            console.print(plain_table(DRIFT_COLUMNS, rows))
    for note in run.notes:
        console.print(f"note: {safe_text(note)}", style="dim", markup=False)
    computed = f", {safe_text(dtype)}" if (dtype := dtype_of(run)) else ""
    asked = f"{run.model_calls} of {run.requests} requests asked"
    console.print(f"run {run.id}: {asked}, {run.seconds:.1f} s{computed}", style="dim", markup=False)


def _forecast(app: App, prepared: list[PreparedSuite], candidate: Candidate, spec: RunSpec, judge: str | None) -> int:
    from harness.cli.forecast_table import FORECAST_COLUMNS, FORECAST_WHOLE, forecast_line, forecast_rows
    from harness.evaluation.forecast import forecast
    from harness.tables import plain_table

    with app.progress() as progress:
        rows = forecast(prepared, candidate, app.plugins, app.writable_workspace(), app.surroundings(seed=spec.seed),
                        baseline=spec.baseline, judge=judge, progress=progress)  # fmt: skip
    if app.json:
        app.print_json({"forecast": [row.plain() for row in rows]})
        return EXIT_PASSED
    app.console.print(plain_table(FORECAST_COLUMNS, forecast_rows(rows), title="would ask", whole=FORECAST_WHOLE))
    app.console.print(forecast_line(rows), markup=False)
    gates = "; gates can be passed at this size" if any(suite.gates for suite in prepared) else ""
    app.console.print(f"nothing was asked{gates}", style="dim")
    return EXIT_PASSED
