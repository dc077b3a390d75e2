"""The kinds of gate that ship: limits of a value, and comparisons with another run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl, late

if TYPE_CHECKING:
    from collections.abc import Callable


@hookimpl
def register_gate_kinds(register: Callable[..., None]) -> None:
    """Register the kinds; each is one file."""
    register("min", late("harness_gates.min:Min"), about="At least so much")
    register("max", late("harness_gates.max:Max"), about="At most so much")
    register(
        "non_inferior", late("harness_gates.non_inferior:NonInferior"), about="Not worse than a baseline by a margin"
    )
    register("superior", late("harness_gates.superior:Superior"), about="Better than a baseline")
    register("equivalent", late("harness_gates.equivalent:Equivalent"), about="The same as a baseline, by a margin")
    register(
        "max_unscored", late("harness_gates.max_unscored:MaxUnscored"), about="At most such a share without a score"
    )
    register("max_worse", late("harness_gates.max_worse:MaxWorse"), about="At most such a share of texts far worse")


@hookimpl
def register_corrections(register: Callable[..., None]) -> None:
    """Register the verdict that holds at any number of looks."""
    register("e_process", late("harness_gates.e_process:EProcess"), about="A verdict that holds at any number of looks")
