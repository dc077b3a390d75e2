"""Make docs/report.png: the report's page of one run, from a workspace on this machine.

    python benchmarks/screenshot.py .harness docs/report.png [--run RUN] [--page run|samples|overview] [--dark]

Needs playwright and a Chromium (named by $HARNESS_CHROMIUM, or on the PATH).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_SETTLE = 2500
"""Milliseconds after the last element for charts to be drawn."""


def take(url: str, target: Path, *, width: int, height: int, dark: bool) -> None:
    """Open the address in a headless browser and write what it shows."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("HARNESS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        context = browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=1.5,
            color_scheme="dark" if dark else "light",
        )  # fmt: skip
        page = context.new_page()
        page.goto(url)
        page.get_by_text("workspace").last.wait_for(timeout=60_000)
        page.wait_for_timeout(_SETTLE)
        page.screenshot(path=target)
        browser.close()


def main() -> None:
    """Serve the workspace, take one picture, and stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--run", help="id of the run; the newest one by default")
    parser.add_argument("--page", choices=("overview", "run", "samples", "decisions"), default="run")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    command = [sys.executable, "-m", "harness.cli.main", "report", "--no-browser", "--json"]
    process = subprocess.Popen([*command, "--workspace", str(options.workspace)], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            sys.exit("the report did not start")
        home, _, token = json.loads(line)["url"].partition("?")
        place = "" if options.page == "overview" else options.page
        address = f"{home}{place}?{token}" + (f"&run={options.run}" if options.run else "")
        take(address, options.target, width=options.width, height=options.height, dark=options.dark)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    sys.stdout.write(f"wrote {options.target}\n")


if __name__ == "__main__":
    main()
