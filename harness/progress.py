"""Progress bars with rate and remaining time, on standard error."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

    from harness.contracts import Progress, ProgressTask


class _NoTask:
    def advance(self, steps: int = 1, *, note: str = "") -> None:
        pass

    def finish(self) -> None:
        pass


class NoProgress:
    """Shows nothing: for tests, for --json, and where nobody looks."""

    def start(self, description: str, total: int | None, *, unit: str = "it") -> ProgressTask:  # noqa: ARG002
        """Open nothing."""
        return _NoTask()


def default_progress() -> AbstractContextManager[Progress]:
    """Return bars on standard error, or below the cell of a notebook."""
    from rich.console import Console

    if Console().is_jupyter:
        return nullcontext(NotebookProgress())
    return TerminalProgress(Console(stderr=True, highlight=False))


class _RichTask:
    def __init__(self, bars: RichBars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        if note:
            self._bars.update(self._task, advance=steps, note=note)
        else:
            self._bars.update(self._task, advance=steps)

    def finish(self) -> None:
        task = next(task for task in self._bars.tasks if task.id == self._task)
        self._bars.update(self._task, total=task.completed)
        self._bars.stop_task(self._task)


class TerminalProgress:
    """Bars of one command; a context manager, so that the terminal is left whole after an error or Ctrl-C.

    Args:
        console: where to draw; on a console that is not a terminal a line is printed as each bar ends.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = console
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.fields[shown_total]}", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
            get_time=None,
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing and give the cursor back."""
        self._bars.stop()

    def start(self, description: str, total: int | None, *, unit: str = "it") -> ProgressTask:
        """Open a bar."""
        if not self._console.is_terminal:
            return _LineTask(self._console, description, total, unit)
        task = self._bars.add_task(
            description, total=total, note="", rate="", shown_total=f"{'?' if total is None else total} {unit}"
        )
        return _RatedTask(self._bars, task, unit)


class _RatedTask(_RichTask):
    """A bar that shows its own rate."""

    def __init__(self, bars: RichBars, task: TaskID, unit: str) -> None:
        super().__init__(bars, task)
        self._unit = unit

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        super().advance(steps, note=note)
        task = next(task for task in self._bars.tasks if task.id == self._task)
        speed = task.speed or task.finished_speed
        if speed:
            self._bars.update(self._task, rate=f"{speed:.1f} {self._unit}/s")


class NotebookProgress:
    """Bars below the cell of a notebook, as HTML that is replaced at most four times a second; no widgets needed."""

    def start(self, description: str, total: int | None, *, unit: str = "it") -> ProgressTask:
        """Open a bar."""
        return _NotebookTask(description, total, unit)


class _NotebookTask:
    def __init__(self, description: str, total: int | None, unit: str) -> None:
        from time import monotonic

        from IPython.display import HTML, display

        self._html, self._clock = HTML, monotonic
        self._description, self._total, self._unit = description, total, unit
        self._begin = self._shown = monotonic()
        self._done, self._note = 0, ""
        self._handle = display(HTML(self._bar()), display_id=True)

    def _bar(self) -> str:
        import html

        line = html.escape(_state(self._description, self._done, self._total, self._unit, self._clock() - self._begin))
        most = "" if self._total is None else f" max='{self._total}' value='{self._done}'"
        return f"<progress{most}></progress> <small>{line} {html.escape(self._note)}</small>"

    def _draw(self) -> None:
        self._shown = self._clock()
        self._handle.update(self._html(self._bar()))

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self._done += steps
        self._note = note or self._note
        if self._clock() - self._shown > 0.25:
            self._draw()

    def finish(self) -> None:
        self._total = self._done
        self._draw()


def _state(description: str, done: int, total: int | None, unit: str, seconds: float) -> str:
    """Say how far a step is, how fast it goes, and how long it may still take."""
    rate = done / max(seconds, 1e-9)
    of = "" if total is None else f"/{total}"
    left = f", {(total - done) / rate:.0f} s left" if total is not None and 0 < done < total and rate > 0 else ""
    return f"{description}: {done}{of} {unit} in {seconds:.1f} s ({rate:.1f}/s{left})"


class _LineTask:
    """For logs: one line at the start, one every half minute, and one at the end."""

    def __init__(self, console: Console, description: str, total: int | None, unit: str) -> None:
        from time import monotonic

        self._console, self._description, self._total, self._unit = console, description, total, unit
        self._clock = monotonic
        self._begin = self._shown = monotonic()
        self._done = 0
        self._note = ""

    def _line(self) -> None:
        state = _state(self._description, self._done, self._total, self._unit, self._clock() - self._begin)
        text = f"{state} {self._note}"
        self._console.print(text.rstrip(), markup=False, highlight=False, soft_wrap=True)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self._done += steps
        self._note = note or self._note
        if self._clock() - self._shown > 30:
            self._shown = self._clock()
            self._line()

    def finish(self) -> None:
        if self._clock() - self._begin > 2:
            self._line()
