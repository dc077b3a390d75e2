"""How OpenMP's threads wait for work, which it reads from the environment when torch is first imported."""

from __future__ import annotations

import os


def let_threads_doze() -> None:
    """Let threads that wait spin for some 0.2 ms and then sleep, where the environment does not say otherwise.

    Threads that go on spinning make a shared machine crawl; threads that sleep at once wake late, which costs a third
    of the speed of generating.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
