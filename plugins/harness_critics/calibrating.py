"""Counts how often critics are right about a principle on replies that people labelled, and keeps what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.api import (
    Bias,
    CalibratedReply,
    Completion,
    CriticCalibration,
    InputError,
    NotApplicable,
    Response,
    RunOptions,
    Sample,
    Unscored,
    combine_verdicts,
    unknown_name,
)
from harness.api.asking import PanelOptions, make_panel
from harness.api.calibrations import keep_calibration, labeller_of
from harness.api.stats import auc
from harness.api.workspace import Constitutions, read_suite, resolve_suite
from harness_critics.biases import length_bias, mean_difference, self_preference
from harness_critics.labels import Labels, held_out, read_labelled, read_native, some, source_of
from harness_critics.scaling import cross_validated, fit_scaling

if TYPE_CHECKING:
    from harness.api import Principle, RoleRef, Session
    from harness.api.asking import Asking, Panel
    from harness_critics.labels import LabelledReply

Combined = float | Unscored | NotApplicable
"""What a principle's critics make of a reply together."""
_PROBED = 60
"""Replies on which position and wording are tried both ways."""


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """What is calibrated, and on what."""

    critics: tuple[str, ...] = ()
    """That judge together; none stands for the principle's own."""
    principle: str | None = None
    """Its id; None stands for every principle of the constitution that has labels."""
    constitution: str | None = None
    """That holds it, registered or a YAML file; None where it is registered itself."""
    data: Path | str | None = None
    """Labelled replies; None stands for those that ship with harness."""
    source: str | None = None
    """Who reads the data; None looks at its columns."""
    suite: str | None = None
    """Whose options of critics and classifiers, roles, constitution and kind of output hold."""
    outputs: str | None = None
    """The kind of output; None is what the suite says, else `replies`."""
    limit: int | None = None
    """At most so many labelled replies, half of each label."""
    scaling: Literal["platt", "isotonic", "none"] = "platt"
    biases: bool = True
    """Also judge some replies with the answers named in the other order, and asked one way."""


@dataclass(frozen=True, kw_only=True)
class JudgedBySuite:
    """What a suite says of judging."""

    panel: PanelOptions = field(default_factory=PanelOptions)
    roles: Mapping[str, RoleRef] = field(default_factory=dict)
    constitution: str | None = None
    outputs: str = "replies"


def calibrate(
    session: Session, options: CalibrationOptions, *, judge: str | None = None, roles: Sequence[str] = ()
) -> list[CriticCalibration]:
    """Judge labelled replies by critics, and keep what was found as artifacts of the workspace.

    Args:
        session: where.
        options: what is calibrated, and on what.
        judge: reference of the judge.
        roles: `ROLE=REF`, as for `run`.

    Returns:
        One calibration for each principle, as it is kept.

    Raises:
        InputError: for names that nothing answers to, data that are not what they should be, or replies of which none
            could be scored.
    """
    suite = suite_options(session, options.suite)
    principles = _principles(session, options, suite)
    found = []
    for principle in principles:
        labels = _labels(session, options, principle)
        if labels is None:
            continue
        with session.judging(RunOptions.of(judge=judge, roles=tuple(roles)), own=suite.roles) as asking:
            one = _Calibrating(session, principle, some(labels, options.limit, session.options.seed), suite, asking)
            found.append(one.outcome(options))
    if not found:
        named = options.principle or options.constitution
        raise InputError(
            f"no labelled replies ship with harness for {named}", hint="name a file of your own labels with --data FILE"
        )
    return [keep_calibration(session.writable_workspace(), one) for one in found]


def suite_options(session: Session, name: str | None) -> JudgedBySuite:
    """Return what a suite says of judging; nothing where none is named."""
    if name is None:
        return JudgedBySuite()
    suite = read_suite(resolve_suite(name, session.require_plugins().registries))
    told = next((options for metric, options in suite.measure if metric == "adherence"), {})
    constitution = told.get("constitution")
    if isinstance(constitution, str) and constitution.endswith((".yaml", ".yml")):
        constitution = str((suite.path.parent / constitution).resolve())
    return JudgedBySuite(
        panel=PanelOptions(
            critics=suite.critics, classifiers={one: section.options for one, section in suite.classifiers.items()}
        ),
        roles=suite.roles, constitution=constitution, outputs=str(told.get("outputs", "replies")),
    )  # fmt: skip


def _principles(session: Session, options: CalibrationOptions, suite: JudgedBySuite) -> list[Principle]:
    registries = session.require_plugins().registries
    constitution = options.constitution or suite.constitution
    if constitution is None and options.principle is None:
        raise InputError(
            "neither a principle nor a constitution is named", hint="add --principle ID, or --constitution NAME"
        )
    known = Constitutions(registries, session.options.folder)
    record = known.record(constitution or str(options.principle))
    if options.principle is None:
        chosen = list(record.principles)
    else:
        chosen = [one for one in record.principles if one.id == options.principle]
        if not chosen and options.constitution is None and options.principle in registries.principles:
            chosen = [registries.principles.get(options.principle)]
        if not chosen:
            raise unknown_name(f"principle in {record.id}", options.principle, [one.id for one in record.principles])
    for name in options.critics:
        registries.critics.get(name)
    return [replace(one, critics=options.critics or one.critics) for one in chosen]


def _labels(session: Session, options: CalibrationOptions, principle: Principle) -> Labels | None:
    if options.data is None:
        return held_out(principle.id)
    data = (session.options.folder / Path(options.data).expanduser()).resolve()
    source = options.source or source_of(data)
    if source is None:
        return read_labelled(data, principle.id)
    registries = session.require_plugins().registries
    return read_native(data, source, registries, offline=session.options.offline)


@dataclass(frozen=True)
class _Calibrating:
    """One principle on its way."""

    session: Session
    principle: Principle
    labels: Labels
    suite: JudgedBySuite
    asking: Any
    """Gives what asks the roles of a panel."""

    def outcome(self, options: CalibrationOptions) -> CriticCalibration:
        """Judge, and return everything that is known."""
        principle, rows = self.principle, self.labels.rows
        panel = _panel(self.session, principle, self.suite.panel)
        try:
            asked: Asking = self.asking(panel)
            fingerprints = panel.fingerprints(asked)
            scores = self._scores(panel, asked, rows)
            left_out = sum(isinstance(score, NotApplicable) for score in scores)
            played = {role: asked.roles.candidate(role).label for role in panel.roles if role != "policy"}
        finally:
            panel.close()
        replies = tuple(
            CalibratedReply(
                follows=row.follows,
                score=score if isinstance(score, float) else None,
                characters=len(row.response),
                id=row.id,
                by=row.by,
            )
            for row, score in zip(rows, scores, strict=True)
            if not isinstance(score, NotApplicable)
        )
        sides = {follows: [one for one in replies if one.follows is follows] for follows in (False, True)}
        right = {
            follows: sum(one.score is not None and (one.score >= principle.threshold) is follows for one in side)
            for follows, side in sides.items()
        }
        chosen = cross_validated(replies)
        return CriticCalibration(
            principle=principle.id, critics=principle.critics, labeller=labeller_of(principle, fingerprints),
            fingerprints=fingerprints, roles=played, data=self.labels.data,
            sensitivity=(right[False], len(sides[False])), specificity=(right[True], len(sides[True])),
            unscored=sum(one.score is None for one in replies), not_applicable=left_out,
            auc=auc([one.score for one in sides[True]], [one.score for one in sides[False]]),
            threshold=principle.threshold, where=self.labels.where, outputs=options.outputs or self.suite.outputs,
            replies=replies, scaling=None if options.scaling == "none" else fit_scaling(replies, options.scaling),
            suggested=None if chosen is None else chosen.threshold,
            biases=tuple(self._biases(replies, played, options)),
        )  # fmt: skip

    def _panel(self, options: PanelOptions) -> Panel:
        return make_panel([self.principle], self.session.require_plugins().registries, self.session.context, options)

    def _scores(self, panel: Panel, asked: Asking, rows: Sequence[LabelledReply]) -> list[Combined]:
        """Return each row's score, or why it has none.

        Raises:
            InputError: where none has any, with the commonest reason.
        """
        responses = [_response(self.principle, *one) for one in enumerate(rows)]
        given = [combine_verdicts(self.principle, verdicts) for verdicts in panel.verdicts(responses, asked)]
        if not any(isinstance(score, float) for score in given):
            why = Counter(score.reason for score in given if not isinstance(score, float)).most_common(1)[0][0]
            hint = "name another critic or judge"
            if "no probability" in why:
                hint = "name a judge that gives log-probabilities, or the critic judge-text, which needs none"
            raise InputError(
                f"no reply could be scored by {self.principle.id}: {why}", file=self.labels.where, hint=hint
            )
        return given

    def _biases(
        self, replies: Sequence[CalibratedReply], played: Mapping[str, str], options: CalibrationOptions
    ) -> list[Bias]:
        found = [length_bias(replies), self_preference(replies, list(played.values()))]
        if not options.biases:
            return found
        registries = self.session.require_plugins().registries
        rows = some(self.labels, _PROBED, 0).rows
        for name in self.principle.critics:
            variants = getattr(registries.critics.get(name)(self._given(name)), "variants", {})
            for bias, (first, second) in variants.items():
                scores = self._varied(name, first, rows), self._varied(name, second, rows)
                note = f"{name}: mean score with {_told(first)} minus with {_told(second)}"
                found.append(mean_difference(bias, *scores, note))
        return found

    def _given(self, critic: str) -> Mapping[str, Any]:
        return self.suite.panel.critics.get(critic, {})

    def _varied(self, critic: str, changed: Mapping[str, Any], rows: Sequence[LabelledReply]) -> list[float | None]:
        """Return the scores of one critic under other options."""
        varied = replace(self.suite.panel, critics={critic: {**self._given(critic), **changed}})
        lone = replace(self.principle, critics=(critic,))
        panel = _panel(self.session, lone, varied)
        try:
            responses = [_response(lone, *one) for one in enumerate(rows)]
            given = panel.verdicts(responses, self.asking(panel))
        finally:
            panel.close()
        return [float(one.score) if isinstance(one.score, float | int) else None for (one,) in given]


def _panel(session: Session, principle: Principle, options: PanelOptions) -> Panel:
    return make_panel([principle], session.require_plugins().registries, session.context, options)


def _told(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}".lower() for key, value in options.items())


def _response(principle: Principle, index: int, row: LabelledReply) -> Response:
    # The tags make sure that the principle applies, whatever it asks for.
    sample = Sample(id=f"{principle.id}-{index}", messages=row.messages, tags=principle.applies_to.any_tag)
    said = Completion(text=row.response, prompt_tokens=None, completion_tokens=None, finish="stop")
    return Response(sample=sample, completion=said)
