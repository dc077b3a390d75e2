"""Promotion is tested with the builders that the store is tested with."""

import pytest

from harness.store.adapters import resolve_adapters
from harness.store.promoted import live
from tests.store.conftest import make, workspace

__all__ = ["make", "workspace"]


@pytest.fixture
def plugins(make):
    return make.plugins()


@pytest.fixture
def decided(workspace, make, tmp_path):
    """Give a function that decides on a new adapter against what is promoted, and returns the decision."""

    def _decided(name: str, weight: float, *, status: str = "passed"):
        folder = make.adapter(tmp_path / name, weight)
        who = make.candidate(*resolve_adapters([str(folder)], workspace))
        now = live(workspace)
        baseline = None if now is None else now.candidate
        fingerprint = "base" if baseline is None else now.fingerprint
        found = make.evidence(
            workspace, who, f"fp-{name}", baseline=baseline, baseline_fingerprint=fingerprint, status=status
        )
        return make.decide(workspace, make.policy(), found)

    return _decided
