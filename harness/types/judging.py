"""What classifiers find, what critics judge, and all that is known of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from harness.hashing import sha256_json
from harness.types.asking import Candidate, Completion, Message, NotApplicable, Reply, Request, Sample, Unscored

if TYPE_CHECKING:
    import numpy as np

    from harness.types.programs import Program

Row = tuple[float, ...]
"""What one sample adds to a metric: k numbers whose weighted sums `Metric.estimate` turns into values."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a classifier says about a text."""

    label: str
    probability: float
    """In [0, 1]."""
    span: tuple[int, int] | None = None
    """Half-open character range within the text; None where the label speaks of the whole."""


Findings = tuple[Finding, ...] | Unscored
"""What one classifier says of one text. An empty tuple means: looked, and found nothing."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A labelled example of a principle, used to test its critics."""

    kind: Literal["pass", "fail", "near_miss"]
    """`near_miss` looks like a violation and is not one: critics should pass it."""
    prompt: str
    response: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class AppliesTo:
    """Which samples a principle speaks of."""

    any_tag: tuple[str, ...] = ()
    """At least one of these; empty means every sample."""
    no_tag: tuple[str, ...] = ()
    """None of these."""

    def __call__(self, sample: Sample) -> bool:
        """Tell whether the principle applies to the sample."""
        tags = set(sample.tags)
        return (not self.any_tag or bool(tags & set(self.any_tag))) and not tags & set(self.no_tag)


@dataclass(frozen=True, kw_only=True)
class Principle:
    """One rule of a constitution, with everything needed to judge by it and to revise towards it."""

    id: str
    text: str
    """The rule itself, as one would say it to a person."""
    weight: float = 1.0
    """Share within its constitution; weights are normalised to sum to 1."""
    critique: str = ""
    """Instruction for pointing out violations."""
    revise: str = ""
    """Instruction for rewriting an answer so that it follows the rule."""
    critics: tuple[str, ...] = ("judge",)
    """Names of registered critics."""
    combine: Literal["worst", "mean"] = "worst"
    """How the verdicts of several critics become one."""
    threshold: float = 0.5
    """A score of at least this follows the principle."""
    applies_to: AppliesTo = AppliesTo()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Constitution:
    """Weighted principles."""

    id: str
    version: int
    principles: tuple[Principle, ...]
    about: str = ""
    fingerprint: str = ""
    """SHA-256 of the content, so that a run says exactly which constitution judged it."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """A reply in its conversation, to be judged."""

    sample: Sample
    """Its messages are the conversation as it went, up to the reply."""
    completion: Completion | None
    """None where no reply came."""
    index: int = 0
    """Which of the sample's replies it is, from 0."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a critic judges: a reply in its conversation, by a principle."""

    sample: Sample
    """Its messages are the conversation as it went, up to the reply."""
    completion: Completion
    principle: Principle
    findings: Mapping[str, Findings]
    """By classifier: of those that the critic names, on the reply's text."""
    roles: Mapping[str, Candidate] = field(default_factory=dict)
    """Who plays the roles that critics may ask: an adapter may have been trained on certain words."""

    @property
    def conversation(self) -> tuple[Message, ...]:
        """All turns before the reply."""
        return self.sample.messages

    def generator(self) -> np.random.Generator:
        """Return a generator of random numbers that depends on the case alone, so that a program can be replayed."""
        import numpy as np

        key = [self.sample.id, [[turn.role, turn.content] for turn in self.conversation], self.completion.text]
        return np.random.default_rng(int(sha256_json([key, self.principle.id])[:16], 16))


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a reply, and what the critics say of it."""

    text: str
    verdicts: tuple[Verdict, ...] = ()
    note: str = ""
    """How it came about, such as the critique of the version before."""


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """What who rewrites replies is told of one."""

    response: Response
    """The reply in its conversation."""
    versions: tuple[Version, ...]
    """So far, the reply itself first; at least one."""
    roles: Mapping[str, Candidate]
    """Who plays the roles that may be asked."""


class Rewriter(Protocol):
    """Writes versions of replies anew, each time told what the critics say of the last one."""

    name: str
    principles: tuple[Principle, ...]
    """By which each version is judged."""
    roles: tuple[str, ...]
    """Whom `rewrite` asks; the metric's `roles` name them too."""

    def check(self, roles: Mapping[str, Candidate]) -> None:
        """Refuse, before anything is asked, whoever may not play these roles (InputError)."""

    def rewrite(self, case: Rewriting) -> Program[tuple[str, str] | None]:
        """Return the next version and how it came about; None where the last one stays."""
        ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One critic's judgement of one reply by one principle."""

    principle: str
    critic: str
    fingerprint: str
    """The critic's version, prompt and model, hashed."""
    score: float | Unscored | NotApplicable
    """In [0, 1]; 1 follows the principle, 0 violates it."""
    rationale: str = ""
    completion: int = 0
    """Which of the sample's replies: 0 is the first."""


Judgement = tuple[float | Unscored | NotApplicable, str]
"""What a critic says of a reply: a score in [0, 1], 1 follows the principle, and a rationale, which may be empty."""


@dataclass(frozen=True, kw_only=True)
class CalibratedReply:
    """One labelled reply with what the critics made of it; its text is not kept."""

    follows: bool
    """What people say."""
    score: float | None
    """The critics' together, in [0, 1]; None where they gave none."""
    characters: int
    """Of the reply."""
    id: str = ""
    by: str = ""
    """The model that wrote it, where the label file says so."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """A map from scores to probabilities that a reply follows the principle, fitted on labelled replies."""

    method: Literal["platt", "isotonic"]
    parameters: tuple[float, ...]
    """Platt: slope and intercept on the score's log-odds. Isotonic: score and probability of each step, in turn."""


@dataclass(frozen=True, kw_only=True)
class Bias:
    """How far scores move with what should not matter."""

    name: str
    """`length`, `position`, `wording`, `self-preference`."""
    value: float | None
    """Correlation or mean difference, 0 where there is no bias; None where it could not be measured."""
    low: float | None = None
    high: float | None = None
    """Two-sided 90 % bounds."""
    n: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CriticCalibration:
    """How often critics were right about a principle on replies that people labelled. A violation is the positive case.

    What could not be scored counts as wrong in both rates, and not at all in the AUC.
    """

    principle: str
    critics: tuple[str, ...]
    """Judging together, as the principle combines them."""
    labeller: str
    """What was calibrated: `sha256:` and 16 digits of the hash of the principle and of its critics' whole fingerprints
    (code, prompts, options, classifiers, and the judge with its weights, adapters and decoding)."""
    fingerprints: Mapping[str, str]
    """By critic."""
    roles: Mapping[str, str]
    """Who was asked, by role."""
    data: str
    """SHA-256 of the labelled file."""
    sensitivity: tuple[int, int]
    """(found, all) of the replies that break the principle."""
    specificity: tuple[int, int]
    """(let through, all) of those that follow it."""
    unscored: int
    auc: float | None
    """Probability that a violation scores below what is none, ties counting half; None where one side is unscored."""
    threshold: float
    """A score of at least this follows the principle."""
    created: str = ""
    """ISO 8601, UTC."""
    id: str = ""
    """Of the artifact."""
    where: str = ""
    """Name of the labelled file."""
    not_applicable: int = 0
    """Labelled replies to which the critics' question does not arise; they are in no count."""
    outputs: str = "replies"
    """The kind of output that was labelled: gates rest on it in suites whose replies are of that kind."""
    replies: tuple[CalibratedReply, ...] = ()
    scaling: Scaling | None = None
    suggested: float | None = None
    """The threshold that would let most through of what follows and find most of what breaks, by cross-validation."""
    biases: tuple[Bias, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SampleRecord:
    """Everything one run knows of one sample."""

    sample: Sample
    replies: tuple[tuple[Request, Reply], ...]
    findings: Mapping[str, Findings]
    """By classifier."""
    verdicts: tuple[Verdict, ...]
    rows: Mapping[str, Row | Unscored | NotApplicable]
    """By metric name."""
    rewritten: Mapping[str, tuple[tuple[Version, ...], ...]] = field(default_factory=dict)
    """By the name of who rewrote: of each completion all versions, the reply itself first."""

    @property
    def text(self) -> str | None:
        """The first completion's text; None where the sample has none."""
        return next((reply.text for _, reply in self.replies if isinstance(reply, Completion)), None)
