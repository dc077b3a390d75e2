"""`harness report` as a person types it: where it serves, how it ends, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from harness.errors import InputError
from harness_inspect import report
from tests.reports.conftest import harness
from tests.reports.serving import served


def visitor(url: str, **headers: str) -> httpx.Client:
    """Return a client that has come by the address as it was printed."""
    client = httpx.Client(base_url=url.partition("?")[0], trust_env=False, follow_redirects=True, headers=headers)
    client.get(url)
    return client


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_this_machine_alone_and_ends_cleanly(root, number):
    with served(root) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        assert visitor(url).get("/_stcore/health").text == "ok"
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
    monkeypatch.setattr(
        webbrowser, "open", lambda url: opened.append(Path(url.removeprefix("file://")).read_text()) or False
    )

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(report.subprocess.Popen, "wait", _interrupted_once())
    said = harness("report", "--workspace", root)
    assert opened
    url = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", said)[0]
    assert url in opened[0], "the page that the browser is given leads there"
    assert "no browser could be opened" in said
    assert "the report is closed" in said


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


@pytest.fixture(scope="module")
def address(root):
    with served(root, "--allow-host", "proxy.example") as (url, process):
        (child,) = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        arguments = Path(f"/proc/{child}/cmdline")
        token = url.partition("token=")[2]
        assert not arguments.exists() or token not in arguments.read_text(), "all users can read arguments"
        yield url


@pytest.mark.parametrize("path", ["", "run", "_stcore/health", "_stcore/host-config", "static/index.html"])
def test_nobody_reads_anything_without_the_token(address, path):
    home, _, token = address.partition("?token=")
    for wrong in ("", "?token=", f"?token={token[:-1]}", f"?token={token}x", "?token=%C3%A9"):
        with httpx.Client(trust_env=False) as stranger:
            answer = stranger.get(home + path + wrong)
        assert (answer.status_code, "harness report" in answer.text) == (403, True), wrong
        assert "set-cookie" not in answer.headers


def test_the_first_page_moves_the_token_from_the_address_to_a_cookie(address):
    with httpx.Client(trust_env=False) as client:
        moved = client.get(f"{address}&run=a%26b&sample=1")
        assert (moved.status_code, moved.headers["location"]) == (303, "/?run=a%26b&sample=1")
        assert client.get(address.replace("/?", "//evil.example/?")).headers["location"] == "/evil.example/"
        assert "httponly" in moved.headers["set-cookie"].lower()
        assert client.get(address.partition("?")[0]).status_code == 200


def test_names_of_other_machines_and_pages_of_other_origins_are_refused(address):
    port = httpx.URL(address).port
    with closing(visitor(address)) as client:
        for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "[::1", f"127.0.0.1@evil.example:{port}"):
            assert client.get("/", headers={"Host": host}).status_code == 403, host
        for host in (f"localhost:{port}", "proxy.example", f"127.0.0.1:{port}"):
            assert (
                client.get(
                    "/",
                    headers={
                        "Host": host,
                        "Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items()),
                    },
                ).status_code
                == 200
            ), host
        for origin in ("http://evil.example", f"http://127.0.0.1:{port + 1}", "null"):
            assert client.get("/", headers={"Origin": origin}).status_code == 403, origin


def test_the_websocket_that_carries_the_pages_wants_the_token_too(address):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    home = address.partition("?")[0]
    socket_address = home.replace("http", "ws") + "_stcore/stream"
    with closing(visitor(address)) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    origin = home.rstrip("/")
    with connect(socket_address, additional_headers={"Cookie": cookie}, origin=origin):
        pass
    for headers, said in (
        ({}, origin),
        ({"Cookie": f"{cookie}x"}, origin),
        ({"Cookie": cookie}, "http://evil.example"),
    ):
        with pytest.raises(InvalidStatus, match="403"):
            connect(socket_address, additional_headers=headers, origin=said)
