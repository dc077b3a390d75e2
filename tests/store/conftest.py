"""Fixtures of the store's tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from harness.store.workspace import Workspace

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def make() -> ModuleType:
    """The builders beside this file."""
    spec = importlib.util.spec_from_file_location("store_builders", HERE / "builders.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A new workspace."""
    opened = Workspace.open(tmp_path / "ws", create=True)
    yield opened
    opened.close()
