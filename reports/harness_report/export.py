"""The whole report as one HTML file: no script, no outside resource, and a policy that forbids both."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness import __version__
from harness_report.canvas import FileCanvas
from harness_report.markup import Html, el
from harness_report.pages import PAGES
from harness_report.source import Source
from harness_report.style import style_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from harness.plugins import Plugins

BEGIN = "<!DOCTYPE html>\n<!-- Made by: harness report -->\n"
"""How an exported file begins, by which the command knows its own."""

_PAGE_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 1080px; padding: 1.5rem 1.2rem 4rem;
  background: light-dark(#fff, #10131a); color: light-dark(#1c2330, #e4e8ee); }
article { margin-top: 2.6rem; } h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; } h4 { margin: .8rem 0 .2rem; }
section, details { border: 1px solid light-dark(#e2e5ea, #343a46); border-radius: .6rem;
  padding: .9rem 1.1rem; margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.hr-columns { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; }
.hr-columns > div { flex: 1 1 9rem; min-width: 0; } section > .hr-columns + .hr-columns { margin-top: .5rem; }
.hr-columns > .hr-share6 { flex-grow: 6; } .hr-columns > .hr-share5 { flex-grow: 5; }
.hr-columns > .hr-share4 { flex-grow: 4; } .hr-columns > .hr-share3 { flex-grow: 3; }
.hr-columns > .hr-share2 { flex-grow: 2; }
.hr-link { margin-right: .8rem; } a { color: light-dark(#1f5fbf, #79b8ff); }
"""


def export_html(root: Path, *, most: int = 20, plugins: Plugins | None = None) -> str:
    """Return the report of a workspace as one HTML document: every page, and for every run its pages.

    Args:
        root: the workspace.
        most: at most so many samples of each run: those that violate a principle or are unscored come first.
        plugins: whose sections stand below the runs.

    Raises:
        InputError: when there is no workspace.
        BrokenRunError: when its ledger is damaged.
    """
    source, canvas = Source(root, plugins), FileCanvas()
    for name, page in PAGES.items():
        if hasattr(page, "export"):
            with canvas.place(name):
                page.export(canvas, source)
    for run in reversed(source.overview().runs):
        for name, page in PAGES.items():
            if hasattr(page, "export_run"):
                with canvas.place(name, run.id):
                    page.export_run(canvas, source, run, most)
    style = style_sheet() + _PAGE_STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'none'; script-src 'none'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"harness report: {root.resolve().parent.name}"
    head = el(
        "head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"), el("title", title),
        Html(f"<style>{style}</style>"),
    )  # fmt: skip
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by harness {__version__}."
    body = el("body", el("p", made, cls="hr-dim"), canvas.body(), cls="hr-page")
    return f"{BEGIN}{el('html', head, body, lang='en')}\n"
