"""`harness gate`: check a stored run's gates again, without the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api import InputError
from harness.api.commands import EXIT_GATE, EXIT_PASSED, App, Checked, Outputs, common_options, output_options

if TYPE_CHECKING:
    from harness.api import Gate
    from harness_planning.recheck import Recheck

_EPILOG = """\b
Examples:
  harness gate latest
  harness gate 20261120-064048-safety-core-9f2c1a
  harness gate latest --suite ./suites/safety-core.yaml
      (that file's gates, as they stand now)
  harness gate latest --policy strict
  harness gate latest --junit gates.xml --markdown gates.md

A run that is checked under gates other than its own is exploratory: choosing gates after the numbers are known
proves nothing, and such a result cannot promote.
Exit codes: 0 all gates passed, 1 one failed or is inconclusive, 2 input error, 3 a file is not what it was."""


@click.command(epilog=_EPILOG)
@click.argument("run")
@click.option("--suite", metavar="NAME|FILE", help="Check the gates of this suite's file instead.")
@click.option("--policy", metavar="NAME", help="Check the gates that this policy has for the run's suite instead.")
@common_options
@output_options
def gate(
    app: App, run: str, suite: str | None, policy: str | None, outputs: Outputs
) -> int:  # fmt: skip
    """Check a stored run's gates again, without the model."""
    from harness.api import to_plain
    from harness.api.workspace import read_run
    from harness_planning.recheck import recheck

    if suite is not None and policy is not None:
        raise InputError("--suite and --policy both name gates", hint="give one of them")
    workspace = app.workspace
    gates: tuple[Gate, ...] | None = None
    if suite is not None:
        gates = _of_suite(app, suite)
    elif policy is not None:
        gates = _of_policy(app, policy, read_run(workspace, run).suite)
    found = recheck(workspace, app.plugins.registries, run, gates=gates)
    if app.json:
        app.print_json(
            {
                "run": found.record.id, "status": found.status, "exploratory": found.exploratory,
                "checks": [to_plain(check) for check in found.checks], "notes": list(found.notes),
            }
        )  # fmt: skip
    else:
        _show(app, found)
    outputs.write([Checked(run=found.record, checks=found.checks, notes=found.notes)])
    return EXIT_PASSED if found.status == "passed" else EXIT_GATE


def _show(app: App, found: Recheck) -> None:
    from harness.api.commands import checks_table, safe_text, status_text

    app.console.print(f"run {found.record.id}", markup=False)
    app.console.print(checks_table((found.record.suite, check) for check in found.checks))
    app.console.print("gates: ", status_text(found.status), sep="")
    if found.exploratory:
        app.console.print("exploratory: these are not the gates that the run was made under; it cannot promote by them")
    for note in found.notes:
        app.console.print(f"note: {safe_text(note)}", style="dim", markup=False)


def _of_suite(app: App, reference: str) -> tuple[Gate, ...]:
    from harness.api.workspace import read_suite, resolve_suite

    path = resolve_suite(reference, app.plugins.registries)
    gates = read_suite(path).gates
    if not gates:
        raise InputError("the suite has no gates", file=path, hint="add some under `gates:`")
    return gates


def _of_policy(app: App, name: str, suite: str) -> tuple[Gate, ...]:
    from harness.api.workspace import find_policy, read_suite, resolve_suite

    registries = app.plugins.registries
    policy = find_policy(name, app.config, registries)
    for section in policy.suites:
        own = read_suite(resolve_suite(section.suite, registries), alpha=policy.alpha)
        if own.id == suite:
            return own.gates if section.gates is None else section.gates
    named = ", ".join(section.suite for section in policy.suites)
    raise InputError(f"the policy {name} does not ask for the suite {suite}", hint=f"it asks for {named}")
