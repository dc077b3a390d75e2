"""What another constitution would have said of stored replies, and of the decisions that rest on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Unscored
from harness.api.commands import safe_text
from harness_revision.finding import responses_of_run
from harness_revision.revising import broken, score

if TYPE_CHECKING:
    from harness.api import Check, Constitution, Decision, Principle, Response
    from harness.api.commands import App
    from harness_revision.command import Judging
    from harness_revision.revising import Score


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A stored reply that two constitutions judge otherwise."""

    run: str
    sample: str
    completion: int
    """Which of the sample's replies, from 0."""
    one: str
    """`keeps`, `breaks` or `unscored`, by the first."""
    other: str
    principles: tuple[str, ...]
    """That break it in one and not in the other."""

    def sentence(self) -> str:
        """Say it in a line."""
        named = ", ".join(self.principles)
        which = f" (reply {self.completion + 1})" if self.completion else ""
        sample = safe_text(self.sample, limit=40, one_line=True)
        return f"{self.run[-6:]} {sample}{which}: {self.one} → {self.other} ({named})"


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """A run's stored replies, judged by two constitutions."""

    run: str
    suite: str
    flips: tuple[Flip, ...]
    hidden: int
    """Replies to samples that decide which the two judge otherwise: no more than their number is said."""
    kept: tuple[Mapping[str, float], Mapping[str, float]]
    """Of each constitution: by principle, the share of samples all of whose replies keep it; unscored ones do not."""


def verdict(scores: Mapping[str, Score], principles: Sequence[Principle]) -> tuple[str, frozenset[str]]:
    """Return what a constitution says of a reply: `keeps`, `breaks` or `unscored`, and the principles that say so."""
    failed = frozenset(one.id for one in broken(scores, principles))
    silent = frozenset(name for name, value in scores.items() if isinstance(value, Unscored))
    return ("breaks", failed) if failed else ("unscored", silent) if silent else ("keeps", frozenset())


def runs_of_decisions(app: App) -> tuple[str, ...]:
    """Return the runs that decisions with a gate on adherence rest on, else the latest run, else none."""
    if not app.workspace_path.is_dir():
        return ()
    found = {
        run: None
        for decision in _decisions(app)
        if any(_principle(check) for _, check in decision.checks)
        for run in (*decision.runs, *decision.baseline_runs)
        if (app.workspace.runs / run).is_dir()
    }
    return tuple(found) or (("latest",) if any(app.workspace.runs.glob("*/run.json")) else ())


def rescored(
    app: App, pair: tuple[Constitution, Constitution], run: str, limit: int | None, options: Judging
) -> Rescored:  # fmt: skip
    """Judge a run's stored replies, every one of each sample, by both constitutions; nothing is generated.

    Replies to samples that decide count in the shares and are not shown; with a limit, which could single one out, they
    are left out.

    Raises:
        InputError: where the run holds no replies.
    """
    from harness.api.workspace import read_run, seen_items

    record, seen = read_run(app.workspace, run), seen_items(app.workspace)
    stored = responses_of_run(app, record.id, hidden=limit is None)
    wanted = set(list(dict.fromkeys(one.sample.id for one in stored))[:limit])
    stored = [one for one in stored if one.sample.id in wanted]
    scored, suite = [], options.suite or str(app.workspace.runs / record.id / "suite.yaml")
    for rules in pair:
        with app.session.models(rules.principles, options=options.run, suite=suite) as models:
            scored.append(score(stored, rules.principles, models))
    flips, hidden = [], 0
    for response, own, others in zip(stored, *scored, strict=True):
        a, b = verdict(own, pair[0].principles), verdict(others, pair[1].principles)
        if a[0] != b[0] and seen.hides(response.sample.content_hash):
            hidden += 1
        elif a[0] != b[0]:
            named = tuple(sorted(a[1] ^ b[1]))
            flips.append(
                Flip(run=record.id, sample=response.sample.id, completion=response.index, one=a[0], other=b[0],
                     principles=named)
            )  # fmt: skip
    one, other = (_kept(stored, scores, rules.principles) for scores, rules in zip(scored, pair, strict=True))
    return Rescored(run=record.id, suite=record.suite, flips=tuple(flips), hidden=hidden, kept=(one, other))


def _kept(
    stored: Sequence[Response], scores: Sequence[Mapping[str, Score]], principles: Sequence[Principle]
) -> dict[str, float]:  # fmt: skip
    found = {}
    for principle in principles:
        samples: dict[str, bool] = {}
        for response, given in zip(stored, scores, strict=True):
            value = given.get(principle.id)
            if isinstance(value, float | Unscored):
                good = isinstance(value, float) and value >= principle.threshold
                samples[response.sample.id] = samples.get(response.sample.id, True) and good
        if samples:
            found[principle.id] = sum(samples.values()) / len(samples)
    return found


def turned_decisions(app: App, scored: Sequence[Rescored]) -> Iterator[str]:
    """Yield a sentence for each gate of a past decision on adherence whose value would fall on the other side."""
    known = {one.run: one for one in scored}
    if not known:
        return
    for decision in _decisions(app):
        arms = [
            {known[run].suite: known[run] for run in runs if run in known}
            for runs in (decision.runs, decision.baseline_runs)
        ]
        for suite, check in decision.checks:
            found = _turned(check, *(arm.get(suite) for arm in arms))
            if found:
                yield f"decision {decision.id} ({decision.status}): its gate {found}; decide again"


def _turned(check: Check, own: Rescored | None, baseline: Rescored | None) -> str:
    """Say on which side a gate's value would be instead; empty where it stays, or nobody can tell."""
    from harness.api.stats import gate_kind

    gate, principle, kind = check.gate, _principle(check), gate_kind(check.gate)
    compares = bool(kind.arms(gate))
    if not principle or own is None or (compares and baseline is None):
        return ""
    values = []
    for place in (0, 1):
        value = own.kept[place].get(principle)
        if compares and baseline is not None and value is not None:
            before = baseline.kept[place].get(principle)
            value = None if before is None else value - before
        if value is None:
            return ""
        values.append(value)
    region = kind.region(gate, check.estimate)
    was, now = (region.least <= value <= region.greatest for value in values)
    shown = [f"{100 * value:{'+' if compares else ''}.1f} {'points' if compares else '%'}" for value in values]
    return "" if was == now else f"{kind.condition(gate, _percent)} would see {shown[1]} instead of {shown[0]}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:g} %"


def _principle(check: Check) -> str:
    """Return the principle that a gate on adherence is about, `<prefix>.<principle>`; empty for any other gate."""
    prefix, _, name = check.gate.metric.rpartition(".")
    return name if prefix else ""


def _decisions(app: App) -> Iterator[Decision]:
    from harness.api.workspace import read_decision

    rows = app.workspace.ledger.entries("decision")
    for name in dict.fromkeys(str(row.body["decision"]) for row in rows):
        yield read_decision(app.workspace, name)
