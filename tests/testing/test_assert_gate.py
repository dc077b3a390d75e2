"""`assert_gate` in a user's own test suite, run by pytest in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.testing import GateNotPassedError, assert_gate
from tests.cli.adapters import write_adapter
from tests.cli.conftest import SUITE, Cli

INSTALLED = any(point.name == "harness" for point in entry_points(group="pytest11"))
"""Whether this environment was made since the plugin has its entry point."""
TESTS = """\
import pytest
from harness.testing import assert_gate as by_import


def test_passes(assert_gate):
    run = assert_gate("tiny.yaml", adapter="./one")
    assert run.samples == 40
    assert run.candidate.adapters[0].reference == "./one"


def test_fails(assert_gate):
    assert_gate("hard.yaml", adapter=["./one"])


def test_undecided(assert_gate):
    assert_gate("undecided.yaml")


def test_by_import():
    by_import("tiny.yaml", baseline="base")
"""


@pytest.fixture
def home(tmp_path, monkeypatch, capsys) -> Path:
    monkeypatch.chdir(tmp_path)
    made = Cli(tmp_path, capsys)
    made.write("tiny.yaml", SUITE)
    made.write("hard.yaml", SUITE.replace("id: tiny", "id: hard").replace("min: 0.5", "max: 0.5"))
    made.write("undecided.yaml", SUITE.replace("{metric: exact_match, min: 0.5}",
                                               "{metric: exact_match, superior: {to: base}}"))  # fmt: skip
    made.write("bare.yaml", SUITE.split("gates:")[0])
    made.write("harness.yaml", 'model: "echo:"\n')
    made.rows(40)
    write_adapter(tmp_path / "one", 1.0)
    return tmp_path


def run_pytest(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (home / "test_gates.py").write_text(TESTS)
    plugin = [] if INSTALLED else ["-p", "harness.testing.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *arguments], cwd=home,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_works_in_a_users_test_suite(home):
    done = run_pytest(home, "--harness-workspace", "kept")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed" in done.stdout
    assert "hard: 0 of 1 gates passed by echo: + ./one (run 2" in done.stdout
    assert "failed        exact_match ≤ 50 %: exact_match is 100.0 %" in done.stdout
    assert "inconclusive  exact_match better than base" in done.stdout
    assert "harness/testing/gates.py" not in done.stdout, "the failure shows the user's own line"
    assert len(list((home / "kept" / "runs").iterdir())) >= 3


def test_a_message_shows_every_gate_and_the_run(home):
    with pytest.raises(GateNotPassedError, match="exact_match ≤ 50 %") as caught:
        assert_gate("hard.yaml", adapter=Path("one"), workspace=home / "ws")
    assert caught.value.run.status == "failed"
    assert isinstance(caught.value, AssertionError)


def test_paths_begin_in_pytests_root_folder_wherever_it_was_started(home):
    (home / "pytest.ini").write_text("[pytest]\n")
    (home / "tests").mkdir()
    (home / "tests" / "test_below.py").write_text(
        "import os\n\n\ndef test_passes(assert_gate):\n    before = os.getcwd()\n"
        "    run = assert_gate('tiny.yaml', adapter='./one')\n"
        "    assert run.candidate.model.reference == 'echo:'\n    assert os.getcwd() == before\n"
    )
    plugin = [] if INSTALLED else ["-p", "harness.testing.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "--harness-workspace", "kept",
         "test_below.py"], cwd=home / "tests", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "kept" / "runs").is_dir()


SETTINGS = """\
from harness import hookimpl
from harness.contracts import Model
from harness.types import Completion

class Settings(Model):
    def __init__(self, spec, surroundings):
        super().__init__(spec, surroundings)
        self.said = f"{surroundings.concurrency} {surroundings.timeout:g}"

    def fingerprint(self, candidate):
        return {"base": "settings", "adapters": "", "dtype": "none", "backend": "1", "template": "auto"}

    def answer(self, candidate, requests, deliver):
        for index, _ in enumerate(requests):
            deliver(index, Completion(text=self.said, prompt_tokens=1, completion_tokens=1, finish="stop"))

@hookimpl
def register_models(register):
    register("settings", Settings, about="Says what it was given.")
"""


def test_harness_yamls_settings_for_servers_hold(home):
    (home / "settings.py").write_text(SETTINGS)
    (home / "harness.yaml").write_text('model: "settings:"\nconcurrency: 3\ntimeout: 7\nplugins: [./settings.py]\n')
    Cli(home, None).rows(40, target="3 7")
    assert_gate("tiny.yaml")


def test_offline_holds_for_the_libraries_below_too(home, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        monkeypatch.setenv(name, "")
    module = f"evaluate: {{module: someone/metric, key: accuracy, revision: {'a' * 40}}}"
    (home / "hub.yaml").write_text(SUITE.replace("[exact_match]", f"[exact_match, {{{module}}}]"))
    with pytest.raises(InputError, match="is on the hub, and this run is offline"):
        assert_gate("hub.yaml", offline=True, plugins=[f"trust:someone/metric@{'a' * 40}"])


def test_a_suite_without_gates_cannot_pass(home):
    with pytest.raises(InputError, match="has no gates"):
        assert_gate("bare.yaml")
    with pytest.raises(InputError, match="no such adapter folder"):
        assert_gate("tiny.yaml", adapter="./nowhere")


def test_the_plugin_costs_other_test_suites_nothing():
    program = (
        "import sys, harness.testing.pytest_plugin\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
