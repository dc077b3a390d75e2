"""Several devices with a copy of one base each: requests are divided among them, and run side by side."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import cycle
from threading import Event as Flag
from threading import Lock
from typing import TYPE_CHECKING

from harness.api import Generate, Model
from harness_models.hf.device import placement
from harness_models.hf.model import HfModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.api import Candidate, Event, ModelSpec, Reply, Request, RunContext
    from harness_models.hf.handles import Handle


def hf_model(spec: ModelSpec, context: RunContext) -> Model:
    """Return the model of the scheme `hf`: one base, or one for each device where `--device` names several."""
    return Replicas(spec, context) if "," in spec.device else HfModel(spec, context)


class Replicas(Model):
    """The same base on several devices of one kind, such as `cuda:0,cuda:1`.

    A request's reply does not depend on what shares its batch, and so not on the device that answers it either, but for
    rounding: the fingerprint is that of one device.

    Args:
        spec: its `device` names the devices, with commas between them.
        context: where they run.
    """

    def __init__(self, spec: ModelSpec, context: RunContext) -> None:
        super().__init__(spec, context)
        devices = [device.strip() for device in spec.device.split(",")]
        # GPUs of several generations would choose several number formats, and replies would depend on the device.
        formats = {placement(replace(spec, device=device)).dtype for device in devices}
        dtype = spec.dtype if len(formats) == 1 else "float32"
        self.models = [HfModel(replace(spec, device=device, dtype=dtype), context) for device in devices]
        self._devices = ", ".join(devices)
        self._turns = cycle(self.models)

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return what decides the replies, which all replicas agree in.

        Raises:
            BaseChangedError: when the base is not what it was when this was asked before, or when it was loaded.
        """
        for other in self.models[1:]:
            other.fingerprint(candidate)  # each remembers the base that it is to load
        return self.models[0].fingerprint(candidate)

    def answer(
        self,
        candidate: Candidate,
        requests: Sequence[Request],
        deliver: Callable[[int, Reply], None],
        *,
        on_text: Callable[[int, str], None] | None = None,
    ) -> None:
        """Answer the requests, neighbours on the same device: they are what has beginnings in common.

        Args:
            candidate: base, adapters and template.
            requests: what to answer.
            deliver: called once for each index, by one thread at a time.
            on_text: called with a `Generate` request's index and new text, by one thread at a time.

        Raises:
            InputError: when base, adapter, template or one of the devices cannot be used.
        """
        lock, stop = Lock(), Flag()

        def work(model: HfModel, first: int, part: Sequence[Request]) -> None:
            def give(index: int, reply: Reply) -> None:
                with lock:
                    if stop.is_set():
                        raise _StoppedError
                    deliver(first + index, reply)

            def tell(index: int, text: str) -> None:
                with lock:
                    if stop.is_set():
                        raise _StoppedError
                    if on_text is not None:
                        on_text(first + index, text)

            model.answer(candidate, part, give, on_text=None if on_text is None else tell)

        parts = zip(self.models, divided(requests, len(self.models)), strict=True)
        busy = [(model, first, requests[first:last]) for model, (first, last) in parts if first < last]
        for model, _, _ in busy:
            model.answer(candidate, (), deliver)  # loads it: transformers does that for one thread at a time only
        with ThreadPoolExecutor(len(self.models), thread_name_prefix="replica") as pool:
            jobs = [pool.submit(work, *job) for job in busy]
            try:
                wait(jobs, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()  # after an error of one, or Ctrl-C, the others end with their next reply
        errors = [error for job in jobs if (error := job.exception()) is not None]
        for error in sorted(errors, key=lambda found: isinstance(found, _StoppedError)):
            raise error

    def submit(self, candidate: Candidate, request: Request, *, caller: str = "") -> Handle:
        """Put a request into the open queue of the replica whose turn it is; returns at once.

        Raises:
            InputError: where two adapters of the candidate bring tokens.
            QueueFullError: when too many wait.
        """
        return next(self._turns).submit(candidate, request, caller=caller)

    def stream(self, candidate: Candidate, request: Request) -> Iterator[Event]:
        """Yield the text token by token, from the replica whose turn it is."""
        return next(self._turns).stream(candidate, request)

    def reference(self) -> ModelSpec | None:
        """Return the same base in float32 on the same devices; None where it runs so already."""
        found = self.models[0].reference()
        return None if found is None else replace(found, device=self.spec.device)

    def fits(self) -> bool:
        """Tell whether every device has room for its replica."""
        return all(model.fits() for model in self.models)

    def facts(self) -> Mapping[str, str]:
        """Return the facts of the first replica that was used, with the devices."""
        found = next((facts for model in self.models if (facts := model.facts())), {})
        return {**found, "device": found["device"].partition(":")[0], "replicas": self._devices} if found else {}

    def notes(self) -> Sequence[str]:
        """Return what any of them says, once."""
        return list(dict.fromkeys(note for model in self.models for note in model.notes()))

    def peak_memory(self) -> int | None:
        """Return the largest peak of allocated bytes on one device; None where none tells."""
        return max((peak for model in self.models if (peak := model.peak_memory()) is not None), default=None)

    def check_base(self) -> None:
        """Prove that every replica's base is what it was.

        Raises:
            BaseChangedError: when one is not.
        """
        for model in self.models:
            model.check_base()

    def close(self) -> None:
        """Drop all bases."""
        for model in self.models:
            model.close()


class _StoppedError(Exception):
    """Ends a replica's work after another's failed."""


def divided(requests: Sequence[Request], parts: int) -> list[tuple[int, int]]:
    """Cut requests into runs of about the same work, `(first, one past the last)` each; some may be empty.

    The work is told by characters, since nothing is tokenised yet: those that are read, and those that may be written.
    """
    sizes = [_size(request) for request in requests]
    ends: list[int] = []
    done, total, at = 0, sum(sizes), 0
    for part in range(1, parts):
        while at < len(sizes) and (done + sizes[at] / 2) * parts <= total * part:
            done += sizes[at]
            at += 1
        ends.append(at)
    return list(zip([0, *ends], [*ends, len(requests)], strict=True))


_CHARACTERS = 4
"""Of a token, about."""


def _size(request: Request) -> int:
    written = request.decoding.max_new_tokens * _CHARACTERS if isinstance(request, Generate) else 0
    return 1 + len(str(request)) + written
