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
from harness_revision.prompts import PROMPT, SHIPPED, TASK, Flaw, draw_exemplars, messages_for, shown_messages

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
    """Revise once by a principle drawn from all that apply; nobody judges the first version then."""


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


@dataclass(frozen=True, kw_only=True)
class History:
    """A reply and its revisions, the first version first."""

    sample: Sample
    rounds: tuple[Round, ...]
    status: Status
    """`passed`: the last version keeps every principle. `failed`: it does not. `unscored`: nobody could tell. `silent`:
    the reviser returned nothing."""
    sentence: str

    @property
    def reply(self) -> str:
        """The last version."""
        return self.rounds[-1].reply

    @property
    def revised(self) -> bool:
        """Whether there is more than one version."""
        return len(self.rounds) > 1


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
    unread: list[dict[str, Score]] = [{} for _ in responses]
    scored = unread if how.always else score(responses, principles, models)
    found = [
        _judged(response.sample, (Round(reply=_text(response), scores=own),), principles)
        for response, own in zip(responses, scored, strict=True)
    ]
    if watch is not None and found:
        watch(0, [history.reply for history in found])
    for number in range(1, how.rounds + 1):
        before_round = list(found)
        open_ = [
            index for index, history in enumerate(found)
            if history.status == "failed" or (how.always and number == 1)
        ]  # fmt: skip
        if not open_:
            break
        drafts = models.ask(draft(found[index], principles, models, how, number) for index in open_)
        told = [(index, one) for index, one in zip(open_, drafts, strict=True) if one.reply.strip()]
        for index, one in zip(open_, drafts, strict=True):
            if not one.reply.strip():
                found[index] = replace(
                    found[index], status="silent",
                    sentence=f"the reviser returned nothing in round {number}; name another: --role reviser=MODEL",
                )  # fmt: skip
        again = [said(found[index].sample, one.reply) for index, one in told]
        for (index, one), own in zip(told, score(again, principles, models), strict=True):
            before = found[index]
            found[index] = _judged(before.sample, (*before.rounds, replace(one, scores=own)), principles)
        if watch is not None and watch(number, [history.reply for history in found]):
            return before_round
    return found


def draft(
    history: History, principles: Sequence[Principle], models: Players, how: HowToRevise, number: int
) -> Program[Round]:  # fmt: skip
    """Criticise and revise the last version by one of the principles that it breaks; its reply may be empty."""
    generator = random_of(history.sample, how.seed, number)
    last = history.rounds[-1]
    failed = broken(last.scores, principles) or [one for one in principles if one.applies_to(history.sample)]
    principle = _pick(failed, generator if how.sampled else None)
    flaw = Flaw.of(history.sample.messages, last.reply, principle)
    critique, revision = yield from criticise_and_revise(flaw, models, how, generator)
    return Round(reply=revision, scores={}, principle=principle.id, critique=critique)


def criticise_and_revise(
    flaw: Flaw, models: Players, how: HowToRevise, generator: np.random.Generator
) -> Program[tuple[str, str]]:  # fmt: skip
    """Ask the reviser for a critique and then for a revision; either is empty where nothing came."""
    decoding = Decoding(max_new_tokens=how.max_new_tokens, seed=how.seed)
    trained = trained_on(models.candidate("reviser").adapters, task=TASK, prompt=PROMPT, shipped=SHIPPED)
    examples = () if trained else draw_exemplars(generator, how.exemplars)

    def asked(critique: str | None) -> tuple[Message, ...]:
        return messages_for(flaw, critique) if trained else shown_messages(flaw, critique, examples)

    (first,) = yield ask("reviser", Generate(messages=asked(None), decoding=replace(decoding, max_new_tokens=64)))
    critique = first.text.strip() if isinstance(first, Completion) else ""
    # What it says is read as its own turn: a critique without words is replaced, for a template takes no empty turn.
    shown = critique or f"It does not follow the rule {flaw.principle}."
    (second,) = yield ask("reviser", Generate(messages=asked(shown), decoding=decoding))
    return critique, clean_reply(second.text) if isinstance(second, Completion) else ""


def clean_reply(text: str) -> str:
    """Return a revision without the marks of the quotation that it was asked to replace."""
    lines = [line.removeprefix("> ") for line in text.strip().splitlines()]
    return "\n".join(lines).strip()


def score(
    responses: Sequence[Response], principles: Sequence[Principle], models: StageModels
) -> list[dict[str, Score]]:  # fmt: skip
    """Return what each principle's critics together say of each reply."""
    if not responses:
        return []
    return [
        {
            principle.id: combine_verdicts(principle, [one for one in own if one.principle == principle.id])
            for principle in principles
            if principle.applies_to(response.sample)
        }
        for response, own in zip(responses, models.verdicts(responses), strict=True)
    ]


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


def _judged(sample: Sample, rounds: tuple[Round, ...], principles: Sequence[Principle]) -> History:
    scores = rounds[-1].scores
    failed = [one.id for one in broken(scores, principles)]
    unknown = [name for name, value in scores.items() if isinstance(value, Unscored)]
    status: Status = "failed" if failed else "unscored" if unknown else "passed"
    times = f"after {len(rounds) - 1} revision{'s' if len(rounds) != 2 else ''}"
    sentence = {
        "failed": f"breaks {', '.join(failed)} {times}",
        "unscored": f"nobody could judge it by {', '.join(unknown)} {times}",
        "passed": f"keeps all {len(scores)} principles that apply {times}",
    }[status]
    return History(sample=sample, rounds=rounds, status=status, sentence=sentence)
