"""Forecasts a run, runs it, and prints forecast over actual: `python benchmarks/forecast.py [SUITE…] [--limit N]`.

Without suites it takes BBQ where its data lies in ../shared/data/bbq, and else the bundled suite `bias`, for scoring;
and `persona` for generation. Each is forecast and run in processes of its own and in a fresh workspace, so that nothing
is known before; the calibration is made first, as a person's first forecast makes it. Run it on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.paths import weights_dir

BBQ = Path(__file__).resolve().parents[2] / "shared" / "data" / "bbq"


def harness(*arguments: str, workspace: Path) -> tuple[dict[str, Any], float]:
    """Call the command line with --json; return the document and the seconds of the whole process."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *arguments, "--workspace", str(workspace), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout:
        raise SystemExit(done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    return document, time.perf_counter() - begin


def compare(suite: str, options: list[str]) -> str:
    """Return a row of the table: what was forecast, what it took."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "ws"
        arguments = ["run", suite, "--no-gates", *options]
        harness(*arguments, "--dry-run", workspace=workspace)  # calibrates where that was not done yet
        found, thinking = harness(*arguments, "--dry-run", workspace=workspace)
        rows = found["forecast"]
        expected, most = (
            sum(row[name] + row["start_seconds"] for row in rows) for name in ("seconds_expected", "seconds_most")
        )
        ran, whole = harness(*arguments, workspace=workspace)
        calls = sum(run["run"]["model_calls"] for run in ran["runs"])
    new = sum(row["generate_expected"] for row in rows)
    return (
        f"| {suite} | {calls:,} | {sum(row['tokens'] for row in rows):,} | {new:,} | {expected:.1f} | {most:.1f} "
        f"| {whole:.1f} | {expected / whole:.2f} | {most / whole:.2f} | {thinking:.1f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model", default="smollm2-135m")
    given = parser.parse_args()
    options = ["--model", given.model, *(["--limit", str(given.limit)] if given.limit else [])]
    data = ["--data", str(BBQ)] if BBQ.exists() else []
    shutil.rmtree(weights_dir() / ".calibrations", ignore_errors=True)  # it may have been made on a busy machine
    columns = ("suite", "requests", "tokens", "new tokens", "forecast, s", "at most, s", "run, s", "forecast / run",
               "at most / run", "forecasting, s")  # fmt: skip
    print(f"| {' | '.join(columns)} |")
    print("| :--- |" + " ---: |" * 9)
    if given.suites:
        for suite in given.suites:
            print(compare(suite, options), flush=True)
        return
    scoring = compare("bbq", [*options, *data, *([] if given.limit else ["--limit", "300"])]) if data else None
    print(scoring or compare("bias", options), flush=True)
    print(compare("persona", options), flush=True)


if __name__ == "__main__":
    main()
