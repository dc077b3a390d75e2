"""How fast this machine runs a base: measured once on a few made-up requests, fitted, and kept.

The prices of `work.Counts` are found by non-negative least squares of relative errors (C. L. Lawson and R. J. Hanson,
Solving Least Squares Problems, 1974, ch. 23) over the times of `score` and `generate` themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import Decoding, sha256_json
from harness_models.hf.generating import generating
from harness_models.hf.generation import generate
from harness_models.hf.memory import activation_bytes, budget_for, cache_bytes
from harness_models.hf.packing import WORTH, packed
from harness_models.hf.paths import generation_path
from harness_models.hf.planning import Branches
from harness_models.hf.rows import Ask
from harness_models.hf.scoring import score
from harness_models.hf.work import Counts, Work, scoring

if TYPE_CHECKING:
    from harness.api import Candidate, Surroundings
    from harness_models.hf.loading import Loaded
    from harness_models.hf.rows import Generated

FORMAT = 2
"""Raised whenever a kept calibration would no longer mean the same."""
_SECONDS = 6.0
"""About how long the measurement may take, loading aside."""
_ENOUGH = 2.0
"""A measurement that was faster than that is made again, against noise."""
_REPEATS = 3
_TOKENS = 5_500
"""Of the made-up requests at full size."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured."""

    start_seconds: float
    """From nothing to a loaded base, imports included."""
    prices: tuple[float, ...]
    """Seconds, in the order of `Counts.vector`."""
    packed_prices: tuple[float, ...]
    """The same while weights are packed for generation; empty where they are not."""
    packing_seconds: float
    """Packing the weights, once for each call that is worth it; see `harness_models.hf.packing`."""
    packed_bytes: int
    """What the packed weights take."""
    resident: int
    """Bytes once the base was loaded: of the process, or on the device."""
    activation: int
    """Bytes of a token in a pass."""
    cached: int
    """Bytes of a token's keys and values."""
    shares: bool
    """Whether the base may share tokens; see `Loaded.shares`."""
    generates: str
    """How it generates; see `harness_models.hf.paths`."""

    def seconds(self, counts: Counts, *, packed: bool = False) -> float:
        """Return how long some work takes; `packed` where that is worth it and weights are packed."""
        if packed and self.packed_prices:
            return self.packing_seconds + _cost(self.packed_prices, counts)
        return _cost(self.prices, counts)

    def memory(self, work: Work, *, packed: bool = False) -> int:
        """Return about how many bytes are taken at the peak of some work."""
        extra = self.packed_bytes if packed else 0
        return self.resident + extra + work.together * self.activation + work.cached * self.cached


def _cost(prices: Sequence[float], counts: Counts) -> float:
    return sum(price * count for price, count in zip(prices, counts.vector, strict=True))


def key_of(fingerprint: Mapping[str, str], candidate: Candidate) -> str:
    """Return what a calibration is kept by: base, adapters' shapes, number format, versions, and this machine."""
    wanted = ("base", "dtype", "device", "backend", "engine")
    shapes = [_adapter_shape(Path(adapter.path)) for adapter in candidate.adapters]
    return sha256_json([FORMAT, {name: fingerprint.get(name, "") for name in wanted}, shapes, machine()])


def machine() -> list[str]:
    """Return what decides the speed of this machine: processor, threads, and GPUs."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    with contextlib.suppress(OSError):
        threads = threads or str(len(os.sched_getaffinity(0)))
    gpus = [_field(path, "Model") for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    return [platform.machine(), _field(Path("/proc/cpuinfo"), "model name") or platform.processor(), threads, *gpus]


def _field(path: Path, name: str) -> str:
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            label, _, value = line.partition(":")
            if label.strip() == name:
                return value.strip()
    return ""


def _adapter_shape(folder: Path) -> list[object]:
    """Return what of an adapter decides its speed."""
    with contextlib.suppress(OSError, ValueError):
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        targets = config.get("target_modules")
        return [config.get("r"), sorted(targets) if isinstance(targets, list) else targets]
    return [folder.name]


# ---------------------------------------------------------------- kept


def kept(key: str, surroundings: Surroundings) -> Calibration | None:
    """Return a calibration that was kept; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(_file(key, surroundings).read_text(encoding="utf-8"))
        prices = {name: tuple(float(price) for price in found[name]) for name in ("prices", "packed_prices")}
        made = Calibration(**{**found, **prices})
        size = len(Counts().vector)
        if len(made.prices) == size and len(made.packed_prices) in {0, size}:
            return made
    return None


def keep(key: str, surroundings: Surroundings, calibration: Calibration) -> None:
    """Keep a calibration; a place that cannot be written only means that it is measured again."""
    path = _file(key, surroundings)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(asdict(calibration), stream)
        Path(name).replace(path)


def _file(key: str, surroundings: Surroundings) -> Path:
    return surroundings.weights / ".calibrations" / f"{key[:32]}.json"


# ---------------------------------------------------------------- measured


def calibrate(ready: Callable[[], Loaded]) -> Calibration:
    """Load a base and measure it.

    Args:
        ready: loads it, with the wanted adapters active.
    """
    import torch

    begin = time.perf_counter()
    loaded = ready()
    start = time.perf_counter() - begin
    resident = _resident(loaded)
    scale = _scale(loaded)
    with torch.inference_mode():
        measured = _measure(_jobs(loaded, scale))
        begin = time.perf_counter()
        with packed(loaded, WORTH if generation_path(loaded) == "slots" else 0) as done:
            packing = time.perf_counter() - begin
            copied = max(0, _resident(loaded) - resident) if done else 0
            quicker = _measure(_jobs(loaded, scale / 2)) if done else []
    return Calibration(
        start_seconds=start, prices=_fit(measured), packed_prices=_fit(quicker) if quicker else (),
        packing_seconds=packing, packed_bytes=copied,
        resident=resident, activation=activation_bytes(loaded),
        cached=cache_bytes(loaded), shares=loaded.shares, generates=generation_path(loaded),
    )  # fmt: skip


def _resident(loaded: Loaded) -> int:
    if loaded.place.device.startswith("cuda"):
        import torch

        return int(torch.cuda.memory_allocated(loaded.model.device))
    import psutil

    return int(psutil.Process().memory_info().rss)


def _scale(loaded: Loaded) -> float:
    """Return the size of the made-up requests that fits the time, from a small pass that also warms everything up."""
    probe = _Scoring(loaded, _Maker(loaded).contexts(4, 48, 2, 4))
    probe.run()
    seconds = max(_timed(probe), 1e-6)
    tokens = 4 * (48 + 2 * 4)
    most = 1.0 if loaded.place.device == "cpu" else 8.0
    return min(most, max(0.05, _SECONDS * tokens / seconds / _TOKENS))


def _measure(jobs: Sequence[_Job]) -> list[tuple[Counts, float]]:
    """Time every kind of work; where that was quick, several times, and take the middle one."""
    begin = time.perf_counter()
    times = [[_timed(job)] for job in jobs]
    while time.perf_counter() - begin < _ENOUGH and len(times[0]) < _REPEATS:
        for job, found in zip(jobs, times, strict=True):
            found.append(_timed(job))
    return [(job.counts(), sorted(found)[len(found) // 2]) for job, found in zip(jobs, times, strict=True)]


def _timed(job: _Job) -> float:
    begin = time.perf_counter()
    job.run()
    return time.perf_counter() - begin


def _jobs(loaded: Loaded, scale: float) -> list[_Job]:
    """Return requests like those that suites make: short and long contexts, shared beginnings, texts, and replies."""
    make = _Maker(loaded)

    def some(count: float) -> int:
        return max(1, round(count * scale))

    return [
        _Scoring(loaded, make.contexts(some(12), 64, 3, 6)),
        _Scoring(loaded, make.contexts(some(4), 200, 4, 10)),
        _Scoring(loaded, make.contexts(some(20), 48, 3, 4, prefix=300)),
        _Scoring(loaded, make.contexts(some(2), 1, 1, 500)),
        _Scoring(loaded, make.contexts(some(32), 16, 1, 2)),
        _Scoring(loaded, make.contexts(some(2), 500, 1, 1)),
        _Scoring(loaded, make.contexts(1, 24, 2, 2)),
        _Generating(loaded, make.asks(1, 32, 8)),
        _Generating(loaded, make.asks(4, 32, 8)),
        _Generating(loaded, make.asks(some(16), 32, 8)),
        _Generating(loaded, make.asks(some(6), 200, 8)),
    ]


class _Maker:
    """Makes up requests: words do not matter for speed, lengths do. What does not fit the base's window is cut."""

    def __init__(self, loaded: Loaded) -> None:
        self._random = random.Random(0)  # noqa: S311 - nothing secret
        self._vocabulary = loaded.model.config.get_text_config().vocab_size
        self._window = loaded.window

    def _tokens(self, count: int) -> tuple[int, ...]:
        return tuple(self._random.randrange(self._vocabulary) for _ in range(count))

    def contexts(self, count: int, length: int, continuations: int, tokens: int, *, prefix: int = 0) -> list[Branches]:
        """Return contexts of a length, with continuations of so many tokens, behind a beginning that all share."""
        tokens = max(1, min(tokens, self._window // 2))
        begin = self._tokens(max(0, min(prefix, self._window - tokens - length)))
        length = max(1, min(length, self._window - tokens))
        return [
            Branches(
                context=begin + self._tokens(length),
                continuations=tuple(self._tokens(tokens) for _ in range(continuations)),
            )
            for _ in range(count)
        ]

    def asks(self, count: int, length: int, tokens: int) -> list[Ask]:
        """Return prompts of a length, to be continued by so many tokens."""
        tokens = max(1, min(tokens, self._window // 2))
        length = max(1, min(length, self._window - tokens))
        decoding = Decoding(max_new_tokens=tokens)
        return [Ask(prompt=self._tokens(length), decoding=decoding, room=tokens) for _ in range(count)]


class _Scoring:
    """Log-likelihoods to be timed."""

    def __init__(self, loaded: Loaded, rows: Sequence[Branches]) -> None:
        self._loaded, self._rows = loaded, rows

    def run(self) -> None:
        score(self._loaded, self._rows, budget_for(self._loaded), lambda *_: None)

    def counts(self) -> Counts:
        budget, base = budget_for(self._loaded), self._loaded
        return scoring(self._rows, budget, shares=base.shares, window=base.window).counts


class _Generating:
    """Replies to be timed; some may end before their limit, so that what was generated is counted afterwards."""

    def __init__(self, loaded: Loaded, asks: Sequence[Ask]) -> None:
        self._loaded, self._asks = loaded, asks
        self._lengths: dict[int, int] = {}

    def run(self) -> None:
        def deliver(index: int, generated: Generated | None) -> None:
            self._lengths[index] = 1 if generated is None else generated.tokens

        generate(self._loaded, self._asks, budget_for(self._loaded), lambda _: "", deliver)

    def counts(self) -> Counts:
        lengths = [self._lengths[index] for index in range(len(self._asks))]
        budget, base = budget_for(self._loaded), self._loaded
        path, device = generation_path(base), base.place.device
        return generating(self._asks, lengths, budget, path=path, device=device).counts


_Job = _Scoring | _Generating


def _fit(measured: Sequence[tuple[Counts, float]]) -> tuple[float, ...]:
    """Return the prices that explain the times best, relative to each time; none is negative."""
    import numpy as np
    from scipy.optimize import nnls

    seconds = np.array([max(time, 1e-9) for _, time in measured])
    shares = np.array([counts.vector for counts, _ in measured]) / seconds[:, None]
    sizes = shares.max(axis=0)
    sizes[sizes == 0.0] = 1.0
    prices, _ = nnls(shares / sizes, np.ones(len(seconds)))
    return tuple(float(price) for price in prices / sizes)
