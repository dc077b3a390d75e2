"""`harness report` as a person types it: where it serves, how it ends, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from harness.cli import report
from harness.errors import InputError
from tests.reports.conftest import harness
from tests.reports.serving import served


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_this_machine_alone_and_ends_cleanly(root, number):
    with served(root) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/_stcore/health", trust_env=False).text == "ok"
        process.send_signal(number)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_busy_port_is_a_sentence_and_without_one_the_next_is_taken(root, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in harness("report", "--no-browser", "--workspace", root, "--port", port)
        monkeypatch.setattr(report, "FIRST_PORT", port)
        assert report._free_port(None) > port
    monkeypatch.setattr(report, "_is_free", lambda port: False)
    with pytest.raises(InputError, match="all in use"):
        report._free_port(None)


def test_no_workspace_is_a_sentence(tmp_path):
    said = harness("report", "--no-browser", "--workspace", tmp_path / "none")
    assert "there is no workspace here; make one with: harness init" in said


def test_a_missing_package_names_the_command_that_installs_it(root, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "streamlit" else real(name, *rest)
    )
    said = harness("report", "--no-browser", "--workspace", root)
    assert "needs the package streamlit, which is not installed" in said
    assert "pip install 'harness[report]'" in said


def test_a_server_that_does_not_start_is_a_sentence(root, monkeypatch):
    monkeypatch.setattr(report, "_arguments", lambda port: [sys.executable, "-c", "raise SystemExit('no luck')"])
    assert "the report's server did not start: no luck" in harness("report", "--no-browser", "--workspace", root)


def test_a_server_that_ends_by_itself_is_said(root):
    with served(root) as (_url, process):
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
        )
        os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
        assert process.wait(20) == 3
        assert "ended by itself" in process.stderr.read()


def test_the_browser_is_opened_unless_told_otherwise(root, monkeypatch):
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or False)

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(report.subprocess.Popen, "wait", _interrupted_once())
    begin = time.monotonic()
    said = harness("report", "--workspace", root)
    assert opened
    assert opened[0] in said
    assert "no browser could be opened" in said
    assert "the report is closed" in said
    assert time.monotonic() - begin < 60


def _interrupted_once():
    """Stand in for a person who presses Ctrl-C as soon as the report waits."""
    real = subprocess.Popen.wait
    pressed = []

    def wait(self, timeout=None):
        if timeout is None and not pressed:
            pressed.append(self)
            raise KeyboardInterrupt
        return real(self, timeout)

    return wait
