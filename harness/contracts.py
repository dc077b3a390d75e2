"""The contracts of the plugin kinds: what a plugin's class must do, and what it may rely on.

Plugins receive data; never the runner, a configuration that is not theirs, or each other. A constructor is cheap:
weights, tokenizers and heavy packages load on first use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from harness.plugin_code import check_requests
from harness.types import (
    Calibration,
    Candidate,
    Case,
    Completion,
    Decoding,
    Direction,
    Event,
    Findings,
    Judgement,
    ModelSpec,
    NoReply,
    NotApplicable,
    Principle,
    Program,
    Replies,
    Reply,
    Request,
    Rewriter,
    Row,
    RunFacts,
    Sample,
    StageInput,
    StageOutput,
    Unscored,
    Verdict,
    Version,
    ask,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.engine.spending import Spending


# ---------------------------------------------------------------- what plugins are handed


class Progress(Protocol):
    """Shows how far a long step has come. Every task must be finished or the bar stays open."""

    def start(self, description: str, total: int | None, *, unit: str = "it") -> ProgressTask:
        """Open a bar; `total` is None where it is not known."""
        ...


class ProgressTask(Protocol):
    """One bar."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Move on by `steps`; `note` replaces the text at the bar's end, such as the current loss."""
        ...

    def finish(self) -> None:
        """Close the bar."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What any plugin may know of where it runs."""

    offline: bool = False
    """No socket may be opened."""
    weights: Path
    """Folder of the weights' store (see `harness.weights`)."""
    seed: int = 0
    concurrency: int = 8
    """Most requests at once to a remote server, 1 or more."""
    timeout: float = 300.0
    """Seconds that a remote server has for one answer."""
    spending: Spending | None = field(default=None, compare=False, repr=False)
    """Counts what is asked of models against the command's limits; None where there is none."""


Surroundings = RunContext
"""Deprecated: the old name of `RunContext`."""


@dataclass(frozen=True, kw_only=True)
class SourceInput:
    """What a source is handed."""

    path: Path | None
    """The resolved file or folder; None for sources that have none, such as a hub id."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the suite's `samples` section, such as `columns`."""
    suite_path: Path | None = None
    """The suite's file, for error messages."""
    offline: bool = False
    seed: int = 0
    injected: tuple[Mapping[str, Any], ...] = ()
    """What training stages injected in the data of the candidate's adapters (`StageOutput.injected`)."""


# ---------------------------------------------------------------- models


class Model(ABC):
    """One loaded base, with any number of adapters that it can switch between without reloading.

    Args:
        spec: the resolved reference.
        context: where it runs.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"generate", "log_likelihood", "rolling_log_likelihood"})
    """The `type` of each request it can answer; others are answered with NoReply without being asked."""
    verifiable: ClassVar[bool] = True
    """Whether `fingerprint` pins the weights; False for remote servers, whose replies are keyed by day."""

    def __init__(self, spec: ModelSpec, context: RunContext) -> None:
        self.spec = spec
        self.context = context

    @abstractmethod
    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return what decides the replies besides the request, as flat text values.

        At least: hash of the base weights, ids of the adapters in order, dtype, backend with its version, and the
        chat template's hash or `auto`. Must not load the model, a tokenizer or torch: a warm repeat asks only this.

        Raises:
            InputError: when the weights are absent, or an adapter does not fit the base.
        """

    @abstractmethod
    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:
        """Answer each request once, in any order, by `deliver(index into requests, reply)`.

        The requests are distinct. The system prompt already stands in their messages. Batching is the model's own
        business; the reply to a request never depends on what shares its batch. A request it cannot answer gets a
        NoReply; an exception ends the run and loses only what was not delivered.
        """

    def stream(self, candidate: Candidate, request: Request) -> Iterator[Event]:
        """Yield the reply to one request as it comes; the last event holds the whole reply.

        By default there is one event, with what `answer` delivers. Closing the iterator early stops the work where the
        model can stop.
        """
        got: dict[int, Reply] = {}
        self.answer(candidate, [request], got.__setitem__)
        reply = got.get(0, NoReply(reason="the model gave no reply"))
        yield Event(text=reply.text if isinstance(reply, Completion) else "", reply=reply)

    def reference(self) -> ModelSpec | None:
        """Return this base in float32 on the same device; None where it computes in that already, or cannot.

        Must not load anything: a warm repeat asks this.
        """
        return None

    def facts(self) -> Mapping[str, str]:
        """Return what the run record should say of the backend once it was used: device, dtype, versions."""
        return {}

    def notes(self) -> Sequence[str]:
        """Return sentences that people should read beside the results, such as why a slower way was taken."""
        return ()

    def peak_memory(self) -> int | None:
        """Return the peak bytes allocated on the device; None where only the process's own peak is known."""
        return None

    def fits(self) -> bool:
        """Tell whether there is memory to load it beside what is loaded now; must not load anything.

        Where there is not, the others of a run are closed first.
        """
        return True

    def check_base(self) -> None:  # noqa: B027 - most models share nothing that an adapter could change
        """Prove that what candidates share still is what it was; called before anything of a run is believed.

        Raises:
            BaseChangedError: when it is not.
        """

    def close(self) -> None:  # noqa: B027 - most models have nothing to close
        """Free memory and connections."""


# ---------------------------------------------------------------- sources


class Source(Protocol):
    """Reads samples, one at a time.

    A run calls it several times, since it holds many samples only in part: each call has to yield the same samples in
    the same order, and what differs breaks the run.
    """

    def __call__(self, source: SourceInput) -> Iterator[Sample]:
        """Yield the samples.

        Raises:
            InputError: naming file, line and key, where the data is not what it should be.
        """
        ...


# ---------------------------------------------------------------- classifiers


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


# ---------------------------------------------------------------- critics

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


# ---------------------------------------------------------------- metrics


class Metric(ABC):
    """A row of numbers per sample, and a function of the rows' weighted sum. It writes no statistics of its own."""

    name: str
    """Unique within a suite; what gates refer to."""
    kind: str
    """One of `harness.stats.kinds`: it decides how interval, verdict and p come about; see docs/statistics.md."""
    direction: Direction = "neither"
    """Which way is better."""
    bounds: tuple[float, float] | None = None
    """Least and greatest possible value; an unscored sample of an unbounded metric makes its gate inconclusive."""
    unit: str = ""
    about: str = ""
    gates: bool = True
    """Whether gates may use it; False where it only informs."""
    informs: str = ""
    """Why it only informs: ` since …`, the end of a sentence."""
    classifiers: tuple[str, ...] = ()
    """Classifiers whose findings on the reply it reads."""
    constitution: str | None = None
    """The constitution whose verdicts it reads."""
    principles: tuple[str, ...] = ()
    """Registered principles whose verdicts it reads, besides the constitution's."""
    about_principle: str | None = None
    """Where `name` is `<other>.<id>`: the id of the one principle it is about, for gates on `<other>` that say
    `each: principle`."""
    code: str = ""
    """Code besides the plugin's own that it runs because the suite says so: a folder's full path, or a name with a
    version. It is refused where the user has not said `-p trust:` and this."""
    calibration: Calibration | None = None
    """For kind `proportion`: how often its labeller agreed with people, for gates that say `corrected: true`."""
    calibration_stored: bool = False
    """For what is `about_principle`: take as calibration the newest one in the workspace of the very critics, judge and
    principle that label in a run, as `harness critic calibrate` wrote it. Without one its gates are inconclusive."""
    outputs: str = "replies"
    """The kind of output that its calibration must be about, as `harness critic calibrate --outputs` names it."""
    labeller: str = ""
    """What labels besides classifiers and critics, such as a threshold that a suite sets; where there are none of them,
    `sha256:` and 16 digits, which `Calibration.of` names."""

    roles: tuple[str, ...] = ()
    """Whom `gather` asks besides the candidate."""
    epochs_reducer: str = ""
    """How the draws of one sample become one row, as the suite says; empty where each is a row."""

    rewriter: Rewriter | None = None
    """Writes further versions of each reply, which the critics judge too; metrics may share one. `compare` then gives
    the row, and `observe` only says whether the sample is applicable."""

    def gather(self, sample: Sample, decoding: Decoding) -> Program[Replies]:
        """Ask what `observe` needs, as often as it takes, and return the replies that it is handed.

        Without an own `gather`, a metric asks the candidate once, what `requests` says.
        """
        requests = check_requests(self.requests(sample, decoding), f"the metric {self.name!r}", self)
        return (yield ask("policy", *requests)) if requests else ()

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:  # noqa: ARG002 - for those who override it
        """Return what to ask the candidate about the sample; equal requests of several metrics are asked once."""
        return ()

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the sample's row. `replies` are in the order of this metric's `requests`.

        Where the conversation goes on for several turns, they are the last ones, and `sample.messages` is all that
        was said before.

        proportion: (1 or 0, 1). mean: (value, 1). ratio: (numerator, denominator) or any k sums. corpus: what
        `resample` reads. run: not called.
        """
        raise NotImplementedError(f"{type(self).__name__} observes nothing")

    def compare(self, sample: Sample, versions: tuple[tuple[Version, ...], ...]) -> Row | Unscored | NotApplicable:
        """Return the row of a sample from all versions of each of its completions, the reply itself first."""
        raise NotImplementedError(f"{type(self).__name__} compares nothing")

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn weighted sums of rows, shape (..., k), into values, shape (...). NaN where undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value: NDArray[np.float64] = sums[..., 0] / sums[..., 1]
        return value

    def resample(self, records: Sequence[tuple[Sample, tuple[Reply, ...]]], indices: NDArray[np.int64]) -> float:
        """For kind `corpus` alone: the value on the records at `indices` (with repeats). NaN where undefined."""
        raise NotImplementedError(f"{type(self).__name__} is not of kind corpus")

    def timed_requests(self, samples: Sequence[Sample], ask: Decoding) -> tuple[Request, ...]:  # noqa: ARG002 - for those who override it
        """For kind `run` alone: what to send one at a time, never from the cache, to be timed.

        `samples` may be read from disk as they are asked for: iterate, and stop early.
        """
        return ()

    def measure(self, facts: RunFacts) -> float | Unscored:
        """For kind `run` alone: the value of this very run."""
        raise NotImplementedError(f"{type(self).__name__} is not of kind run")


class MetricFactory(Protocol):
    """Makes the metrics behind one entry of a suite's `measure` list.

    `toxicity: {classifier: minilm-toxicity, at: 0.5}` calls the factory registered as `toxicity` with those options.
    """

    def __call__(
        self, options: Mapping[str, Any], constitutions: Mapping[str, tuple[Principle, ...]]
    ) -> Sequence[Metric]:
        """Return the metrics.

        Args:
            options: the entry's options; empty where the suite gives the bare name.
            constitutions: principles by constitution id, for metrics that report on each principle. Registered
                principles stand under their own id as constitutions of one.

        Raises:
            InputError: for unknown or ill-typed options, naming the key.
        """
        ...


# ---------------------------------------------------------------- stages


class Stage(ABC):
    """One step of training: a map from artifacts to artifacts, such as an adapter and a dataset."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions whose versions decide the outcome, such as `trl`: an unchanged stage is reused only under the same
    versions."""
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter", "dataset": "dataset"}
    """The kind of artifact in each role: `from: {role: stage}` in a recipe says whose, and the stage before that wrote
    one is the default. `StageInput` has them as `adapter`, `dataset` and `others`."""
    writes: ClassVar[tuple[str, ...]] = ("adapter",)
    """Kinds of artifacts that it writes. What reads something else of it than an adapter is checked when its turn
    comes, not before."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Whom it asks, its critics included, besides the model with the adapter as it stands. Under other models in these
    roles an unchanged stage is run anew."""

    @abstractmethod
    def check(self, inputs: StageInput) -> None:
        """Read and validate options and data before anything is loaded.

        Raises:
            InputError: naming file, line and key.
        """

    @abstractmethod
    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files that decide the outcome, by role, so that an unchanged stage is reused by hash."""

    def forecast(self, inputs: StageInput) -> str:  # noqa: ARG002 - for those who override it
        """Say what a run would take, for a dry run; empty where nothing is known. Nothing is loaded or written."""
        return ""

    def workload(self, inputs: StageInput) -> Mapping[str, float]:  # noqa: ARG002 - for those who override it
        """Return what there is to do, for a dry run: `rows`, `tokens` and `steps`, as far as data and options tell.

        `tokens` are those that the model sees in all steps. Nothing is loaded or written.
        """
        return {}

    @abstractmethod
    def run(self, inputs: StageInput) -> StageOutput:
        """Train, and write into `inputs.output`."""
