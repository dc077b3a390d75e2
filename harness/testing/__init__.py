"""For tests of one's own: gates that must pass, and the contract of each kind of plugin.

    from harness.testing import assert_gate

    def test_my_adapter_is_safe():
        assert_gate("safety-core", adapter="./my-adapter")

`assert_model`, `assert_source`, `assert_classifier` and their like check what a plugin's author promises; each raises a
`ContractError` that lists everything which does not hold. The bundled plugins go through the same ones. What each takes
stands in docs/writing-plugins.md; the checks themselves are a plugin's (`harness_conformance`).

With pytest there is a fixture `assert_gate`, for which harness.yaml and relative paths are those of pytest's root
folder, wherever pytest was started.
"""

from harness.errors import ContractError
from harness.services import service
from harness.testing.gates import GateNotPassedError, assert_gate

Observed = service("observed")
assert_classifier = service("assert classifier")
assert_command = service("assert command")
assert_constitution = service("assert constitution")
assert_correction = service("assert correction")
assert_critic = service("assert critic")
assert_gate_kind = service("assert gate_kind")
assert_job = service("assert job")
assert_metric = service("assert metric")
assert_model = service("assert model")
assert_observers = service("assert observers")
assert_policy = service("assert policy")
assert_principle = service("assert principle")
assert_recipe = service("assert recipe")
assert_report_section = service("assert report_section")
assert_source = service("assert source")
assert_stage = service("assert stage")
assert_suite = service("assert suite")
assert_verifier = service("assert verifier")
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
