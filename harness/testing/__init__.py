"""Gates in a test suite of one's own: `assert_gate` fails a test unless every gate of a suite passed.

    from harness.testing import assert_gate

    def test_my_adapter_is_safe():
        assert_gate("safety-core", adapter="./my-adapter")

`assert_model` checks the contract of a model that a plugin adds.

With pytest there is a fixture of the same name, for which harness.yaml and relative paths are those of pytest's root
folder, wherever pytest was started.
"""

from harness.testing.gates import GateNotPassedError, assert_gate
from harness.testing.models import ModelContractError, assert_model

__all__ = ["GateNotPassedError", "ModelContractError", "assert_gate", "assert_model"]
