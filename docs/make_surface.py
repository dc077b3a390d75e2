"""Writes docs/surface.md: every name that a plugin may import, by module."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from textwrap import fill

PAGE = Path(__file__).with_name("surface.md")
_PARTS = ("commands", "workspace", "artifacts", "asking", "calibrations", "stats", "gates", "weights", "checking")
MODULES = ("", *(f".{part}" for part in _PARTS))


_HEAD = """# What a plugin may import

Written by `python docs/make_surface.py`, and held to the code by a test. Everything else of harness may change from one
release to the next. [writing-plugins.md](writing-plugins.md) has an example of every kind."""


def page() -> str:
    """Return the page."""
    import harness
    from harness import types

    parts = [
        _HEAD,
        _section("harness", "The names that a plugin author needs most, and the Python API.", harness.__all__),
    ]
    for suffix in MODULES:
        module = import_module(f"harness.api{suffix}")
        about = (module.__doc__ or "").split("\n\n")[0]
        names = [name for name in module.__all__ if suffix or name not in types.__all__]
        parts.append(_section(module.__name__, about, names))
        if not suffix:
            parts.append(_section("Records, of harness.api too", "What flows through the pass.", types.__all__))
    return "\n\n".join(parts) + "\n"


def _section(title: str, about: str, names: list[str]) -> str:
    listed = fill(", ".join(f"`{name}`" for name in sorted(names, key=str.casefold)), 118, break_long_words=False)
    return f"## {title}\n\n{' '.join(about.split())}\n\n{listed}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
