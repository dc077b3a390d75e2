"""The precision check: what a number format other than float32 does to gates' verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import late

if TYPE_CHECKING:
    from collections.abc import Callable


def precision_checks(register: Callable[..., None]) -> None:
    """Register the check against float32. It is no hook: nobody can leave it out, or put another in its place."""
    register("float32", late("harness_precision.checking:Float32"))
