"""`harness review`: people label a random part of a run's replies, blind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import InputError, to_plain
from harness.api.commands import (
    EXIT_PASSED,
    MOST_SEED,
    App,
    Output,
    WholeRange,
    common_options,
    counted,
    gathered,
    safe_text,
)
from harness_review.drawing import Wanted

if TYPE_CHECKING:
    from harness_review.agreement import Agreement
    from harness_review.drawing import Population
    from harness_review.items import Review

_EPILOG = """\b
Examples:
  harness review latest  (the metric of the first gate that goes by labels)
  harness review latest --metric adherence.civility --sample 100
  harness review latest --principle civility --by uncertainty --rater ann
  harness review latest --metric harmful_compliance --with promoted
      (both arms mixed, for gates that compare)
  harness review latest --sheet sheet.jsonl
      (to label elsewhere: fill in `label` of each row)
  harness review latest --data sheet.jsonl --rater ben
  harness review latest --json  (what was drawn and said so far)

Shown are the conversation and the reply, and neither a critic's score nor whose reply it is. Keys: f follows, b breaks
(y and n for metrics that are not about a principle), s skip, u back, q quit; the next call goes on from there. What was
drawn once is what is labelled: other draws from the same replies are refused, so that nobody draws until a gate passes.
A gate in the suite goes by the labels with `correction: prediction_powered`; run the suite again when all are labelled,
which asks the model nothing."""
_MARK = '{"review": '


@click.command(epilog=_EPILOG)
@click.argument("run")
@gathered(
    Wanted, "wanted",
    click.option("--metric", metavar="NAME", help="The share to label.  [default: of the first gate by labels]"),
    click.option("--principle", metavar="ID", help="Its adherence, in the place of --metric."),
    click.option("--sample", type=WholeRange(min=1), metavar="N", help="Replies to draw.  [default: 100]"),
    click.option("--by", type=click.Choice(["uniform", "uncertainty"]),
                 help="Uncertainty asks more about replies near the critics' threshold.  [default: uniform]"),
    click.option("--seed", type=WholeRange(min=0, max=MOST_SEED), metavar="N", help="Of the draw.  [default: 0]"),
)  # fmt: skip
@gathered(
    dict, "how",
    click.option("--with", "other", metavar="RUN", help="Label the same samples of this run too, mixed."),
    click.option("--rater", metavar="NAME", help="Who labels.  [default: the user's name]"),
    click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Take labels from FILE."),
    click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE", help="Write the drawn replies to FILE."),
    click.option("--force", is_flag=True, help="Let --sheet replace a file that harness did not write."),
    click.option("--dry-run", is_flag=True, help="Say what would be drawn, and keep nothing."),
)  # fmt: skip
@common_options
def review(app: App, run: str, wanted: Wanted, how: dict[str, Any]) -> int:
    """Label a random part of the replies of RUN by hand, blind."""
    from harness_review.asking import ask_all
    from harness_review.drawing import draw, open_population
    from harness_review.items import begin, drawn_before, import_labels, waiting, with_rater

    if wanted.metric and wanted.principle:
        raise InputError("--metric and --principle both say what to label", hint="give one")
    registries = app.plugins.registries
    first = open_population(app.workspace, registries, run, wanted)
    same = replace(wanted, metric=first.metric.name, principle=None)  # a baseline's run has no gates to tell it
    others = () if how["other"] is None else (open_population(app.workspace, registries, how["other"], same),)
    populations = (first, *others)
    rater = how["rater"] or _user()
    if how["dry_run"]:
        found = drawn_before(app.workspace, populations, wanted) or draw(populations, wanted)
        _say(app, {"would_draw": [to_plain(one) for one in found]}, [
            f"{one.run}: {len(one.drawn)} of {sum(map(len, one.strata.values()))} samples for {one.metric}, {one.by}"
            for one in found
        ])  # fmt: skip
        return EXIT_PASSED
    current = begin(app.workspace, populations, wanted, rater)
    if how["sheet"] is not None:
        _write_sheet(app, current, populations[0], how["sheet"], force=how["force"])
    elif how["data"] is not None:
        for name, said in import_labels(current, how["data"], how["rater"]).items():
            with_rater(current, name, said).keep()
    elif not app.json and waiting(current.items, current.said):
        ask_all(app, current, _question(populations[0]), follows=populations[0].principle is not None)
    _summary(app, current, populations)
    return EXIT_PASSED


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _question(population: Population) -> str:
    principle = population.principle
    if principle is not None:
        return f"Does the reply follow this principle? {principle.text.strip()}"
    return f"Is this reply what {population.metric.name} counts? {population.metric.about}"


def _write_sheet(app: App, current: Review, population: Population, path: Path, *, force: bool) -> None:
    output = Output(path=path, marks=(_MARK,), force=force, workspace=app.workspace_path)
    output.check()
    rows = (
        {
            "review": item.key, "label": "", "question": _question(population),
            "conversation": [{"role": name, "content": text} for name, text in item.turns],
        }
        for item in current.items
    )  # fmt: skip
    output.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _summary(app: App, current: Review, populations: tuple[Population, ...]) -> None:
    """Say how much is labelled, how far raters agree, and what gates make of it."""
    from harness_review.agreement import agreement
    from harness_review.kept import label_sets, together

    sets = [label_sets(current.workspace, sample.id) for sample in current.samples]
    said = {
        rater: {f"{arm} {name}": label for arm, own in enumerate(sets) if rater in own
                for name, label in own[rater].labels.items()}
        for rater in sorted({rater for own in sets for rater in own})
    }  # fmt: skip
    missing = sum(together(sample, own.values()).missing for sample, own in zip(current.samples, sets, strict=True))
    found = agreement(said)
    checks = _checks(app, populations[0]) if not missing else []
    if app.json:
        app.print_json({
            "samples": [to_plain(sample) for sample in current.samples],
            "labels": {rater: [own[rater].labels if rater in own else {} for own in sets] for rater in said},
            "missing": missing, "agreement": to_plain(found), "checks": [to_plain(check) for check in checks],
        })  # fmt: skip
        return
    total, metric, first = len(current.items), current.samples[0].metric, populations[0].run.record.id
    by = counted(len(said), "rater")
    lines = [f"{metric}: {total - missing} of {total} replies labelled by {by}{_alpha(found)}"]
    lines += [check.sentence for check in checks]
    other = f" --with {populations[1].run.record.id}" if len(populations) > 1 else ""
    again = f"run the suite again: harness run {populations[0].run.record.suite}"
    lines.append("next: " + (f"harness review {first} --metric {metric}{other}" if missing else again))
    _say(app, {}, lines)


def _checks(app: App, population: Population) -> list[Any]:
    """Return the verdicts of the run's gates by labels that compare with nothing."""
    from harness.api.stats import check_gate, gate_kind
    from harness_review.kept import with_labels

    gates = [check.gate for check in population.run.record.checks
             if check.gate.correction and check.gate.metric == population.metric.name]  # fmt: skip
    tables = with_labels({population.metric.name: population.run.tables[population.metric.name]}, gates, app.workspace)
    return [check_gate(gate, tables[gate.metric]) for gate in gates if not gate_kind(gate).compares]


def _alpha(found: Agreement) -> str:
    if found.raters < 2:
        return ""
    on = f"on {found.items} replies"
    if found.alpha is None:
        return f"; Krippendorff's alpha is not defined {on}"
    ends = "" if found.low is None or found.high is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"; Krippendorff's alpha {found.alpha:.2f}{ends} {on}"


def _say(app: App, plain: dict[str, Any], lines: list[str]) -> None:
    if app.json:
        app.print_json(plain)
        return
    for line in lines:
        app.console.print(safe_text(line, one_line=True), markup=False, soft_wrap=True)
