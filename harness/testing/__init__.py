"""Gates in a test suite of one's own: `assert_gate` fails a test unless every gate of a suite passed.

    from harness.testing import assert_gate

    def test_my_adapter_is_safe():
        assert_gate("safety-core", adapter="./my-adapter")

With pytest there is a fixture of the same name, for which harness.yaml and relative paths are those of pytest's root
folder, wherever pytest was started.
"""

from harness.testing.gates import GateNotPassedError, assert_gate

__all__ = ["GateNotPassedError", "assert_gate"]
