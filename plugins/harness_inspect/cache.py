"""`harness cache`: what is remembered of models' replies, and how to forget some of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from harness.api import InputError
from harness.api.commands import EXIT_GATE, EXIT_PASSED, App, common_options
from harness_inspect.quantities import duration, size, size_text

if TYPE_CHECKING:
    from harness_inspect.pruning import Pruned

_STATS = """\b
Examples:
  harness cache stats
  harness cache stats --json"""
_VERIFY = """\b
Examples:
  harness cache verify
  harness cache verify --forget"""
_PRUNE = """\b
Examples:
  harness cache prune --older-than 30d
  harness cache prune --keep 2GB --dry-run
  harness cache prune --keep 0

Both together take away what either would. Nothing but time is lost: what is asked again is answered again. Runs and
decisions stay as they are."""


@click.group(epilog=_STATS)
def cache() -> None:
    """Say what the cache of replies holds, and forget some of it."""


@cache.command(epilog=_STATS)
@common_options
def stats(app: App) -> int:
    """Say how many replies, findings and verdicts are kept, and how much room they take."""
    from dataclasses import asdict

    from harness.api.workspace import CacheStats

    workspace = app.workspace
    there = workspace.cache_path.exists()
    found = workspace.cache.stats() if there else CacheStats(entries=0, value_bytes=0, file_bytes=0)
    if app.json:
        times = {"oldest": _time(found.oldest), "newest": _time(found.newest)}
        app.print_json({"path": str(workspace.cache_path), **asdict(found), **times})
        return EXIT_PASSED
    console = app.console
    console.print(str(workspace.cache_path), markup=False, soft_wrap=True)
    console.print(f"{found.entries:,} entries, {size_text(found.file_bytes)} on disk")
    if found.entries:
        console.print(f"stored from {_time(found.oldest)} to {_time(found.newest)}")
    return EXIT_PASSED


@cache.command(epilog=_VERIFY)
@click.option("--forget", is_flag=True, help="Take away the rows that are not believed.")
@common_options
def verify(app: App, forget: bool) -> int:
    """Say how many rows are not what this workspace wrote. Exit code 1 if any are left, or others may read the key."""
    from dataclasses import asdict

    from harness_inspect.pruning import Verified, verify

    workspace = app.workspace
    there = workspace.cache_path.exists()
    found = verify(workspace.cache, forget=forget) if there else Verified(entries=0, refused=0)
    if app.json:
        app.print_json(asdict(found))
    else:
        key = workspace.cache_path.with_suffix(".key")
        said = (
            f"{found.refused:,} of {found.entries:,} entries are not what this workspace wrote, and are never believed"
        )
        app.console.print(said + (f"; forgot {found.forgotten:,}" if forget else ""))
        if not found.private:
            app.console.print(f"others may read the key, and so forge entries: chmod 600 {key}", markup=False)
    return EXIT_PASSED if found.refused == found.forgotten and found.private else EXIT_GATE


@cache.command(epilog=_PRUNE)
@click.option(
    "--older-than", callback=duration, metavar="30d", help="Forget what was stored longer ago: s, m, h, d, w."
)
@click.option("--keep", "keep_bytes", callback=size, metavar="2GB", help="Keep the newest that fit into so much.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and take nothing away.")
@common_options
def prune(app: App, older_than: float | None, keep_bytes: int | None, dry_run: bool) -> int:
    """Forget the oldest entries, and give their room back to the disk; refuses while another command writes."""
    from dataclasses import asdict

    from harness_inspect.pruning import Pruned, prunable, prune

    if older_than is None and keep_bytes is None:
        raise InputError("nothing says what is to go", hint="give --older-than 30d, --keep 2GB, or --keep 0 for all")
    workspace = app.workspace
    if not workspace.cache_path.exists():
        found = Pruned(entries=0, kept=0, freed_bytes=0)
    elif dry_run:
        found = prunable(workspace.cache, older_than=older_than, keep_bytes=keep_bytes)
    else:
        with workspace.alone("harness cache prune"):
            found = prune(workspace.cache, older_than=older_than, keep_bytes=keep_bytes)
    if app.json:
        app.print_json({**asdict(found), "dry_run": dry_run})
    else:
        app.console.print(_sentence(found, dry_run=dry_run))
    return EXIT_PASSED


def _sentence(found: Pruned, *, dry_run: bool) -> str:
    if dry_run:
        return (
            f"would forget {found.entries:,} entries, about {size_text(found.freed_bytes)}; {found.kept:,} would stay"
        )
    return f"forgot {found.entries:,} entries, freed {size_text(found.freed_bytes)}; {found.kept:,} stay"


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
