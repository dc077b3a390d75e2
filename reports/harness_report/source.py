"""What pages read, by run; a server remembers it, an export reads it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from harness_report import reading, samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.plugins import Plugins
    from harness.types import Constitution, RunRecord, SampleRecord

T = TypeVar("T")


class Source:
    """A workspace's records, and the plugins whose sections stand below its runs.

    Args:
        root: the workspace.
        plugins: whose sections; None for none.
    """

    def __init__(self, root: Path, plugins: Plugins | None = None) -> None:
        self.root, self.plugins = root, plugins

    def keep(self, what: str, key: tuple[object, ...], read: Callable[[], T]) -> T:  # noqa: ARG002 - others remember
        """Return what `read` does; `key` changes whenever that would."""
        return read()

    def overview(self) -> reading.Overview:
        """Return the workspace's records; raises as `reading.opened`."""
        return self.keep("overview", reading.stamp(self.root), lambda: reading.read_overview(self.root))

    def constitutions(self, run: RunRecord) -> tuple[Constitution, ...]:
        """Return the constitutions that judged the run."""
        key = (run.id, reading.samples_stamp(self.root, run.id))
        return self.keep("constitutions", key, lambda: reading.constitutions(self.root, run.id))

    def thresholds(self, run: RunRecord) -> dict[str, float]:
        """Return from which score on each principle is followed."""
        return {p.id: p.threshold for constitution in self.constitutions(run) for p in constitution.principles}

    def index(self, run: RunRecord) -> samples.Index:
        """Return the run's samples, ready to be filtered."""
        not_run = tuple(status.name for status in run.classifiers if not status.ran)
        judged = self.constitutions(run)
        key = (run.id, reading.samples_stamp(self.root, run.id))
        return self.keep("index", key, lambda: samples.read_index(self.root, run.id, judged, not_run=not_run))

    def integrity(self, run: RunRecord) -> str | None:
        """Return what is wrong with the run's files; None where they are what they were."""
        key = (run.id, reading.files_stamp(self.root, run.id))
        return self.keep("integrity", key, lambda: reading.integrity(self.root, run.id))

    def records(self, run: RunRecord, positions: Iterable[int]) -> dict[int, SampleRecord]:
        """Return the whole records at some positions; not remembered, since a page holds few."""
        return samples.read_at(self.root, run.id, positions)
