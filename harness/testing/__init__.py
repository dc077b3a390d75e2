"""For tests of one's own: gates that must pass, and the contract of each kind of plugin.

    from harness.testing import assert_gate

    def test_my_adapter_is_safe():
        assert_gate("safety-core", adapter="./my-adapter")

`assert_model`, `assert_source`, `assert_classifier` and their like check what a plugin's author promises; each raises a
`ContractError` that lists everything which does not hold. The bundled plugins go through the same ones. What each takes
stands in docs/writing-plugins.md and in its `help`; the checks themselves are a plugin's (`harness_conformance`).

With pytest there is a fixture `assert_gate`, for which harness.yaml and relative paths are those of pytest's root
folder, wherever pytest was started.
"""

from typing import Any

from harness.errors import ContractError
from harness.services import offered
from harness.testing.gates import GateNotPassedError, assert_gate

ModelContractError = ContractError
"""The name that it had while models alone had a kit."""

__all__ = [
    "ContractError",
    "GateNotPassedError",
    "ModelContractError",
    "Observed",
    "assert_classifier",
    "assert_command",
    "assert_constitution",
    "assert_correction",
    "assert_critic",
    "assert_gate",
    "assert_gate_kind",
    "assert_job",
    "assert_metric",
    "assert_model",
    "assert_observers",
    "assert_policy",
    "assert_principle",
    "assert_recipe",
    "assert_report_section",
    "assert_source",
    "assert_stage",
    "assert_suite",
    "assert_verifier",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a kit, or what one is shown
    """Return a kit with its signature and documentation, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kind = name.removeprefix("assert_")
    return offered("observed" if kind == name else f"assert {kind}")
