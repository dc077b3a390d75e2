"""Options that are quantities with a unit, as callbacks of click: `--older-than 30d`, `--keep 2GB`."""

from __future__ import annotations

import math
import re

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"": 1, "b": 1} | {
    prefix + unit: factor**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, factor in (("", 1000), ("b", 1000), ("ib", 1024))
}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)


def duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read an option's number with s, m, h, d or w as seconds."""
    if value is None:
        return None
    found = _read(value, _SECONDS)
    if found is None:
        raise click.BadParameter(f"{value!r} is no length of time; write 30d, 12h or 2w")
    return found


def size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Read an option's number with B, kB, MB, GB, TB or KiB, MiB, GiB, TiB as bytes."""
    if value is None:
        return None
    found = _read(value, _BYTES)
    if found is None:
        raise click.BadParameter(f"{value!r} is no size; write 2GB or 500MB")
    return int(found)


def _read(value: str, units: dict[str, int]) -> float | None:
    match = _QUANTITY.fullmatch(value)
    if match is None or match[2].lower() not in units:
        return None
    found = float(match[1]) * units[match[2].lower()]
    return found if math.isfinite(found) and found < 1e18 else None


def size_text(count: int) -> str:
    """Write a number of bytes as people read it, in powers of 1000."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} bytes"
