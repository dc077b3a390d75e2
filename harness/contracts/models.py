"""The contracts of what reads and answers: models and sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

from harness.contracts.context import RunContext, SourceInput
from harness.types import Candidate, Completion, Event, ModelSpec, NoReply, Reply, Request, Sample


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
