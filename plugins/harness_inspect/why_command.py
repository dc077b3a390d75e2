"""`harness why`: why a candidate was promoted or refused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from harness.api.commands import EXIT_PASSED, App, common_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.tree import Tree

    from harness_inspect.examples import Example
    from harness_inspect.lineage import Lineage, Origin
    from harness_inspect.why import Why

_EPILOG = """\b
Examples:
  harness why           (why is promoted what is promoted?)
  harness why latest
  harness why 3f9a1c0b2d4e
  harness why bread-12  (a prompt's critique, revision and adapters)
  harness why ./my-adapter
      (its decision, what it was made from, and what came of it)"""


@click.command(epilog=_EPILOG)
@click.argument("name", required=False, metavar="[DECISION|ADAPTER|ARTIFACT]")
@common_options
def why(app: App, name: str | None) -> int:
    """Say why a candidate was promoted or refused, and what its adapters were made from.

    Gates, numbers, attempts, reviews and vetoes; then stages, data and base, and the runs and decisions that followed.
    """
    from harness.api import InputError, to_plain
    from harness_inspect.examples import find_examples
    from harness_inspect.why import why as find_why

    try:
        found, lineages = find_why(app.session, name)
    except InputError:
        examples = () if name is None else find_examples(app.workspace, name)
        if not examples:
            raise
        if app.json:
            app.print_json({"examples": [to_plain(one) for one in examples]})
        else:
            _show_examples(app, examples)
        return EXIT_PASSED
    if app.json:
        own = {"decision": None} if found is None else to_plain(found)
        app.print_json({**own, "lineage": [to_plain(one) for one in lineages]})
        return EXIT_PASSED
    if found is not None:
        _show(app, found)
    else:
        app.console.print(f"nothing was ever decided about {name}", markup=False, highlight=False)
    for one in lineages:
        app.console.print(_tree(one))
    return EXIT_PASSED


def _show_examples(app: App, examples: Sequence[Example]) -> None:
    """Print each example's versions with their critiques, and what was made of it."""
    from rich.text import Text

    for one in examples:
        prompt = one.history["sample"]["messages"][-1]["content"]
        lines = [f"prompt: {prompt}"]
        for number, version in enumerate(one.history["rounds"]):
            if number:
                lines += [f"principle: {version.get('principle')}", f"critique: {version.get('critique')}"]
            lines.append(f"{'revision' if number else 'reply'}: {version['reply']}")
        for line in lines:
            app.console.print(Text(_one_line(line)), soft_wrap=True)
        app.console.print(_tree(one.lineage))


def _tree(found: Lineage) -> Tree:
    """Return what an artifact was made from, and what came of it, as a tree."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(_line(found.origin)))
    _made_from(root.add("made from") if found.origin.made_from or found.origin.files else root, found.origin)
    came = [f"{one.kind} {one.id}, by {one.stage or 'a copy'}" for one in found.led_to]
    came += [f"run {run}" for run in found.runs] + [f"decision {decision}" for decision in found.decisions]
    below = root.add("led to" if came else "led to nothing yet")
    for text in came:
        below.add(Text(_one_line(text)))
    return root


def _made_from(node: Tree, origin: Origin) -> None:
    from rich.text import Text

    for one in origin.made_from:
        _made_from(node.add(Text(_line(one))), one)
    for role, sha256 in origin.files.items():
        what = f"{origin.artifact.base} " if role == "base" and origin.artifact.base else ""
        node.add(Text(_one_line(f"{role}: {what}{sha256[:16]}")))


def _line(origin: Origin) -> str:
    """Say in a line what an artifact is: kind, id, what made it, and when."""
    artifact = origin.artifact
    role = f"{origin.role}: " if origin.role and origin.role != artifact.kind else ""
    recipe = f" of the recipe {artifact.recipe}, seed {artifact.seed}" if artifact.recipe else ""
    by = f", by {artifact.stage}{recipe}" if artifact.stage else ", from elsewhere"
    when = f", {artifact.created[:10]}" if artifact.created else ""
    return _one_line(f"{role}{artifact.kind} {artifact.id}{by}{when}")


def _show(app: App, found: Why) -> None:
    from harness.api.commands import checks_table, safe_text, status_text

    decision, console = found.decision, app.console

    def say(text: str, style: str = "") -> None:
        console.print(safe_text(text), style=style, markup=False, soft_wrap=True)

    console.print(f"decision {decision.id}, {decision.created[:19].replace('T', ' ')} UTC: ",
                  status_text(decision.status), sep="")  # fmt: skip
    say(decision.sentence)
    for label, value in _facts(found):
        say(f"{label:<10} {' '.join(value.split())}")
    console.print(checks_table(decision.checks))
    for heading, lines in _worst(app, found):
        say(heading)
        for text in lines:
            say(f"  {text}", "dim")
    for veto in decision.vetoes:
        say(f"veto by {veto.owner}: {_one_line(veto.reason)}", "red")
    for text in decision.drawn:
        say(f"decided by {text}")
    for text in decision.left_out:
        say(f"not asked for: {text}", "dim")
    for entry in found.reviews:
        say(f"{entry.body['word']} by {entry.body['by']}, {_when(entry.created)}: {_one_line(entry.body['reason'])}")
    if decision.review == "manual" and not found.reviews and decision.status == "passed":
        say("no person has approved it yet")
    _show_changes(found, say)


def _worst(app: App, found: Why) -> Iterator[tuple[str, list[str]]]:
    """Yield the three worst replies by the gate that looks worst, and the command that shows more."""
    from harness.api import InputError
    from harness.api.commands import safe_text
    from harness.api.workspace import hidden_count, read_run, read_samples
    from harness_inspect.worst import hidden_words, metric_to_show, others_words, scored, worst

    order = {"failed": 0, "inconclusive": 1, "passed": 2, "not_applicable": 3}
    checks = sorted(found.decision.checks, key=lambda item: order[item[1].status])
    for suite, check in checks:
        try:
            runs = [read_run(app.workspace, name) for name in found.decision.runs]
            run = next(run for run in runs if run.suite == suite)
            estimate = metric_to_show(run, check.gate.metric)
        except (InputError, StopIteration):
            continue  # the metric is about no single sample, or the run is not here any more
        others: Counter[str] = Counter()
        shown = worst(scored(read_samples(app.workspace, run.id), estimate, others), estimate, 3)
        hidden = hidden_count(app.workspace, run.id)
        left_out = [hidden_words(hidden, run.id)] if hidden else []
        left_out += [others_words(others, estimate.metric)] if others else []
        yield (
            f"worst replies by {estimate.metric} (all: harness samples {run.id} --metric {estimate.metric}):",
            [
                f"{one.record.sample.id} {one.score}: {safe_text(one.record.sample.prompt, limit=80, one_line=True)}"
                f" → {safe_text(one.reply, limit=160, one_line=True)}"
                for one in shown
            ]
            + left_out,
        )
        return


def _show_changes(found: Why, say: Callable[..., None]) -> None:
    for entry in found.promotions:
        what = (
            "promoted" if entry.kind == "promotion" else f"rolled back to ({entry.body.get('reason') or 'no reason'})"
        )
        say(f"{what}, {_when(entry.created)}, entry {entry.number}, head {entry.hash[:16]}")
    for entry in found.refusals:
        for veto in entry.body["vetoes"]:
            said = f"{_one_line(veto['owner'])}: {_one_line(veto['reason'])}"
            say(f"promotion refused by {said}, {_when(entry.created)}, entry {entry.number}", "red")
    if not found.promotions:
        say("it was never promoted")
    elif found.live:
        say("it is what is promoted now", "green")
    for entry in found.others:
        say(f"another decision on this candidate: {entry.body['decision']}, {entry.body['status']}", "dim")


def _facts(found: Why) -> list[tuple[str, str]]:
    from harness.api.commands import counted

    decision, left = found.decision, found.policy
    attempt = "none: exploratory"
    if decision.attempt:
        look = f", look {decision.look} of {decision.looks}" if decision.looks > 1 else ""
        attempt = f"{decision.attempt}{look}, each gate at the level {decision.level:.3g}"
    made, resets = counted(left.attempts, "attempt"), counted(left.resets, "reset")
    budget = f"{made} under this version and {resets}; the next is checked at {left.next_level:.3g}"
    return [
        ("candidate", decision.candidate.label),
        ("baseline", decision.baseline.label),
        *([] if decision.verifiable else [("weights", "of a served model: they cannot be verified")]),
        ("policy", f"{decision.policy}, version {left.version} ({decision.policy_fingerprint[:16]})"),
        ("attempt", attempt),
        ("budget", budget),
        ("runs", ", ".join(decision.runs)),
    ]


def _one_line(text: str) -> str:
    from harness.api.commands import safe_text

    return safe_text(text, one_line=True)


def _when(created: str) -> str:
    return created[:19].replace("T", " ") + " UTC"
