"""Where pages draw: all they know of Streamlit and of the exported file."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from harness_report.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OVERVIEW, RUN, SAMPLES, DECISIONS = "overview", "run", "samples", "decisions"
REVISIONS, TRAINING = "revisions", "training"
"""Names of pages, for links between them."""


class Canvas(Protocol):
    """What a page is drawn on."""

    live: bool
    """Whether widgets and Streamlit's own elements show."""

    def html(self, *pieces: str | Html) -> None:
        """Draw markup; what is not `Html` is text."""

    def heading(self, title: str) -> None:
        """Draw a heading; the title is plain text."""

    def card(self) -> AbstractContextManager[object]:
        """Return a frame around what is drawn within the block."""

    def fold(self, title: str) -> AbstractContextManager[object]:
        """Return a frame that shows its title until it is opened."""

    def columns(self, *shares: float) -> Sequence[AbstractContextManager[object]]:
        """Return frames side by side."""

    def link(self, page: str, label: str, **where: str) -> None:
        """Draw a link to a page of the report; the label is plain text."""


class _Box:
    """An element that is still being filled."""

    def __init__(self, name: str, cls: str = "", *parts: Html | _Box) -> None:
        self._name, self._cls, self.parts = name, cls, list(parts)

    def html(self) -> Html:
        return el(
            self._name, *(part.html() if isinstance(part, _Box) else part for part in self.parts), cls=self._cls
        )  # fmt: skip


class FileCanvas:
    """Collects the exported file's body. A page's place in it is `page` or `page-run`."""

    live = False

    def __init__(self) -> None:
        self._open = [_Box("main")]

    def body(self) -> Html:
        """Return all that was drawn."""
        return self._open[0].html()

    def html(self, *pieces: str | Html) -> None:
        """Add markup."""
        self._open[-1].parts.append(el("div", *pieces))

    def heading(self, title: str) -> None:
        """Add a heading."""
        self._open[-1].parts.append(el("h3", title))

    def place(self, page: str, run: str | None = None) -> AbstractContextManager[None]:
        """Return the frame of a page, or of a run's part of it, which links lead to."""
        return self._inside(_Box("article", "", el("a", id=_anchor(page, run))))

    def card(self) -> AbstractContextManager[None]:
        """Return a section."""
        return self._inside(_Box("section"))

    def fold(self, title: str) -> AbstractContextManager[None]:
        """Return what a click opens."""
        return self._inside(_Box("details", "", el("summary", title)))

    def columns(self, *shares: float) -> list[AbstractContextManager[None]]:
        """Return parts of a row; their widths are rounded to sixths of one another."""
        most = max(shares)
        slots = [_Box("div", f"hr-share{max(1, round(6 * share / most))}") for share in shares]
        self._open[-1].parts.append(_Box("div", "hr-columns", *slots))
        return [self._within(slot) for slot in slots]

    def link(self, page: str, label: str, **where: str) -> None:
        """Add a link within the file; one to samples of a kind leads to the run's samples."""
        self._open[-1].parts.append(el("a", label, href=f"#{_anchor(page, where.get('run'))}", cls="hr-link"))

    def _inside(self, box: _Box) -> AbstractContextManager[None]:
        self._open[-1].parts.append(box)
        return self._within(box)

    @contextmanager
    def _within(self, box: _Box) -> Iterator[None]:
        self._open.append(box)
        try:
            yield
        finally:
            self._open.pop()


def _anchor(page: str, run: str | None) -> str:
    return page if run is None else f"{page}-{run}"
