"""The judge phase: critics say what to ask, the judge's model is asked, critics read the replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evaluation.respond import Load
from harness.hashing import sha256_json
from harness.plugin_code import check_fingerprint, check_requests, plugin_code
from harness.types import Completion, NotApplicable, Reply, Request, Unscored, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Critic, Progress
    from harness.engine.alone import Answers
    from harness.evaluation.phases import Phase
    from harness.types import Candidate, Findings, Principle, Sample


@dataclass(frozen=True, kw_only=True)
class _Question:
    index: int
    sample: Sample
    reply: Completion
    principle: Principle
    critic: str
    requests: tuple[Request, ...]


def critic_fingerprints(
    critics: Mapping[str, Critic], classifier_fingerprints: Mapping[str, str], judge_fingerprint: str | None
) -> dict[str, str]:
    """Return each critic's whole fingerprint: its own, its classifiers' and the judge's."""
    return {
        name: sha256_json(
            [
                fingerprint_of(critic, name),
                [classifier_fingerprints.get(classifier, "") for classifier in critic.classifiers],
                judge_fingerprint,
            ]
        )
        for name, critic in critics.items()
    }


def fingerprint_of(critic: Critic, name: str) -> str:
    """Return a critic's own fingerprint.

    Raises:
        PluginError: when it is no text.
    """
    with plugin_code(f"the fingerprint of the critic {name!r}", critic):
        given = critic.fingerprint()
    return check_fingerprint(given, f"the critic {name!r}", critic)


def questions_of(
    critic: Critic, name: str, sample: Sample, reply: Completion, principle: Principle
) -> tuple[Request, ...]:
    """Return what a critic asks the judge about a reply.

    Raises:
        PluginError: when the critic raises, or gives something else than requests.
    """
    with plugin_code(f"the critic {name!r}, asked for its requests on the sample {sample.id!r},", critic):
        given = critic.requests(sample, reply, principle)
    return check_requests(given, f"the critic {name!r}", critic)


def judge(
    core: Answers | None,
    candidate: Candidate | None,
    samples: Sequence[Sample],
    completions: Sequence[Completion | None],
    findings: Sequence[Mapping[str, Findings]],
    principles: Sequence[Principle],
    critics: Mapping[str, Critic],
    fingerprints: Mapping[str, str],
    *,
    label: str,
    phase: Phase,
) -> list[tuple[Verdict, ...]]:
    """Return each sample's verdicts, one per principle and critic.

    What is asked holds each conversation several times over, so that it is asked in windows of its own.

    Args:
        core: of the judge's model; None where no critic asks one.
        candidate: the judge.
        samples: what was asked.
        completions: what was answered; None where there is no completion, which is Unscored.
        findings: by sample and classifier.
        principles: to judge by.
        critics: by name.
        fingerprints: whole ones, by critic.
        label: what the progress bar says.
        phase: where it is drawn.
    """
    verdicts: list[list[Verdict]] = [[] for _ in samples]
    waiting: list[_Question] = []
    load = Load()
    begin = 0
    for index, (sample, reply) in enumerate(zip(samples, completions, strict=True)):
        for principle in principles:
            for name in principle.critics:
                early = _early(sample, reply, principle)
                if early is not None:
                    verdicts[index].append(
                        Verdict(principle=principle.id, critic=name, fingerprint=fingerprints[name], score=early)
                    )
                elif reply is not None:
                    asked = questions_of(critics[name], name, sample, reply, principle)
                    load.add(asked)
                    waiting.append(
                        _Question(
                            index=index, sample=sample, reply=reply, principle=principle, critic=name, requests=asked
                        )
                    )
        if load.full or index == len(samples) - 1:
            with phase.part(index + 1 - begin):
                answers = _ask(core, candidate, waiting, label, phase)
            for question in waiting:
                verdicts[question.index].append(
                    critics[question.critic].verdict(
                        question.sample, question.reply, question.principle,
                        tuple(answers[request] for request in question.requests), findings[question.index],
                        name=question.critic, fingerprint=fingerprints[question.critic],
                    )
                )  # fmt: skip
            waiting, load, begin = [], Load(), index + 1
    return [tuple(own) for own in verdicts]


def _early(sample: Sample, reply: Completion | None, principle: Principle) -> Unscored | NotApplicable | None:
    if not principle.applies_to(sample):
        return NotApplicable(reason="the principle does not speak of this sample's tags")
    if reply is None:
        return Unscored(reason="there is no reply to judge")
    return None


def _ask(
    core: Answers | None,
    candidate: Candidate | None,
    questions: Sequence[_Question],
    label: str,
    progress: Progress,
) -> dict[Request, Reply]:
    asked = list(dict.fromkeys(request for question in questions for request in question.requests))
    if not asked or core is None or candidate is None:
        return {}
    return dict(zip(asked, core.answer(candidate, asked, label=label, progress=progress), strict=True))
