"""What people said of runs' replies: artifacts of the workspace, and which of them are about what a run says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from harness import __version__
from harness.api import Artifact, BrokenRunError, HumanLabels, LabelSample, LabelSet, from_json, to_json
from harness.api.artifacts import artifacts, is_whole, keep_artifact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.api import Gate
    from harness.api.stats import MetricTable
    from harness.api.workspace import Workspace

SAMPLE, SET = "label-sample", "labels"
"""Kinds of artifact."""
_FILES = {SAMPLE: "sample.json", SET: "labels.json"}
T = TypeVar("T", LabelSample, LabelSet)


def keep_label_sample(workspace: Workspace, sample: LabelSample) -> LabelSample:
    """Keep what was drawn, and return it with its id."""
    artifact = Artifact(
        kind=SAMPLE, stage="review", inputs={"run": sample.samples_sha256}, seed=sample.seed,
        options={"metric": sample.metric, "by": sample.by}, versions={"harness": __version__},
    )  # fmt: skip
    content = {_FILES[SAMPLE]: (to_json(replace(sample, id=""), indent=1) + "\n").encode()}
    return replace(sample, id=keep_artifact(workspace, artifact, content).id)


def keep_label_set(workspace: Workspace, labels: LabelSet) -> None:
    """Keep what a rater has said so far."""
    artifact = Artifact(
        kind=SET, stage="review", inputs={"label-sample": labels.sample}, versions={"harness": __version__},
        options={"rater": labels.rater},
    )  # fmt: skip
    keep_artifact(workspace, artifact, {_FILES[SET]: (to_json(labels, indent=1) + "\n").encode()})


def label_samples(workspace: Workspace, metric: str, population: str) -> list[LabelSample]:
    """Return what was drawn for a metric from these very replies, the oldest first.

    Raises:
        BrokenRunError: for an artifact that was changed.
    """
    found = [
        (created, replace(one, id=identity))
        for created, identity, one in _read(workspace, SAMPLE, LabelSample)
        if one.metric == metric and one.population == population
    ]
    return [one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].id))]


def label_sets(workspace: Workspace, sample: str) -> dict[str, LabelSet]:
    """Return the last word of every rater on a sample, by rater."""
    found: dict[str, LabelSet] = {}
    for _, _, one in _read(workspace, SET, LabelSet):
        if one.sample == sample and one.number > (found[one.rater].number if one.rater in found else 0):
            found[one.rater] = one
    return dict(sorted(found.items()))


def _read(workspace: Workspace, kind: str, cls: type[T]) -> Iterator[tuple[str, str, T]]:
    for artifact, folder in artifacts(workspace, kind):
        if not is_whole(kind, folder):
            raise BrokenRunError(f"{folder}: has changed since it was stored; remove it, and label again")
        file = folder / _FILES[kind]
        yield artifact.created, artifact.id, from_json(cls, file.read_bytes(), file=file)


def together(sample: LabelSample, sets: Iterable[LabelSet]) -> HumanLabels:
    """Return what raters say together: of each drawn sample what most say; None where they skip or are at odds."""
    votes: dict[str, list[str]] = {}
    raters = 0
    for one in sets:
        raters += 1
        for name, label in one.labels.items():
            votes.setdefault(name, []).append(label)
    labels = {}
    for drawn in sample.drawn:
        if drawn.id in votes:
            yes, no = (votes[drawn.id].count(word) for word in ("yes", "no"))
            labels[drawn.id] = None if yes == no else float(yes > no)
    return HumanLabels(sample=sample, labels=labels, raters=raters)


def with_labels(
    tables: Mapping[str, MetricTable], gates: Iterable[Gate], workspace: Workspace
) -> dict[str, MetricTable]:
    """Return the tables; those of metrics whose gates look at labels with what people said of these very replies.

    Of several drawn samples the first counts: who could choose among them could draw until a gate passes.
    """
    found = dict(tables)
    for name in {gate.metric for gate in gates if gate.correction == "prediction_powered"}:
        drawn = label_samples(workspace, name, found[name].population) if name in found else []
        if drawn:
            labels = together(drawn[0], label_sets(workspace, drawn[0].id).values())
            found[name] = replace(found[name], labels=labels)
    return found
