"""What people are asked about: a random part of a run's samples, each with a known probability to be in it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.api import (
    Completion,
    DrawnSample,
    Generate,
    InputError,
    LabelSample,
    NotApplicable,
    combine_verdicts,
    sha256_text,
)
from harness.api.stats import metric_kind
from harness.api.workspace import hidden_count, open_run, read_samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.api import Metric, Principle, SampleRecord
    from harness.api.workspace import Registries, StoredRun, Workspace

_NEAR, _SHARE = 0.25, 0.45
"""By uncertainty: the quarter of the samples that the critics were least sure of gets 45 % of the labels, about what is
best where labels vary with a standard deviation of .5 near the threshold and .2 far from it (J. Neyman, JRSS 97 (1934)
558–625)."""
SILENT = "no reply"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    metric: str | None = None
    principle: str | None = None
    sample: int | None = None
    by: Literal["uniform", "uncertainty"] | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """The samples of one run in the denominator of one metric."""

    run: StoredRun
    metric: Metric
    records: Mapping[str, SampleRecord]
    """By id."""

    @property
    def principle(self) -> Principle | None:
        """The one that the metric is about."""
        return self.run.labellers.principles.get(self.metric.about_principle or "")

    @property
    def digest(self) -> str:
        """The name of all samples and replies."""
        return self.run.tables[self.metric.name].population


def open_population(workspace: Workspace, registries: Registries, run: str, wanted: Wanted) -> Population:
    """Return a run's samples in the denominator of what is wanted.

    Raises:
        InputError: where nothing such is measured, or it is no share of the samples.
        BrokenRunError: where a file is not what it was.
    """
    found = open_run(workspace, registries, run)
    if hidden := hidden_count(workspace, found.record.id):
        raise InputError(
            f"{hidden} samples of the run {found.record.id} decide under a policy, and their replies are hidden",
            hint="label another run, or show them, so that they never decide again: "
            f'harness reveal {found.record.id} --all --reason "…"',
        )
    metric = _metric(found, wanted)
    table = found.tables[metric.name]
    ids = {table.ids[i] for i in table.applicable}
    records = {
        record.sample.id: record for record in read_samples(workspace, found.record.id) if record.sample.id in ids
    }
    return Population(run=found, metric=metric, records=records)


def _metric(run: StoredRun, wanted: Wanted) -> Metric:
    shares = [name for name, metric in run.metrics.items() if metric_kind(metric).name == "proportion"]
    if wanted.principle is not None:
        fits = [name for name in shares if run.metrics[name].about_principle == wanted.principle]
        cause = f"the run {run.record.id} does not measure adherence to {wanted.principle!r}"
    elif wanted.metric is not None:
        fits = [name for name in shares if name == wanted.metric]
        cause = f"the run {run.record.id} does not measure the share {wanted.metric!r}"
    else:
        fits = [check.gate.metric for check in run.record.checks if check.gate.correction]
        cause = f"no gate of the run {run.record.id} goes by labels of people, so that it does not say what to label"
    if not fits:
        raise InputError(cause, hint=f"give --metric, one of: {', '.join(shares) or 'none that is a share'}")
    return run.metrics[fits[0]]


def draw(populations: tuple[Population, ...], wanted: Wanted) -> tuple[LabelSample, ...]:
    """Draw the same samples of each run; of several runs only those that all of them have.

    Simple random sampling without replacement within strata. Samples to which a run has no reply are a stratum that
    nothing is drawn from, so that gates take them at their worst.

    Raises:
        InputError: where there are fewer samples than are wanted, or no critic's scores to tell what is uncertain.
    """
    first = populations[0]
    ids = sorted(first.records)
    for other in populations[1:]:
        if sorted(other.records) != ids:
            raise InputError(
                f"{other.metric.name} is about other samples in {other.run.record.id} than in {first.run.record.id}",
                hint="label two runs of one suite on the same samples",
            )
    answered = [name for name in ids if all(replies(one.records[name]) for one in populations)]
    seed, by = wanted.seed or 0, wanted.by or "uniform"
    count = min(100, len(answered)) if wanted.sample is None else wanted.sample
    if not 0 < count <= len(answered):
        raise InputError(
            f"{count} samples are wanted, and {len(answered)} have a reply", hint="give a smaller --sample"
        )
    strata = {"all": answered} if by == "uniform" else _by_uncertainty(first, answered, count)
    sizes = {"all": count} if by == "uniform" else _allocate(strata, count)
    rng = random.Random(seed)  # noqa: S311 - a draw that can be repeated
    chosen = {name: rng.sample(members, sizes[name]) for name, members in strata.items()}
    order = [(name, one) for name, members in chosen.items() for one in members]
    rng.shuffle(order)
    whole = {name: tuple(members) for name, members in strata.items()}
    silent = tuple(sorted(set(ids) - set(answered)))
    whole |= {SILENT: silent} if silent else {}
    return tuple(
        LabelSample(
            run=one.run.record.id, samples_sha256=one.run.record.samples_sha256, metric=one.metric.name,
            population=one.digest, by=by, seed=seed, strata=whole,
            drawn=tuple(
                DrawnSample(
                    id=name, content_hash=one.records[name].sample.content_hash,
                    reply_sha256=sha256_text("\0".join(replies(one.records[name]))),
                    probability=sizes[stratum] / len(strata[stratum]),
                )
                for stratum, name in order
            ),
        )
        for one in populations
    )  # fmt: skip


def _by_uncertainty(population: Population, ids: list[str], count: int) -> dict[str, list[str]]:
    """Return the quarter whose scores lie nearest to the threshold, or could not be given, and the rest."""
    principle = population.principle
    if principle is None:
        raise InputError(
            f"{population.metric.name} has no critic's scores, so that nobody knows what is uncertain",
            hint="draw --by uniform, or label a principle's adherence",
        )
    if count < 10 or len(ids) < 20:
        raise InputError("sampling by uncertainty needs 10 labels of 20 samples at least", hint="draw --by uniform")

    def distance(name: str) -> tuple[float, str]:
        score = combine_verdicts(principle, population.records[name].verdicts)
        if isinstance(score, NotApplicable) or not isinstance(score, float | int):
            return 0.0, sha256_text(name)
        return abs(score - principle.threshold), sha256_text(name)  # ties by hash, not by the order of the file

    ordered = sorted(ids, key=distance)
    near = max(2, round(_NEAR * len(ids)))
    return {"near the threshold": sorted(ordered[:near]), "far from it": sorted(ordered[near:])}


def _allocate(strata: Mapping[str, list[str]], count: int) -> dict[str, int]:
    near, far = (len(members) for members in strata.values())
    first = min(near, max(2, round(_SHARE * count)))
    first = max(first, count - far)
    return dict(zip(strata, (first, count - first), strict=True))


def replies(record: SampleRecord) -> list[str]:
    """Return what the model said to a sample, in order."""
    return [reply.text for _, reply in record.replies if isinstance(reply, Completion)]


def shown(record: SampleRecord) -> Iterable[tuple[str, str]]:
    """Yield who said what: the conversation and the replies, and nothing of who replied or how it was scored."""
    for message in record.sample.messages:
        yield message.role, message.content
    for number, (request, reply) in enumerate(record.replies):
        if number and isinstance(request, Generate) and request.messages and request.messages[-1].role == "user":
            yield "user", request.messages[-1].content
        if isinstance(reply, Completion):
            yield "reply", reply.text
