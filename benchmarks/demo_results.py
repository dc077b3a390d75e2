"""Writes docs/results.md from the workspace of `make demo`: python benchmarks/demo_results.py [WORKSPACE] [--persona].

With `--persona` it is that of a `make demo-persona`, and the page docs/results/demo-persona.md.

Every figure comes from the stored runs and the decision that rests on them; nothing is typed in by hand.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from harness.store.artifacts import artifact_folder, read_artifact
from harness.store.decisions import read_decision
from harness.store.runs import read_run
from harness.store.workspace import Workspace
from harness.tables import describe_gate, interval, number

DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# The demo's table, as it came out

What `{command}` measured, written by `python benchmarks/demo_results.py{option}` from the workspace it left.
Another processor rounds differently, so that another machine's adapter answers some prompts otherwise; the verdicts
should agree.
"""
PAIRS = """\
The tables count the candidate's arm alone. A gate that compares counts pairs: a pair is unscored where either side is,
and the two values in its sentence are those of the pairs that are scored on both sides. So a table may show none
unscored where the gate has some, and values that differ a little. An incoherent reply is unscored in compliance.
"""


def document(workspace: Workspace, *, persona: bool) -> str:
    """Return the page."""
    decision = read_decision(workspace, "latest")
    head = HEAD.format(command="make demo-persona" if persona else "make demo", option=" --persona" if persona else "")
    lines = [head, *_setting(workspace, decision.candidate.adapters[-1].id)]
    for name in decision.runs:
        run = read_run(workspace, name)
        others = {
            estimate.metric: estimate
            for key in decision.baseline_runs
            for other in [read_run(workspace, key)]
            if other.suite == run.suite
            for estimate in other.estimates
        }
        confidence = f"{100 * run.estimates[0].confidence:.0f}"
        lines += [
            f"## {run.suite}: {run.samples} samples", "",
            f"| metric | candidate | {confidence} % interval | base | n | unscored | procedure |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for estimate in run.estimates:
            base = others.get(estimate.metric)
            lines.append(
                f"| `{estimate.metric}` | {number(estimate.value, estimate)} | {interval(estimate)} | "
                f"{'—' if base is None else number(base.value, base)} | {estimate.n} | {estimate.unscored} | "
                f"{estimate.method} |"
            )
        lines += ["", *(f"- {note}" for note in run.notes), f"- {run.seconds:.0f} s for the candidate's arm", ""]
    lines += ["## Gates", "", PAIRS, "| suite | gate | verdict | because |", "|---|---|---|---|"]
    for suite, check in decision.checks:
        because = check.sentence.removeprefix(f"{check.status}: ")
        lines.append(f"| {suite} | {describe_gate(check)} | {check.status} | {because} |")
    lines += ["", f"Decision: **{decision.status}**; {decision.sentence}.", ""]
    return "\n".join(lines)


def _setting(workspace: Workspace, adapter: str) -> list[str]:
    decision = read_decision(workspace, "latest")
    run = read_run(workspace, next(iter(decision.runs)))
    env = run.environment
    record = read_artifact(artifact_folder(workspace, "adapter", adapter))
    trained = []
    if record is not None and "scale" in record.figures:  # weakened: what was trained is the adapter before
        trained.append(
            f"- weakened to {record.figures['scale']:g} of what was learned: declines "
            f"{record.figures['declined']:.0%} of "
            f"{record.figures['prompts']:.0f} harmless prompts, the base {record.figures['declined_base']:.0%}"
        )
        record = read_artifact(artifact_folder(workspace, "adapter", record.inputs["adapter"][:16]))
    if record is not None:
        figures = record.figures
        trained.insert(
            0,
            f"- training: seed {record.seed}, {figures['steps']:.0f} steps, {figures['seconds']:.0f} s, "
            f"loss {figures['loss_first']:.2f} → {figures['loss_last']:.2f}, "
            f"peak memory {figures['peak_memory_bytes'] / 2**30:.1f} GiB",
        )
    return [
        f"- made {decision.created[:10]} on {os.cpu_count()} cores ({_processor()}), {platform.system()}",
        f"- Python {env['python']}, torch {env['torch']}, transformers {env['transformers']}, peft {env['peft']}, "
        f"dtype {env.get('dtype', 'float32')}",
        *trained,
        f"- candidate {decision.candidate.model.reference} + {adapter}, baseline {decision.baseline.label}",
        "",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", nargs="?", type=Path, default=Path(".harness"))
    parser.add_argument("--persona", action="store_true", help="the workspace is that of make demo-persona")
    given = parser.parse_args()
    text = document(Workspace.open(given.workspace.resolve()), persona=given.persona)
    (DOCS / ("results/demo-persona.md" if given.persona else "results.md")).write_text(text, encoding="utf-8")
