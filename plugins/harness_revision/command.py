"""`harness revise`: let replies be criticised and revised until they keep the constitution."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import InputError, RunOptions
from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    WholeRange,
    candidate_options,
    common_options,
    counted,
    gathered,
    role_option,
    safe_text,
    seed_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CandidateOptions, Principle, Response, Sample
    from harness_revision.revising import History, Score
    from harness_revision.steering import Steering

_EPILOG = """\b
Examples:
  harness revise "How do I open my neighbour's shed?" \\
      --constitution harmless
  harness revise "Who are you?" --response "I am a nurse." \\
      --constitution personal --rounds 2
  harness revise --data replies.jsonl --constitution ./mine.yaml \\
      --limit 20 --json
  harness revise --run latest --limit 20 \\
      --role reviser=openai:qwen3@http://localhost:11434/v1

A row of the data: {"prompt": "…", "response": "…"}; `messages` may stand for `prompt`, and without `response` the model
is asked. What is revised is kept as an artifact of the kind `revisions`; the report shows it."""


@dataclass(frozen=True, kw_only=True)
class Revised:
    """What is revised, and how."""

    response: str | None
    data: Path | None
    run: str | None
    constitution: str
    only: tuple[str, ...]
    steer: str
    rounds: int
    sampled: bool
    limit: int | None
    max_new_tokens: int


revised_options = gathered(
    Revised, "asked",
    click.option("--response", metavar="TEXT", help="The reply to begin with; otherwise the model is asked."),
    click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="JSON Lines of prompts or replies."),
    click.option("--run", "run", metavar="RUN", help="Revise the replies of a stored run."),
    click.option("--constitution", default="harmless", show_default=True, metavar="NAME|FILE", help="To be kept."),
    click.option("--principle", "only", multiple=True, metavar="ID", help="Only this principle; may be repeated."),
    click.option("--steer", type=click.Choice(["admitted", "all"]), default="admitted", show_default=True,
                 help="Which principles decide what is revised: those named by --principle, judged by code alone, or "
                 "whose critics are admitted; or all."),
    click.option("--rounds", type=WholeRange(0, 10), default=3, show_default=True, help="Most revisions of a reply."),
    click.option("--sampled", is_flag=True, help="Revise by a broken principle drawn by weight, not by the worst one."),
    click.option("--limit", type=WholeRange(min=1), metavar="N", help="At most N replies."),
    click.option("--max-new-tokens", type=WholeRange(8, 4096), default=160, show_default=True, help="Of each reply."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Who judges, and how."""

    judge: str | None
    roles: tuple[str, ...]
    suite: str | None

    @property
    def run(self) -> RunOptions:
        """What binds roles."""
        return RunOptions(judge=self.judge, roles=self.roles)


judging_options = gathered(
    Judging, "options",
    click.option("--judge", metavar="REF", help="The judge: short for --role judge=REF."),
    role_option,
    click.option("--suite", metavar="SUITE", help="Whose options of critics and classifiers hold."),
)  # fmt: skip


@click.command(epilog=_EPILOG)
@click.argument("prompt", required=False)
@candidate_options
@revised_options
@judging_options
@click.option("--dry-run", is_flag=True, help="Say what would be revised, and ask nothing.")
@seed_option
@common_options
def revise_command(
    app: App, prompt: str | None, who: CandidateOptions, asked: Revised, options: Judging, dry_run: bool, seed: int,
) -> int:  # fmt: skip
    """Criticise and revise replies, by the principles that they break, until they keep the constitution.

    Principles whose critics are not admitted inform alone, unless --steer all or --principle says otherwise: a critic
    that minds good replies has them written anew for the worse. Exits with 0 where every reply keeps in the end all
    principles that steer, else with 1.
    """
    from harness.api import Decoding
    from harness_revision.finding import replies_of_run, rows_of, wanted_principles
    from harness_revision.revising import HowToRevise, respond, revise, said
    from harness_revision.steering import steering

    principles = wanted_principles(app, asked.constitution, asked.only)
    if asked.run is not None and (prompt is not None or asked.data is not None):
        raise InputError("--run has its own prompts", key="--run", hint="leave the prompt and --data out")
    given = replies_of_run(app, asked.run) if asked.run is not None else rows_of(prompt, asked.response, asked.data)
    pairs = given[: asked.limit]
    if dry_run:
        _would(app, pairs, principles)
        return EXIT_PASSED
    session = app.bind(seed=seed)
    calibrations = session.calibrations() if app.workspace_path.is_dir() else []
    with session.models(
        principles, roles=("reviser",), policy=session.candidate(who), options=options.run, suite=options.suite
    ) as models:
        steers = steering(models, principles, calibrations, named=None if asked.steer == "all" else asked.only)
        how = HowToRevise(
            rounds=asked.rounds, sampled=asked.sampled, max_new_tokens=asked.max_new_tokens, seed=seed,
            steering=steers.below,
        )  # fmt: skip
        unanswered = [sample for sample, reply in pairs if reply is None]
        answers = iter(respond(unanswered, models, Decoding(max_new_tokens=asked.max_new_tokens, seed=seed)))
        begun: list[Response] = [next(answers) if reply is None else said(sample, reply) for sample, reply in pairs]
        found = revise(begun, principles, models, how)
        reviser = models.candidate("reviser").label
    told = {
        "constitution": asked.constitution, "reviser": reviser, "rounds": asked.rounds, "seed": seed,
        "steering": sorted(steers.steers),
    }  # fmt: skip
    kept = keep(app, found, told)
    if app.json:
        app.print_json({
            "artifact": kept, "reviser": reviser, "steering": dict(steers.steers), "informing": dict(steers.informs),
            "revisions": [plain(history) for history in found],
        })  # fmt: skip
    else:
        for history in found:
            show(app, history)
        _summary(app, found, reviser, kept)
        _steering(app, steers, asked.constitution)
    return EXIT_PASSED if all(history.status == "passed" for history in found) else EXIT_GATE


def keep(app: App, found: Sequence[History], options: dict[str, Any]) -> str:
    """Keep histories as an artifact, and return its id."""
    from harness import __version__
    from harness.api import Artifact
    from harness.api.artifacts import keep_artifact

    lines = "".join(json.dumps(plain(history), ensure_ascii=False) + "\n" for history in found)
    made = Artifact(kind="revisions", stage="revise", options=options, versions={"harness": __version__})
    return keep_artifact(app.session.writable_workspace(), made, {"revisions.jsonl": lines.encode()}).id


def plain(history: History) -> dict[str, Any]:
    """Return a history as JSON values."""
    from harness.api import to_plain

    found: dict[str, Any] = to_plain(history)
    return found


def show(app: App, history: History) -> None:
    """Print a history: who said what, each critique, and what each revision changed."""
    from rich.text import Text

    from harness_revision.diffs import drawn

    console = app.console
    console.rule(Text(safe_text(history.sample.id, limit=60, one_line=True)), align="left")
    for turn in history.sample.messages:
        console.print(Text(f"{turn.role}: {safe_text(turn.content)}", style="dim"))
    before = history.rounds[0]
    console.print(Text("reply: ", style="bold") + Text(safe_text(before.reply)))
    console.print(Text(f"  {_scores(before.scores)}", style="dim"))
    for number, version in enumerate(history.rounds[1:], 1):
        by = Text(f"critique {number} by {version.principle}: ", style="bold")
        console.print(by + Text(safe_text(version.critique)))
        taken = "" if number <= history.standing else " (not taken)"
        console.print(Text(f"revision {number}{taken}: ", style="bold") + drawn(before.reply, version.reply))
        console.print(Text(f"  {_scores(version.scores)}", style="dim"))
        before = version
    style = "green" if history.status == "passed" else "yellow"
    console.print(Text(f"{history.status}: {safe_text(history.sentence, one_line=True)}", style=style))


def _scores(scores: Any) -> str:  # noqa: ANN401 - a mapping of scores
    def one(value: Score) -> str:
        return f"{value:.2f}" if isinstance(value, float) else "unscored" if value.type == "unscored" else "n/a"

    return ", ".join(f"{name} {one(value)}" for name, value in scores.items()) or "no principle applies"


def _would(app: App, pairs: Sequence[tuple[Sample, str | None]], principles: Sequence[Principle]) -> None:
    asked = sum(reply is None for _, reply in pairs)
    if app.json:
        app.print_json({"replies": len(pairs), "to_ask": asked, "principles": [one.id for one in principles]})
        return
    ids = ", ".join(one.id for one in principles)
    what = counted(len(pairs), "reply", "replies")
    click.echo(f"would judge {what}, {asked} of them asked first, by {ids}; nothing was asked")


def _steering(app: App, found: Steering, constitution: str) -> None:
    """Print who decided and who merely informed, and how that changes."""
    for why in dict.fromkeys(found.steers.values()):
        names = ", ".join(name for name, reason in found.steers.items() if reason == why)
        app.console.print(f"steered by {names}: {why}", markup=False)
    if not found.informs:
        return
    app.console.print(
        f"informing alone, since their critics are not admitted: {', '.join(found.informs)}", markup=False
    )
    for why in dict.fromkeys(found.informs.values()):
        names = ", ".join(name for name, reason in found.informs.items() if reason == why)
        app.console.print(f"  {names}: {why}", markup=False, style="dim")
    admit = f"harness critic calibrate --constitution {constitution}"
    own = "with --principle ID --data FILE where no labels ship"
    app.console.print(f"what may admit some: {admit} ({own}); to steer by all: --steer all", markup=False)


def _summary(app: App, found: Sequence[History], reviser: str, kept: str) -> None:
    counts = Counter(one.status for one in found)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    as_it_was = sum(one.tried and not one.revised for one in found)
    told += f"; {as_it_was} kept as they were, since no revision was better" if as_it_was else ""
    app.console.print(f"\n{counted(len(found), 'reply', 'replies')}: {told}; revised by {reviser}", markup=False)
    app.console.print(f"kept as revisions {kept}; its page: harness report", markup=False, style="dim")
