"""Critiques and revisions: what was wrong with each reply, and what changed, word by word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.store.artifacts import artifacts
from harness.terminal import safe_text, word_changes
from harness_report import fragments, reading
from harness_report.figures import when
from harness_report.markup import Html, el, join

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.types import Artifact
    from harness_report.canvas import Canvas
    from harness_report.source import Source

TITLE = "Revisions"
_MOST = 20
"""Histories of each artifact that the exported file holds."""
_MARKS = {"passed": "passed", "failed": "failed", "unscored": "inconclusive", "silent": "broken"}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An artifact of the kind `revisions`."""

    record: Artifact
    histories: tuple[dict[str, Any], ...]
    problem: str = ""


def draw(canvas: Canvas, source: Source) -> None:
    """Draw the page."""
    from harness_report.choosing import choose_part

    found = read(source.root)
    _show(canvas, choose_part(found, 1, key="revisions"), most=None)


def export(canvas: Canvas, source: Source) -> None:
    """Draw all of them, each with its first histories."""
    _show(canvas, read(source.root), most=_MOST)


def read(root: Path) -> list[Kept]:
    """Return what was revised, the newest first."""
    found = []
    with reading.opened(root) as workspace:
        for record, folder in artifacts(workspace, "revisions"):
            try:
                text = (folder / "revisions.jsonl").read_text(encoding="utf-8")
                rows = tuple(json.loads(line) for line in text.splitlines())
                for row in rows:
                    _check(row)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                found.append(Kept(record=record, histories=(), problem=f"cannot be read ({type(error).__name__})"))
                continue
            except HarnessError as error:
                found.append(Kept(record=record, histories=(), problem=str(error)))
                continue
            found.append(Kept(record=record, histories=rows))
    return sorted(found, key=lambda one: one.record.created, reverse=True)


def _check(row: dict[str, Any]) -> None:
    """Raise where a history lacks what is drawn."""
    for version in row["rounds"]:
        _ = (str(version["reply"]), version["scores"].items(), str(version["critique"]))
    _ = [(turn["role"], turn["content"]) for turn in row["sample"]["messages"]]
    _ = (row["status"], row["sentence"], row["sample"]["id"], int(row.get("standing", 0)))


def _show(canvas: Canvas, found: Sequence[Kept], *, most: int | None) -> None:
    canvas.html(el("h1", TITLE, cls="hr-title"))
    if not found:
        canvas.html(fragments.notice("info", "Nothing was revised yet. ", fragments.command('harness revise "PROMPT"')))
    for kept in found:
        options = {name: str(value) for name, value in kept.record.options.items()}
        canvas.html(
            el("div", el("span", kept.record.id, cls="hr-gate-title"),
               el("span", when(kept.record.created), cls="hr-dim hr-small"), cls="hr-gate-head"),
            fragments.facts(options),
        )  # fmt: skip
        if kept.problem:
            canvas.html(fragments.notice("error", kept.problem))
        for history in kept.histories[:most]:
            with canvas.card():
                canvas.html(_history(history))


def _history(history: dict[str, Any]) -> Html:
    turns = [_turn(str(turn["role"]), str(turn["content"])) for turn in history["sample"]["messages"]]
    versions, before = [], ""
    standing = history.get("standing", len(history["rounds"]) - 1)  # files of before had no such key, and took all
    for number, version in enumerate(history["rounds"]):
        reply = str(version["reply"])
        if number == 0:
            versions.append(_turn("reply", reply))
        else:
            versions.append(
                _turn(f"critique by {version.get('principle')}", str(version["critique"]), cls="hr-turn-user")
            )
            taken = "" if number <= standing else " (not taken)"
            versions.append(_turn(f"revision {number}{taken}", difference(before, reply), cls="hr-turn-assistant"))
        scores = ", ".join(f"{name} {_score(value)}" for name, value in version["scores"].items())
        versions.append(el("p", scores, cls="hr-dim hr-small"))
        before = reply
    status = str(history["status"])
    head = el("div", fragments.badge(_MARKS.get(status, "broken"), status),
              el("span", str(history["sample"]["id"]), cls="hr-gate-title"), cls="hr-gate-head")  # fmt: skip
    sentence = el("p", str(history["sentence"]), cls="hr-sentence")
    return join([head, sentence, el("div", *turns, *versions, cls="hr-conversation")])


def _turn(role: str, said: str | Html, cls: str = "hr-turn-system") -> Html:
    return el("div", el("div", role, cls="hr-role"), el("div", said, cls="hr-text", dir="auto"), cls=f"hr-turn {cls}")


def difference(before: str, after: str) -> Html:
    """Return a text with what was removed struck out and what was added marked."""
    tags = {"removed": "del", "added": "mark"}
    pieces = []
    for kind, piece in word_changes(safe_text(before), safe_text(after)):
        pieces.append(el(tags[kind], piece) if kind in tags else el("span", piece))
    return join(pieces)


def _score(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float | int) else "unscored"
