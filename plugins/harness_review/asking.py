"""The terminal in which a rater answers with one key."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from harness.api.commands import safe_text
from harness_review.items import waiting

if TYPE_CHECKING:
    from harness.api import HumanLabel
    from harness.api.commands import App
    from harness_review.items import Review

_KEEP_EVERY = 10


def ask_all(app: App, review: Review, question: str, *, follows: bool) -> bool:
    """Show what waits, one reply after the other, until all is said or the rater quits; tell whether all is said.

    What was said is kept every ten replies, and whenever the loop ends, by an interrupt too.

    Args:
        app: where it is shown.
        review: of whom, and what was said before.
        question: what is asked of each reply.
        follows: whether the keys are of follows and breaks, not of yes and no.
    """
    names = {"f": "yes", "b": "no"} if follows else {"y": "yes", "n": "no"}
    keys: dict[str, HumanLabel] = {key: "yes" if word == "yes" else "no" for key, word in names.items()} | {"s": "skip"}
    words = "[f]ollows, [b]reaks" if follows else "[y]es, [n]o"
    queue = waiting(review.items, review.said)
    begin, at = time.monotonic(), 0
    try:
        while at < len(queue):
            item = review.items[queue[at]]
            _show(app, item.turns, question)
            done = len(review.items) - len(queue) + at
            key = _key(
                f"{done + 1} of {len(review.items)}{_left(begin, at, len(queue))}: {words}, [s]kip, [u]ndo, [q]uit"
            )
            if key in {"q", ""}:
                return False
            if key == "u":
                at = max(0, at - 1)
                review.said.pop(review.items[queue[at]].key, None)
            elif key in keys:
                review.said[item.key] = keys[key]
                at += 1
                if at % _KEEP_EVERY == 0:
                    review.keep()
    finally:
        review.keep()
    return True


def _left(begin: float, done: int, total: int) -> str:
    """Return how long the rest takes at this pace; empty for the first few."""
    if done < 3:
        return ""
    minutes = (time.monotonic() - begin) / done * (total - done) / 60.0
    return f", about {max(1, round(minutes))} min left"


def _show(app: App, turns: tuple[tuple[str, str], ...], question: str) -> None:
    app.console.print()
    for name, text in turns:
        app.console.print(f"{safe_text(name)}:", style="bold", markup=False)
        app.console.print(safe_text(text), markup=False, soft_wrap=True)
    app.console.print(safe_text(question, one_line=True), style="dim", markup=False, soft_wrap=True)


def _key(prompt: str) -> str:
    """Return one key in small letters; from a pipe the first letter of a line, and nothing at its end."""
    click.echo(f"{prompt} ", nl=False)
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        click.echo()
        return line.strip()[:1].lower() if line.strip() else ("?" if line else "")
    key = click.getchar().lower()
    click.echo("" if len(key) != 1 or not key.isprintable() else key)
    if key in {"\x03", "\x04"}:
        return ""
    return "u" if key in {"\x7f", "\b"} else key
