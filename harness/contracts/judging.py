"""The contracts of what judges replies: classifiers, verifiers and critics; and of tools."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.contracts.context import RunContext
from harness.plugin_code import check_requests
from harness.types import (
    Case,
    Completion,
    Findings,
    Judgement,
    NotApplicable,
    Principle,
    Program,
    Reply,
    Request,
    Sample,
    Unscored,
    ask,
)


class Classifier(ABC):
    """Labels a text. Deterministic: the same text and options give the same findings.

    Args:
        options: what the suite says under the classifier's name.
        context: where it runs.
    """

    labels: ClassVar[tuple[str, ...]] = ()
    """Every label it can give; empty where the options decide."""

    def __init__(self, options: Mapping[str, Any], context: RunContext) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of weights, options and version, without loading them: it keys the cache.

        Raises:
            InputError: when weights or packages are absent, with the command that brings them.
        """

    @abstractmethod
    def classify(self, texts: Sequence[str]) -> Sequence[Findings]:
        """Return the findings of each text, in order.

        Classifiers of a whole text return a finding for every label with its probability; finders of spans return one
        finding per span, and an empty tuple where there is none. A text that it cannot judge is `Unscored`.
        """

    def close(self) -> None:  # noqa: B027 - most classifiers have nothing to close
        """Free memory."""


Verifier = Callable[[Case], "float | bool | Unscored | NotApplicable"]
"""A check in code, registered by a plugin: 1 or True where the reply is as it should be, a share of it, or why not."""


@dataclass(frozen=True, kw_only=True)
class CriticKit:
    """What a critic may use besides its options."""

    context: RunContext
    critic: Callable[[str, Mapping[str, Any]], Critic]
    """Makes another registered critic, by name and options."""
    verifier: Callable[[str], Verifier]
    """Returns a registered verifier by name."""


Tool = Callable[[Mapping[str, Any], Sample], Any]
"""A tool that a conversation's candidate may call: from the arguments, which fit its JSON schema, and the sample, to a
JSON value. It is called again in each run, so that equal arguments must give equal values."""


class Critic(ABC):
    """Judges a reply by a principle. It never holds a model: it says what to ask, and reads the replies.

    Args:
        options: what the constitution or suite says under the critic's name.
    """

    classifiers: tuple[str, ...] = ()
    """Registered classifiers whose findings on the reply it wants; a constructor may choose them by its options."""
    roles: tuple[str, ...] = ("judge",)
    """Whom it may ask."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})

    def equip(self, kit: CriticKit) -> None:  # noqa: B027 - most critics need nothing of it
        """Take what it may use; called once, after it was made and before anything else. Loads nothing.

        Raises:
            InputError: for a critic or verifier that nothing answers to, or weights that are not here.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of version, prompts and options (the run adds those of its roles and classifiers)."""

    def judge(self, case: Case) -> Program[Judgement]:
        """Judge a reply, asking as often as it takes; return the score in [0, 1] and a rationale, which may be empty.

        Without an own `judge`, a critic asks once: what `requests` says, and `score` reads the replies.
        """
        requests = self.requests(case.sample, case.completion, case.principle)
        what = f"the critic {type(self).__name__}"
        requests = check_requests(requests, what, self)
        replies = (yield ask("judge", *requests)) if requests else ()
        return self.score(case.sample, case.completion, case.principle, replies, case.findings)

    def requests(self, sample: Sample, reply: Completion, principle: Principle) -> tuple[Request, ...]:  # noqa: ARG002 - for those who override it
        """Return what to ask the judge model; nothing for critics that need none."""
        return ()

    def score(
        self,
        sample: Sample,
        reply: Completion,
        principle: Principle,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
    ) -> Judgement:
        """Return the score in [0, 1] (1 follows the principle) and a rationale, which may be empty.

        `replies` are the judge's, in the order of `requests`; `findings` those of `classifiers` on `reply.text`.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither `judge` nor `score`")
