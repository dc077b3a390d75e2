"""Adversaries that choose what they submit: they see what a policy shows, and make the next candidate of it.

Every candidate loses exactly the margin in the population. Where the policy keeps what decides fresh or hidden, what an
adversary learned is about other samples, and the levels hold. The same adversaries on open samples that are used again
and again are in the audit too, marked as not promised: they show what the hiding is for. `benchmarks/adaptive.py` has
more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.api import Gate
from harness.api.stats import describe
from harness_audit.replay import Case, Part
from harness_audit.ugly import Arms, MadeUp, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "adversaries"
SAMPLES, MARGIN, GAINS = 130, 0.08, 0.05
ATTEMPTS, CANDIDATES = 6, 20
LADDER = 5
"""Looks at a ladder; each halves the level."""
_STEP = 0.02
_KEPT = 0.8
"""Share of its answers in which a candidate is like the one before."""
_LOOKS = tuple(range(26, SAMPLES + 1, 26))


@dataclass(eq=False)
class Memoriser:
    """Trains on a share of the prompts that the attempt before had lost.

    Attributes:
        share: of the losing prompts.
        carried: how often what was learned holds for the sample in its place at the next attempt: 1 where the same
            samples decide again, and where they are fresh what carries over from one item of a template to another.
    """

    share: float
    carried: float
    _of: np.random.Generator | None = None
    _known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(SAMPLES, dtype=bool))
    _drawn: NDArray[np.float64] = field(default_factory=lambda: np.zeros(SAMPLES))

    def __call__(self, generator: np.random.Generator) -> Arms:
        """Return the next attempt; another generator begins another history."""
        if self._of is not generator:
            self._of, self._known = generator, np.zeros(SAMPLES, dtype=bool)
            self._drawn = generator.random(SAMPLES)
        helped = self._known & (generator.random(SAMPLES) < self.carried)
        lost, gained = (self._drawn < GAINS + MARGIN) & ~helped, self._drawn > 1.0 - GAINS
        self._known |= lost & (generator.random(SAMPLES) < self.share)
        again = generator.random(SAMPLES) < _KEPT
        self._drawn = np.where(again, self._drawn, generator.random(SAMPLES))
        return _arms(lost, gained)


def best_of(generator: np.random.Generator, *, hidden: bool) -> Arms:
    """Return the candidate that looks best of twenty: on the open samples alone, or on those that decide."""
    looked, deciding = generator.random((2, CANDIDATES, SAMPLES))
    rows = looked if hidden else deciding
    net = (rows > 1.0 - GAINS).sum(axis=1) - (rows < GAINS + MARGIN).sum(axis=1)
    chosen = deciding[int(net.argmax())]
    return _arms(chosen < GAINS + MARGIN, chosen > 1.0 - GAINS)


def led(generator: np.random.Generator) -> Arms:
    """Return the leader of a ladder's looks at the samples that decide: each tells one bit, and is a change of it."""
    leader, best = generator.random(SAMPLES), 0.0
    for look in range(LADDER):
        again = generator.random(SAMPLES) < _KEPT
        drawn = leader if look == 0 else np.where(again, leader, generator.random(SAMPLES))
        score = float((drawn > 1.0 - GAINS).sum() - (drawn < GAINS + MARGIN).sum()) / SAMPLES
        if score >= best + _STEP:
            leader, best = drawn, score
    return _arms(leader < GAINS + MARGIN, leader > 1.0 - GAINS)


def read(generator: np.random.Generator) -> Arms:
    """Return what is trained after the looks where somebody reads a quarter of what was lost, though it is hidden."""
    memoriser = Memoriser(share=0.25, carried=1.0)
    for _ in range(LADDER):
        memoriser(generator)
    return memoriser(generator)


def one(generator: np.random.Generator) -> Arms:
    """Return a candidate that nobody chose."""
    drawn = generator.random(SAMPLES)
    return _arms(drawn < GAINS + MARGIN, drawn > 1.0 - GAINS)


def _arms(lost: NDArray[np.bool_], gained: NDArray[np.bool_]) -> Arms:
    """Return both arms of a share of failures: the candidate fails on what it lost, the baseline on what it gained."""
    weights = np.ones(len(lost))
    return Arms(
        candidate=np.column_stack([lost.astype(float), weights]),
        baseline=np.column_stack([gained.astype(float), weights]),
    )


_Make = Callable[[np.random.Generator], Arms]


def adversary_cases() -> Iterator[Case]:
    """Yield each adversary against what a policy promises, and where it promises nothing."""
    gate = Gate(metric="share", kind="non_inferior", to="promoted", margin=MARGIN)
    quarter, half = 0.25, 0.5
    rows: tuple[tuple[str, _Make, int, bool], ...] = (
        (
            "fresh samples; a quarter of what each attempt lost is trained on",
            Memoriser(share=quarter, carried=0.0),
            ATTEMPTS,
            True,
        ),
        (
            "fresh samples; half of it is, and a tenth carries over to others",
            Memoriser(share=half, carried=0.1),
            ATTEMPTS,
            True,
        ),
        ("a hidden half; the best of 20 by the open one is submitted", lambda g: best_of(g, hidden=True), 1, True),
        (
            "open samples, used again; a quarter of what was lost is trained on",
            Memoriser(share=quarter, carried=1.0),
            ATTEMPTS,
            False,
        ),
        ("open samples; the best of 20 by the very samples is submitted", lambda g: best_of(g, hidden=False), 1, False),
    )
    for words, make, attempts, kept in rows:
        truth = f"worse by the margin; {words}" + (f"; {attempts} attempts" if attempts > 1 else "")
        yield _case(gate, truth, make, attempts=attempts, kept=kept)
    halved = replace(gate, alpha=gate.alpha / 2**LADDER)
    words = f"hidden samples, used again; {LADDER} looks at a ladder, each halving the level"
    yield _case(halved, f"worse by the margin; {words}; its leader is submitted", led, allowed=gate.alpha)
    yield _case(
        halved, f"worse by the margin; {words}, and somebody reads a quarter of what was lost", read, kept=False
    )
    stopper = Gate(metric="share", kind="non_inferior", to="promoted", margin=MARGIN, correction="e_process")
    words = f"stops as soon as an e-process passes, of {len(_LOOKS)} looks"
    yield _case(stopper, f"worse by the margin; {words}", one, looks=_LOOKS)


def _case(
    gate: Gate, truth: str, make: _Make, *, attempts: int = 1, kept: bool = True, looks: tuple[int, ...] = (),
    allowed: float | None = None,
) -> Case:  # fmt: skip
    population = MadeUp(
        suite=GROUP, source="made up", metrics={"share": Share()}, arms={}, clusters=np.arange(SAMPLES), make=make
    )
    by = " by an e-process" if gate.correction else ""
    return Case(
        name=f"{GROUP} {describe(gate)}{by}: {truth}", group=GROUP, condition=f"share {describe(gate)}{by}",
        truth=truth, claim="at most" if kept else "outside",
        parts=(Part(population=population, n=SAMPLES, gates=(gate,)),),
        allowed=allowed or gate.alpha, attempts=attempts, looks=looks, cost="middle" if looks else "low",
    )  # fmt: skip
