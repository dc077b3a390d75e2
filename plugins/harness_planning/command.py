"""`harness plan`: what gates can detect, and how often they would pass, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from harness.api import InputError, unknown_name
from harness.api.commands import EXIT_PASSED, MOST_SEED, App, FiniteRange, WholeRange, common_options, gathered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import AdapterSpec
    from harness.api.workspace import PreparedSuite
    from harness_planning.planning import GatePlan, Plan

_EPILOG = """\b
Examples:
  harness plan safety-core
  harness plan --policy strict  (at the level of the policy's next attempt)
  harness plan safety-core --samples 480
  harness plan safety-core --change harmful_compliance=+0.05
      (how often would such a loss pass?)
  harness plan my-suite.yaml --assume exact_match=0.8 --discordant 0.1
  harness plan leak --adapter ./my-adapter
      (the canaries that it was trained on are the samples)

The power of all gates together is simulated: runs are drawn from the rows of the newest stored run of each suite, and
decided as real ones are. Under `--truth equal` the candidate is no better and no worse than what it is compared with,
and differs from it on as many samples as the stored runs do. Nothing is asked of a model, and nothing is written."""


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """For whom."""

    policy: str | None
    attempt: int | None
    adapters: tuple[str, ...]
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class _Assumed:
    """What is taken for true."""

    truth: Literal["equal", "seen"]
    changes: tuple[str, ...]
    values: tuple[str, ...]
    discordant: float
    stored: str | None


@dataclass(frozen=True, kw_only=True)
class _Simulated:
    """How it is reckoned."""

    samples: int | None
    power: float
    simulations: int
    seed: int


@click.command(epilog=_EPILOG)
@click.argument("suites", nargs=-1, metavar="[SUITE]…")
@gathered(
    _Planned, "planned",
    click.option("--policy", metavar="NAME", help="Plan the suites and gates of this policy."),
    click.option("--attempt", type=WholeRange(min=1), metavar="J", help="Of the policy.  [default: its next one]"),
    click.option(
        "--adapter", "adapters", multiple=True, metavar="REF",
        help="A LoRA adapter of the candidate, for suites that ask what it was trained on; repeated ones compose.",
    ),
    click.option("--limit", type=WholeRange(min=1), metavar="N", help="At most N samples a suite, clusters whole."),
)  # fmt: skip
@gathered(
    _Assumed, "assumed",
    click.option(
        "--truth", type=click.Choice(["equal", "seen"]), default="equal", show_default=True,
        help="The candidate is as good as what it is compared with, or as the stored runs are.",
    ),
    click.option("--change", "changes", multiple=True, metavar="METRIC=X", help="And METRIC is X higher than that."),
    click.option("--assume", "values", multiple=True, metavar="METRIC=X", help="Its value, where no run tells it."),
    click.option(
        "--discordant", type=FiniteRange(0, 1), default=0.2, show_default=True,
        help="Share of samples on which two arms differ, where no stored pair tells it.",
    ),
    click.option("--run", "stored", metavar="RUN", help="Draw from this stored run instead of each suite's newest."),
)  # fmt: skip
@gathered(
    _Simulated, "simulated",
    click.option("--samples", type=WholeRange(min=1), metavar="N", help="Plan for N samples a suite, there or not."),
    click.option(
        "--power", type=FiniteRange(0, 1, min_open=True, max_open=True), default=0.8, show_default=True,
        help="That `detects` and `needs` speak of.",
    ),
    click.option("--simulations", type=WholeRange(10, 100_000), default=400, show_default=True, help="Most."),
    click.option("--seed", type=WholeRange(0, MOST_SEED), default=0, show_default=True, help="Of what is drawn."),
)  # fmt: skip
@common_options
def plan(
    app: App, suites: tuple[str, ...], planned: _Planned, assumed: _Assumed, simulated: _Simulated
) -> int:  # fmt: skip
    """Say before a run what its gates can detect, and how often all of them would pass."""
    from harness.api import to_plain
    from harness.api.artifacts import resolve_adapters
    from harness_planning.planning import Assumptions, StoredRows, make_plan

    if bool(suites) == (planned.policy is not None):
        raise InputError("name suites or a policy", hint="harness plan safety-core, or harness plan --policy demo")
    if planned.policy is None and planned.attempt is not None:
        raise InputError("--attempt is a policy's", hint="give --policy NAME too, or leave it out")
    app.require_plugins()
    app.bind(seed=simulated.seed)
    workspace = app.workspace if app.workspace_path.is_dir() else None
    specs = resolve_adapters(planned.adapters, workspace)
    if planned.policy is None:
        prepared, level = _of_suites(app, suites, specs, planned.limit), None
    else:
        prepared, level = _of_policy(app, planned.policy, specs, planned)
    if not any(suite.gates for suite in prepared):
        raise InputError("nothing has gates, so that there is nothing to plan", hint="add some under `gates:`")
    gated = {gate.metric for suite in prepared for gate in suite.gates}
    assumptions = Assumptions(
        truth=assumed.truth, discordant=assumed.discordant, changes=_numbers(assumed.changes, "--change", gated),
        values=_shares(assumed.values, gated), samples=simulated.samples, power=simulated.power,
    )  # fmt: skip
    rows = StoredRows(registries=app.plugins.registries, workspace=workspace, run=assumed.stored)
    with app.progress() as progress:
        found = make_plan(
            prepared, assumptions, rows, simulations=simulated.simulations, seed=simulated.seed, progress=progress,
        )  # fmt: skip
    if app.json:
        costs = None if found.costliest is None else f"{found.costliest.suite} {found.costliest.gate.metric}"
        app.print_json({"attempt": None if level is None else level[0], "costliest": costs, **to_plain(found)})
    else:
        _show(app, found, level)
    return EXIT_PASSED


def _of_suites(
    app: App, names: Iterable[str], adapters: Sequence[AdapterSpec], limit: int | None
) -> list[PreparedSuite]:
    from harness.api.workspace import SuiteOptions, prepare_suite

    options = SuiteOptions(limit=limit, adapters=adapters)
    return [prepare_suite(name, app.plugins.registries, app.session.context, options) for name in names]


def _of_policy(
    app: App, name: str, adapters: Sequence[AdapterSpec], planned: _Planned
) -> tuple[list[PreparedSuite], tuple[int, float]]:
    """Return the policy's suites at its last look and at the level of an attempt, and both numbers."""
    from dataclasses import replace

    from harness.api.stats import Design, level_of_attempt, levels_of_looks, schedule, with_sizes
    from harness.api.workspace import find_policy, prepare_policy

    registries = app.plugins.registries
    chosen = find_policy(name, app.config, registries)
    number, level = planned.attempt, 0.0
    if number is None or chosen.fdr:
        known = app.session.job("budget")(chosen) if app.workspace_path.is_dir() else None
        number = 1 if known is None else known.attempts + 1
        level = 0.0 if known is None else known.next_level
    level = level or level_of_attempt(chosen.alpha, min(number, chosen.attempts or number), chosen.attempts)
    limits = [planned.limit or size for size in schedule(chosen)[-1]]
    prepared = prepare_policy(chosen, adapters, registries, app.session.context, limits)
    sizes = [len(suite.samples) // suite.samples.draws for suite in prepared]
    level = levels_of_looks(with_sizes(chosen, Design(), sizes), level)[-1]
    return [
        replace(suite, gates=tuple(replace(gate, alpha=level) for gate in suite.gates)) for suite in prepared
    ], (number, level)  # fmt: skip


def _numbers(given: Sequence[str], option: str, gated: set[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        metric, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not equals or not abs(value) < float("inf"):
            raise InputError(f"{text!r} is not METRIC=NUMBER", key=option, hint=f"write {option} exact_match=0.05")
        if metric not in gated:
            raise unknown_name("gated metric", metric, sorted(gated), key=option)
        found[metric] = value
    return found


def _shares(given: Sequence[str], gated: set[str]) -> dict[str, float]:
    found = _numbers(given, "--assume", gated)
    for metric, value in found.items():
        if not 0.0 <= value <= 1.0:
            raise InputError(f"{metric}={value:g} is no share", key="--assume", hint="give a number from 0 to 1")
    return found


def _show(app: App, found: Plan, level: tuple[int, float] | None) -> None:
    from harness.api.commands import plain_table, safe_text

    console = app.console
    if level is not None:
        console.print(f"attempt {level[0]}: every gate at a one-sided level of {level[1]:.4g}", markup=False)
    wanted = f"{100 * found.wanted:g} %"
    # So narrow that the longest name of a metric stays whole at 80 columns.
    columns = ("gate", "n", "least", f"detects\nat {wanted}", "truly,\ndiffer", "passes", f"needs\n{wanted}")
    for suite, source in found.sources.items():
        own = [gate for gate in found.gates if gate.suite == suite]
        console.print(plain_table(columns, [_row(gate) for gate in own], title=suite, whole=columns[1:]))
        console.print(source, style="dim", markup=False, soft_wrap=True)
        for note in dict.fromkeys(gate.note for gate in own if gate.note):
            names = ", ".join(dict.fromkeys(safe_text(gate.gate.metric) for gate in own if gate.note == note))
            console.print(f"not simulated: {names} ({note})", style="dim", markup=False, soft_wrap=True)
    truth = "a candidate as good as what it is compared with" if found.truth == "equal" else "a candidate as stored"
    changed = ", ".join(f"{metric} {value:+g}" for metric, value in found.changes.items())
    truth += f", but {safe_text(changed)}," if changed else ""
    if found.together is None or found.low is None or found.high is None:
        console.print(
            "the power of all gates together is not known: run the suite once, or give --assume METRIC=X",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        return
    _show_costliest(app, found)
    left = f"; without {', '.join(safe_text(name) for name in found.left_out)}" if found.left_out else ""
    console.print(
        f"{truth} passes all gates in {100 * found.together:.1f} % of runs "
        f"[{100 * found.low:.1f}, {100 * found.high:.1f}] ({found.simulations:,} simulated{left})",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _show_costliest(app: App, found: Plan) -> None:
    """Say which gate costs most of the power, and what would help."""
    from harness.api.commands import safe_text
    from harness.api.stats import describe, gate_kind

    gate = found.costliest
    if gate is None or gate.power is None or gate.power >= found.wanted:
        return
    helps = "no number of samples would help: this truth is not on its good side"
    kind = gate_kind(gate.gate)
    gains = kind.compares and not kind.of_texts and gate.gate.margin is None
    if gains and found.truth == "equal" and gate.gate.metric not in found.changes:
        helps = (
            "an equal candidate has no gain to show: say by how much a better one would differ with "
            f"--change {safe_text(gate.gate.metric)}=X"
        )
    if gate.needed is not None:
        helps = f"{gate.needed:,} samples would let it pass in {100 * found.wanted:g} %"
        helps += ", or a wider margin" if gate.gate.margin is not None else ", or a wider limit"
    app.console.print(
        f"{safe_text(gate.suite)} {safe_text(gate.gate.metric)} {describe(gate.gate)} costs most: it passes in "
        f"{100 * gate.power:.0f} %; {helps}", markup=False, soft_wrap=True,
    )  # fmt: skip


def _row(found: GatePlan) -> list[str]:
    from harness.api.stats import describe

    known = found.expected
    truly = "–"
    if known is not None:
        shown = known.value if known.difference is None else known.difference
        truly = "–" if shown is None else _amount(found, shown, signed=known.difference is not None)
        if known.discordant is not None:
            truly += f"\n{100 * known.discordant:.0f} %"
    return [
        f"{found.gate.metric}\n{describe(found.gate)}", f"{found.samples:,}",
        "none" if found.least is None else f"{found.least:,}",
        "–" if found.detects is None else _amount(found, found.detects), truly,
        "–" if found.power is None else f"{100 * found.power:.0f} %",
        ("never" if known is not None and found.power is not None else "–")
        if found.needed is None else f"{found.needed:,}",
    ]  # fmt: skip


def _amount(found: GatePlan, value: float, *, signed: bool = False) -> str:
    from harness.api.stats import METRIC_KINDS

    sign = "+" if signed and value > 0 else ""
    return f"{sign}{100 * value:.1f} %" if METRIC_KINDS[found.kind].shares else f"{sign}{value:.3g}"
