"""Whether a calibration is about what labelled a run: counts of one judge's errors say nothing of another judge."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.errors import BrokenRunError
from harness.gates.kinds import correction_of, kind_of
from harness.hashing import sha256_json
from harness.hookspecs import BUNDLED
from harness.serial import from_json, to_json, to_plain
from harness.stats.misclassified import youden_bound
from harness.store.artifacts import artifacts, is_whole, keep_artifact
from harness.types import Admission, Artifact, BoundRole, Calibration, CriticCalibration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.contracts import Metric
    from harness.store.workspace import Workspace
    from harness.types import Check, Gate, Principle, RunRecord

KIND = "calibration"
"""Of artifact."""
FILE = "calibration.json"

_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Labellers:
    """What labelled a run's replies."""

    principles: Mapping[str, Principle]
    critics: Mapping[str, str]
    """Whole fingerprint by critic: its code, prompts and options, its classifiers, and the judge with its adapters."""
    classifiers: Mapping[str, str]
    """Fingerprint by classifier."""
    suite: str = ""
    """As a person names it."""
    admission: Admission = field(default_factory=Admission)
    """What critics must have shown."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Critics that had a part in training the candidate, and what part."""
    roles: Mapping[str, BoundRole] = field(default_factory=dict)
    """Who was asked."""

    @classmethod
    def of(cls, principles: Iterable[Principle], run: RunRecord) -> Labellers:
        """Return those of a run, whose principles are not in its record."""
        return cls(
            principles={principle.id: principle for principle in principles}, critics=run.critics,
            classifiers={status.name: status.fingerprint for status in run.classifiers}, suite=run.suite,
            admission=run.admission, shared=run.shared_critics, roles=run.roles,
        )  # fmt: skip

    def name(self, metric: Metric) -> str | None:
        """Return `sha256:` and the first digits of the hash of what labels for a metric; None where that is its plugin.

        A principle is its rule, critics, way to combine them, threshold and tags: not its weight or examples.
        """
        principle = self.principles.get(metric.about_principle or "")
        if principle is not None:
            return labeller_of(principle, self.critics)
        if metric.classifiers:
            return _named([metric.labeller, {name: self.classifiers.get(name) for name in metric.classifiers}])
        return metric.labeller or None


def labeller_of(principle: Principle, critics: Mapping[str, str]) -> str:
    """Return the name of what judges by a principle, from its critics' whole fingerprints."""
    rule = {key: value for key, value in to_plain(principle).items() if key not in _NO_PART}
    return _named([rule, {name: critics.get(name) for name in principle.critics}])


def _named(parts: list[object]) -> str:
    return f"sha256:{sha256_json(parts)[:_DIGITS]}"


_NO_PART = {"weight", "critique", "revise", "examples"}


def checks_as_calibrated(
    checks: Iterable[Check], metrics: Mapping[str, Metric], labellers: Labellers
) -> tuple[Check, ...]:
    """Return the checks; one that rests on the calibration of something else is inconclusive."""
    return tuple(_checked(check, metrics[check.gate.metric], labellers) for check in checks)


def _checked(check: Check, metric: Metric, labellers: Labellers) -> Check:
    if check.status == "not_applicable" or not _rests_on_it(check.gate, metric):
        return check
    if metric.calibration is None and not metric.calibration_stored:
        return check
    here, said = labellers.name(metric), check.sentence.removeprefix(f"{check.status}: ")
    problem = _problem(metric, here, labellers)
    if problem and metric.calibration_stored:
        return replace(check, status="inconclusive", sentence=f"inconclusive: critic not admitted: {problem} ({said})")
    if problem:
        return replace(check, status="inconclusive", sentence=f"inconclusive: {said}, but {problem}")
    if metric.calibration_stored and metric.calibration is not None:
        return replace(check, sentence=f"{check.status}: {said}; {metric.calibration.where}")
    return check


def as_calibrated_now(
    checks: Iterable[Check], metrics: Iterable[Metric], labellers: Labellers, workspace: Workspace
) -> bool:
    """Tell whether a stored run's checks say what they would say now: the same calibrations, if any, admit its critics.

    A check that was inconclusive for its critics is made anew in any case: that asks no model.
    """
    known = {metric.name: metric for metric in metrics}
    look_up(known.values(), labellers, workspace)
    for check in checks:
        metric = known.get(check.gate.metric)
        if (
            check.status == "not_applicable"
            or metric is None
            or not metric.calibration_stored
            or not _rests_on_it(check.gate, metric)
        ):
            continue
        found = metric.calibration
        if found is None or found.where not in check.sentence or _problem(metric, labellers.name(metric), labellers):
            return False
    return True


def _problem(metric: Metric, here: str | None, labellers: Labellers) -> str:
    """Return why a gate may not rest on a metric's calibration; empty where it may."""
    known = metric.calibration
    if metric.calibration_stored:
        principle = labellers.principles[metric.about_principle or ""]
        return _not_admitted(principle, metric, labellers, f"{here}, which judged here,")
    if known is not None and here not in {None, known.of}:
        made = f"was counted for {known.of}" if known.of else "does not say what it was counted for"
        return (
            f"the calibration of {metric.name} {made}, and {here} judged here: count again how often that is right, "
            f"and write `of: {here}` beside the counts"
        )
    if metric.about_principle is None:
        return ""
    return _not_admitted(labellers.principles[metric.about_principle], metric, labellers, f"{here}, which judged here,")


def _not_admitted(principle: Principle, metric: Metric, labellers: Labellers, who: str) -> str:
    """Return why the critics of a principle hold no gate of a suite, with the command that would change it."""
    admission = labellers.admission
    for critic in principle.critics:
        if critic in labellers.shared and critic not in admission.shared:
            return (
                f"{critic} had a part in training what it judges here, {labellers.shared[critic]}; name another judge "
                f"with --judge, or allow it in the policy: admission: {{shared: [{critic}]}}"
            )
    named = metric.constitution
    # A relative path is so to the suite, which names it.
    beside = named is not None and named.endswith((".yaml", ".yml")) and not Path(named).is_absolute()
    of = "" if named is None or beside else f" --constitution {named}"
    kind = "" if metric.outputs == "replies" else f" --outputs {metric.outputs}"
    suite = f" --suite {labellers.suite}" if labellers.suite else ""
    data = "" if principle.id in labelled_principles() else " --data FILE"
    command = f"harness critic calibrate {' '.join(principle.critics)} --principle {principle.id}{of}{suite}{kind}"
    command += "".join(_bound(role, who) for role, who in labellers.roles.items()) + data
    if metric.calibration is None:
        return f"{who} was never calibrated for {principle.id} on {metric.outputs}: {command}, and run again"
    problem = admission_problem(metric.calibration.specificity, metric.calibration.sensitivity, admission)
    return problem and f"{problem}: {command}, with a better judge or more labels, and run again"


def _bound(role: str, who: BoundRole) -> str:
    """Return the option that binds a role as the command line or a policy did; suite and settings bind it again."""
    if not who.by.startswith(("--", "the policy")):
        return ""
    adapters = "".join(f",adapter={adapter.reference}" for adapter in who.candidate.adapters)
    return f" --role {role}={who.candidate.model.reference}{adapters}"


@cache
def labelled_principles() -> frozenset[str]:
    """Return the principles for which labelled replies ship with the bundled plugins, in `data/heldout-*.jsonl`."""
    return frozenset(
        str(row["principle"])
        for folder in _data_folders()
        for file in sorted(folder.glob("heldout-*.jsonl"))
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines())
    )


def _data_folders() -> Iterator[Path]:
    for package in BUNDLED:
        spec = find_spec(package)
        yield from (Path(place) / "data" for place in (spec and spec.submodule_search_locations) or ())


def admission_problem(sensitivity: tuple[int, int], specificity: tuple[int, int], admission: Admission) -> str:
    """Return why counts of a critic's errors do not admit it to gates; empty where they do.

    Args:
        sensitivity: (found, all) of the violations.
        specificity: (let through, all) of the others.
        admission: what must be shown.
    """
    (found, positives), (spared, negatives) = sensitivity, specificity
    if positives < admission.positives or negatives < admission.negatives:
        return (
            f"it was calibrated on {positives} violations and {negatives} others, and admission asks for "
            f"{admission.positives} and {admission.negatives}"
        )
    least = youden_bound(sensitivity, specificity)
    if least >= admission.youden:
        return ""
    return (
        f"it found {found} of {positives} violations and let {spared} of {negatives} others through, so that "
        f"sensitivity + specificity − 1 may be as low as {least:.2f}, and admission asks for {admission.youden:g}"
    )


def look_up(metrics: Iterable[Metric], labellers: Labellers, workspace: Workspace) -> None:
    """Give metrics that rest on the workspace's calibrations the newest one of what labels here, or none."""
    for metric in metrics:
        if metric.calibration_stored:
            here = (labellers.name(metric), metric.outputs)
            found = [one for one in calibrations(workspace) if (one.labeller, one.outputs) == here]
            metric.calibration = _as_event(max(found, key=lambda one: one.created)) if found else None


def _as_event(found: CriticCalibration) -> Calibration:
    """Return the counts for the event that a reply follows the principle, of which a violation is the absence."""
    (hits, violations), (spared, others) = found.sensitivity, found.specificity
    return Calibration(
        sensitivity=found.specificity, specificity=found.sensitivity, of=found.labeller,
        where=f"its critics found {hits} of {violations} violations and let {spared} of {others} others through "
        f"(calibration {found.id})",
    )  # fmt: skip


def keep_calibration(workspace: Workspace, found: CriticCalibration) -> CriticCalibration:
    """Keep a calibration as an artifact, and return it with its id and time."""
    options = {"principle": found.principle, "critics": list(found.critics), "roles": dict(found.roles)}
    inputs = {"data": found.data, **{f"critic {name}": sha256 for name, sha256 in found.fingerprints.items()}}
    kept = keep_artifact(
        workspace,
        Artifact(
            kind=KIND, stage="critic calibrate", inputs=inputs, options=options, versions={"harness": __version__}
        ),
        {FILE: (to_json(found, indent=2) + "\n").encode()},
    )
    return replace(found, id=kept.id, created=kept.created)


def calibrations(workspace: Workspace, principle: str | None = None) -> list[CriticCalibration]:
    """Return the critics' calibrations that the workspace keeps, of one principle or all, the oldest first.

    Raises:
        InputError: for one that cannot be read.
        BrokenRunError: for one whose file was changed.
    """
    found = []
    for artifact, folder in artifacts(workspace, KIND):
        if not is_whole(KIND, folder):
            raise BrokenRunError(f"{folder}: has changed since it was stored; remove it, and calibrate again")
        file = folder / FILE
        read = from_json(CriticCalibration, file.read_bytes(), file=file)
        if principle in {None, read.principle}:
            found.append(replace(read, created=artifact.created, id=artifact.id))
    return sorted(found, key=lambda one: one.created)


def _rests_on_it(gate: Gate, metric: Metric) -> bool:
    if gate.correction and correction_of(gate).by_people:  # their labels hold whatever the critic is
        return False
    return not kind_of(gate).of_the_run and (gate.corrected or metric.about_principle is not None)
