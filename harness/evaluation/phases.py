"""Progress of a pass that goes batch by batch: one bar for each phase over all batches, counted in samples."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from harness.contracts import Progress, ProgressTask


class Phase:
    """A `Progress` whose bars go on over all parts of a phase, where others would begin a new bar for each.

    A phase that has nothing to do in any part, as in a repeated run, shows no bar. A context manager: what it opened
    is closed.

    Args:
        progress: where the bars are drawn.
        samples: how many there are over all parts.
    """

    def __init__(self, progress: Progress, samples: int) -> None:
        self._progress = progress
        self._samples = samples
        self._bars: dict[str, _Bar] = {}
        self._before = 0.0
        self._size = 0.0

    @contextmanager
    def part(self, samples: float) -> Iterator[None]:
        """Do the next part inside the block: bars that are started in it move by so many samples, fractions too."""
        self._size = samples
        yield
        self._before += samples

    def share(self, samples: int) -> Callable[[float], AbstractContextManager[None]]:
        """Return what does a share, in (0, 1], of a part of so many samples; the shares add up to 1."""
        return lambda share: self.part(samples * share)

    def start(self, description: str, total: int | None, *, unit: str = "it") -> ProgressTask:  # noqa: ARG002
        """Return the share of the part in the bar of that description: `total` steps stand for the part's samples."""
        if description not in self._bars:
            task = self._progress.start(description, self._samples, unit="samples")
            self._bars[description] = _Bar(task=task)
        bar = self._bars[description]
        bar.reach(self._before)
        return _Share(bar=bar, before=self._before, samples=self._size, steps=total or 1)

    def __enter__(self) -> Self:
        """Nothing is drawn yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bars; full ones where nothing went wrong."""
        for bar in self._bars.values():
            if error is None:
                bar.reach(self._samples)
            bar.task.finish()


@dataclass(kw_only=True)
class _Bar:
    task: ProgressTask
    done: int = 0

    def reach(self, samples: float, note: str = "") -> None:
        whole = int(samples + 1e-6)  # shares of a part add up with rounding
        if whole > self.done or note:
            self.task.advance(max(0, whole - self.done), note=note)
            self.done = max(self.done, whole)


@dataclass(kw_only=True)
class _Share:
    bar: _Bar
    before: float
    samples: float
    steps: int
    done: int = 0

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self.done += steps
        self.bar.reach(self.before + self.samples * min(self.done, self.steps) / self.steps, note)

    def finish(self) -> None:
        """Leave the bar open: the next part goes on with it."""
