"""For tests of one's own: gates that must pass, and the contract of each kind of plugin.

    from harness.testing import assert_gate

    def test_my_adapter_is_safe():
        assert_gate("safety-core", adapter="./my-adapter")

`assert_model`, `assert_source`, `assert_classifier` and their like check what a plugin's author promises; each raises a
`ContractError` that lists everything which does not hold. The bundled plugins go through the same ones.

With pytest there is a fixture `assert_gate`, for which harness.yaml and relative paths are those of pytest's root
folder, wherever pytest was started.
"""

from harness.testing.contract import ContractError
from harness.testing.gates import GateNotPassedError, assert_gate
from harness.testing.judging import Observed, assert_classifier, assert_critic, assert_metric, assert_principle
from harness.testing.models import assert_model
from harness.testing.working import (
    assert_command,
    assert_observers,
    assert_report_section,
    assert_source,
    assert_stage,
)

ModelContractError = ContractError
"""The name that it had while models alone had a kit."""

__all__ = [
    "ContractError",
    "GateNotPassedError",
    "ModelContractError",
    "Observed",
    "assert_classifier",
    "assert_command",
    "assert_critic",
    "assert_gate",
    "assert_metric",
    "assert_model",
    "assert_observers",
    "assert_principle",
    "assert_report_section",
    "assert_source",
    "assert_stage",
]
