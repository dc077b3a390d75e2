"""Which samples of a run are meant."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.api import InputError, unknown_id
from harness_inspect.worst import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Estimate, RunRecord
    from harness.api.commands import App


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person asks to see."""

    metric: str | None = None
    flips: str | None = None
    tags: tuple[str, ...] = ()
    failed: bool = False
    grep: str | None = None
    ids: tuple[str, ...] = ()
    limit: int = 10


@dataclass(frozen=True, kw_only=True)
class Found:
    """The samples of a run that were asked for."""

    run: RunRecord
    samples: list[Shown]
    matching: int
    summary: str
    before: dict[str, tuple[str, str]] = field(default_factory=dict)
    """With --flips, by sample: score and reply of the other run."""


def choose(app: App, name: str, wanted: Wanted) -> Found:
    """Return the samples that are asked for, the worst first.

    Raises:
        InputError: for an unknown run, metric, tag or sample, or an expression that is none.
    """
    from harness.api.stats import metric_kind
    from harness.api.workspace import hidden_count, read_run, read_samples
    from harness_inspect.worst import hidden_words, metric_to_show, others_words, scored, worst

    run = read_run(app.workspace, name)
    if wanted.ids:
        return _by_id(app, run, wanted)
    estimate = metric_to_show(run, wanted.metric)
    if wanted.failed and not metric_kind(estimate).shares:
        raise InputError(
            f"--failed needs a rate, and {estimate.metric} is a {estimate.kind}", key="failed",
            hint="name a rate with --metric; without --failed the worst come first",
        )  # fmt: skip
    seen: set[str] = set()
    matches = _matching(wanted, seen)
    before = _before(app, run, estimate, wanted.flips) if wanted.flips is not None else None
    count = unscored = 0
    others: Counter[str] = Counter()

    def kept() -> Iterator[Shown]:
        nonlocal count, unscored
        for one in scored(read_samples(app.workspace, run.id), estimate, others):
            if matches(one) and (before is None or one.record.sample.id in before):
                count += 1
                unscored += one.value is None
                yield one

    found = worst(kept(), estimate, wanted.limit)
    for tag in wanted.tags:
        if tag not in seen:
            known = ", ".join(sorted(seen)) or "none"
            raise InputError(f"no sample that {estimate.metric} is for has the tag {tag!r}", hint=f"tags: {known}")
    words = "flipped" if before is not None else "match" if wanted.failed or wanted.grep or wanted.tags else "samples"
    gap = f", {unscored} of them unscored" if unscored else ""
    hidden = hidden_count(app.workspace, run.id)
    summary = f"{len(found)} of {count} {words}{gap}, the worst by {estimate.metric} first; run {run.id}"
    summary += f"; {hidden_words(hidden, run.id)}" if hidden else ""
    summary += f"; {others_words(others, estimate.metric)}" if others else ""
    return Found(run=run, samples=found, matching=count, summary=summary, before=before or {})


def _matching(wanted: Wanted, seen: set[str]) -> _Matches:
    try:
        pattern = re.compile(wanted.grep, re.IGNORECASE) if wanted.grep else None
    except re.error as error:
        raise InputError(f"{wanted.grep!r} is no regular expression ({error})", key="grep") from error
    return _Matches(wanted=wanted, pattern=pattern, seen=seen)


@dataclass(frozen=True, kw_only=True)
class _Matches:
    """Tells whether a sample passes the filters, and notes the tags that there are."""

    wanted: Wanted
    pattern: re.Pattern[str] | None
    seen: set[str]

    def __call__(self, one: Shown) -> bool:
        sample = one.record.sample
        self.seen.update(sample.tags)
        if self.wanted.failed and not one.failed:
            return False
        if not set(self.wanted.tags) <= set(sample.tags):
            return False
        return self.pattern is None or any(self.pattern.search(text) for text in (sample.prompt, one.reply))


def _by_id(app: App, run: RunRecord, wanted: Wanted) -> Found:
    from harness.api.workspace import read_all_samples, read_samples
    from harness_inspect.worst import scored

    known: list[str] = []
    by_id: dict[str, Shown] = {}
    name = wanted.metric or next((check.gate.metric for check in run.checks), "")
    estimate = next((one for one in run.estimates if one.metric == name), None)
    for number, record in enumerate(read_samples(app.workspace, run.id)):
        known.append(record.sample.id)
        if record.sample.id in wanted.ids:
            bare = Shown(record=record, metric="", value=None, failed=False, number=number)
            by_id[record.sample.id] = next(iter(scored([record], estimate)), bare) if estimate is not None else bare
    for asked in wanted.ids:
        if asked not in by_id:
            if any(record.sample.id == asked for record in read_all_samples(app.workspace, run.id)):
                raise InputError(
                    f"the sample {asked!r} decides, and is hidden",
                    hint=f'to read it, and never decide by it again: harness reveal {run.id} --id {asked} --reason "…"',
                )  # fmt: skip
            raise unknown_id("sample", asked, known, listed=f"harness samples {run.id}", made="harness run SUITE")
    found = [by_id[asked] for asked in wanted.ids]
    return Found(run=run, samples=found, matching=len(found), summary="")


def _before(app: App, run: RunRecord, estimate: Estimate, other: str) -> dict[str, tuple[str, str]]:
    """Return score and reply that the flipped samples had in another run."""
    from harness.api.workspace import read_run, read_samples
    from harness_inspect.difference import difference
    from harness_inspect.worst import reply_text

    earlier = read_run(app.workspace, other, like=run)
    flips = difference(app.workspace, app.plugins.registries, earlier.id, run.id).flips
    scores = {flip.sample: flip.before for flip in flips if flip.metric == estimate.metric}
    return {
        record.sample.id: (
            "unscored" if (was := scores[record.sample.id]) is None else f"{was:.3g}",
            reply_text(record),
        )
        for record in read_samples(app.workspace, earlier.id)
        if record.sample.id in scores
    }
