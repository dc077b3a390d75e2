"""Altair charts. Fields have fixed names and all text is drawn as text; colours go with words or shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from harness.stats.kinds import kind_of
from harness.terminal import safe_text
from harness_report.figures import ACCENT, NEUTRAL, STATUS_COLOURS, PrincipleFigure, domain, when

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.types import RunRecord
    from harness_report.figures import GateFigure
    from harness_report.samples import LabelCount

_LABEL_LIMIT = 260


def _data(rows: Sequence[Mapping[str, object]]) -> Any:  # noqa: ANN401 - altair is untyped here
    return alt.Data(values=list(rows))


def gate_chart(figure: GateFigure) -> Any:  # noqa: ANN401
    """Return the value with its interval beside the threshold; the side that passes is shaded."""
    colour = STATUS_COLOURS[figure.status]
    ends = figure.ends
    axis = alt.X("value:Q", title=safe_text(figure.axis, one_line=True), scale=alt.Scale(domain=list(ends), nice=False))
    layers = []
    if any(line is not None for line in figure.passing):
        start, end = figure.passing
        band = [{"value": ends[0] if start is None else start, "end": ends[1] if end is None else end}]
        layers.append(alt.Chart(_data(band)).mark_rect(color="#2da44e", opacity=0.09).encode(x=axis, x2="end:Q"))
        line = [{"value": at, "what": f"threshold {at:g}"} for at in figure.passing if at is not None]
        layers.append(
            alt.Chart(_data(line)).mark_rule(color=NEUTRAL, strokeWidth=2, strokeDash=[5, 3])
            .encode(x=axis, tooltip=alt.Tooltip("what:N", title=figure.passes))
        )  # fmt: skip
    if figure.compares:
        layers.append(alt.Chart(_data([{"value": 0.0}])).mark_rule(color=NEUTRAL, opacity=0.5).encode(x=axis))
    if figure.low is not None and figure.high is not None:
        span = [{"value": figure.low, "end": figure.high, "what": f"{figure.low:.4g} to {figure.high:.4g}"}]
        layers.append(
            alt.Chart(_data(span)).mark_rule(color=colour, strokeWidth=5, strokeCap="round", opacity=0.75)
            .encode(x=axis, x2="end:Q", tooltip=alt.Tooltip("what:N", title="interval"))
        )  # fmt: skip
    if figure.value is not None:
        point = [{"value": figure.value}]
        layers.append(
            alt.Chart(_data(point)).mark_point(color=colour, filled=True, size=130, opacity=1)
            .encode(x=axis, tooltip=alt.Tooltip("value:Q", title="value", format=".4g"))
        )  # fmt: skip
    return alt.layer(*layers).properties(height=112) if layers else None


def gate_alt(figure: GateFigure) -> str:
    """Return the chart in words, for those who cannot see it."""
    value = "no value" if figure.value is None else f"{figure.value:.4g}"
    span = "" if figure.low is None or figure.high is None else f", interval {figure.low:.4g} to {figure.high:.4g}"
    limit = "".join(f", threshold {at:g}" for at in figure.passing if at is not None)
    return f"{figure.axis}: {value}{span}{limit}; {figure.status}"


def trend_chart(runs: Sequence[RunRecord], metric: str) -> Any:  # noqa: ANN401
    """Return a metric over the runs of one suite, each with its interval; candidates differ in colour."""
    rows: list[dict[str, object]] = []
    percent = False
    for run in runs:
        found = next((one for one in run.estimates if one.metric == metric), None)
        if found is None or found.value is None:
            continue
        percent = kind_of(found).shares
        scale = 100 if percent else 1
        rows.append({
            "run": run.id, "at": f"{run.created[5:10]} {run.created[11:16]} {run.id[-6:]}", "when": when(run.created),
            "candidate": safe_text(run.candidate.label, one_line=True, limit=60),
            "status": run.status, "value": found.value * scale, "n": found.n,
            "low": None if found.low is None else found.low * scale,
            "high": None if found.high is None else found.high * scale,
        })  # fmt: skip
    if not rows:
        return None
    # The end of the id tells runs of one minute apart; with many runs the labels overlap and some are left out.
    x = alt.X("at:O", sort=None, title=None, axis=alt.Axis(labelAngle=-35, labelOverlap=True))
    known = [
        value for row in rows for value in (row["value"], row["low"], row["high"]) if isinstance(value, float | int)
    ]
    ends = alt.Scale(domain=list(domain(*known, pad=0.2)), nice=False)
    title = f"{metric} (%)" if percent else metric
    colour = alt.Color("candidate:N", title="candidate", legend=alt.Legend(orient="bottom", labelLimit=400, columns=2))
    tooltip = [
        alt.Tooltip("run:N"), alt.Tooltip("when:N"), alt.Tooltip("candidate:N"), alt.Tooltip("status:N"),
        alt.Tooltip("value:Q", format=".4g"), alt.Tooltip("low:Q", format=".4g"), alt.Tooltip("high:Q", format=".4g"),
        alt.Tooltip("n:Q"),
    ]  # fmt: skip
    base = alt.Chart(_data(rows))
    spans = base.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x=x, y=alt.Y("low:Q", title=safe_text(title), scale=ends), y2="high:Q", color=colour
    )
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=x, y=alt.Y("value:Q", title=safe_text(title), scale=ends), color=colour, tooltip=tooltip,
        shape=alt.Shape(
            "status:N", title="gates",
            scale=alt.Scale(domain=["passed", "inconclusive", "failed", "ungated"],
                            range=["circle", "diamond", "cross", "square"]),
            legend=alt.Legend(orient="bottom", symbolFillColor=NEUTRAL, symbolStrokeColor=NEUTRAL),
        ),
    )  # fmt: skip
    return alt.layer(spans, points).properties(height=380)


def adherence_chart(figures: Sequence[PrincipleFigure]) -> Any:  # noqa: ANN401
    """Return a bar with its interval for each principle, and the baseline's value as a tick."""
    rows: list[dict[str, object]] = []
    for figure in figures:
        found = figure.estimate
        if found is None or found.value is None:
            continue
        rows.append({
            "principle": safe_text(figure.principle.id, one_line=True), "value": 100 * found.value,
            "low": None if found.low is None else 100 * found.low,
            "high": None if found.high is None else 100 * found.high, "n": found.n, "unscored": found.unscored,
            "baseline": None if figure.baseline is None or figure.baseline.value is None
            else 100 * figure.baseline.value,
        })  # fmt: skip
    if not rows:
        return None
    y = alt.Y("principle:N", sort=None, title=None, axis=alt.Axis(labelLimit=_LABEL_LIMIT))
    tooltip = [alt.Tooltip("principle:N"), *(alt.Tooltip(f"{name}:Q", format=".3g") for name in
               ("value", "low", "high", "baseline", "n", "unscored"))]  # fmt: skip
    base = alt.Chart(_data(rows))
    x = alt.X("value:Q", title="replies that follow the principle (%)", scale=alt.Scale(domain=[0, 100]))
    bars = base.mark_bar(color=ACCENT, opacity=0.45, height=14, cornerRadius=2).encode(x=x, y=y, tooltip=tooltip)
    spans = base.mark_rule(color=ACCENT, strokeWidth=3).encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    ticks = base.mark_tick(color=NEUTRAL, thickness=3, height=20).encode(x="baseline:Q", y=y)
    return alt.layer(bars, spans, ticks).properties(height=30 * len(rows) + 80)


def labels_chart(counts: Sequence[LabelCount]) -> Any:  # noqa: ANN401
    """Return the share of samples that carry each label of one classifier."""
    rows = [
        {"label": safe_text(count.label, one_line=True, limit=60), "share": 100 * count.samples / count.scored,
         "samples": count.samples, "of": count.scored}
        for count in counts if count.scored
    ]  # fmt: skip
    y = alt.Y("label:N", sort="-x", title=None, axis=alt.Axis(labelLimit=_LABEL_LIMIT))
    x = alt.X("share:Q", title="replies with this label (%)", scale=alt.Scale(domainMin=0))
    tooltip = [
        alt.Tooltip("label:N"),
        alt.Tooltip("share:Q", format=".3g"),
        alt.Tooltip("samples:Q"),
        alt.Tooltip("of:Q"),
    ]
    chart = alt.Chart(_data(rows)).mark_bar(color=ACCENT, opacity=0.7, height=14, cornerRadius=2)
    return chart.encode(x=x, y=y, tooltip=tooltip).properties(height=28 * len(rows) + 80)
