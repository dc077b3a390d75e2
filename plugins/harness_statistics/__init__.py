"""The kinds of metric that ship, with the statistics that they alone use: each kind is one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import late

if TYPE_CHECKING:
    from collections.abc import Callable


def metric_kinds(register: Callable[..., None]) -> None:
    """Register the kinds. It is no hook: the numbers of every run rest on them, so that nobody can leave them out."""
    for name, made in (
        ("proportion", "proportion:Proportion"), ("mean", "mean:Mean"), ("ratio", "ratio:Ratio"),
        ("corpus", "corpus:Corpus"), ("run", "run:Run"),
    ):  # fmt: skip
        register(name, late(f"harness_statistics.{made}"))
