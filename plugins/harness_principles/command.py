"""harness principle: write a principle, and find out how well its critics judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api.commands import App, FiniteRange, common_options, gathered, role_option

if TYPE_CHECKING:
    from harness.api import Principle
    from harness.api.asking import PanelOptions
    from harness_principles.examples import Share, Skill


_NEW = """\b
Examples:
  harness principle new no_medical_dosage
  harness principle new no_medical_dosage --to ./my_plugins"""
_TEST = """\b
Examples:
  harness principle test no_medical_dosage.py
  harness principle test civility
  harness principle test personal --judge smollm2-135m \\
      --principle truthfulness
  harness principle test ./mine.yaml --suite ./suite.yaml"""


@click.group(epilog=_NEW)
def principle() -> None:
    """Write and test principles."""


@principle.command("new", epilog=_NEW)
@click.argument("name")
@click.option("--to", "folder", default=".", metavar="DIR", help="Folder for the file.  [default: here]")
@common_options
def new(app: App, name: str, folder: str) -> None:
    """Write NAME.py: a principle with its own critic and examples, ready to be changed."""
    from harness_principles.template import write_principle

    path = write_principle(name, Path(folder))
    if app.json:
        app.print_json({"file": str(path)})
        return
    click.echo(f"wrote {path}")
    click.echo(f"now change its text, patterns and examples, and test it with: harness principle test {path}")


@principle.command("test", epilog=_TEST)
@click.argument("target", metavar="FILE|NAME")
@click.option("--judge", metavar="REF", help="The judge: short for --role judge=REF.")
@role_option
@gathered(
    dict, "chosen",
    click.option("--critic", "critics", multiple=True, metavar="NAME", help="Test this instead of the principle's."),
    click.option("--principle", "only", multiple=True, metavar="ID", help="Test only this one of a constitution."),
    click.option("--suite", metavar="SUITE", help="Whose options of critics and classifiers hold."),
)  # fmt: skip
@click.option("--at-least", type=FiniteRange(0, 1), default=0.8, show_default=True, help="Both rates have to reach.")
@common_options
def test(
    app: App,
    target: str,
    judge: str | None,
    roles: tuple[str, ...],
    chosen: dict[str, Any],
    at_least: float,
) -> int:
    """Judge a principle's own examples by its critics, and say whether they are good enough.

    FILE is a constitution (.yaml) or a plugin (.py); NAME is a registered constitution or principle. Exits with 0 where
    every principle's critics are good enough, else with 1.
    """
    from harness.api import InputError, RunOptions
    from harness_principles.examples import try_principles

    critics = chosen["critics"]
    principles = [replace(one, critics=critics) if critics else one for one in _find(app, target, chosen["only"])]
    options = None if chosen["suite"] is None else _options_of(app, chosen["suite"])
    with app.session.judging(RunOptions(judge=judge, roles=roles)) as asking:
        try:
            skills = try_principles(principles, app.plugins.registries, app.session.context, asking, options)
        except InputError as error:
            if error.file is not None or not (error.key or "").startswith(("critics", "classifiers")):
                raise
            raise InputError(error.cause, file=chosen["suite"] or target, key=error.key, hint=error.hint) from error
    deciding = [own[-1] for own in skills]
    if app.json:
        app.print_json(
            {
                "at_least": at_least,
                "good_enough": all(last.good_enough(at_least) for last in deciding),
                "principles": [
                    {
                        "principle": own[-1].principle,
                        "good_enough": own[-1].good_enough(at_least),
                        "sentence": sentence(own[-1], at_least),
                        "critics": [_plain(skill) for skill in own],
                    }
                    for own in skills
                ],
            }
        )
    else:
        _show(app, skills, at_least)
    return 0 if all(last.good_enough(at_least) for last in deciding) else 1


def _options_of(app: App, name: str) -> PanelOptions:
    """Return what a suite says of critics and classifiers."""
    from harness.api.asking import PanelOptions
    from harness.api.workspace import read_suite, resolve_suite

    suite = read_suite(resolve_suite(name, app.plugins.registries))
    given = {one: section.options for one, section in suite.classifiers.items()}
    return PanelOptions(critics=suite.critics, classifiers=given)


def _find(app: App, target: str, only: Sequence[str]) -> list[Principle]:
    from harness.api import InputError, unknown_name
    from harness.api.workspace import Constitutions

    if target.endswith(".py"):
        app.bind(plugins=(*app.plugin_options, target))
        broken = next((broken for broken in app.plugins.broken if broken.name == Path(target).stem), None)
        if broken is not None:
            raise InputError(f"the plugin is broken: {broken.reason}", file=target, hint="mend it and test it again")
        owned = [entry.value for entry in app.plugins.registries.principles if entry.owner == Path(target).stem]
        if not owned:
            raise InputError(
                "the file registers no principle",
                file=target,
                hint="see register_principles in docs/writing-plugins.md",
            )
        found = owned
    else:
        found = list(Constitutions(app.plugins.registries, Path.cwd()).record(target).principles)
    for name in only:
        if all(principle.id != name for principle in found):
            raise unknown_name(f"principle in {target}", name, [principle.id for principle in found])
    chosen = [principle for principle in found if not only or principle.id in only]
    for one in chosen:
        kinds = {example.kind for example in one.examples}
        if "fail" not in kinds or not kinds - {"fail"}:
            raise InputError(
                f"the principle {one.id!r} cannot be tested: it needs examples that fail and examples that do not",
                file=target if target.endswith((".py", ".yaml", ".yml")) else None,
                hint="add at least two under each of pass, fail and near_miss",
            )
    return chosen


def sentence(skill: Skill, at_least: float) -> str:
    """Say in words whether a critic is good enough, and what the examples can prove."""
    found, let = skill.sensitivity, skill.specificity
    counts = f"{found.hits} of {found.n} violations found, {let.hits} of {let.n} others let through"
    unscored = f", {skill.unscored} unscored" if skill.unscored else ""
    if not skill.good_enough(at_least):
        return f"{skill.principle}: not good enough: {counts}{unscored}; each rate has to reach {at_least:.2f}"
    if skill.proven(at_least):
        return f"{skill.principle}: good enough, and proven so: {counts}"
    return (
        f"{skill.principle}: good enough on its examples: {counts}. They are too few to prove it: the true rates may be"
        f" as low as {found.low:.2f} and {let.low:.2f}"
    )


def _show(app: App, skills: Sequence[Sequence[Skill]], at_least: float) -> None:
    from rich.text import Text

    from harness.api.commands import named_table, safe_text

    columns = ("principle\n  critic", "violations\nfound", "others let\nthrough", "near misses\nlet through")
    rows = [
        [
            f"{skill.principle}\n  {skill.critic}",
            *(_cell(share) for share in (skill.sensitivity, skill.specificity, skill.near_miss, skill.accuracy)),
            "–" if skill.auc is None else f"{skill.auc:.2f}",
        ]
        for own in skills
        for skill in own
    ]
    title = "critics on the principles' own examples, with exact 90 % intervals"
    app.console.print(named_table((*columns, "right\nin all", "AUC"), rows, title=title))
    wrong = [(skill, item) for own in skills for skill in own for item in skill.wrong]
    if wrong:
        app.console.print("misjudged:")
    for skill, item in wrong:
        score = f"{item.score:.2f}" if isinstance(item.score, float | int) else f"unscored: {item.score.reason}"
        line = (
            f"  {skill.principle} / {skill.critic}: a {item.example.kind} example scored {score}"
            f" (threshold {skill.threshold:.2f}): {safe_text(item.example.response, limit=70, one_line=True)}"
        )
        app.console.print(Text(safe_text(line)))
    for own in skills:
        app.console.print(Text(safe_text(sentence(own[-1], at_least))))


def _cell(share: Share) -> str:
    if share.value is None:
        return "–"
    return f"{share.hits}/{share.n}\n{share.low:.2f}–{share.high:.2f}"


def _plain(skill: Skill) -> dict[str, object]:
    rates = {
        name: {"hits": share.hits, "n": share.n, "value": share.value, "low": share.low, "high": share.high}
        for name, share in (
            ("sensitivity", skill.sensitivity), ("specificity", skill.specificity),
            ("near_miss", skill.near_miss), ("accuracy", skill.accuracy),
        )
    }  # fmt: skip
    examples = [
        {
            "kind": item.example.kind,
            "response": item.example.response,
            "score": item.score if isinstance(item.score, float | int) else None,
            "reason": "" if isinstance(item.score, float | int) else item.score.reason,
            "rationale": item.rationale,
            "right": item.right(skill.threshold),
        }
        for item in skill.judged
    ]
    return {
        "critic": skill.critic, "threshold": skill.threshold, "n": len(skill.judged), "unscored": skill.unscored,
        **rates, "auc": skill.auc, "examples": examples,
    }  # fmt: skip
