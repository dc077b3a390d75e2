"""A panel: several critics judge the same reply, and what they do not agree on is said."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.api import Critic, InputError, NotApplicable, StrictModel, Unscored, read_options, sha256_json
from harness_critics.options import nothing_to_judge

if TYPE_CHECKING:
    from harness.api import Asks, Case, CriticKit, Judgement, Program, Replies

_SCORED_BY = 2
"""Members that must have a score: one alone is no panel."""


class PanelOptions(StrictModel):
    """Options of the panel."""

    critics: Annotated[dict[str, dict[str, Any] | None], Field(min_length=2)]
    """The members: registered critics by name, each with its options or none."""
    combine: Literal["mean", "median", "majority", "worst"] = "mean"
    """How the members' scores become one; `majority` is the share of members that let the reply through."""
    least_agreement: Annotated[float, Field(ge=0, le=1)] = 0.0
    """A reply on whose verdict fewer members agree than this share is unscored."""


class PanelCritic(Critic):
    """Asks its members side by side and combines their scores.

    A member to whom the question does not arise has no say; one that is unscored has none either, as long as two others
    have. The rationale begins with `agree` or `disagree` and names each member's score: `harness critic disagreements`
    lists the replies on which a run's critics part.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(PanelOptions, self.options, "panel", at=("critics", "panel"))
        self._members: dict[str, Critic] = {}

    def equip(self, kit: CriticKit) -> None:
        """Make the members.

        Raises:
            InputError: for a critic that nothing answers to, or wrong options of one.
        """
        for name, options in self._options.critics.items():
            try:
                self._members[name] = kit.critic(name, options or {})
            except InputError as error:
                raise InputError(
                    f"of the panel, {name}: {error.cause}", key=f"critics.panel.critics.{name}", hint=error.hint
                ) from error
        members = self._members.values()
        self.classifiers = tuple(dict.fromkeys(name for one in members for name in one.classifiers))
        self.roles = tuple(dict.fromkeys(role for one in members for role in one.roles if _asks(one)))

    def fingerprint(self) -> str:
        """Return the hash of version, options and members."""
        self._require_members()
        members = {name: one.fingerprint() for name, one in self._members.items()}
        return sha256_json(["panel", 1, self._options.combine, self._options.least_agreement, members])

    def judge(self, case: Case) -> Program[Judgement]:
        """Judge by all members at once."""
        empty = nothing_to_judge(case.completion)
        if empty is not None:
            return empty, ""
        self._require_members()
        given = yield from _side_by_side({name: one.judge(case) for name, one in self._members.items()})
        scores = {name: float(score) for name, (score, _) in given.items() if isinstance(score, float | int)}
        silent = {name: score for name, (score, _) in given.items() if isinstance(score, Unscored)}
        why = "; ".join(f"{name}: {score.reason}" for name, score in silent.items())
        if not scores and not silent:
            return NotApplicable(reason="the question does not arise for any member"), ""
        if len(scores) < min(_SCORED_BY, len(scores) + len(silent)):
            return Unscored(reason=f"too few members of the panel have a score ({why})"), ""
        threshold = case.principle.threshold
        through = sum(score >= threshold for score in scores.values())
        agreement = max(through, len(scores) - through) / len(scores)
        parts = ", ".join(f"{name} {score:.2f}" for name, score in scores.items())
        note = f"{'agree' if agreement == 1 else 'disagree'} {agreement:.2f}: {parts}" + (f"; {why}" if why else "")
        if agreement < self._options.least_agreement:
            return Unscored(reason="the panel does not agree"), note
        return self._combined(list(scores.values()), through), note

    def _combined(self, scores: list[float], through: int) -> float:
        match self._options.combine:
            case "mean":
                return statistics.fmean(scores)
            case "median":
                return statistics.median(scores)
            case "majority":
                return through / len(scores)
            case "worst":
                return min(scores)

    def _require_members(self) -> None:
        if not self._members:
            raise InputError("a panel was not equipped with its members", hint="call equip(kit) after making it")


def _asks(critic: Critic) -> bool:
    """Tell whether a critic asks anybody at all."""
    own = type(critic)
    return own.judge is not Critic.judge or own.requests is not Critic.requests


def _side_by_side(programs: Mapping[str, Program[Judgement]]) -> Program[dict[str, Judgement]]:
    """Advance programs in lock step, so that their questions are asked together; return what each returned."""
    waiting: dict[str, Asks] = {}
    results: dict[str, Judgement] = {}

    def send(name: str, replies: Replies | None) -> None:
        try:
            waiting[name] = programs[name].send(replies)  # type: ignore[arg-type] # a generator begins with None
        except StopIteration as end:
            waiting.pop(name, None)
            results[name] = end.value

    for name in programs:
        send(name, None)
    while waiting:
        round_of = dict(waiting)
        asks = list(round_of.values())
        replies = yield sum(asks[1:], asks[0])
        place = 0
        for name, asked in round_of.items():
            end = place + len(asked.questions)
            send(name, replies[place:end])
            place = end
    return {name: results[name] for name in programs}
