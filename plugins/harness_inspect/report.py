"""`harness report`: the Streamlit report in a browser, or all of it in one HTML file."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from harness.api import BrokenRunError, InputError, MissingDependencyError
from harness.api.commands import EXIT_PASSED, App, WholeRange, common_options

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "127.0.0.1"
"""Prompts and answers are personal: nobody but this machine is served."""
FIRST_PORT = 8501
_PORTS = 50
_PATIENCE = 60.0
"""Seconds that the server may take to start."""
_EPILOG = """\b
Examples:
  harness report
  harness report --port 9000 --no-browser
  harness report --export report.html

The report reads the workspace, shows new runs as they come, and never loads a model. Its address holds a token that is
new each time: who has it can read the report on this machine. Ctrl-C stops it."""


@click.command(epilog=_EPILOG)
@click.option(
    "--port", type=WholeRange(1, 65535), metavar="N",
    help=f"Serve on this port.  [default: the first free one from {FIRST_PORT}]",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME",
    help="A further name by which a browser reaches this machine, such as that of a proxy.",
)  # fmt: skip
@click.option(
    "--export", type=click.Path(path_type=Path), metavar="FILE.html",
    help="Write one self-contained HTML file instead of serving.",
)  # fmt: skip
@click.option(
    "--samples", type=WholeRange(min=0), default=20, show_default=True, metavar="N",
    help="Samples of each run in the exported file.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Let --export replace a file that this command did not write.")
@common_options
def report(
    app: App, port: int | None, no_browser: bool, hosts: tuple[str, ...], export: Path | None, samples: int, force: bool
) -> int:
    """Open the report in a browser."""
    if export is not None:
        return _export(app, export, samples, force=force)
    _require_packages()
    app.workspace.close()  # it exists and can be read; the server opens it on its own
    chosen, token = _free_port(port), secrets.token_urlsafe(32)
    url = f"http://{ADDRESS}:{chosen}/?token={token}"
    with (
        _server(app, chosen, {"TOKEN": token, "HOSTS": json.dumps(hosts)}) as server,
        tempfile.TemporaryDirectory() as own,
    ):
        if app.json:
            click.echo(json.dumps({"url": url, "pid": server.pid}))
        else:
            click.echo(f"the report of {app.workspace_path} is at {url}\nCtrl-C stops it")
        if not no_browser:
            _open_browser(app, url, Path(own))
        code = server.wait()
    raise BrokenRunError(f"the report's server ended by itself (exit code {code}); start it again with: harness report")


def _export(app: App, target: Path, samples: int, *, force: bool) -> int:
    from importlib import import_module

    from harness.api.commands import Output

    sys.path.insert(0, str(_reports()))  # the report is shipped as data, and not installed as a package
    module = import_module("harness_report.export")
    output = Output(path=target, marks=(module.BEGIN,), force=force, workspace=app.workspace.root)
    output.check()
    text = str(module.export_html(app.workspace.root, most=samples, plugins=app.plugins))
    output.write(text)
    if app.json:
        app.print_json({"file": str(target), "bytes": len(text.encode())})
    else:
        app.console.print(f"wrote {target} ({len(text.encode()) // 1024 + 1} KB)", markup=False, soft_wrap=True)
    return EXIT_PASSED


def _reports() -> Path:
    from harness.api import data_dir

    return data_dir("reports")


def _require_packages() -> None:
    from importlib.util import find_spec

    for package in ("streamlit", "altair"):
        if find_spec(package) is None:
            raise MissingDependencyError(package, "report", needed_by="harness report")


def _free_port(asked: int | None) -> int:
    """Return a port that nobody listens on.

    Raises:
        InputError: when the asked one is busy, or all of those that are tried.
    """
    if asked is not None:
        if not _is_free(asked):
            raise InputError(f"port {asked} is in use or not allowed", hint="leave out --port, and a free one is taken")
        return asked
    for port in range(FIRST_PORT, FIRST_PORT + _PORTS):
        if _is_free(port):
            return port
    raise InputError(
        f"the ports {FIRST_PORT} to {FIRST_PORT + _PORTS - 1} are all in use", hint="name another one with --port"
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will bind
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _arguments(port: int) -> list[str]:
    return [sys.executable, str(_reports() / "serve.py"), str(port)]


@contextmanager
def _server(app: App, port: int, access: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server for the length of a block, from when it answers until it has ended.

    The token goes through the environment, which other users cannot read, as they can arguments.
    """
    plugins = [*app.config.plugins, *app.plugin_options]
    given = {"WORKSPACE": str(app.workspace_path), "PLUGINS": json.dumps(plugins), **access}
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | {f"HARNESS_REPORT_{name}": it for name, it in given.items()}
    with tempfile.TemporaryFile() as errors, _terminable():
        # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the server.
        server = subprocess.Popen(
            _arguments(port), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
        try:
            _await_health(server, f"http://{ADDRESS}:{port}/_stcore/health?token={access['TOKEN']}", errors)
            yield server
        except KeyboardInterrupt:
            click.echo("\nthe report is closed", err=True)
            raise click.exceptions.Exit(EXIT_PASSED) from None
        finally:
            _end(server)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that no server is left behind."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, as in tests
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _await_health(server: subprocess.Popen[bytes], url: str, errors: IO[bytes]) -> None:
    import httpx

    deadline = time.monotonic() + _PATIENCE
    with httpx.Client(trust_env=False, timeout=2, follow_redirects=True) as client:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                raise BrokenRunError(f"the report's server did not start: {_last_line(errors)}")
            try:
                if client.get(url).is_success:
                    return
            except httpx.HTTPError:
                pass  # it does not listen yet
            time.sleep(0.15)
    raise BrokenRunError(f"the report's server did not answer within {_PATIENCE:.0f} s: {_last_line(errors)}")


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _open_browser(app: App, url: str, folder: Path) -> None:
    """Open a page of one's own that leads there: the browser's arguments, with an address in them, all can read."""
    import webbrowser

    from harness.api.artifacts import write_file

    page = folder / "report.html"
    write_file(page, f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={url}">\n')
    try:
        opened = webbrowser.open(page.as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        app.warn("no browser could be opened; open the address yourself")
