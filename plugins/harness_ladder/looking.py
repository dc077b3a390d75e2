"""One look: a candidate and what it is compared with are asked the hidden samples, and one bit of it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api import Candidate, InputError, RunOptions, Shown, sha256_json
from harness.api.asking import Asking, Cache, Columns, ModelPool, identify, through
from harness.api.stats import compare
from harness.api.workspace import (
    chosen_among,
    item_of,
    marked,
    prepare_policy,
    resolve_arms,
    resolve_base,
    seen_items,
)
from harness_ladder.board import Board, rises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from harness.api import Gate, LedgerEntry, ModelSpec, Policy, PolicySuite, Session
    from harness.api.stats import MetricTable
    from harness.api.workspace import Choose, PreparedSuite, Setting, Workspace
    from harness.api.workspace import Columns as Places

STEP = 0.02
"""In the metric's unit: two points of a share."""


@dataclass(frozen=True, kw_only=True)
class Look(Shown):
    """What a look told."""

    policy: str
    suite: str
    metric: str
    candidate: str
    step: float
    rose: bool
    replay: bool
    """Whether it was told before: that costs nothing."""
    told: int
    """Looks at this suite's hidden samples, whichever metric they were about."""
    board: tuple[tuple[str, bool], ...]
    """Who looked, in order, and whether they rose."""

    @property
    def sentence(self) -> str:
        """What came of it."""
        what = "rose: it is" if self.rose else "did not rise: it is not"
        again = ", as was told before" if self.replay else ""
        return (
            f"{self.candidate} {what} better than the best so far by {self.step:g} or more in {self.metric} on hidden "
            f"samples of {self.suite}{again}"
        )

    def renderables(self) -> Iterator[RenderableType]:
        """Yield the board and the sentence."""
        from harness.api.commands import line, plain_table

        rows = [(str(n), who, "rose" if rose else "–") for n, (who, rose) in enumerate(self.board, start=1)]
        yield plain_table(("look", "candidate", "told"), rows, whole=("look",))
        yield line(self.sentence, "bold")
        yield line(
            f"{self.told} look{'s' if self.told != 1 else ''} so far at these samples: a policy that decides by them "
            f"checks new attempts at 1/{2**self.told} of their level"
        )


def ladder(
    session: Session, candidate: Candidate, *, policy: str | None = None, metric: str | None = None, step: float = STEP,
    options: RunOptions | None = None,
) -> Look:  # fmt: skip
    """Tell whether a candidate beats the best so far by a step, on samples that a policy hides; store no run.

    Args:
        session: where it happens.
        candidate: who looks.
        policy: whose hidden samples; None is that of harness.yaml.
        metric: of one of its comparisons; None where it has one alone.
        step: in the metric's unit, above 0.
        options: judge and roles.

    Raises:
        InputError: where the policy hides nothing, draws fresh samples or compares nothing; nothing is asked then.
        BrokenRunError: when asking breaks, or the board is not what it was.
    """
    session.require_plugins()
    chosen, how = session.policy(policy), options or RunOptions()
    section, gate = _compared(session, chosen, candidate, metric)
    if not step > 0.0:
        raise InputError(f"a step of {step:g} is none: each score would rise", hint="--step 0.02 is two points")
    session.declare_policies()
    spec = session.spec([section.suite], candidate, how)
    with session.setting(spec, how) as place, place.workspace.working():
        setting = replace(place, base=_base(session, candidate))
        (prepared,) = _prepared(
            replace(chosen, suites=(section,)), candidate, setting, Hidden(setting.workspace, section)
        )
        metrics = [one for one in prepared.metrics if one.name == gate.metric]
        prepared = replace(prepared, metrics=tuple(metrics))
        to = resolve_arms([replace(prepared, gates=(gate,), gate_origins=prepared.gate_origins[:1])], None, candidate,
                          setting.around)[gate.to or ""]  # fmt: skip
        cache = Cache(setting.workspace.cache_path)
        try:
            with ModelPool(setting.plugins.registries, setting.context, cache, setting.progress) as pool:
                asking = Asking(roles=setting.roles(prepared, candidate), pool=pool)
                own, other = identify(prepared, asking), identify(prepared, replace(asking, roles=asking.roles.of(to)))
                if own.candidate == other.candidate:
                    raise InputError(
                        f"{candidate.label} is what it would be compared with", hint="name another with --adapter"
                    )
                board = Board(
                    suite=prepared.suite.id, metric=gate.metric, against=other.candidate, samples=own.samples,
                    measured=sha256_json([own.suite, own.judge, own.seed]),
                )  # fmt: skip
                looks = board.looks(setting.workspace)
                before = [entry for entry in looks if entry.body["candidate_fingerprint"] == own.candidate]
                if before:
                    return _told(chosen, board, candidate, before[-1], setting.workspace, replay=True)
                tables = [
                    _measured(prepared, replace(asking, roles=asking.roles.of(who)), name)
                    for who, name in ((to, gate.to or ""), (candidate, "candidate"))
                ]
                score = _gain(tables[1], tables[0], prepared)
        finally:
            cache.close()
        with setting.workspace.lock(), setting.workspace.ledger.transaction() as ledger:
            best = board.best(setting.workspace, board.looks(setting.workspace))
            rose = rises(score, best, step)
            state = board.keep(setting.workspace, score if rose and score is not None else best)
            entry = ledger.append("look", {
                "policy": chosen.id, "policy_fingerprint": chosen.fingerprint, "suite": board.suite,
                "named": section.suite, "metric": board.metric, "board": board.key, "candidate": candidate.label,
                "candidate_fingerprint": own.candidate, "step": step, "rose": rose, "state": state,
            })  # fmt: skip
            _hide(prepared, chosen, setting.workspace)
        board.tidy(setting.workspace, state)
        return _told(chosen, board, candidate, entry, setting.workspace, replay=False)


def _base(session: Session, candidate: Candidate) -> ModelSpec | None:
    """Return what a whole model stands beside, as `decide` has it; None is the candidate's own base."""
    own = candidate.model
    if not session.config.names_model or candidate != Candidate(model=own):
        return None
    return resolve_base(session.config.model, session.plugins.registries, dtype=own.dtype, device=own.device)


class Hidden:
    """What picks the samples that decide under a policy and that nobody was shown, each time the same ones."""

    def __init__(self, workspace: Workspace, section: PolicySuite) -> None:
        self._workspace, self._section = workspace, section

    def choose(self, index: int, limit: int | None, seed: int) -> Choose:  # noqa: ARG002 - as a policy's draws
        """Return what picks them."""

        def pick(columns: Places) -> Sequence[int]:
            shown = seen_items(self._workspace).shown
            able = [
                place for place in marked(columns, self._section.deciding or 1.0)
                if not {item_of(columns.content_hashes[place]), item_of(columns.question_hashes[place])} & shown
            ]  # fmt: skip
            if not able:
                raise InputError(f"no sample of {self._section.suite} is left that decides and nobody was shown")
            return sorted(chosen_among(columns, able, limit, seed))

        return pick

    def note(self, index: int) -> str:  # noqa: ARG002 - as a policy's draws
        """Return what is said of them."""
        return "hidden samples, of which a ladder tells one bit"


def _compared(
    session: Session, policy: Policy, candidate: Candidate, metric: str | None
) -> tuple[PolicySuite, Gate]:  # fmt: skip
    """Return the suite and the comparison that the board is about."""
    hint = "hide samples that are used again with `deciding: 0.5` and without `fresh`; see docs/promotion.md"
    hidden = [section for section in policy.suites if section.deciding is not None and not section.fresh]
    if not hidden:
        fresh = any(section.fresh for section in policy.suites)
        why = "draws fresh samples, whose scores are safe to show" if fresh else "hides no samples"
        raise InputError(f"the policy {policy.id} {why}: a ladder has nothing to tell of it", hint=hint)
    found: dict[tuple[int, str], Gate] = {}
    with session.setting(session.spec([one.suite for one in hidden], candidate, RunOptions())) as setting:
        prepared = prepare_policy(
            replace(policy, suites=tuple(hidden)), candidate.adapters, setting.plugins.registries, setting.context,
            [None] * len(hidden),
        )  # fmt: skip
    for place, suite in enumerate(prepared):
        for gate in suite.gates:
            if gate.to is not None and gate.metric in {one.name for one in suite.metrics}:
                found.setdefault((place, gate.metric), gate)
    wanted = {key: gate for key, gate in found.items() if metric in (None, key[1])}
    if len(wanted) != 1:
        names = ", ".join(sorted({name for _, name in found})) or "none"
        what = "none of its comparisons is of" if metric else "more than one comparison is in"
        raise InputError(
            f"{what} {metric or f'the policy {policy.id}'}; they are of {names}" if found else
            f"the policy {policy.id} compares nothing on the samples that it hides",
            hint="name one with --metric" if found else "give it a gate such as non_inferior",
        )  # fmt: skip
    (((place, _), gate),) = wanted.items()
    return hidden[place], gate


def _prepared(policy: Policy, candidate: Candidate, setting: Setting, hidden: Hidden) -> list[PreparedSuite]:
    section = policy.suites[0]
    limit = section.samples[-1] if section.samples else section.limit
    return prepare_policy(
        policy, candidate.adapters, setting.plugins.registries, setting.context, [limit], hidden
    )  # fmt: skip


def _measured(prepared: PreparedSuite, asking: Asking, name: str) -> MetricTable:
    columns, samples = Columns(prepared.metrics), list(prepared.samples)
    for records, gathered in through(prepared, samples, asking, name=name):
        columns.add(records, gathered)
    tables = columns.tables(
        tuple(one.id for one in samples), tuple(one.content_hash for one in samples),
        tuple(one.cluster for one in samples),
    )  # fmt: skip
    return tables[prepared.metrics[0].name]


def _gain(candidate: MetricTable, other: MetricTable, prepared: PreparedSuite) -> float | None:
    """Return by how much the candidate is better, with unscored samples as the worst; None where that is unknown."""
    worst = compare(candidate, other, resamples=200).worst
    lower = prepared.metrics[0].direction == "lower"
    found = worst[1] if lower else worst[0]
    return None if found is None else -found if lower else found


def _hide(prepared: PreparedSuite, policy: Policy, workspace: Workspace) -> None:
    """Note once that these samples were used: they are hidden, and not fresh for a policy that draws."""
    samples = prepared.samples
    items, asks = [list(map(item_of, hashes)) for hashes in (samples.content_hashes, samples.question_hashes)]
    if set(items) <= set(seen_items(workspace).drawn):
        return
    workspace.ledger.append("draw", {
        "policy": policy.id, "policy_fingerprint": policy.fingerprint, "suite": prepared.suite.id,
        "key": sha256_json(["ladder", sorted(items)]), "attempt": "", "reused": 0, "left": 0, "items": items,
        "questions": sorted(set(asks)), "opened": 0,
    })  # fmt: skip


def _told(
    policy: Policy, board: Board, candidate: Candidate, entry: LedgerEntry, workspace: Workspace, *, replay: bool
) -> Look:  # fmt: skip
    every = [one for one in workspace.ledger.entries("look") if one.body["suite"] == board.suite]
    return Look(
        policy=policy.id, suite=board.suite, metric=board.metric, candidate=candidate.label, replay=replay,
        step=float(entry.body["step"]), rose=bool(entry.body["rose"]), told=len(every),
        board=tuple((one.body["candidate"], bool(one.body["rose"])) for one in board.looks(workspace)),
    )  # fmt: skip
