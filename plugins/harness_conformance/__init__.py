"""Bundled plugin: the conformance kits of `harness.testing`, one for each kind of plugin."""

from __future__ import annotations

from collections.abc import Callable

from harness import hookimpl, late

KITS = {
    "judging": ("classifier", "critic", "metric", "principle"),
    "models": ("model",),
    "working": ("command", "observers", "report_section", "source", "stage"),
    "registered": ("constitution", "correction", "gate_kind", "job", "policy", "recipe", "suite", "verifier"),
}
"""Kinds by the module that checks them."""


@hookimpl
def register_services(register: Callable[..., None]) -> None:
    """Offer a check of each kind."""
    register("observed", late("harness_conformance.judging:Observed"), about="what a metric is shown in its test")
    for module, kinds in KITS.items():
        for kind in kinds:
            check = late(f"harness_conformance.{module}:assert_{kind}")
            register(f"assert {kind}", check, about=f"checks the contract of a {kind.replace('_', ' ')}")
