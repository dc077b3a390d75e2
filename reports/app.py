"""What `harness report` starts with `streamlit run`: finds the package beside this file, and draws the chosen page."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = str(Path(__file__).resolve().parent)
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)

from harness_report.app import main  # noqa: E402 - the folder has to be found first

main()
