"""The pytest plugin: a fixture `assert_gate` that knows the project's folder, and an option for the workspace."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.types import RunRecord


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --harness-workspace and --harness-offline."""
    group = parser.getgroup("harness", "gates on language models")
    group.addoption(
        "--harness-workspace",
        metavar="DIR",
        help="Where assert_gate keeps runs and replies.  [default: harness.yaml's]",
    )
    group.addoption("--harness-offline", action="store_true", help="Let assert_gate open no socket.")


@pytest.fixture
def assert_gate(request: pytest.FixtureRequest) -> Callable[..., RunRecord]:
    """Run a suite and fail unless every gate passed: `assert_gate("safety-core", adapter="./my-adapter")`."""
    from harness.testing.gates import assert_gate as check

    return functools.partial(
        check, folder=request.config.rootpath, workspace=request.config.getoption("--harness-workspace"),
        offline=request.config.getoption("--harness-offline"),
    )  # fmt: skip
