"""Critique and revision: reply → critique by a principle that it breaks → revision, until the principles are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from harness.api import (
    Completion,
    Decoding,
    Generate,
    NotApplicable,
    Response,
    Sample,
    Unscored,
    ask,
    combine_verdicts,
    sha256_json,
    trained_on,
)
from harness_revision.prompts import NOTHING, PROMPT, SHIPPED, TASK, Flaw, draw_exemplars, messages_for, shown_messages

if TYPE_CHECKING:
    import numpy as np

    from harness.api import Candidate, Message, Principle, Program, StageModels


class Players(Protocol):
    """Says who plays a role, as `StageModels` does."""

    def candidate(self, role: str) -> Candidate:
        """Return who plays it."""
        ...


Score = float | Unscored | NotApplicable
Status = Literal["passed", "failed", "unscored", "silent"]


@dataclass(frozen=True, kw_only=True)
class HowToRevise:
    """How replies are revised."""

    rounds: int = 3
    """Most revisions of a reply, at least 0."""
    sampled: bool = False
    """Revise by a principle drawn by weight from those that are broken; otherwise by the one that is broken worst."""
    exemplars: int = 3
    """Solved examples shown to a reviser that was not trained for it."""
    max_new_tokens: int = 160
    seed: int = 0
    always: bool = False
    """Revise once by a principle drawn from all that apply; nobody judges the first version then, and every revision
    is taken."""
    steering: Mapping[str, float] | None = None
    """The principles that decide what is revised and what is taken, with the score below which a reply is revised, at
    most the principle's threshold; the others are scored, and inform. None: all decide, by their thresholds."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One version of a reply, what the principles say of it, and how it came about."""

    reply: str
    scores: Mapping[str, Score]
    """By principle: in [0, 1], 1 follows it."""
    principle: str | None = None
    """By which the version before was revised; None for the first."""
    critique: str = ""
    """What was wrong with the version before."""
    parted: tuple[str, ...] = ()
    """Principles that take the mean of several critics, of whom not all find this version in breach."""


@dataclass(frozen=True, kw_only=True)
class History:
    """A reply and its revisions, the first version first."""

    sample: Sample
    rounds: tuple[Round, ...]
    status: Status
    """`passed`: the version that stands keeps every principle that steers. `failed`: it does not. `unscored`: nobody
    could tell, or nothing steers. `silent`: the reviser returned nothing."""
    sentence: str
    standing: int = 0
    """Index of the version that stands in the end: the last one that was taken, 0 where the reply is kept as it was."""

    @property
    def last(self) -> Round:
        """The version that stands in the end."""
        return self.rounds[self.standing]

    @property
    def reply(self) -> str:
        """What stands in the end."""
        return self.last.reply

    @property
    def tried(self) -> bool:
        """Whether the reviser was asked and answered."""
        return len(self.rounds) > 1

    @property
    def revised(self) -> bool:
        """Whether a revision was taken."""
        return self.standing > 0


def respond(samples: Sequence[Sample], models: StageModels, decoding: Decoding) -> list[Response]:
    """Ask the policy; one response for each sample."""

    def one(sample: Sample) -> Program[Response]:
        (reply,) = yield ask("policy", Generate(messages=sample.messages, decoding=decoding))
        return Response(sample=sample, completion=reply if isinstance(reply, Completion) else None)

    return models.ask(one(sample) for sample in samples)


def revise(
    responses: Sequence[Response], principles: Sequence[Principle], models: StageModels, how: HowToRevise, *,
    watch: Callable[[int, Sequence[str]], str] | None = None,
) -> list[History]:  # fmt: skip
    """Criticise and revise replies until they keep the principles, or for `how.rounds` rounds.

    Only what breaks a principle is revised; all else stays as it is, byte for byte. A revision is taken where the
    critics find that it mends something and breaks nothing (see `stands`); otherwise the reply is kept.

    Args:
        responses: replies in their conversations.
        principles: by whose critics `models` judges.
        models: asks `reviser`, and judges.
        how: rounds, sampling and decoding.
        watch: is shown all replies before the first round and after each, by number; where it gives a reason, the
            versions of the round before are returned.

    Raises:
        InputError: when the reviser's adapter was trained on other words.
    """
    steering, sure = deciding(principles, how), deciding(principles, how, surely=True)
    unread: list[tuple[dict[str, Score], tuple[str, ...]]] = [({}, ()) for _ in responses]
    scored = unread if how.always else judge(responses, principles, models)
    found = [
        _judged(response.sample, (Round(reply=_text(response), scores=own, parted=parted),), steering, how)
        for response, (own, parted) in zip(responses, scored, strict=True)
    ]
    if watch is not None and found:
        watch(0, [history.reply for history in found])
    for number in range(1, how.rounds + 1):
        before_round = list(found)
        open_ = [
            index for index, history in enumerate(found)
            if (history.status == "failed" and minded(history.last, sure, how)
                and not found_nothing(history.rounds[-1].critique))
            or (how.always and number == 1)
        ]  # fmt: skip
        if not open_:
            break
        drafts = models.ask(draft(found[index], sure, models, how, number) for index in open_)
        told: list[tuple[int, Round]] = []
        for index, one in zip(open_, drafts, strict=True):
            if one.reply.strip():
                told.append((index, one))
            else:
                found[index] = replace(
                    found[index], status="silent",
                    sentence=f"the reviser returned nothing in round {number}; name another: --role reviser=MODEL",
                )  # fmt: skip
        again = [said(found[index].sample, one.reply) for index, one in told]
        for (index, one), (own, parted) in zip(told, judge(again, principles, models), strict=True):
            before, new = found[index], replace(one, scores=own, parted=parted)
            found[index] = _judged(before.sample, (*before.rounds, new), steering, how)
        if watch is not None and watch(number, [history.reply for history in found]):
            return before_round
    return found


def deciding(principles: Sequence[Principle], how: HowToRevise, *, surely: bool = False) -> list[Principle]:
    """Return the principles that decide what is revised and taken.

    Args:
        principles: of the constitution.
        how: which says who steers.
        surely: with the score below which a reply is revised as the threshold.
    """
    if how.steering is None:
        return list(principles)
    steers = [one for one in principles if one.id in how.steering]
    return [replace(one, threshold=how.steering[one.id]) for one in steers] if surely else steers


def minded(version: Round, sure: Sequence[Principle], how: HowToRevise) -> list[Principle]:
    """Return the principles that a version breaks for sure, the worst first.

    Where some principles steer and others inform, a mean of critics counts only where all of them find a breach: they
    speak of the same thing, so that one who finds none is a reason to doubt.
    """
    return [one for one in broken(version.scores, sure) if how.steering is None or one.id not in version.parted]


def draft(
    history: History, principles: Sequence[Principle], models: Players, how: HowToRevise, number: int
) -> Program[Round]:  # fmt: skip
    """Criticise and revise the last version by one of the principles that it breaks; its reply may be empty."""
    generator = random_of(history.sample, how.seed, number)
    last = history.rounds[-1]
    # Where the newest draft is only in doubt, what is wrong with the version that stands is still to be mended.
    failed = minded(last, principles, how) or minded(history.last, principles, how)
    failed = failed or [one for one in principles if one.applies_to(history.sample)]
    principle = _pick(failed, generator if how.sampled else None)
    flaw = Flaw.of(history.sample.messages, last.reply, principle)
    critique, revision = yield from criticise_and_revise(flaw, models, how, generator)
    return Round(reply=revision, scores={}, principle=principle.id, critique=critique)


def criticise_and_revise(
    flaw: Flaw, models: Players, how: HowToRevise, generator: np.random.Generator
) -> Program[tuple[str, str]]:  # fmt: skip
    """Ask the reviser for a critique and then for a revision; either is empty where nothing came.

    One that finds nothing to mend is not asked for a revision, unless `how.always`: the reply is returned.
    """
    decoding = Decoding(max_new_tokens=how.max_new_tokens, seed=how.seed)
    trained = trained_on(models.candidate("reviser").adapters, task=TASK, prompt=PROMPT, shipped=SHIPPED)
    examples = () if trained else draw_exemplars(generator, how.exemplars)

    def asked(critique: str | None) -> tuple[Message, ...]:
        return messages_for(flaw, critique) if trained else shown_messages(flaw, critique, examples)

    (first,) = yield ask("reviser", Generate(messages=asked(None), decoding=replace(decoding, max_new_tokens=64)))
    critique = first.text.strip() if isinstance(first, Completion) else ""
    if found_nothing(critique):
        if not how.always:
            return NOTHING, flaw.reply
        critique = ""
    # What it says is read as its own turn: a critique without words is replaced, for a template takes no empty turn.
    shown = critique or f"It does not follow the rule {flaw.principle}."
    (second,) = yield ask("reviser", Generate(messages=asked(shown), decoding=decoding))
    return critique, clean_reply(second.text) if isinstance(second, Completion) else ""


def found_nothing(critique: str) -> bool:
    """Tell whether a critique says that there is nothing to mend."""
    return critique.strip().casefold().startswith(NOTHING.rstrip(".").casefold())


def stands(rounds: Sequence[Round], principles: Sequence[Principle], how: HowToRevise | None = None) -> int:
    """Return the index of the last version that is better than the first, or 0.

    It keeps a principle that the first one broke, and there is none that the first one kept and it does not: broken and
    unscored are both damage.

    Args:
        rounds: the versions.
        principles: by which they are judged.
        how: which says what is broken for sure. What is neither that nor kept is in doubt: a revision that mends
            must be kept, and one that leaves a doubt does no damage.
    """

    def kept(scores: Mapping[str, Score]) -> set[str]:
        values = [(one.id, one.threshold, scores.get(one.id)) for one in principles]
        return {
            name for name, least, value in values
            if isinstance(value, NotApplicable) or (isinstance(value, float) and value >= least)
        }  # fmt: skip

    def spared(version: Round) -> set[str]:
        if how is None or how.steering is None:
            return kept(version.scores)
        sure = deciding(principles, how, surely=True)
        known = {name for name, value in version.scores.items() if not isinstance(value, Unscored)}
        return (known & {one.id for one in sure}) - {one.id for one in minded(version, sure, how)}

    before, left = kept(rounds[0].scores), spared(rounds[0])
    better = [
        index for index, one in enumerate(rounds)
        if before <= kept(one.scores) and left <= spared(one) and kept(one.scores) - left
    ]  # fmt: skip
    return better[-1] if better else 0


def clean_reply(text: str) -> str:
    """Return a revision without the marks of the quotation that it was asked to replace."""
    lines = [line.removeprefix("> ") for line in text.strip().splitlines()]
    return "\n".join(lines).strip()


def score(
    responses: Sequence[Response], principles: Sequence[Principle], models: StageModels
) -> list[dict[str, Score]]:  # fmt: skip
    """Return what each principle's critics together say of each reply."""
    return [scores for scores, _ in judge(responses, principles, models)]


def judge(
    responses: Sequence[Response], principles: Sequence[Principle], models: StageModels
) -> list[tuple[dict[str, Score], tuple[str, ...]]]:  # fmt: skip
    """Return what each principle's critics together say of each reply, and on which principles they part.

    They part where the principle takes their mean, and one of them finds it kept.
    """
    if not responses:
        return []
    found = []
    for response, verdicts in zip(responses, models.verdicts(responses), strict=True):
        scores: dict[str, Score] = {}
        parted = []
        for principle in principles:
            if not principle.applies_to(response.sample):
                continue
            own = [one for one in verdicts if one.principle == principle.id]
            scores[principle.id] = combine_verdicts(principle, own)
            keeps = any(isinstance(one.score, float) and one.score >= principle.threshold for one in own)
            if principle.combine == "mean" and keeps:
                parted.append(principle.id)
        found.append((scores, tuple(parted)))
    return found


def broken(scores: Mapping[str, Score], principles: Sequence[Principle]) -> list[Principle]:
    """Return the principles that are broken for sure, the worst first."""
    known = [(one, scores.get(one.id)) for one in principles]
    failed = [
        (value - one.threshold, one.id, one) for one, value in known
        if isinstance(value, float) and value < one.threshold
    ]  # fmt: skip
    return [one for *_, one in sorted(failed, key=lambda found: found[:2])]


def said(sample: Sample, text: str) -> Response:
    """Return a text as a reply to a sample."""
    completion = Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")
    return Response(sample=sample, completion=completion)


def random_of(sample: Sample, seed: int, number: int) -> np.random.Generator:
    """Return random numbers that depend on the sample, the seed and the round alone, so that a run can be replayed."""
    import numpy as np

    return np.random.default_rng(int(sha256_json([sample.id, sample.content_hash, seed, number])[:16], 16))


def _text(response: Response) -> str:
    return "" if response.completion is None else response.completion.text


def _pick(failed: Sequence[Principle], generator: np.random.Generator | None) -> Principle:
    if generator is None:
        return failed[0]
    ordered = sorted(failed, key=lambda one: one.id)
    weights = [one.weight for one in ordered]
    return ordered[int(generator.choice(len(ordered), p=[weight / sum(weights) for weight in weights]))]


def _judged(sample: Sample, rounds: tuple[Round, ...], principles: Sequence[Principle], how: HowToRevise) -> History:
    sure = deciding(principles, how, surely=True)
    standing = len(rounds) - 1 if how.always else stands(rounds, principles, how)
    steering = {one.id for one in principles}
    scores = {name: value for name, value in rounds[standing].scores.items() if name in steering}
    failed = [one.id for one in broken(scores, principles)]
    unknown = [name for name, value in scores.items() if isinstance(value, Unscored)]
    status: Status = "failed" if failed else "unscored" if unknown else "passed"
    if how.steering is not None and not scores:
        return History(
            sample=sample, rounds=rounds, status="unscored", standing=standing,
            sentence="no critic that is admitted judges it: the scores inform, and nothing is revised",
        )  # fmt: skip
    steers = len(scores) < len(rounds[standing].scores)
    every = f"all {len(scores)} principles that apply{' and steer' if steers else ''}"
    if len(scores) == 1:
        every = f"the principle that applies{' and steers' if steers else ''}"
    times = f"after {len(rounds) - 1} revision{'s' if len(rounds) != 2 else ''}"
    sentence = {
        "failed": f"breaks {', '.join(failed)} {times}",
        "unscored": f"nobody could judge it by {', '.join(unknown)} {times}",
        "passed": f"keeps {every} {times}",
    }[status]
    if failed and len(rounds) == 1 and how.steering is not None and not minded(rounds[0], sure, how):
        sentence += "; not revised, since its critics part, or good replies score as low now and then"
    if standing < len(rounds) - 1:
        sentence += f"; kept {f'revision {standing}' if standing else 'as it was'}: {_why_not(rounds, principles)}"
    return History(sample=sample, rounds=rounds, status=status, sentence=sentence, standing=standing)


def _why_not(rounds: Sequence[Round], principles: Sequence[Principle]) -> str:
    first, last = rounds[0], rounds[-1]
    if found_nothing(last.critique):
        return "the reviser finds nothing to mend"
    before = {one.id for one in broken(first.scores, principles)}
    worse = [one.id for one in broken(last.scores, principles) if one.id not in before]
    if worse:
        return f"the last revision breaks {', '.join(worse)}"
    steering = {one.id for one in principles}
    unknown = [
        name for name, value in last.scores.items()
        if isinstance(value, Unscored) and name in steering and name not in before
    ]  # fmt: skip
    if unknown:
        return f"nobody could judge the last revision by {', '.join(unknown)}"
    return "the last revision mends nothing"
