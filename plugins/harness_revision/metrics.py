"""Metrics of critique and revision: what a reviser mends, what it damages, and how alike its replies are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from harness.api import (
    MINILM,
    Completion,
    Embedder,
    Generate,
    InputError,
    Metric,
    NoReply,
    NotApplicable,
    StrictModel,
    Unscored,
    combine_verdicts,
    read_options,
    unknown_name,
    weights_path,
)
from harness.api.asking import learned_from
from harness_revision.measuring import SAME_MEANING, by_meaning, counted
from harness_revision.revising import History, HowToRevise, Round, broken, draft, stands
from harness_revision.sentences import common_sentences, sentences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.api import (
        Candidate,
        Decoding,
        Findings,
        Principle,
        Program,
        Reply,
        Request,
        Rewriting,
        Row,
        Sample,
        Verdict,
        Version,
    )
    from harness_revision.measuring import Measured
    from harness_revision.revising import Score

JUDGE = "roles: {judge: {model: smollm2-135m, adapter: harness:judge-smollm2-gating}}"
"""What a suite writes so that no critic learned from the shipped reviser's family."""


class RevisionOptions(StrictModel):
    """Options of the entry `revision`: a constitution, or registered principles, or both."""

    constitution: str | None = None
    principles: tuple[str, ...] = ()
    rounds: Annotated[int, Field(ge=1, le=10)] = 1
    """Most revisions of a reply; with `revise: all` it is one."""
    revise: Literal["broken", "all"] = "broken"
    """`all` has good replies revised too, once: what a reviser does that is asked for nothing."""
    take: Literal["any", "better"] = "any"
    """`better`: a revision counts only where these critics find that it mends something and breaks nothing, as `harness
    revise` does; then they find no damage to principles, by construction."""
    sampled: bool = False
    """Revise by a broken principle drawn by weight, not by the one that is broken worst."""
    exemplars: Annotated[int, Field(ge=0, le=10)] = 3
    """Solved examples shown to a reviser that was not trained to revise."""
    max_new_tokens: Annotated[int, Field(ge=8, le=4096)] = 96
    seed: int = 0

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.constitution is None and not self.principles:
            raise ValueError("needs a constitution or a list of principles")
        return self


class _Players:
    """Says who plays a role, as `StageModels` does."""

    def __init__(self, roles: Mapping[str, Candidate]) -> None:
        self._roles = roles

    def candidate(self, role: str) -> Candidate:
        """Return who plays it."""
        return self._roles[role]


class Reviser:
    """Lets the role `reviser` criticise and revise replies; what all metrics of one entry share."""

    name = "revision"
    roles: tuple[str, ...] = ("reviser",)

    def __init__(self, options: RevisionOptions, principles: tuple[Principle, ...]) -> None:
        self.options = options
        self.principles = principles
        self._alike: dict[tuple[str, str], float] = {}

    def check(self, roles: Mapping[str, Candidate]) -> None:
        """Refuse a judge that learned from what the reviser learned from, and a store without MiniLM.

        Raises:
            InputError: naming both.
        """
        weights_path(MINILM)
        reviser = roles["reviser"]
        own = set(learned_from(reviser))
        for role, who in roles.items():
            shared = own & set(learned_from(who))
            if role in {"policy", "reviser"} or not shared:
                continue
            what = " and ".join(f"{kind} {value[:16]}" for kind, value in sorted(shared))
            raise InputError(
                f"the {role} {who.label} and the reviser {reviser.label} learned from the same ({what}), so that it"
                " cannot tell how good the revisions are",
                key="measure.revision", hint=f"bind another {role}; in the suite: {JUDGE}",
            )  # fmt: skip

    def rewrite(self, case: Rewriting) -> Program[tuple[str, str] | None]:
        """Criticise and revise the last version by one of the principles that it breaks."""
        options, number = self.options, len(case.versions)
        everything = options.revise == "all"
        scores = self.scores(case.response.sample, case.versions[-1].verdicts)
        failed = broken(scores, self.principles)
        if number > (1 if everything else options.rounds) or not (failed or everything):
            return None
        asked = [one for one in self.principles if one.applies_to(case.response.sample)]
        if not asked:
            return None
        how = HowToRevise(
            rounds=options.rounds, sampled=options.sampled or not failed, exemplars=options.exemplars,
            max_new_tokens=options.max_new_tokens, seed=options.seed,
        )  # fmt: skip
        history = self.history(case.response.sample, case.versions)
        drawn = yield from draft(history, asked, _Players(case.roles), how, number)
        return (drawn.reply, f"{drawn.principle}: {drawn.critique}") if drawn.reply.strip() else None

    def scores(self, sample: Sample, verdicts: Sequence[Verdict]) -> dict[str, Score]:
        """Return what the critics of each principle together say of a version."""
        return {
            one.id: combine_verdicts(one, [said for said in verdicts if said.principle == one.id])
            for one in self.principles
            if one.applies_to(sample)
        }

    def history(self, sample: Sample, versions: Sequence[Version]) -> History:
        """Return versions as a history; with `take: better`, a revision stands only where it is."""
        rounds = tuple(Round(reply=one.text, scores=self.scores(sample, one.verdicts)) for one in versions)
        last = len(rounds) - 1
        standing = stands(rounds, self.principles) if self.options.take == "better" else last
        return History(sample=sample, rounds=rounds, status="failed", sentence="", standing=standing)

    def measured(self, sample: Sample, versions: Sequence[Sequence[Version]], *, meaning: bool) -> Measured:
        """Count what became of a sample's replies: one without a revision, though it is broken, counts as unmended."""
        found = [self.history(sample, one) for one in versions]
        asked = [one for one in found if one.tried or broken(one.rounds[0].scores, self.principles)]
        first, last = [one.rounds[0].scores for one in asked], [one.last.scores for one in asked]
        return counted(asked, first, last, self.principles, self._similar if meaning else None)

    def _similar(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        missing = [pair for pair in pairs if pair not in self._alike]
        if missing:
            self._alike.update(zip(missing, self._by_meaning(missing), strict=True))
        return [self._alike[pair] for pair in pairs]

    @cached_property
    def _by_meaning(self) -> Any:  # noqa: ANN401 - a function, kept with its embedder
        return by_meaning(Embedder(weights_path(MINILM)))


class _Revision(Metric):
    kind = "ratio"
    bounds = (0.0, 1.0)
    unit = "share"

    def __init__(self, reviser: Reviser) -> None:
        self._reviser = reviser
        self.rewriter = reviser
        options = reviser.options
        self.constitution, self.principles, self.roles = options.constitution, options.principles, reviser.roles
        which = "each reply" if options.revise == "all" else "each reply that breaks a principle"
        times = "once" if options.revise == "all" or options.rounds == 1 else f"up to {options.rounds} times"
        how = [options.sampled, options.exemplars, options.max_new_tokens, options.seed]
        taken = " A revision that is not better is not taken." if options.take == "better" else ""
        self.about = f"{self.says} The role reviser revises {which} {times} (options {how}).{taken}"

    says: str

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask for the reply."""
        return (Generate(messages=sample.messages, decoding=ask),) if sample.messages and not sample.choices else ()

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],  # noqa: ARG002 - the contract's
        verdicts: tuple[Verdict, ...],  # noqa: ARG002
    ) -> Row | Unscored | NotApplicable:
        """Say whether any principle speaks of the sample; the row is `compare`'s."""
        if not replies or not any(one.applies_to(sample) for one in self._reviser.principles):
            return NotApplicable(reason="no principle speaks of a reply to this sample")
        reply = replies[0]
        return Unscored(reason=f"no reply: {reply.reason}" if isinstance(reply, NoReply) else "nobody revised it")

    def compare(self, sample: Sample, versions: tuple[tuple[Version, ...], ...]) -> Row | Unscored | NotApplicable:
        """Return the row."""
        return self.row_of(self._reviser.measured(sample, versions, meaning=self.meaning))

    meaning = False

    def row_of(self, found: Measured) -> Row | Unscored | NotApplicable:
        """Return the row of one sample's counts."""
        raise NotImplementedError


class CritiqueResolution(_Revision):
    """Row: (broken principles that the last version keeps, all that the reply broke)."""

    name = "critique_resolution"
    direction = "higher"
    says = "Of the principles that a reply breaks, the share that its last revision keeps."

    def row_of(self, found: Measured) -> Row | Unscored | NotApplicable:
        """Return the counts of what was broken."""
        hits, n = found.resolved
        return (float(hits), float(n)) if n else NotApplicable(reason="the reply breaks no principle")


class RevisionDamage(_Revision):
    """Row: (principles kept that the last version breaks, all kept, meanings lost, replies that kept all)."""

    name = "revision_damage"
    direction = "lower"
    meaning = True
    says = (
        "The larger of two shares: of the principles that a revised reply kept, those that its last revision breaks;"
        " and of revised replies that kept all, those whose meaning was lost (MiniLM similarity below"
        f" {SAME_MEANING:g})."
    )

    def row_of(self, found: Measured) -> Row | Unscored | NotApplicable:
        """Return both pairs of counts."""
        row = tuple(map(float, (*found.broken, *found.lost)))
        return row if row[1] or row[3] else NotApplicable(reason="no reply that kept a principle was revised")

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the larger share; NaN where there is neither."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = sums[..., (0, 2)] / sums[..., (1, 3)]
        return np.fmax(shares[..., 0], shares[..., 1])


class MeaningLost(_Revision):
    """Row: (revisions that lost the meaning, all of replies that kept every principle)."""

    name = "revision_meaning_lost"
    direction = "lower"
    meaning = True
    says = (
        "Of revised replies that had kept every principle, the share whose meaning was lost: cosine similarity of"
        f" MiniLM vectors below {SAME_MEANING:g}."
    )

    def row_of(self, found: Measured) -> Row | Unscored | NotApplicable:
        """Return the counts."""
        lost, n = found.lost
        return (float(lost), float(n)) if n else NotApplicable(reason="no reply that kept every principle was revised")


class RevisionsAlike(_Revision):
    """Over all revisions: the share that holds one of the ten sentences which stand in most of them."""

    name = "revisions_alike"
    kind = "corpus"
    direction = "lower"
    says = "The share of last revisions that hold one of the ten sentences which stand in most of them."

    def compare(self, sample: Sample, versions: tuple[tuple[Version, ...], ...]) -> Row | Unscored | NotApplicable:  # noqa: ARG002
        """Return how many of the sample's replies were revised."""
        n = sum(len(one) > 1 for one in versions)
        return (float(n),) if n else NotApplicable(reason="nothing was revised")

    def resample(self, records: Sequence[tuple[Sample, tuple[Reply, ...]]], indices: NDArray[np.int64]) -> float:
        """Return the share among the revisions of the records at `indices`; NaN where there is none."""
        texts = [
            set(sentences(reply.text)) for place in indices for reply in records[int(place)][1]
            if isinstance(reply, Completion)
        ]  # fmt: skip
        common = common_sentences(texts)
        return sum(1 for own in texts if own & common) / len(texts) if texts else float("nan")


def make(options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]) -> Sequence[Metric]:
    """Return the four metrics of the entry `revision`, which share one reviser.

    Raises:
        InputError: for wrong options, and a constitution or principle that is not registered.
    """
    chosen = read_options(RevisionOptions, options, "revision")
    named = [] if chosen.constitution is None else [("constitution", chosen.constitution)]
    named += [(f"principles[{place}]", name) for place, name in enumerate(chosen.principles)]
    found: dict[str, Principle] = {}
    for key, name in named:
        if name not in constitutions:
            raise unknown_name(key.partition("[")[0].removesuffix("s"), name, constitutions, key=key)
        found.update({one.id: replace(one) for one in constitutions[name]})
    reviser = Reviser(chosen, tuple(found.values()))
    return [kind(reviser) for kind in (CritiqueResolution, RevisionDamage, MeaningLost, RevisionsAlike)]
