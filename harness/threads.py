"""How many threads torch computes with, and how they wait for work.

A team of OpenMP threads waits for its slowest member: beside one busy process, a team as wide as the machine takes many
times as long as one that leaves that process its core. So the team is as wide as what others leave free, and no wider
than the model's matrices make worthwhile. The number decides the last digits of results; it is stored with them.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from statistics import median

_SECONDS = 0.2
"""At least so long is looked at what others use."""
_ROWS = 64
_REPEATS = 5
_WORTH = 1.15
"""More threads than that must be faster by this factor, or they are left to others."""


def let_threads_doze() -> None:
    """Let threads that wait spin for some 0.2 ms and then sleep, where the environment does not say otherwise.

    OpenMP reads it when torch is first imported. Threads that go on spinning make a shared machine crawl; threads that
    sleep at once wake late, which costs a third of the speed of generating.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


class FreeCores:
    """Looks at what other processes use of this process's cores, from when it is made until it is asked.

    Make it before a model is loaded: what this process itself uses meanwhile counts as free.
    """

    def __init__(self) -> None:
        self._begin = _use()

    def count(self) -> int:
        """Return how many cores others leave free: at least 1."""
        began, unused = self._begin
        time.sleep(max(0.0, began + _SECONDS - time.monotonic()))
        ended, unused_now = _use()
        return max(1, min(len(_cores()), round((unused_now - unused) / (ended - began))))

    def threads(self, width: int) -> int:
        """Return the number of threads for a model whose hidden states have `width` numbers.

        OMP_NUM_THREADS counts where it is set.
        """
        told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        return int(told) if told.isdecimal() and int(told) else _quickest(width, self.count())


def use_threads(number: int | None) -> None:
    """Let torch compute with so many threads from now on; None changes nothing."""
    import torch

    if number is not None and torch.get_num_threads() != number:
        torch.set_num_threads(number)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _use() -> tuple[float, float]:
    """Return the time, and the seconds of this process's cores that were idle or its own, since some beginning."""
    import psutil

    cores = set(_cores())
    times = [times for core, times in enumerate(psutil.cpu_times(percpu=True)) if core in cores]
    idle = sum(one.idle + getattr(one, "iowait", 0.0) for one in times)
    return time.monotonic(), idle + time.process_time()


def _quickest(width: int, most: int) -> int:
    """Return the fewest threads that are about as fast as any number up to `most`, at a matrix of the model's size."""
    import torch

    before = torch.get_num_threads()
    numbers = sorted({max(1, most >> shift) for shift in range(most.bit_length())})
    rows, matrix = torch.ones(_ROWS, width), torch.ones(width, width)  # no random numbers: the seed is the caller's
    seconds: dict[int, float] = {}
    try:
        for number in numbers:
            torch.set_num_threads(number)
            seconds[number] = median([_timed(rows, matrix) for _ in range(_REPEATS + 1)][1:])
    finally:
        torch.set_num_threads(before)
    best = min(seconds.values())
    return next(number for number in numbers if seconds[number] <= _WORTH * best)


def _timed(rows: object, matrix: object) -> float:
    begin = time.perf_counter()
    for _ in range(4):
        rows @ matrix  # type: ignore[operator]
    return time.perf_counter() - begin


def processor_name() -> str:
    """Return the processor's model, as exactly as this system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    told = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return told or platform.processor() or platform.machine()
