"""The open queue of a local model: requests join those in flight at the next step, with their own adapters.

A thread works while there is something to do. Generation goes on a step at a time, so that new rows, cancelled ones and
scores come in between; docs/engine.md tells more.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Protocol

from harness.api import Generate, InputError, NoReply
from harness_models.hf.batching import out_of_memory
from harness_models.hf.chat import Renderer
from harness_models.hf.encoding import asks
from harness_models.hf.generation import FORESIGHT, Generated, Joining, Scheduler
from harness_models.hf.handles import CANCELLED, Handle, QueueFullError
from harness_models.hf.mixing import Mixer
from harness_models.hf.remembered import Remembered
from harness_models.hf.replies import completion
from harness_models.hf.rows import Row, rows_of
from harness_models.hf.stopping import Stops, TextStream, byte_tokens, control_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import RLock

    from harness.api import Candidate, Reply, Request
    from harness_models.hf.batching import Budget
    from harness_models.hf.loading import Loaded
    from harness_models.hf.rack import Rack
    from harness_models.hf.slots import Slots

MOST = 256
"""Requests that may wait, of all callers."""
_REMEMBERED = 0.25
"""Of the tokens that the budget holds, so many may be those of finished texts."""


class _GivenUpError(Exception):
    """A request that is answered as a whole was cancelled."""


class Base(Protocol):
    """What the queue needs of a model."""

    busy: RLock
    """Held by whoever computes with the base."""

    @property
    def limits(self) -> Budget:
        """How much may be in flight."""
        ...

    @property
    def rack(self) -> Rack:
        """The adapters of the base, once it is prepared."""
        ...

    def prepare(self, candidate: Candidate, *, generating: bool) -> Loaded:
        """Load what a candidate needs."""
        ...

    def prove(self) -> None:
        """Prove the base where adapters were used for the first time."""
        ...

    def answer(
        self,
        candidate: Candidate,
        requests: Sequence[Request],
        deliver: Callable[[int, Reply], None],
        *,
        on_text: Callable[[int, str], None] | None = None,
    ) -> None:
        """Answer requests as a whole."""
        ...


@dataclass(kw_only=True, eq=False)
class _Job:
    candidate: Candidate
    request: Request
    caller: str
    handle: Handle
    row: Row | None = None
    lane: tuple[str, ...] = ()


class OpenQueue:
    """Requests from any threads to one loaded base.

    Args:
        model: answers them.
        most: requests that may wait; `submit` refuses more.
        mixing: whether rows of several adapters may share a pass; else each adapter's rows take turns.
        remembering: whether finished texts are kept for the next turn of their conversation.
    """

    def __init__(self, model: Base, *, most: int = MOST, mixing: bool = True, remembering: bool = True) -> None:
        self._model = model
        self._most = most
        self._mixing = mixing
        self._remembering = remembering
        self._changed = Condition()
        self._waiting: dict[str, deque[_Job]] = {}
        """Jobs by caller; the caller whose turn it is first."""
        self._thread: Thread | None = None
        self._running: dict[int, _Job] = {}
        """Jobs with a row, by its index."""
        self._whole: list[_Job] = []
        """Jobs that the model answers as a whole: scores, and texts of architectures that take no slots."""
        self._lanes: dict[tuple[str, ...], Scheduler] = {}
        self._mixer: Mixer | None = None
        self._remembered: Remembered | None = None
        self._loaded: Loaded | None = None
        self._closed = False
        """Whether the base is to be forgotten once nothing is asked of it."""
        self._numbers = 0
        self._asked = 0
        """New tokens asked for since the thread began."""

    def submit(self, candidate: Candidate, request: Request, *, caller: str = "") -> Handle:
        """Put a request into the queue; returns at once.

        Args:
            candidate: base, adapters and template.
            request: of any kind that the model supports.
            caller: callers take turns, however much each of them asks.

        Raises:
            QueueFullError: when as many wait as the queue holds.
        """
        job = _Job(candidate=candidate, request=request, caller=caller, handle=Handle())
        with self._changed:
            if sum(map(len, self._waiting.values())) >= self._most:
                raise QueueFullError(f"{self._most} requests wait already; try again when some are answered")
            self._waiting.setdefault(caller, deque()).append(job)
            if self._thread is None:
                self._thread = Thread(target=self._work, name="open queue", daemon=True)
                self._thread.start()
        return job.handle

    def cancel(self) -> None:
        """Give up all that is asked, from the next step on, and forget the base."""
        with self._changed:
            jobs = [*self._running.values(), *self._whole, *(job for jobs in self._waiting.values() for job in jobs)]
            if self._thread is None:
                self._forget()
            self._closed = True
        for job in jobs:
            job.handle.cancel()

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        import torch

        with ExitStack() as lent:
            try:
                while self._left(lent):
                    with self._model.busy, torch.inference_mode():
                        self._turn(lent)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                self._fail(error)

    def _left(self, lent: ExitStack) -> bool:
        """Tell whether there is work; ends the thread where there is none, so that the next request begins another."""
        with self._changed:
            if self._running or self._whole or self._waiting:
                return True
        with self._model.busy:
            lent.close()
            self._model.prove()
        with self._changed:
            if self._closed:
                self._forget()
            if not self._waiting:
                self._thread = None
            return bool(self._waiting)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            jobs = [*self._running.values(), *self._whole, *(job for jobs in self._waiting.values() for job in jobs)]
            self._running.clear()
            self._whole.clear()
            self._waiting.clear()
            self._forget()
            self._thread = None
        for job in jobs:
            job.handle.fail(error)

    def _forget(self) -> None:
        self._closed = False
        self._lanes.clear()
        self._loaded = self._mixer = self._remembered = None

    def _turn(self, lent: ExitStack) -> None:
        self._drop_cancelled()
        while (job := self._next()) is not None:
            before = self._loaded
            try:
                if not self._admit(job):
                    self._put_back(job)
                    break
            except (InputError, OSError) as error:
                job.handle.fail(error)
            except BaseException as error:  # such as no memory: it stands in no list any more, and somebody waits
                job.handle.fail(error)
                raise
            if before is not None and self._loaded is not before:
                lent.close()  # what was lent to the base before
        if self._whole:
            self._answer_whole()
        self._pack(lent)
        for lane in list(self._lanes.values()):
            if lane.rows:
                lane.turn()

    def _drop_cancelled(self) -> None:
        for number, job in list(self._running.items()):
            if job.handle.cancelled and job.row is not None:
                self._lanes[job.lane].drop(job.row)
                del self._running[number]
                job.handle.finish(CANCELLED)
        for job in [job for job in self._whole if job.handle.cancelled]:
            self._whole.remove(job)
            job.handle.finish(CANCELLED)
        with self._changed:
            for caller, jobs in list(self._waiting.items()):
                for job in [job for job in jobs if job.handle.cancelled]:
                    jobs.remove(job)
                    job.handle.finish(CANCELLED)
                if not jobs:
                    del self._waiting[caller]

    def _next(self) -> _Job | None:
        """Return the next job of the caller whose turn it is, where there is room for one more."""
        if len(self._running) + len(self._whole) >= self._model.limits.rows:
            return None
        with self._changed:
            if not self._waiting:
                return None
            caller = next(iter(self._waiting))
            jobs = self._waiting.pop(caller)
            job = jobs.popleft()
            if jobs:
                self._waiting[caller] = jobs  # behind all others
            return job

    # ------------------------------------------------------------ jobs

    def _put_back(self, job: _Job) -> None:
        """Let a job wait in front of its caller's others."""
        with self._changed:
            self._waiting[job.caller] = deque([job, *self._waiting.get(job.caller, ())])

    def _admit(self, job: _Job) -> bool:
        """Give a job a row, or put it among those that are answered as a whole.

        Returns:
            False where it has to wait: the base was loaded anew, and rows are in flight on the one before.
        """
        loaded = self._model.prepare(job.candidate, generating=isinstance(job.request, Generate))
        if loaded is not self._loaded:
            if self._running:
                return False
            self._forget()
            self._loaded, self._mixer = loaded, Mixer(self._model.rack, allowed=self._mixing)
            self._remembered = Remembered(int(_REMEMBERED * self._model.limits.cached))
        if not isinstance(job.request, Generate) or loaded.generates != "slots":
            self._whole.append(job)
            return True
        renderer = Renderer(loaded.tokenizer, job.candidate.template)
        refused: list[NoReply] = []
        found, _ = asks(loaded, renderer, [job.request], lambda _, reply: refused.append(reply))
        if refused:
            job.handle.finish(refused[0])
            return True

        def stream(_: int, stops: Stops) -> TextStream:
            return TextStream(renderer.decode, stops, job.handle.push, byte_tokens(loaded.tokenizer))

        (row,) = rows_of(found, renderer.decode, stream, control_tokens(loaded.tokenizer))
        self._numbers += 1
        row.index, row.adapters = self._numbers, job.candidate.adapters
        self._reuse(row)
        assert self._mixer is not None  # noqa: S101 - made above
        job.row, job.lane = row, self._mixer.lane(job.candidate.adapters)
        if job.lane not in self._lanes:
            joining = Joining(use=self._mixer.using, leave=self._keep)
            self._lanes[job.lane] = Scheduler(loaded, [], self._model.limits, renderer.decode, self._finished, joining)
        self._running[row.index] = job
        self._lanes[job.lane].add(row)
        self._asked += min(row.ask.room, FORESIGHT)
        return True

    def _reuse(self, row: Row) -> None:
        """Let a row begin from what an earlier turn left."""
        if self._remembered is None or not self._remembering:
            return
        row.prefix, row.kept = self._remembered.find(_key(row), row.ask.prompt)
        row.cluster = row.index if row.kept is not None else 0

    def _keep(self, row: Row, slots: Slots, slot: int) -> None:
        kept = self._remembered
        if kept is None or not self._remembering:
            return
        # The newest token was not run. What is kept only spares time: it is what goes where memory runs out.
        if out_of_memory(lambda: kept.add(_key(row), row.ids[:-1], slots, slot)):
            kept.clear()

    def _finished(self, number: int, generated: Generated | None) -> None:
        job = self._running.pop(number)
        assert job.row is not None  # noqa: S101 - it was in a lane
        job.handle.finish(completion(job.row.ask, generated))

    def _answer_whole(self) -> None:
        """Answer what waits for the first job's candidate, and with it all that wait for the same."""
        candidate = self._whole[0].candidate
        jobs = [job for job in self._whole if job.candidate == candidate]
        self._whole = [job for job in self._whole if job.candidate != candidate]
        distinct: dict[Request, list[_Job]] = {}
        for job in jobs:
            distinct.setdefault(job.request, []).append(job)
        requests = list(distinct)

        def deliver(index: int, reply: Reply) -> None:
            for job in distinct[requests[index]]:
                job.handle.finish(reply)

        def grown(index: int, text: str) -> None:
            for job in distinct[requests[index]]:
                if len(jobs) == 1 and job.handle.cancelled:
                    raise _GivenUpError
                job.handle.push(text)

        try:
            self._model.answer(candidate, requests, deliver, on_text=grown)
        except _GivenUpError:
            jobs[0].handle.finish(CANCELLED)
        except BaseException as error:
            for job in jobs:
                job.handle.fail(error)
            if not isinstance(error, InputError):
                raise

    def _pack(self, lent: ExitStack) -> None:
        """Lend the model quicker products once so much was asked that their copy of the weights pays."""
        from harness_models.hf.packing import WORTH, packed

        if self._asked >= WORTH and self._loaded is not None:
            lent.enter_context(packed(self._loaded, self._asked, giving=False))  # adapters may come
            self._asked = 0


def _key(row: Row) -> tuple[str, ...]:
    return tuple(adapter.id for adapter in row.adapters)
