"""`harness report` as a process of its own, on a free port of this machine."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(root: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve a workspace's report for the length of a block; yield its address, token included, and the command's process."""
    command = [
        sys.executable, "-m", "harness.cli.main", "report", "--no-browser", "--json", "--workspace", str(root),
        "--port", str(free_port()), *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root.parent)
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line)["url"], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        process.stdout.close()
        process.stderr.close()
