"""What is measured on a run, and what is decided from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from harness.types.asking import Candidate, Completion, Timing
from harness.types.programs import BoundRole, RoleRef

Direction = Literal["higher", "lower", "neither"]
Status = Literal["passed", "failed", "inconclusive"]
CheckStatus = Literal["passed", "failed", "inconclusive", "not_applicable"]
OverallStatus = Literal["passed", "failed", "inconclusive", "ungated"]
"""Of a run or a decision; see `worst_status`."""
DeviceKind = Literal["cpu", "cuda", "mps"]
Review = Literal["none", "manual"]
LedgerKind = Literal[
    "run", "removal", "policy", "attempt", "decision", "review", "promotion", "refusal", "rollback", "reset", "draw",
    "reveal", "look"
]  # fmt: skip


def worst_status(statuses: Iterable[CheckStatus | OverallStatus]) -> OverallStatus:
    """Return the worst: `failed`, `inconclusive`, `passed`; where nothing was checked or nothing applies, `ungated`."""
    found = set(statuses)
    order: tuple[OverallStatus, ...] = ("failed", "inconclusive", "passed")
    return next((status for status in order if status in found), "ungated")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How often the labeller of a proportion's event agreed with people: what a correction for its errors needs."""

    sensitivity: tuple[int, int]
    """(labelled as the event, all) of what people label as the event."""
    specificity: tuple[int, int]
    """(labelled otherwise, all) of the rest."""
    where: str = ""
    """On which data it was counted."""
    of: str = ""
    """What was counted, as `harness.evaluation.calibrated` names it; gates rest on it where the same labels."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What a critic must have shown on labelled replies before a gate may rest on it."""

    youden: float = 0.4
    """Least one-sided 95 % lower bound of sensitivity + specificity − 1."""
    positives: int = 50
    """Least number of labelled replies that break the principle."""
    negatives: int = 50
    """Least number of those that follow it."""
    shared: tuple[str, ...] = ()
    """Critics that may gate though they, their judge or its training data had a part in training the candidate."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric's value on a run, with its interval."""

    metric: str
    kind: str
    """See `harness.stats.kinds`."""
    direction: Direction
    value: float | None
    """None where nothing could be scored."""
    low: float | None
    high: float | None
    """Two-sided bounds at `confidence`; None for kind `run` and for what cannot be bounded."""
    n: int
    """Samples in the denominator, unscored ones included."""
    unscored: int
    not_applicable: int = 0
    confidence: float = 0.90
    """Two-sided: 0.90 leaves 5 % on each side, so each bound is a one-sided 95 % bound."""
    method: str = ""
    """The procedure, such as `Clopper–Pearson` or `BCa bootstrap (10,000)`."""
    unit: str = ""
    worst_case: tuple[float, float] | None = None
    """The interval if every unscored sample were the worst or the best; None where the metric has no bounds."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition on one metric."""

    metric: str
    kind: str
    """See `harness.gates.kinds`."""
    limit: float | None = None
    """The number for `min`, `max` (in the metric's unit) and `max_unscored` (a share of the samples)."""
    margin: float | None = None
    """In the metric's unit, above 0. `non_inferior`: the largest loss that counts as none; `equivalent`: the largest
    difference either way that does."""
    to: str | None = None
    """What a comparison compares with: `promoted`, `base`, `first_promoted` or an adapter reference."""
    anchor: str | None = None
    """For `non_inferior`: what it compares with too and what stays the same over promotions: `base`, `first_promoted`
    or an adapter reference."""
    total_margin: float | None = None
    """The largest loss against the anchor that counts as none: what many small losses may add up to."""
    evidence: Literal["bound", "point"] = "bound"
    """`bound`: the one-sided bound at level alpha must clear the limit; `point`: the value alone, labelled as such."""
    alpha: float = 0.05
    devices: tuple[DeviceKind, ...] = ()
    """Where it holds, such as a limit on seconds that only a GPU can meet; empty is everywhere. On another device its
    check is `not_applicable`, which is said and is no pass."""
    each: Literal["principle"] | None = None
    """Asks the same of each principle that the metric has values for; see `harness.gates.by_principle`."""
    corrected: bool = False
    """For `min` and `max`: about the proportion corrected for its labeller's errors, instead of the labelled one."""
    cap: float | None = None
    """For metrics without a range: a text's value counts as at most so much (under `min`: at least), or of a comparison
    its difference as at most so much either way, in the metric's unit."""
    correction: str = ""
    """Empty, or what a plugin registered; `prediction_powered` is about what people say of a random part of the
    replies, which the labeller's word on all of them makes narrower; see docs/statistics.md."""

    @property
    def arms(self) -> tuple[str, ...]:
        """What it compares with, besides the candidate: nothing, one arm, or one and the anchor."""
        return tuple(dict.fromkeys(name for name in (self.to, self.anchor) if name is not None))


@dataclass(frozen=True, kw_only=True)
class AnchorCheck:
    """The part of a `non_inferior` gate that compares with its anchor."""

    status: Status
    baseline: Estimate | None
    """The anchor's value."""
    difference: float | None
    """Candidate minus anchor, in the metric's unit."""
    low: float | None
    high: float | None
    """Bounds of the difference."""
    p: float | None
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A gate's verdict on a run."""

    gate: Gate
    status: CheckStatus
    sentence: str
    """One sentence a person can act on."""
    estimate: Estimate | None
    baseline: Estimate | None = None
    difference: float | None = None
    """Candidate minus baseline, in the metric's unit."""
    low: float | None = None
    high: float | None = None
    """Bounds of what the gate looked at: the value, or the difference where it compares."""
    p: float | None = None
    """The level at which the gate would just pass: where it asks several things, the largest of their p values."""
    method: str = ""
    corrected: Estimate | None = None
    """For gates with a correction: the corrected value, beside what was labelled in `estimate`."""
    anchor: AnchorCheck | None = None
    """For `non_inferior` with an anchor: what was found against it. The verdict is that of both together."""


@dataclass(frozen=True, kw_only=True)
class Veto:
    """A plugin's refusal of a promotion."""

    owner: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PolicySuite:
    """One suite that a policy asks for."""

    suite: str
    limit: int | None = None
    samples: tuple[int, ...] = ()
    """The schedule of looks, rising: so many samples at the first look, more at the next; empty is one look."""
    deciding: float | None = None
    """Share of the suite's clusters, by hash, that decide and whose replies and rows are hidden; None hides nothing."""
    fresh: bool | None = None
    """Whether each attempt draws samples by which none has decided and that nobody saw, as long as there are some."""
    constitution: str | None = None
    """Replaces the constitution that the suite's adherence is judged by."""
    gates: tuple[Gate, ...] | None = None
    """Replace the suite's own gates where given."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which suites and gates promotion needs."""

    id: str
    suites: tuple[PolicySuite, ...]
    alpha: float = 0.05
    """One-sided, for all attempts under this version of the policy together."""
    judge: str | None = None
    """Reference of the judge model; None is what the settings say, else what ships for it."""
    review: Review = "none"
    """`manual`: a person must approve a decision that passed before it can be promoted."""
    attempts: int | None = None
    """How many may be made between two promotions, each at an equal part of alpha; None is any number."""
    looks: tuple[float, ...] = ()
    """Shares of every suite's samples that are looked at in order until one decides, the last 1; empty is one look."""
    fdr: str = ""
    """`saffron`: alpha is the false discovery rate of promotions on fresh samples; see docs/promotion.md."""
    left_out: tuple[str, ...] = ()
    """What a reader might expect it to ask for, and why it does not."""
    admission: Admission = Admission()
    """What critics must have shown that its gates on adherence rest on."""
    unverifiable: Literal["allow", "refuse"] = "allow"
    """Whether it decides on candidates whose weights nobody here can check: served models."""
    about: str = ""
    fingerprint: str = ""
    """SHA-256 of its content with every gate, those of the suites' own files too; the texts that only inform, `about`
    and `left_out`, are no part of it."""


@dataclass(frozen=True, kw_only=True)
class ClassifierStatus:
    """Whether a classifier that the suite names ran."""

    name: str
    fingerprint: str
    ran: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PrecisionShift:
    """How far a metric moves when the same samples are computed in float32: the run's value minus that."""

    metric: str
    to: str | None
    """None for the metric's value; else the baseline whose difference to the candidate is meant."""
    n: int
    """Samples computed both ways."""
    unscored: int
    """Of them, those that could not be scored in one of the ways."""
    changed: int
    """Of them, those that are not scored alike both ways."""
    value: float | None
    """In the run's number format, on those samples."""
    reference: float | None
    """In float32, on those samples."""
    low: float | None
    high: float | None
    """Bounds of the shift at one-sided level `alpha` each; None where the data cannot bound it."""
    alpha: float
    method: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PrecisionCheck:
    """What computing in another number format than float32 does to the metrics of a run's gates."""

    dtype: str
    """The run's number format, such as `bfloat16`."""
    asked: int
    """Samples to compute again for each metric; 0 where a person asked for none."""
    samples: int
    """Distinct samples that were computed again."""
    shifts: tuple[PrecisionShift, ...] = ()
    reason: str = ""
    """Why nothing was compared; empty where it was."""
    requests: int = 0
    model_calls: int = 0
    """Requests that were not in the cache."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a base answered."""

    effort: float
    """Work of what it was asked, in tokens that are read: see `harness.engine.core`."""
    seconds: float
    """Loading included."""

    @property
    def rate(self) -> float:
        """Work per second."""
        return self.effort / max(self.seconds, 1e-6)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One candidate on one suite: the content of `run.json`, beside `samples.parquet`."""

    id: str
    created: str
    """ISO 8601, UTC."""
    harness_version: str
    suite: str
    suite_version: int
    suite_fingerprint: str
    """SHA-256 of the suite's content without its gates."""
    candidate: Candidate
    candidate_fingerprint: str
    """SHA-256 over weights, adapters, dtype, backend, template, system prompt and decoding."""
    judge: Candidate | None
    judge_fingerprint: str | None
    seed: int
    limit: int | None
    samples: int
    samples_fingerprint: str
    """SHA-256 over ids, content hashes, tags and clusters in order: two runs pair where these agree."""
    estimates: tuple[Estimate, ...]
    checks: tuple[Check, ...]
    classifiers: tuple[ClassifierStatus, ...]
    critics: Mapping[str, str]
    """Fingerprint by critic."""
    constitutions: Mapping[str, str]
    """Fingerprint by constitution id."""
    baseline_runs: Mapping[str, str]
    """Id of the run that comparisons used, by what the gates call it (`promoted`, `base` or a reference)."""
    requests: int
    model_calls: int
    """Requests that were not in the cache."""
    seconds: float
    environment: Mapping[str, str]
    """Versions of Python, torch, transformers and plugins; device; dtype."""
    notes: tuple[str, ...] = ()
    """What a reader must know, such as that the judge is the bare base of both arms."""
    samples_sha256: str = ""
    """SHA-256 of samples.parquet."""
    roles: Mapping[str, BoundRole] = field(default_factory=dict)
    """Who else than the candidate was asked, and who bound it, by role."""
    pace: Mapping[str, Pace] = field(default_factory=dict)
    """Of the bases that were really asked, by name: what forecasts of later runs rest on."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Options of the suite that were set for this run, by dotted key; they are in `suite_fingerprint` too."""
    few_shot: int = 0
    """Solved examples before each question."""
    precision: Annotated[PrecisionCheck | None, Field(validation_alias=AliasChoices("precision", "drift"))] = None
    """None where all was computed in float32, and for models whose arithmetic nobody can repeat."""
    admission: Admission = Admission()
    """What critics had to have shown that its gates on adherence rest on."""
    shared_critics: Mapping[str, str] = field(default_factory=dict)
    """Critics that had a part in training the candidate, and what part."""

    @property
    def status(self) -> OverallStatus:
        """The worst of its checks; `ungated` where it has none that applies."""
        return worst_status(check.status for check in self.checks)

    @property
    def accepted(self) -> bool:
        """Whether its gates passed, or nobody asked for any: gates of which none applies have passed nothing."""
        return self.status == "passed" or not self.checks


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a candidate may be promoted over a baseline: everything it rests on, by hash."""

    id: str
    created: str
    policy: str
    policy_fingerprint: str
    candidate: Candidate
    candidate_fingerprint: str
    baseline: Candidate
    baseline_fingerprint: str
    runs: Mapping[str, str]
    """SHA-256 of run.json by id of the candidate's runs."""
    baseline_runs: Mapping[str, str]
    checks: tuple[tuple[str, Check], ...]
    """(suite, check)."""
    vetoes: tuple[Veto, ...]
    status: OverallStatus
    """`passed` alone can be promoted."""
    sentence: str
    attempt: int = 0
    """Which attempt under the policy's version it is, 1 for the first; 0 where it is exploratory and spends none."""
    level: float = 0.0
    """The one-sided level at which its gates were checked: the attempt's share of alpha, and the look's of that."""
    look: int = 1
    """Which of the `looks` that the policy's schedule of samples declares, 1 for the first."""
    looks: int = 1
    exploratory: str = ""
    """Why it can never be promoted, whatever its gates say; empty where it counts."""
    review: Review = "none"
    """`manual` where a person must approve it first."""
    left_out: tuple[str, ...] = ()
    """What the policy says that it does not ask for."""
    drawn: tuple[str, ...] = ()
    """What is said of the samples that it rests on, where its policy hides some."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """What the model said of the candidate's bytes: hash of the base, ids of the adapters, template."""
    verifiable: bool = True
    """Whether that pins the candidate's weights; False for a served model, which can change unseen."""

    @property
    def p(self) -> float:
        """The level at which its gates would just have passed all together; 1 where one cannot pass at any."""
        if self.vetoes:
            return 1.0
        known = [1.0 if check.p is None else check.p for _, check in self.checks
                 if check.p is not None or check.status not in {"passed", "not_applicable"}]  # fmt: skip
        return max(known, default=1.0)


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One row of the ledger."""

    number: int
    """1-based, without gaps."""
    created: str
    kind: LedgerKind
    body: Mapping[str, Any]
    previous: str
    """Hash of the row before; 64 zeros for the first."""
    hash: str
    """SHA-256 over number, created, kind, body and previous."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What metrics of kind `run` see: measurements of this very run, never from the cache."""

    timings: tuple[tuple[Completion, Timing], ...]
    """One per timed request, sent one at a time."""
    peak_memory: int
    """Bytes: peak resident set of this process (CPU) or peak allocated on the device."""
    generated_tokens: int
    seconds: float
    """Wall time spent generating."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What one invocation of `harness run` was asked, before anything is resolved."""

    suites: tuple[str, ...]
    model: str
    adapters: tuple[str, ...] = ()
    baseline: str | None = None
    roles: Mapping[str, RoleRef] = field(default_factory=dict)
    """Who plays the roles besides the candidate; those that are missing here are bound by suites or by default."""
    principles: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0
    offline: bool = False
    constitution: str | None = None
    data: str | None = None
    """Replaces the suite's own data file."""
