"""What `harness report` starts: the report's server, on the port of this machine that is given.

Streamlit runs each visitor's pages in a thread of its own, and Altair looks into `sys.modules` for pandas without
waiting for an import that another thread has begun. So everything is imported here, before there is any other thread.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import altair as alt
import pandas as pd
import pyarrow as pa
from starlette.middleware import Middleware
from streamlit.starlette import App

from harness_report import app, choosing
from harness_report.access import HOSTS, Access

IMPORTED = (alt, pd, pa, app, choosing)
OPTIONS = {
    "server.address": HOSTS[0], "server.headless": True, "server.fileWatcherType": "none",
    "server.enableStaticServing": False, "browser.serverAddress": HOSTS[0], "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal", "client.showErrorDetails": "none", "client.showErrorLinks": False,
    "logger.level": "error", "theme.light.primaryColor": "#3b7dd8", "theme.dark.primaryColor": "#3b7dd8",
}  # fmt: skip


def main() -> None:
    """Serve until a signal comes."""
    port = int(sys.argv[1])
    hosts = {*HOSTS, *json.loads(os.environ.get("HARNESS_REPORT_HOSTS", "[]"))}
    access = Middleware(
        Access, token=os.environ.pop("HARNESS_REPORT_TOKEN"), hosts=hosts, cookie=f"harness-report-{port}"
    )
    App(Path(__file__).with_name("app.py"), middleware=[access]).run(config=OPTIONS | {"server.port": port})


if __name__ == "__main__":
    main()
