"""Promotion is tested with the builders that the store is tested with."""

from tests.store.conftest import make, workspace

__all__ = ["make", "workspace"]
