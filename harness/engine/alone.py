"""Requests sent one at a time, with nothing shared: the reference that a check of drift compares with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from harness.engine.core import Counts, sound
from harness.engine.keys import reply_key
from harness.errors import InputError
from harness.plugin_code import check_reply, plugin_code
from harness.serial import from_json, to_json
from harness.types import NoReply, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Progress
    from harness.engine.core import ModelCore
    from harness.engine.reply_writer import ReplyCache
    from harness.types import Candidate, Request

_PATH = {"path": "alone"}


class Answers(Protocol):
    """What a phase needs of a core: `ModelCore` and `AloneCore` are such."""

    def answer(
        self, candidate: Candidate, requests: Sequence[Request], *, label: str, progress: Progress | None = None
    ) -> list[Reply]:
        """Return one reply for each request, in order."""
        ...


class AloneCore:
    """Answers like `ModelCore`, but by `Model.answer_alone`.

    Replies are remembered under keys of their own: what was computed alone never stands for what was computed in a
    batch, nor the other way round.

    Args:
        core: of the model that is asked.
        cache: where replies are kept; None keeps none.
        progress: where the bars are drawn.

    Attributes:
        counts: running totals.
    """

    def __init__(self, core: ModelCore, cache: ReplyCache | None, progress: Progress) -> None:
        self.counts = Counts()
        self._core = core
        self._model = core.model
        self._cache = cache
        self._progress = progress

    def answer(
        self, candidate: Candidate, requests: Sequence[Request], *, label: str, progress: Progress | None = None
    ) -> list[Reply]:
        """Return one reply for each request, in order; raises as `ModelCore.answer`."""
        distinct = list(dict.fromkeys(requests))
        fingerprint = {**self._core.fingerprint(candidate), **_PATH}
        keys = {request: reply_key(fingerprint, request) for request in distinct}
        known = self._recall(keys)
        missing = [request for request in distinct if request not in known]
        self.counts.requests += len(distinct)
        self.counts.model_calls += len(missing)
        if missing:
            bar = (progress or self._progress).start(label, len(missing), unit="requests")
            try:
                for request in missing:
                    known[request] = self._ask(candidate, request, keys[request])
                    bar.advance()
            finally:
                bar.finish()
        return [known[request] for request in requests]

    def _recall(self, keys: Mapping[Request, str]) -> dict[Request, Reply]:
        stored = {} if self._cache is None else self._cache.get_many(list(keys.values()))
        known: dict[Request, Reply] = {}
        for request, key in keys.items():
            if key in stored:
                with suppress(InputError):  # a damaged entry is asked again
                    known[request] = from_json(Reply, stored[key])  # type: ignore[arg-type]
        return known

    def _ask(self, candidate: Candidate, request: Request, key: str) -> Reply:
        scheme = self._model.spec.scheme
        if request.type not in self._model.supports:
            return NoReply(reason=f"the model scheme {scheme!r} cannot answer {request.type}")
        with plugin_code(f"the model scheme {scheme!r}", self._model):
            given = self._model.answer_alone(candidate, request)
        check_reply(0, given, [request], scheme, self._model)
        reply = sound(given)
        if self._cache is not None and not isinstance(reply, NoReply):
            self._cache.put_many({key: to_json(replace(reply, timing=None)).encode()})
        return reply
