"""Tables of estimates, checks and listings, the same in every command that shows them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from harness.gates.kinds import correction_of
from harness.gates.kinds import kind_of as gate_kind
from harness.stats.kinds import kind_of
from harness.terminal import safe_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.containers import Lines
    from rich.table import Table
    from rich.text import Text

    from harness.types import Check, CheckStatus, Estimate, OverallStatus, PrecisionCheck, PrecisionShift, RunRecord

_STYLE = {"passed": "green", "failed": "red", "inconclusive": "yellow", "not_applicable": "dim",
          "ungated": "yellow"}  # fmt: skip
_PLAIN_UNITS = frozenset({"", "share", "score", "probability"})
"""Units between 0 and 1 that say nothing more than the metric's name."""
_FIGURES = re.compile(r"[-+<]?\d\S{0,11}( %| s)?|\[\S{1,12} \S{1,12}\]|—|unscored|")
"""What is never wrapped: half a number is another number."""
_FIGURE_IN_TEXT = re.compile(r"\[[-+\d.,∞]+ [-+\d.,∞]+\]|\d %|\d points?\b")
_LEAST_TEXT = 24
"""Characters of a line below which nobody likes to read."""
_JOINT = "\ue000"
_JOINT_IN_NAME, _GAP_IN_NAME = re.compile(r"[_.](?=\w)"), re.compile(r"(?<=[_.]) (?=\w)")
"""Of private use and one cell wide: stands for a space at which no line may end."""
_MARK = {"passed": "✓", "failed": "✗", "inconclusive": "?", "not_applicable": "–", "ungated": "–"}


def number(value: float | None, estimate: Estimate) -> str:
    """Write a value in its metric's unit: proportions in percent, others with three significant digits."""
    if value is None:
        return "—"
    if kind_of(estimate).shares:
        return f"{100 * value:.1f} %"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def headline(estimate: Estimate) -> str:
    """Write an estimate's value with its unit; a rate that leaves samples out beside what it is of all of them.

    `88.9 % of 9 scored, 80 to 90 % of all 10`: the ends are the rates if every unscored sample were a miss, or a hit.
    """
    text = number(estimate.value, estimate)
    if estimate.value is None:
        return text
    if not kind_of(estimate).shares:
        return text if estimate.unit in _PLAIN_UNITS else f"{text} {estimate.unit}"
    scored = estimate.n - estimate.unscored
    if not estimate.unscored or scored <= 0:
        return text
    least = 100 * estimate.value * scored / estimate.n
    most = least + 100 * estimate.unscored / estimate.n
    return f"{text} of {scored} scored, {least:.3g} to {most:.3g} % of all {estimate.n}"


def interval(estimate: Estimate, *, labelled: bool = False) -> str:
    """Write an estimate's interval, with its confidence where `labelled`; a dash where it has none."""
    if estimate.low is None or estimate.high is None:
        return "—"
    low, high = number(estimate.low, estimate).removesuffix(" %"), number(estimate.high, estimate)
    label = f" ({confidence_text(estimate.confidence)})" if labelled else ""
    return f"[{low}, {high.removesuffix(' %')}]{label}"


def confidence_text(confidence: float) -> str:
    """Write a confidence with two digits of what is missing to certainty: `90 %`, `98.5 %`, `99.92 %`."""
    decimals = max(0, math.ceil(-math.log10(1.0 - confidence) - 1e-9) - 1)
    return f"{100 * confidence:.{decimals}f} %"


def one_confidence(confidences: Iterable[float]) -> str:
    """Return the confidence that all intervals of a column share, for its heading; empty where they differ."""
    found = {confidence_text(one) for one in confidences}
    return found.pop() if len(found) == 1 else ""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a number of things: `1 attempt`, `2 attempts`; `plural` where an s does not make one."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def status_text(status: CheckStatus | OverallStatus) -> Text:
    """Return a coloured mark and word; the word alone carries the meaning."""
    from rich.text import Text

    return Text(f"{_MARK[status]} {status.replace('_', ' ')}", style=_STYLE[status])


def plain_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None, whole: Collection[str] = ()
) -> Table:
    """Return a table of safe text; columns in `whole` are never wrapped, so that they can be copied."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    cells = [[Text(safe_text(cell)) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        figures = all(_FIGURES.fullmatch(row[place].plain) for row in cells)
        table.add_column(column, overflow="fold", no_wrap=column in whole or (bool(cells) and figures))
    for row in cells:
        table.add_row(*row)
    return table


def named_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> RenderableType:
    """Return a table whose first column holds names, which can be copied whole wherever the longest fits the terminal.

    Where the table is too wide for that, each name stands on a line of its own, and its cells below it with their
    columns' headings. Lines of a cell belong to the lines of its heading where they are as many.
    """
    listed = [tuple(row) for row in rows]

    class Named:
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
            from rich.measure import Measurement
            from rich.padding import Padding
            from rich.text import Text

            table = plain_table(columns, listed, title=title, whole=columns[:1])
            table.padding = (0, 1, 0, 0)
            for place, column in enumerate(table.columns):
                longest = max((len(line) for row in listed for line in row[place].split("\n")), default=0)
                column.min_width = None if column.no_wrap else min(_LEAST_TEXT, longest)
            if Measurement.get(console, options.update(max_width=10_000), table).minimum <= options.max_width:
                yield table
                return
            if title:
                yield Text(safe_text(title), style="italic")
            for row in listed:
                yield Text(safe_text(row[0]), style="bold", overflow="fold")
                parts = [part for one in zip(columns[1:], row[1:], strict=True) for part in _headed(*one)]
                yield Padding(unbroken(safe_text("; ".join(parts))), (0, 0, 0, 4))
            yield ""

    return Named()


def _headed(heading: str, cell: str) -> list[str]:
    """Return a cell's lines behind their headings."""
    heads, lines = heading.split("\n"), cell.split("\n")
    if len(heads) != len(lines):
        heads, lines = [" ".join(heads)], [" ".join(lines)]
    return [f"{head.strip(' ,')} {line.strip()}" for head, line in zip(heads, lines, strict=True) if line.strip()]


_ARROW = {"higher": " ↑", "lower": " ↓", "neither": ""}


def estimates_table(run: RunRecord, baseline: RunRecord | None = None) -> Table:
    """Return a run's metrics with their intervals, beside the baseline's values where there is one.

    An arrow behind the name says which way is better.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shared = one_confidence(e.confidence for e in run.estimates if e.low is not None)
    table.add_column("metric", overflow="fold")  # the one that gives way, so that no figure is cut
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column(f"{shared} interval" if shared else "interval", no_wrap=True)
    if baseline:
        table.add_column("baseline", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    gaps = any(estimate.unscored for estimate in run.estimates)
    if gaps:
        table.add_column("unscored", justify="right", no_wrap=True)
    others = {} if baseline is None else {estimate.metric: estimate for estimate in baseline.estimates}
    for estimate in run.estimates:
        other = others.get(estimate.metric)
        beside = [headline_lines(other) if other is not None else "—"] if baseline else []
        table.add_row(
            jointed(safe_text(estimate.metric) + _ARROW[estimate.direction]),
            Text(headline_lines(estimate)), interval(estimate, labelled=not shared), *beside, str(estimate.n),
            *([str(estimate.unscored)] if gaps else []),
        )  # fmt: skip
    return table


def unbroken(text: str) -> Text:
    """Return a cell of a table whose intervals and amounts stay on one line where it is wrapped."""
    from rich.text import Text

    class Unbroken(Text):
        def wrap(self, *arguments: Any, **options: Any) -> Lines:  # noqa: ANN401 - rich's own
            kept = Text(_FIGURE_IN_TEXT.sub(lambda found: found[0].replace(" ", _JOINT), self.plain))
            lines = kept.wrap(*arguments, **options)
            for line in lines:
                line.plain = line.plain.replace(_JOINT, " ")
            return lines

    return Unbroken(text)


def jointed(name: str) -> Text:
    """Return a name that breaks behind its underlines and dots where it has to be folded, and not within a word."""
    from rich.text import Text

    class Jointed(Text):
        def wrap(self, console: Console, width: int, **options: Any) -> Lines:  # noqa: ANN401 - rich's own
            if len(self.plain) <= width:
                return super().wrap(console, width, **options)
            lines = Text(_JOINT_IN_NAME.sub(r"\g<0> ", self.plain)).wrap(console, width, **options)
            for line in lines:
                line.plain = _GAP_IN_NAME.sub("", line.plain)
            return lines

    return Jointed(name)


def headline_lines(estimate: Estimate) -> str:
    """Return `headline` in short lines, for a narrow cell."""
    return headline(estimate).replace(", ", ",\n").replace(" of ", "\nof ").replace(" per ", "\nper ")


def checks_table(checks: Iterable[tuple[str, Check]]) -> Table:
    """Return gates with their verdicts and sentences; the first column is the suite."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    listed = list(checks)
    shared = one_confidence(one for _, check in listed if (one := confidence_of(check)))
    because = f"because, with {shared} intervals" if shared else "because"
    for column in ("suite", "gate", "verdict", because):
        table.add_column(column, overflow="fold", no_wrap=column in {"suite", "verdict"})
    for suite, check in listed:
        table.add_row(
            Text(safe_text(suite)),
            Text(safe_text(describe_gate(check))),
            status_text(check.status),
            unbroken(safe_text(reason(check, labelled=not shared))),
        )
    return table


def confidence_of(check: Check) -> float | None:
    """Return the confidence of the interval that a check's sentence gives; None where it gives none."""
    return None if check.low is None and check.high is None else round(1.0 - 2.0 * check.gate.alpha, 12)


def reason(check: Check, *, labelled: bool) -> str:
    """Return a check's sentence without its verdict, with its interval's confidence where `labelled`."""
    found, confidence = check.sentence.removeprefix(f"{check.status}: "), confidence_of(check)
    return f"{found} ({confidence_text(confidence)} interval)" if labelled and confidence else found


def describe_gate(check: Check) -> str:
    """Write a gate as a condition."""
    gate, estimate = check.gate, check.estimate
    percent = estimate is not None and kind_of(estimate).shares

    def write(value: float | None) -> str:
        if value is None:
            return "?"
        return f"{100 * value:g} %" if percent else f"{value:g}"

    kind = gate_kind(gate)
    suffix = " (point)" if gate.evidence == "point" else " (corrected)" if gate.corrected else ""
    suffix += f" ({correction_of(gate).name})" if gate.correction else ""
    suffix += f" (on {' or '.join(gate.devices)})" if gate.devices else ""
    return kind.condition(gate, write) + ("" if kind.of_the_run else suffix)


PRECISION_COLUMNS = ("metric", "as run", "in float32", "shift, between", "changed")
"""How far a run's number format moved its gates' metrics."""


def dtype_of(run: RunRecord) -> str:
    """Return the number format that a run was computed in; empty where that is nobody's to know or of no matter."""
    found = run.environment.get("dtype", "")
    return "" if found in {"none", "unknown"} else found


def precision_line(precision: PrecisionCheck) -> str:
    """Say in one sentence what was compared, or why nothing was."""
    if precision.reason:
        return f"{precision.dtype} against float32 was not checked: {precision.reason}"
    took = f"{precision.model_calls} of {precision.requests} requests asked, {precision.seconds:.1f} s"
    return f"{precision.dtype} against float32, {precision.samples} samples once more ({took})"


def precision_rows(run: RunRecord) -> list[tuple[str, ...]]:
    """Return one row of `PRECISION_COLUMNS` for each shift that was measured."""
    known = {estimate.metric: estimate for estimate in run.estimates}
    return [
        _precision_row(found, known[found.metric])
        for found in (run.precision.shifts if run.precision is not None else ())
    ]


def _precision_row(found: PrecisionShift, estimate: Estimate) -> tuple[str, ...]:
    name = found.metric if found.to is None else f"{found.metric}, difference to {found.to}"
    ends = [
        end if value is None else number(value, estimate).removesuffix(" %")
        for value, end in ((found.low, "-∞"), (found.high, "∞"))
    ]
    unit = " points" if kind_of(estimate).shares else ""
    return (
        name, number(found.value, estimate), number(found.reference, estimate), f"[{', '.join(ends)}]{unit}",
        f"{found.changed} of {found.n}" + (f", {found.unscored} unscored" if found.unscored else ""),
    )  # fmt: skip
