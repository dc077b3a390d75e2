"""Every extension point, as a table of contents. docs/writing-plugins.md has an example of each.

A `register` argument is called as `register(name, value, about="one line for listings")`, any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from harness.commands import Commands
    from harness.types import LedgerEntry, RunRecord, RunSpec, SampleRecord

BUNDLED = (
    "harness_models",
    "harness_sources",
    "harness_banks",
    "harness_stages",
    "harness_revision",
    "harness_canaries",
    "harness_principles",
    "harness_critics",
    "harness_classifiers",
    "harness_metrics",
    "harness_statistics",
    "harness_gates",
    "harness_precision",
    "harness_audit",
    "harness_suites",
    "harness_ci",
    "harness_training",
    "harness_guards",
    "harness_promotion",
    "harness_tournament",
    "harness_ladder",
    "harness_review",
    "harness_planning",
    "harness_inspect",
    "harness_start",
    "harness_conformance",
)
"""The bundled plugins, in the order of registration. Importing one is cheap: what it brings is imported when used."""

hookspec = pluggy.HookspecMarker("harness")


@hookspec
def register_models(register: Callable[..., None]) -> None:
    """Register model schemes: `register("hf", make)`, where `make(spec, context)` returns a `Model`."""


@hookspec
def register_sources(register: Callable[..., None]) -> None:
    """Register readers of samples: `register("jsonl", read)`, where `read(source_input)` yields samples."""


@hookspec
def register_stages(register: Callable[..., None]) -> None:
    """Register training stages: `register("sft", make)`, where `make()` returns a `Stage`."""


@hookspec
def register_principles(register: Callable[..., None]) -> None:
    """Register principles: `register(principle)`, each under its own id."""


@hookspec
def register_constitutions(register: Callable[..., None]) -> None:
    """Register constitutions: `register("personal", path_of_its_yaml)`."""


@hookspec
def register_critics(register: Callable[..., None]) -> None:
    """Register critics: `register("judge", make)`, where `make(options)` returns a `Critic`."""


@hookspec
def register_verifiers(register: Callable[..., None]) -> None:
    """Register checks in code for the critic `verifier`: `register("valid_json", check)`, as `harness.api.Verifier`."""


@hookspec
def register_tools(register: Callable[..., None]) -> None:
    """Register functions that answer calls in conversations: `register("find_order", find)`, as `harness.api.Tool`."""


@hookspec
def register_classifiers(register: Callable[..., None]) -> None:
    """Register classifiers: `register("presidio", make)`, where `make(options, context)` gives a `Classifier`."""


@hookspec
def register_metrics(register: Callable[..., None]) -> None:
    """Register metric factories: `register("toxicity", make)`; see `harness.api.MetricFactory`."""


@hookspec
def register_gate_kinds(register: Callable[..., None]) -> None:
    """Register kinds of gate: `register("within", Within)`, where `Within()` gives a `harness.api.gates.GateKind`."""


@hookspec
def register_corrections(register: Callable[..., None]) -> None:
    """Register what a gate may name under `correction`: `register("by_hand", make)`; see `harness.api.gates`."""


@hookspec
def register_suites(register: Callable[..., None]) -> None:
    """Register suites: `register("safety-core", path_of_its_yaml)`."""


@hookspec
def register_recipes(register: Callable[..., None]) -> None:
    """Register training recipes: `register("persona", path_of_its_yaml)`."""


@hookspec
def register_policies(register: Callable[..., None]) -> None:
    """Register promotion policies: `register("demo", path_of_its_yaml)`."""


@hookspec
def register_report_sections(register: Callable[..., None]) -> None:
    """Register pages of the report: `register("my-section", make)`; see `harness.api.ReportSection`."""


@hookspec
def register_jobs(register: Callable[..., None]) -> None:
    """Register jobs of a session: `register("train", train)`; `session.train(…)` is then `train(session, …)`."""


@hookspec
def register_services(register: Callable[..., None]) -> None:
    """Offer a function to other plugins: `register("renderer", make)`; `harness.api.service("renderer")` calls it."""


@hookspec
def register_commands(cli: Commands) -> None:
    """Add commands to the command line: `@cli.command(section="look")`, or `cli.add_late(…)`, imported when called.

    A name of two words, such as "gate audit", stands below another command. See `harness.api.commands.Commands`.
    """


@hookspec
def run_started(spec: RunSpec) -> None:
    """Observe that a run begins. An exception here is shown as a warning and changes nothing."""


@hookspec
def sample_finished(record: SampleRecord) -> None:
    """Observe one sample with its replies, findings, verdicts and rows."""


@hookspec
def run_finished(run: RunRecord, folder: Path) -> None:
    """Observe that a run's folder is in place."""


@hookspec
def promotion_changed(entry: LedgerEntry) -> None:
    """Observe a promotion or a rollback, after it is in the ledger."""


@hookspec
def veto_promotion(run: RunRecord, baseline: RunRecord | None) -> str | None:
    """Return a reason to block the promotion of the run's candidate, or None. No plugin can approve.

    An exception counts as a veto: what could not be checked is not passed.
    """
