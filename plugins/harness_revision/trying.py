"""`harness principle try`: what critics and reviser make of one reply by one principle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    candidate_options,
    common_options,
    gathered,
    safe_text,
    seed_option,
)
from harness_revision.command import judging_options

if TYPE_CHECKING:
    from harness.api import CandidateOptions, Principle, Verdict
    from harness_revision.command import Judging

_EPILOG = """\b
Examples:
  harness principle try civility "Why is my code slow?" \\
      --response "Because you wrote it, genius."
  harness principle try truthfulness "Who won the 2090 cup?" \\
      --constitution personal
  harness principle try my_principle "Hello" -p ./my_principle.py \\
      --judge smollm2-135m"""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What is tried."""

    response: str | None
    constitution: str | None


tried_options = gathered(
    Tried, "asked",
    click.option("--response", metavar="TEXT", help="The reply to judge; otherwise the model is asked."),
    click.option("--constitution", metavar="NAME|FILE", help="That holds the principle."),
)  # fmt: skip


@click.command("try", epilog=_EPILOG)
@click.argument("name")
@click.argument("prompt")
@candidate_options
@tried_options
@judging_options
@seed_option
@common_options
def try_command(
    app: App, name: str, prompt: str, who: CandidateOptions, asked: Tried, options: Judging, seed: int,
) -> int:  # fmt: skip
    """Judge one reply by a principle's critics, criticise and revise it, and judge the revision.

    The reviser is asked whether the critics mind the reply or not. Exits with 0 where the reply follows the principle.
    """
    from harness.api import Decoding, Message, Sample, combine_verdicts
    from harness_revision.finding import wanted_principles
    from harness_revision.prompts import Flaw
    from harness_revision.revising import HowToRevise, criticise_and_revise, random_of, respond, said

    (principle,) = wanted_principles(app, asked.constitution or name, (name,))
    session = app.bind(seed=seed)
    # Its tags see to it that the principle speaks of the prompt.
    sample = Sample(id="try", messages=(Message(role="user", content=prompt),), tags=principle.applies_to.any_tag)
    with session.models(
        (principle,), roles=("reviser",), policy=session.candidate(who), options=options.run, suite=options.suite
    ) as models:
        how = HowToRevise(seed=seed)
        if asked.response is None:
            (reply,) = respond([sample], models, Decoding(max_new_tokens=how.max_new_tokens, seed=seed))
        else:
            reply = said(sample, asked.response)
        text = "" if reply.completion is None else reply.completion.text
        flaw = Flaw.of(sample.messages, text, principle)
        ((critique, revision),) = models.ask([criticise_and_revise(flaw, models, how, random_of(sample, seed, 1))])
        before, after = models.verdicts([reply, said(sample, revision)])
    score = combine_verdicts(principle, before)
    follows = isinstance(score, float) and score >= principle.threshold
    if app.json:
        from harness.api import to_plain

        app.print_json(
            {"principle": principle.id, "threshold": principle.threshold, "prompt": prompt, "response": text,
             "follows": follows, "verdicts": to_plain(before), "critique": critique, "revision": revision,
             "revision_verdicts": to_plain(after)}
        )  # fmt: skip
    else:
        _show(app, principle, text, before)
        _show_revision(app, text, critique, revision, after)
    return EXIT_PASSED if follows else EXIT_GATE


def _show(app: App, principle: Principle, text: str, verdicts: tuple[Verdict, ...]) -> None:
    from rich.text import Text

    app.console.print(Text(f"{principle.id}: {safe_text(principle.text.strip(), one_line=True)}", style="dim"))
    app.console.print(Text("reply: ", style="bold") + Text(safe_text(text)))
    for verdict in verdicts:
        app.console.print(Text(f"  {_judgement(verdict)} (threshold {principle.threshold:g})"))
    if not principle.examples:
        app.console.print(Text("  no examples: the principle informs and can gate nothing", style="yellow"))


def _show_revision(app: App, text: str, critique: str, revision: str, verdicts: tuple[Verdict, ...]) -> None:
    from rich.text import Text

    from harness_revision.diffs import drawn

    app.console.print(Text("critique: ", style="bold") + Text(safe_text(critique) or "(none)"))
    if not revision:
        app.console.print(Text("the reviser returned nothing; name another: --role reviser=MODEL", style="yellow"))
        return
    app.console.print(Text("revision: ", style="bold") + drawn(text, revision))
    for verdict in verdicts:
        app.console.print(Text(f"  {_judgement(verdict)}"))


def _judgement(verdict: Verdict) -> str:
    value = (
        f"{verdict.score:.2f}" if isinstance(verdict.score, float) else f"{verdict.score.type}: {verdict.score.reason}"
    )
    return f"{verdict.critic} {value}  {safe_text(verdict.rationale, limit=160, one_line=True)}".rstrip()
