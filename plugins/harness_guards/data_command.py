"""`harness data check`: what training data gives away of suites."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import MINILM, InputError
from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    FiniteRange,
    Output,
    WholeRange,
    common_options,
    counted,
    plain_table,
    safe_text,
)
from harness_guards.separation import GRAM, NEAR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness_guards.separation import Kind, Match

_EPILOG = """\b
Examples:
  harness data check rows.jsonl --against safety-core --against truthfulness
  harness data check red-team.jsonl \\
      --against advbench=harmful_behaviors.csv --json
  harness data check rows.jsonl --against persona --write clean.jsonl"""
_KINDS: Mapping[Kind, str] = {"exact": "word for word", "13-gram": f"{GRAM} words in a row", "near": "near in meaning"}


@click.group(epilog=_EPILOG)
def data() -> None:
    """Check training data against suites: what trains does not evaluate."""


@data.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--against", "suites", multiple=True, required=True, metavar="SUITE[=FILE]",
              help="A suite, with another data file where you say one; may be repeated.")  # fmt: skip
@click.option("--near", type=FiniteRange(0, 1, min_open=True), default=NEAR, show_default=True, metavar="COSINE",
              help="From which on two prompts count as near in meaning.")  # fmt: skip
@click.option("--words-only", is_flag=True, help="Look for the same words only, without MiniLM.")
@click.option("--write", "to", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows that are in none.")
@click.option("--limit", type=WholeRange(min=0), default=20, show_default=True, metavar="N", help="Rows to show.")
@click.option("--force", is_flag=True, help="Let --write replace a file.")
@common_options
def check(
    app: App, file: Path, suites: tuple[str, ...], near: float, words_only: bool, to: Path | None, limit: int,
    force: bool,
) -> int:  # fmt: skip
    """List the rows of a training file that stand in suites. Exit code 1 where there are some.

    Word for word, in thirteen words in a row, or near in meaning by MiniLM's sentence embeddings.
    """
    from harness_guards.gating import Against, Encoder, read_suites, without
    from harness_guards.separation import find_matches
    from harness_guards.trained_texts import read_trained

    app.require_plugins()
    output = None
    if to is not None:
        output = Output(path=to, marks=(), force=force, workspace=app.workspace_path, mode=0o644)
        output.check()
    asked = []
    for suite in suites:
        name, _, own = suite.partition("=")
        asked.append(Against(reference=name, data=Path(own) if own else None))
    with app.session.setting(app.session.bare_spec()) as setting:
        against = read_suites(asked, app.plugins.registries, setting.context, None)
        encoder = Encoder(setting.progress)
        if not words_only and not encoder.fingerprint:
            raise InputError("what is near in meaning is found by MiniLM, whose weights are not here",
                             hint=f"harness models pull {MINILM}, or add --words-only")  # fmt: skip
        rows = list(read_trained(file))
        if not rows:
            raise InputError("holds no rows of training data", file=file, hint="see docs/training.md for the formats")
        matches = find_matches(rows, against, encode=None if words_only else encoder, near=near)
    lines = {match.line for match in matches}
    if output is not None:
        output.write(without(file, lines).decode())
    if app.json:
        app.print_json({"file": str(file), "rows": len(rows), "samples": len(against), "near": near,
                        "compared_meaning": not words_only, "matched_rows": sorted(lines),
                        "matches": [asdict(match) for match in matches]})  # fmt: skip
    else:
        _show(app, matches, rows=len(rows), samples=len(against), limit=limit)
        if to is not None:
            app.console.print(f"{to}: {len(rows) - len(lines)} of {len(rows)} rows", markup=False, highlight=False)
    return EXIT_GATE if matches else EXIT_PASSED


def _show(app: App, matches: Sequence[Match], *, rows: int, samples: int, limit: int) -> None:
    best = {}
    for match in sorted(matches, key=lambda one: one.score):
        best[match.line] = match
    kinds = Counter(match.kind for match in best.values())
    told = ", ".join(f"{kinds[kind]} {said}" for kind, said in _KINDS.items() if kinds[kind]) or "none"
    app.console.print(
        f"{counted(len(best), 'row')} of {rows} stand in {counted(samples, 'sample')} of suites: {told}",
        markup=False, highlight=False,
    )  # fmt: skip
    if not best or not limit:
        return
    shown = [best[line] for line in sorted(best)][:limit]
    app.console.print(plain_table(
        ("line", "how", "sample", "trained on", "asked"),
        [[str(one.line), _KINDS[one.kind] + (f" {one.score:.2f}" if one.kind == "near" else ""),
          safe_text(f"{one.suite}/{one.sample}", one_line=True),
          safe_text(one.trained, limit=70, one_line=True), safe_text(one.evaluated, limit=70, one_line=True)]
         for one in shown],
        title="training data that stands in a suite",
    ))  # fmt: skip
    if len(best) > len(shown):
        app.console.print(f"and {len(best) - len(shown)} more; all of them with --json", style="dim")
