"""Fixtures that every test may use. Fixtures of one kind of plugin live in the conftest.py beside its tests."""

from __future__ import annotations

import os

# One thread for each of torch, OpenMP and the tokenizers: tests run beside each other and must not fight for cores.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
