"""The one line about a shipped file, without parsing all of it: listings must be quick."""

from __future__ import annotations

from pathlib import Path

_KEY = "about:"


def about_of(path: Path) -> str:
    """Return the first line of a YAML file's top-level `about`; empty where it has none."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.startswith(_KEY):
                text = line.removeprefix(_KEY).strip().strip("\"'")
                if text in {"|", ">", ">-", "|-", ""}:
                    text = next(stream, "").strip()
                return text
    return ""
