"""Fixtures that every test may use. Fixtures of one kind of plugin live in the conftest.py beside its tests."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import tiny

# Waiting threads sleep instead of spinning, so that tests do not crawl on a shared machine; nothing asks the hub.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Side by side (`pytest -n`), each worker and what it starts has one thread: threads of many would wait for each other.
if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no defect.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A shell starts background jobs with SIGINT ignored, and children inherit that: tests that press Ctrl-C need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts() -> Iterator[None]:
    """Wait for no disk in this process: no test cuts the power, and on a busy disk tests would wait half their time.

    What tests start as processes of their own, and kill, writes as it does for users.
    """
    from harness.store import cache, ledger, sqlite

    def connect(path: Path, *, synchronous: str, journal: str) -> sqlite3.Connection:
        assert synchronous in {"EXTRA", "NORMAL"}
        return sqlite.connect(path, synchronous="OFF", journal=journal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        for module in (cache, ledger):
            patch.setattr(module, "connect", connect)
        yield


@pytest.fixture(scope="module", autouse=True)
def _what_stays_is_not_searched() -> None:
    """Let garbage be looked for among new objects alone: with torch and pandas loaded, each search takes a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a tiny random Llama with tokenizer and chat template."""
    return tiny.save_llama(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a LoRA adapter for `tiny_base` that changes its replies."""
    return tiny.save_adapter(tiny_base, tmp_path_factory.mktemp("adapter") / "tiny-adapter", seed=1)


@pytest.fixture(scope="session")
def other_tiny_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of another LoRA adapter for `tiny_base`."""
    return tiny.save_adapter(tiny_base, tmp_path_factory.mktemp("adapter") / "other-tiny-adapter", seed=2)


@pytest.fixture(autouse=True)
def _no_shipped_judge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the candidate's bare base judge where nobody is bound, weights or not: tests give the same everywhere.

    Tests of real weights see what users see.
    """
    if not {"real_weights", "shipped_judge"} & set(request.fixturenames):
        monkeypatch.setattr("harness.evaluation.roles.is_present", lambda name: False)


@pytest.fixture
def shipped_judge() -> None:
    """Leave the default judge as it is."""


@pytest.fixture(scope="session")
def real_weights() -> None:
    """Skip where the catalog's weights that the demo needs are absent; fail where CI promised them."""
    from harness.weights import is_present
    from harness_start.demo import WEIGHTS

    missing = [name for name in WEIGHTS if not is_present(name)]
    if missing and os.environ.get("HARNESS_REQUIRE_WEIGHTS") == "1":
        pytest.fail(f"the weights {', '.join(missing)} are absent, and HARNESS_REQUIRE_WEIGHTS=1")
    if missing:
        pytest.skip(f"the weights {', '.join(missing)} are absent: make weights")
