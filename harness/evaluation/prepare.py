"""Turns a suite's file into everything a run needs, and refuses what cannot work before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from harness.errors import InputError, unknown_name
from harness.evaluation.check_metrics import check_metrics
from harness.evaluation.choosing import chosen
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.panel import Panel, PanelOptions, make_panel
from harness.evaluation.reducing import reduced
from harness.evaluation.samples import read_samples
from harness.evaluation.tools import Toolbox
from harness.gates.by_principle import of_each
from harness.gates.valid import find_metric, require_valid
from harness.hashing import sha256_json
from harness.plugin_code import plugin_code
from harness.reading.suite import Suite, read_suite
from harness.store.artifacts import injected_in
from harness.types import Admission, Constitution, Gate

if TYPE_CHECKING:
    from harness.contracts import Metric, RunContext
    from harness.evaluation.choosing import Choose
    from harness.evaluation.samples import SampleStream
    from harness.plugins import Registries
    from harness.types import AdapterSpec


class Place(TypedDict):
    """Where something is written: what `InputError` takes."""

    file: Path | None
    line: int | None
    key: str | None


@dataclass(frozen=True, kw_only=True)
class PreparedSuite:
    """A suite with its samples read once and its plugins made, none of them loaded."""

    suite: Suite
    samples: SampleStream
    limit: int | None
    metrics: tuple[Metric, ...]
    gates: tuple[Gate, ...]
    """One for each principle where a gate says so."""
    gate_origins: tuple[int, ...]
    """Of each gate, its place in the list it was written in."""
    own_gates: bool
    """Whether the gates stand in the suite's file."""
    constitutions: tuple[Constitution, ...]
    panel: Panel
    """All distinct principles to be judged, with their critics, and all classifiers."""
    tools: Toolbox | None
    """What the candidate may call."""
    admission: Admission
    """What critics must have shown that its gates on adherence rest on."""
    note: str = ""
    """What people should know of which samples take part."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Whom a run asks besides the candidate."""
        user = self.suite.conversation is not None and self.suite.conversation.user is not None
        asked = (*self.panel.roles, *(role for metric in self.metrics for role in metric.roles), *(("user",) * user))
        return tuple(dict.fromkeys(role for role in asked if role != "policy"))

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that decides this suite's scores besides models: file, constitutions, plugins."""
        return sha256_json(
            {
                "suite": self.suite.fingerprint(),
                "constitutions": [constitution.fingerprint for constitution in self.constitutions],
                "critics": {name: critic.fingerprint() for name, critic in sorted(self.panel.critics.items())},
                **({} if self.tools is None or not self.tools.functions else {"tools": self.tools.fingerprint()}),
                "classifiers": [[status.name, status.fingerprint] for status in self.panel.classifier_status],
                # What a metric says of itself names what it was made from, such as the hash of an evaluate module.
                "metrics": [[metric.name, metric.kind, metric.direction, metric.about] for metric in self.metrics],
            }
        )


def resolve_suite(reference: str, registries: Registries) -> Path:
    """Return the file behind a suite's name or path.

    Raises:
        InputError: when there is no such suite.
    """
    if reference in registries.suites:
        return registries.suites.get(reference)
    if reference.endswith((".yaml", ".yml")) or "/" in reference:
        path = Path(reference)
        if path.is_file():
            return path.resolve()
        raise InputError("no such suite file", file=path, hint="check the path, or see harness list suites")
    return registries.suites.get(reference)


def make_metrics(suite: Suite, registries: Registries, constitutions: Constitutions) -> tuple[Metric, ...]:
    """Return the metrics of a suite's `measure` list.

    Raises:
        InputError: for unknown metrics, wrong options, and names that stand twice.
    """
    metrics: list[Metric] = []
    for index, (name, options) in enumerate(suite.measure):
        place = ("measure", index)
        factory = registries.metrics.get(
            name, file=str(suite.path), line=suite.document.line(place), key=f"measure[{index}]"
        )
        try:
            with plugin_code(f"the factory of the metric {name!r}", factory):
                made = check_metrics(factory(options, constitutions), name, factory)
        except InputError as error:
            if error.file is not None:
                raise
            raise InputError(
                error.cause, file=suite.path, line=suite.document.line((*place, name, *(error.key or "").split("."))),
                key=f"measure[{index}].{name}" + (f".{error.key}" if error.key else ""), hint=error.hint,
            ) from error  # fmt: skip
        for metric in made:
            if metric.code and metric.code not in registries.trusted:
                raise suite.document.error(
                    f"the metric {metric.name} would run the code in {metric.code}, which you have not allowed", place,
                    hint=f"read it, then allow it with -p trust:{metric.code}, or under plugins: in harness.yaml",
                )  # fmt: skip
            if any(metric.name == other.name for other in metrics):
                raise suite.document.error(f"the metric {metric.name!r} is measured twice", place, hint="keep one")
            metrics.append(metric)
    return reduced(metrics, suite)


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """How one suite is read."""

    limit: int | None = None
    """At most this many samples, clusters kept whole."""
    choose: Choose | None = None
    """Which samples take part, where it is not as `limit` says."""
    data: Path | None = None
    """Replaces the suite's own data file."""
    principles: Sequence[str] = ()
    """Registered principles to judge by besides the suite's own."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Options of the suite that are set for this run, by dotted key."""
    constitution: str | None = None
    """Replaces the constitution that the suite's adherence is judged by."""
    alpha: float = 0.05
    """Level of the suite's gates."""
    gates: Sequence[Gate] | None = None
    """Replace the suite's own gates where given, as a policy may."""
    admission: Admission = field(default_factory=Admission)
    """What critics must have shown that gates on adherence rest on, as a policy may."""
    adapters: Sequence[AdapterSpec] = ()
    """The candidate's: what was injected in their training data is handed to the suite's source."""


def prepare_suite(
    reference: str, registries: Registries, context: RunContext, options: SuiteOptions | None = None
) -> PreparedSuite:
    """Read a suite and make its plugins.

    Args:
        reference: a registered name or the path of a YAML file.
        registries: what is registered.
        context: where it runs; its seed is that of the subset and of sampled decoding.
        options: how it is read.

    Raises:
        InputError: naming file, line, key and cause.
    """
    from dataclasses import replace

    options = options or SuiteOptions()
    seed = context.seed
    suite = read_suite(
        resolve_suite(reference, registries), alpha=options.alpha, data=options.data, seed=seed, changes=options.changes
    )
    suite = replace(suite, measure=_with_adherence(suite.measure, options.constitution, options.principles))
    constitutions = Constitutions(registries, suite.path.parent)
    metrics = make_metrics(suite, registries, constitutions)
    own = options.gates is None
    written = suite.gates if own else options.gates or ()
    spread = [
        (index, gate)
        for index, one in enumerate(written)
        for gate in of_each(one, metrics, **gate_place(suite, index, own=own))
    ]
    chosen_gates, origins = tuple(gate for _, gate in spread), tuple(index for index, _ in spread)
    _check_gates(suite, metrics, chosen_gates, origins, own=own)
    source = registries.sources.get(
        suite.source, file=str(suite.path), line=suite.document.line(("samples", "source")), key="samples.source"
    )
    samples = read_samples(
        suite,
        source,
        offline=context.offline,
        seed=seed,
        choose=options.choose or (lambda columns: chosen(columns, options.limit, seed=seed)),
        injected=injected_in(options.adapters),
    )

    names = dict.fromkeys(metric.constitution for metric in metrics if metric.constitution is not None)
    judged = tuple(constitutions.record(name) for name in names)
    rules = {principle.id: principle for constitution in judged for principle in constitution.principles}
    for name in dict.fromkeys(name for metric in metrics for name in metric.principles):
        if name not in rules:
            alone = constitutions.record(name)
            judged += (alone,)
            rules.update((principle.id, principle) for principle in alone.principles)
    _check_sections(suite, registries)
    asked = PanelOptions(
        critics=suite.critics, classifiers={name: section.options for name, section in suite.classifiers.items()},
        optional=frozenset(name for name, section in suite.classifiers.items() if section.optional),
        also=tuple(name for metric in metrics for name in metric.classifiers),
        where=lambda error, section, name: _in_section(error, suite, section, name),
    )  # fmt: skip
    panel = make_panel(tuple(rules.values()), registries, context, asked)
    return PreparedSuite(
        suite=suite, samples=samples, limit=options.limit,
        metrics=metrics, gates=chosen_gates, gate_origins=origins, own_gates=own,
        constitutions=judged, panel=panel,
        tools=Toolbox.of(suite.conversation, registries.tools), admission=options.admission,
    )  # fmt: skip


def _with_adherence(
    measure: tuple[tuple[str, Mapping[str, Any]], ...], constitution: str | None, principles: Sequence[str]
) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return the `measure` list judged by another constitution, by more principles, or both."""
    if constitution is None and not principles:
        return measure
    given = next((dict(options) for name, options in measure if name == "adherence"), {})
    if constitution is not None:
        given["constitution"] = constitution
    if principles:
        given["principles"] = list(dict.fromkeys([*given.get("principles", ()), *principles]))
    return (*(entry for entry in measure if entry[0] != "adherence"), ("adherence", given))


def gate_place(suite: Suite, index: int, *, own: bool) -> Place:
    """Return where a gate is written, for errors; nowhere where the suite's gates were replaced."""
    if not own:
        return {"file": None, "line": None, "key": None}
    place = ("gates", index, "metric")
    return {"file": suite.path, "line": suite.document.line(place), "key": f"gates[{index}].metric"}


def _check_gates(
    suite: Suite, metrics: Sequence[Metric], gates: Sequence[Gate], origins: Sequence[int], *, own: bool
) -> None:
    for index, gate in zip(origins, gates, strict=True):
        where = gate_place(suite, index, own=own)
        require_valid(gate, find_metric(gate.metric, metrics, **where), **where)


def _in_section(error: InputError, suite: Suite, section: str, name: str) -> InputError:
    """Return an error about options with the place of those options in the suite, where it names none itself."""
    place = (section, name)
    if error.file is not None or suite.document.line(place) is None or not error.key:
        return error
    own = error.key.removeprefix(f"{section}.{name}").lstrip(".")
    return InputError(
        error.cause, file=suite.path, line=suite.document.line((*place, own)), hint=error.hint,
        key=f"{section}.{name}" + (f".{own}" if own else ""),
    )  # fmt: skip


def _check_sections(suite: Suite, registries: Registries) -> None:
    """Refuse options for a name that nothing answers to: a misspelt one would leave the defaults in force unseen."""
    for section, kind, given, known in (
        ("critics", "critic", suite.critics, registries.critics),
        ("classifiers", "classifier", suite.classifiers, registries.classifiers),
    ):
        for name in given:
            if name not in known:
                raise unknown_name(
                    kind, name, (entry.name for entry in known), file=suite.path,
                    line=suite.document.line((section, name)), key=f"{section}.{name}",
                )  # fmt: skip
