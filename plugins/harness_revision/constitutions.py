"""`harness constitution`: show and check constitutions, and say what another one would have said of stored replies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    WholeRange,
    common_options,
    plain_table,
    safe_text,
)
from harness_revision.command import judging_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.api import Constitution, Principle, Response, RunOptions
    from harness_revision.revising import Score

_FIELDS = ("text", "weight", "critics", "combine", "threshold", "applies_to", "critique", "revise")
_DIFF = """\b
Examples:
  harness constitution diff personal ./mine.yaml
  harness constitution diff personal ./mine.yaml --run latest --limit 50 --json

Nothing is generated: critics judge replies that runs have stored, and what they judged before is not asked again."""


@click.group()
def constitution() -> None:
    """Show, check and compare constitutions."""


@constitution.command()
@click.argument("name", metavar="NAME|FILE")
@common_options
def show(app: App, name: str) -> None:
    """Show a constitution's principles: weight, critics, whom they speak of, and examples."""
    found = _record(app, name)
    if app.json:
        from harness.api import to_plain

        app.print_json(to_plain(found))
        return
    total = sum(one.weight for one in found.principles)
    rows = [
        (one.id, safe_text(one.text.strip(), one_line=True), f"{one.weight / total:.2f}", ", ".join(one.critics),
         f"{one.threshold:g}", ", ".join(one.applies_to.any_tag) or "all", str(len(one.examples)) or "0")
        for one in found.principles
    ]  # fmt: skip
    columns = ("principle", "text", "share", "critics", "threshold", "speaks of", "examples")
    app.console.print(plain_table(columns, rows, title=f"{found.id}, version {found.version}"))
    for line in _remarks(found):
        app.console.print(line, markup=False, style="yellow")


@constitution.command()
@click.argument("name", metavar="NAME|FILE")
@common_options
def validate(app: App, name: str) -> int:
    """Read a constitution strictly, and say what is missing for it to gate. Exits with 1 where something is."""
    found = _record(app, name)
    known = {entry.name for entry in app.plugins.registries.critics}
    problems = [
        f"{one.id}: there is no critic {critic!r}" for one in found.principles for critic in one.critics
        if critic not in known
    ]  # fmt: skip
    remarks = _remarks(found)
    if app.json:
        app.print_json(
            {"constitution": found.id, "fingerprint": found.fingerprint, "problems": problems, "remarks": remarks}
        )
    else:
        click.echo(f"{found.id}: {len(found.principles)} principles, fingerprint {found.fingerprint[:16]}")
        for line in (*problems, *remarks):
            click.echo(f"  {safe_text(line, one_line=True)}")
        if not problems and not remarks:
            click.echo("  nothing is missing")
    return EXIT_GATE if problems else EXIT_PASSED


@constitution.command(epilog=_DIFF)
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Score its replies; may be repeated.")
@click.option("--limit", type=WholeRange(min=1), metavar="N", help="At most N replies of each run.")
@judging_options
@common_options
def diff(
    app: App, one: str, other: str, runs: tuple[str, ...], limit: int | None, options: RunOptions
) -> None:  # fmt: skip
    """Say how two constitutions differ, and which stored replies they would judge otherwise.

    Without --run only the texts are compared.
    """
    first, second = _record(app, one), _record(app, other)
    changed = changes(first, second)
    scored = [_rescored(app, (first, second), run, limit, options) for run in runs]
    flips = [flip for one_run in scored for flip in one_run.flips]
    turned = [sentence for one_run in scored for sentence in _decisions(app, one_run)]
    if app.json:
        app.print_json({"changes": changed, "flips": [vars(flip) for flip in flips], "decisions": turned})
        return
    for line in changed:
        app.console.print(line, markup=False)
    if not changed:
        app.console.print("the same principles")
    if not runs:
        app.console.print("no run named, so no reply was judged (--run latest)", style="dim")
        return
    for flip in flips:
        app.console.print(flip.sentence(), markup=False, style="yellow" if flip.other != "keeps" else None)
    app.console.print(f"{len(flips)} replies would be judged otherwise", markup=False)
    for sentence in turned:
        app.console.print(sentence, markup=False, style="yellow")


def changes(first: Constitution, second: Constitution) -> list[str]:
    """Return a sentence for each principle that one of them lacks or has otherwise."""
    before, after = ({one.id: one for one in found.principles} for found in (first, second))
    lines = [f"- {name}: only in {first.id}" for name in before if name not in after]
    lines += [f"+ {name}: only in {second.id}" for name in after if name not in before]
    for name, one in before.items():
        other = after.get(name, one)
        for field in _FIELDS:
            a, b = getattr(one, field), getattr(other, field)
            if a != b:
                lines.append(f"~ {name}.{field}: {_said(a)} → {_said(b)}")
    return lines


def _said(value: Any) -> str:  # noqa: ANN401 - a field of a principle
    return safe_text(str(value).strip(), limit=160, one_line=True)


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A stored reply that two constitutions judge otherwise."""

    run: str
    sample: str
    one: str
    """`keeps`, `breaks` or `unscored`, by the first."""
    other: str
    principles: tuple[str, ...]
    """That break it in one and not in the other."""

    def sentence(self) -> str:
        """Say it in a line."""
        named = ", ".join(self.principles)
        return f"{self.run[-6:]} {safe_text(self.sample, limit=40, one_line=True)}: {self.one} → {self.other} ({named})"


def verdict(scores: Mapping[str, Score], principles: Sequence[Principle]) -> tuple[str, frozenset[str]]:
    """Return what a constitution says of a reply: `keeps`, `breaks` or `unscored`, and the principles that say so."""
    from harness.api import Unscored
    from harness_revision.revising import broken

    failed = frozenset(one.id for one in broken(scores, principles))
    silent = frozenset(name for name, value in scores.items() if isinstance(value, Unscored))
    return ("breaks", failed) if failed else ("unscored", silent) if silent else ("keeps", frozenset())


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """A run's stored replies, judged by two constitutions."""

    run: str
    flips: tuple[Flip, ...]
    kept: tuple[Mapping[str, float], Mapping[str, float]]
    """Of each constitution: the share of replies that keep a principle, by principle; unscored ones do not."""


def _rescored(
    app: App, pair: tuple[Constitution, Constitution], run: str, limit: int | None, options: RunOptions
) -> Rescored:  # fmt: skip
    from harness.api.workspace import read_run
    from harness_revision.finding import replies_of_run
    from harness_revision.revising import said, score

    name = read_run(app.workspace, run).id
    stored: list[Response] = [said(sample, reply or "") for sample, reply in replies_of_run(app, run)[:limit]]
    scored = []
    for rules in pair:
        with app.session.models(rules.principles, options=options) as models:
            scored.append(score(stored, rules.principles, models))
    flips = []
    for response, own, others in zip(stored, *scored, strict=True):
        a, b = verdict(own, pair[0].principles), verdict(others, pair[1].principles)
        if a[0] != b[0]:
            named = tuple(sorted(a[1] ^ b[1]))
            flips.append(Flip(run=name, sample=response.sample.id, one=a[0], other=b[0], principles=named))
    one, other = (_kept(scores, rules.principles) for scores, rules in zip(scored, pair, strict=True))
    return Rescored(run=name, flips=tuple(flips), kept=(one, other))


def _kept(scores: Sequence[Mapping[str, Score]], principles: Sequence[Principle]) -> dict[str, float]:
    found = {}
    for principle in principles:
        own = [given[principle.id] for given in scores if principle.id in given]
        if own:
            good = sum(isinstance(value, float) and value >= principle.threshold for value in own)
            found[principle.id] = good / len(own)
    return found


def _decisions(app: App, scored: Rescored) -> Iterator[str]:
    """Yield a sentence for each gate of a past decision on adherence whose value would fall on the other side."""
    from harness.api.stats import gate_kind
    from harness.api.workspace import read_decision

    rows = app.workspace.ledger.entries("decision")
    for name in dict.fromkeys(str(row.body["decision"]) for row in rows):
        decision = read_decision(app.workspace, name)
        if scored.run not in decision.runs:
            continue
        for _, check in decision.checks:
            gate, principle = check.gate, check.gate.metric.rpartition(".")[2]
            one, other = (kept.get(principle) for kept in scored.kept)
            kind = gate_kind(gate)
            floor = kind.region(gate, check.estimate).least if not kind.arms(gate) else -math.inf
            if one is None or other is None or (one >= floor) == (other >= floor):
                continue
            yield (
                f"decision {decision.id} ({decision.status}): its gate {gate.metric} ≥ {100 * floor:g} % would see"
                f" {100 * other:.1f} % instead of {100 * one:.1f} %; decide again"
            )


def _record(app: App, name: str) -> Constitution:
    from harness.api.workspace import Constitutions

    app.require_plugins()
    return Constitutions(app.plugins.registries, app.session.options.folder).record(name)


def _remarks(found: Constitution) -> list[str]:
    lines = []
    for one in found.principles:
        kinds = {example.kind for example in one.examples}
        if "fail" not in kinds or not kinds - {"fail"}:
            lines.append(f"{one.id} has no examples of both kinds: it informs and can gate nothing")
    return lines
