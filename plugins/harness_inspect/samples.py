"""`harness samples`: what the model said, the worst first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import InputError
from harness.api.commands import EXIT_PASSED, App, Output, WholeRange, common_options, gathered
from harness_inspect.choosing import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness_inspect.worst import Shown

_EPILOG = """\b
Examples:
  harness samples latest
      (the worst ten by the first metric that a gate rests on)
  harness samples latest --metric harmful_compliance --failed --tag medical
  harness samples latest --flips promoted
      (whose score changed since, with both replies)
  harness samples latest --grep 'as an AI' --limit 50 --csv replies.csv
  harness samples latest --id s17  (one sample in full)

Unscored samples stand behind those that have a score; --failed keeps both what missed and what is unscored."""


@click.command(epilog=_EPILOG)
@click.argument("run")
@gathered(
    Wanted, "wanted",
    click.option("--metric", metavar="NAME", help="Worst first by this.  [default: the first that a gate rests on]"),
    click.option("--flips", metavar="RUN", help="Only samples whose score changed since RUN (or `promoted`, `base`)."),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only samples with this tag; may be repeated."),
    click.option("--failed", is_flag=True, help="Only samples that count against the metric, a rate."),
    click.option("--grep", metavar="REGEX", help="Only where prompt or reply matches, whatever the case."),
    click.option("--id", "ids", multiple=True, metavar="ID", help="This sample in full; may be repeated."),
    click.option("--limit", type=WholeRange(min=1), default=10, show_default=True, metavar="N", help="At most N."),
)  # fmt: skip
@gathered(
    dict, "files",
    click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write them to FILE as CSV too."),
    click.option("--jsonl", type=click.Path(path_type=Path), metavar="FILE", help="Write them to FILE as JSONL too."),
    click.option("--force", is_flag=True, help="Let --csv and --jsonl replace files that harness did not write."),
)  # fmt: skip
@common_options
def samples(app: App, run: str, wanted: Wanted, files: dict[str, Path | None]) -> int:
    """Read a run's replies: the worst first, those that flipped, or one in full."""
    from harness_inspect.choosing import choose
    from harness_inspect.written import COLUMNS, JSONL_MARK, as_csv, as_jsonl, plain

    outputs = [
        (Output(path=path, marks=(mark,), force=bool(files["force"]), workspace=app.workspace_path), write)
        for path, mark, write in (
            (files["csv"], ",".join(COLUMNS), as_csv), (files["jsonl"], JSONL_MARK, as_jsonl),
        )
        if path is not None
    ]  # fmt: skip
    for output, _ in outputs:
        output.check()
    if len(outputs) == 2 and outputs[0][0].is_same(outputs[1][0]):
        raise InputError("--csv and --jsonl name one file", file=outputs[0][0].path, hint="name two")
    found = choose(app, run, wanted)
    for output, write in outputs:
        output.write(write(found))
        if not app.json:
            app.console.print(f"wrote {output.path}", style="dim", markup=False, soft_wrap=True)
    if app.json:
        app.print_json({"run": found.run.id, "matching": found.matching, "samples": list(plain(found))})
    elif wanted.ids:
        for one in found.samples:
            _show_whole(app, one)
    else:
        _show(app, found.samples, found.before)
        app.console.print(found.summary, style="dim", markup=False, soft_wrap=True)
    return EXIT_PASSED


def _show(app: App, shown: Sequence[Shown], before: dict[str, tuple[str, str]]) -> None:
    for one in shown:
        sample = one.record.sample
        score, old = one.score, before.get(sample.id)
        if old is not None:
            score = f"{old[0]} → {score}"
        tags = f" [{', '.join(sample.tags)}]" if sample.tags else ""
        _say(app, f"{sample.id} {one.metric} {score}{tags}", style="bold", limit=200)
        _say(app, f"prompt: {sample.prompt}", limit=300, margin="  ")
        if old is not None:
            _say(app, f"before: {old[1]}", limit=600, margin="  ")
        _say(app, f"reply: {one.reply}", limit=600, margin="  ")


def _show_whole(app: App, one: Shown) -> None:
    from harness_inspect.written import turns

    sample = one.record.sample
    _say(app, f"{sample.id} {one.metric} {one.score}" if one.metric else sample.id, style="bold")
    for name, text in turns(one.record):
        _say(app, f"{name}:", style="bold")
        _say(app, text, lines=True)


def _say(
    app: App, text: str, *, style: str = "", limit: int | None = None, lines: bool = False, margin: str = ""
) -> None:
    from harness.api.commands import safe_text

    clean = safe_text(text, limit=limit, one_line=not lines)
    app.console.print(margin + clean, style=style, markup=False, soft_wrap=True)
