"""The panel: principles with the critics and classifiers that judge by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.contracts import Critic, CriticKit
from harness.engine.programs import batches, guarded, run, together
from harness.engine.replies import finding_key
from harness.errors import BrokenRunError, InputError
from harness.hashing import sha256_json
from harness.plugin_code import check_findings, check_fingerprint, check_score, plugin_code
from harness.serial import from_json, to_json
from harness.types import Case, ClassifierStatus, Findings, NotApplicable, Unscored, Verdict

if TYPE_CHECKING:
    from harness.contracts import Classifier, Progress, RunContext
    from harness.engine.replies import ReplyCache
    from harness.evaluation.roles import Asking, Roles
    from harness.plugins import Registries
    from harness.types import Candidate, Judgement, Principle, Program, Response

Found = Mapping[str, Mapping[str, Findings]]
"""Findings by text and classifier."""
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One assembly of principles, critics and classifiers, none of them loaded."""

    principles: tuple[Principle, ...] = ()
    critics: Mapping[str, Critic] = field(default_factory=dict)
    """By name: those of the principles."""
    classifiers: Mapping[str, Classifier] = field(default_factory=dict)
    """Those that will run."""
    classifier_status: tuple[ClassifierStatus, ...] = ()
    also: tuple[str, ...] = ()
    """Roles that others than the critics ask."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Whom the critics ask, and others."""
        asked = (role for critic in self.critics.values() for role in roles_of(critic))
        return tuple(dict.fromkeys((*asked, *self.also)))

    def fingerprints(self, asking: Asking) -> dict[str, str]:
        """Return each critic's whole fingerprint: its own, its classifiers', and those of the roles that it asks.

        Raises:
            PluginError: when a critic's own is no text.
        """
        ran = {status.name: status.fingerprint for status in self.classifier_status}
        return {
            name: sha256_json(
                [fingerprint_of(critic, name), [ran.get(one, "") for one in critic.classifiers],
                 asking.fingerprint(roles_of(critic))]
            )
            for name, critic in self.critics.items()
        }  # fmt: skip

    def classify(self, responses: Sequence[Response], asking: Asking) -> Found:
        """Return the classifiers' findings on the completions, by text."""
        texts = list(dict.fromkeys(one.completion.text for one in responses if one.completion is not None))
        found = classify(
            self.classifiers, self.classifier_status, texts, cache=asking.pool.cache,
            progress=asking.progress or asking.pool.progress,
        )  # fmt: skip
        return dict(zip(texts, found, strict=True))

    def silent(self) -> dict[str, Findings]:
        """Return the findings where there is no text."""
        return {status.name: Unscored(reason="there is no reply to classify") for status in self.classifier_status}

    def verdicts(
        self,
        responses: Sequence[Response],
        asking: Asking,
        *,
        found: Found | None = None,
        part: Callable[[float], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> list[tuple[Verdict, ...]]:
        """Judge each response by every principle's critics; returns the verdicts of each, in that order.

        Args:
            responses: replies in their conversations.
            asking: who is asked.
            found: findings by text, where they are known already.
            part: wraps each batch, and is told its share of all, in (0, 1].

        Raises:
            PluginError: when a critic breaks its contract.
        """
        found = self.classify(responses, asking) if found is None else found
        fingerprints = self.fingerprints(asking)
        names = [(one.id, name) for one in self.principles for name in one.critics]
        places = [(response.index, *name) for response in responses for name in names]
        scores: list[Judgement] = []
        for lives in batches(self.programs(responses, found, asking.roles)):
            with part(len(lives) / len(places)):
                scores += run(together(lives), asking.answer)
        verdicts = [
            Verdict(principle=principle, critic=name, fingerprint=fingerprints[name], score=score,
                    rationale=rationale, completion=index)
            for (index, principle, name), (score, rationale) in zip(places, scores, strict=True)
        ]  # fmt: skip
        each = len(names)
        return [tuple(verdicts[place * each : (place + 1) * each]) for place in range(len(responses))]

    def programs(self, responses: Sequence[Response], found: Found, roles: Roles) -> Iterator[Program[Judgement]]:
        """Yield what judges each response, by every principle's critics in order."""
        played = {role: roles.candidate(role) for role in self.roles if role == "policy" or role in roles.others}
        for response in responses:
            for principle in self.principles:
                for name in principle.critics:
                    yield self._judge(response, principle, name, found, played)

    def _judge(
        self, response: Response, principle: Principle, name: str, found: Found, roles: Mapping[str, Candidate]
    ) -> Program[Judgement]:  # fmt: skip
        """Judge one response by one critic, where there is something to judge."""
        sample, reply, critic = response.sample, response.completion, self.critics[name]
        if not principle.applies_to(sample):
            return NotApplicable(reason="the principle does not speak of this sample's tags"), ""
        if reply is None:
            return Unscored(reason="there is no reply to judge"), ""
        case = Case(
            sample=sample, completion=reply, principle=principle, findings=found.get(reply.text, {}), roles=roles
        )
        what = f"the critic {name!r} on the sample {sample.id!r}"
        given = yield from guarded(lambda: critic.judge(case), what, critic, roles=critic.roles)
        return check_score(given, name, critic)

    def close(self) -> None:
        """Free the classifiers' memory."""
        for classifier in self.classifiers.values():
            classifier.close()


def roles_of(critic: Critic) -> tuple[str, ...]:
    """Return whom a critic asks: nobody, where it neither has requests nor a program of its own."""
    own = type(critic)
    return () if own.judge is Critic.judge and own.requests is Critic.requests else tuple(critic.roles)


def fingerprint_of(critic: Critic, name: str) -> str:
    """Return a critic's own fingerprint.

    Raises:
        PluginError: when it is no text.
    """
    with plugin_code(f"the fingerprint of the critic {name!r}", critic):
        given = critic.fingerprint()
    return check_fingerprint(given, f"the critic {name!r}", critic)


def make_critic(name: str, options: Mapping[str, Any], registries: Registries, context: RunContext) -> Critic:
    """Make a registered critic and hand it what it may use; nothing is loaded.

    Raises:
        InputError: for an unknown name, and wrong options.
    """
    make = registries.critics.get(name)
    with plugin_code(f"making the critic {name!r}", make):
        critic = make(options)
        critic.equip(
            CriticKit(
                context=context, verifier=registries.verifiers.get,
                critic=lambda other, given: make_critic(other, given, registries, context),
            )
        )  # fmt: skip
    return critic


@dataclass(frozen=True, kw_only=True)
class PanelOptions:
    """What a suite says of critics and classifiers."""

    critics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    classifiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    """Classifiers that the suite can do without."""
    also: tuple[str, ...] = ()
    """Classifiers that others than critics read."""
    where: Callable[[InputError, str, str], InputError] = lambda error, section, name: error  # noqa: ARG005
    """Puts the place into an error about the options of a name in the section `critics` or `classifiers`."""


def make_panel(
    principles: Sequence[Principle], registries: Registries, context: RunContext,
    options: PanelOptions | None = None,
) -> Panel:  # fmt: skip
    """Make the critics that principles name, and the classifiers that these read; nothing is loaded.

    Raises:
        InputError: for unknown names, wrong options, and classifiers that cannot run.
    """
    options = options or PanelOptions()
    critics: dict[str, Critic] = {}
    for principle in principles:
        for name in principle.critics:
            if name not in critics:
                registries.critics.get(name, key=f"critics of the principle {principle.id!r}")
                try:
                    critics[name] = make_critic(name, options.critics.get(name, {}), registries, context)
                except InputError as error:
                    raise options.where(error, "critics", name) from error
    wanted = [*options.also, *(name for critic in critics.values() for name in critic.classifiers)]
    classifiers: dict[str, Classifier] = {}
    status: list[ClassifierStatus] = []
    for name in dict.fromkeys(wanted):
        make_one = registries.classifiers.get(name, key="classifiers")
        try:
            with plugin_code(f"making the classifier {name!r}", make_one):
                classifier = make_one(options.classifiers.get(name, {}), context)
                given = classifier.fingerprint()
            fingerprint = check_fingerprint(given, f"the classifier {name!r}", classifier)
        except InputError as error:
            if name not in options.optional:
                raise options.where(error, "classifiers", name) from error
            status.append(ClassifierStatus(name=name, fingerprint="", ran=False, reason=str(error)))
            continue
        classifiers[name] = classifier
        status.append(ClassifierStatus(name=name, fingerprint=fingerprint, ran=True))
    return Panel(
        principles=tuple(principles), critics=critics, classifiers=classifiers, classifier_status=tuple(status)
    )


def classify(
    classifiers: Mapping[str, Classifier],
    status: Sequence[ClassifierStatus],
    texts: Sequence[str | None],
    *,
    cache: ReplyCache | None,
    progress: Progress,
) -> list[dict[str, Findings]]:
    """Return each text's findings by classifier; a text that is None gets Unscored from all.

    A classifier that did not load answers Unscored for every text, with its reason.
    """
    results: list[dict[str, Findings]] = [{} for _ in texts]
    for entry in status:
        if not entry.ran:
            for result in results:
                result[entry.name] = Unscored(reason=f"{entry.name} did not run: {entry.reason}")
            continue
        found = _one(entry.name, classifiers[entry.name], entry.fingerprint, texts, cache, progress)
        for result, text in zip(results, texts, strict=True):
            result[entry.name] = Unscored(reason="there is no reply to classify") if text is None else found[text]
    return results


def _one(
    name: str,
    classifier: Classifier,
    fingerprint: str,
    texts: Sequence[str | None],
    cache: ReplyCache | None,
    progress: Progress,
) -> dict[str, Findings]:
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    keys = {text: finding_key(fingerprint, text) for text in distinct}
    stored = cache.get_many(list(keys.values())) if cache is not None else {}
    found: dict[str, Findings] = {}
    for text in distinct:
        if keys[text] in stored:
            with suppress(InputError):  # a damaged entry is classified again
                found[text] = from_json(Findings, stored[keys[text]])  # type: ignore[arg-type]
    missing = sorted((text for text in distinct if text not in found), key=len)
    if not missing:
        return found
    bar = progress.start(f"classify: {name}", len(missing), unit="texts")
    try:
        for begin in range(0, len(missing), _BATCH):
            batch = missing[begin : begin + _BATCH]
            with plugin_code(f"the classifier {name!r}", classifier):
                answers = [check_findings(given, name, classifier) for given in classifier.classify(batch)]
            if len(answers) != len(batch):
                raise BrokenRunError(f"the classifier {name} gave {len(answers)} answers to {len(batch)} texts")
            found.update(zip(batch, answers, strict=True))
            if cache is not None:
                cache.put_many(
                    {
                        keys[text]: to_json(answer, Findings).encode()
                        for text, answer in zip(batch, answers, strict=True)
                        if not isinstance(answer, Unscored)
                    }
                )
            bar.advance(len(batch))
    finally:
        bar.finish()
    return found
