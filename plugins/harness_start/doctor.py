"""`harness doctor`: what works on this machine, and the next step for what does not."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import click

from harness.api import HarnessError
from harness.api.commands import EXIT_INPUT, EXIT_PASSED, App, common_options, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.api import Session

State = Literal["ok", "absent", "broken"]
_PACKAGES = (
    ("torch", "torch", None),
    ("transformers", "transformers", None),
    ("peft", "peft", None),
    ("sacrebleu", "sacrebleu", "metrics"),
    ("evaluate", "evaluate", "metrics"),
    ("detoxify", "detoxify", "safety"),
    ("presidio-analyzer", "presidio_analyzer", "safety"),
    ("spacy", "spacy", "safety"),
    ("trl", "trl", "train"),
    ("streamlit", "streamlit", "report"),
    ("pandas", "pandas", "report"),
)

_EPILOG = """\b
Examples:
  harness doctor
  harness doctor --json
  harness doctor --hardware
      (measures for some ten seconds, for harness train --dry-run)"""


@click.command(epilog=_EPILOG)
@click.option("--deep", is_flag=True, help="Hash every file of the workspace that the ledger names.")
@click.option("--hardware", is_flag=True, help="Measure this machine instead, and propose precision, batch and base.")
@common_options
def doctor(app: App, deep: bool, hardware: bool) -> int:
    """Say what works here: versions, devices, weights, plugins, the workspace. Exit code 2 if something is broken."""
    if hardware:
        return _hardware(app)
    found = list(_look(app, deep=deep))
    if app.json:
        app.print_json([{"what": w, "state": s, "found": f, "next": n} for w, s, f, n in found])
    else:
        _print(app, found)
    return EXIT_INPUT if any(state == "broken" for _, state, _, _ in found) else EXIT_PASSED


def _hardware(app: App) -> int:
    """Measure, keep it where dry runs find it, and say it."""
    from harness.api.weights import weights_dir
    from harness_start.hardware import keep, lines, measure

    with app.session.progress() as progress:
        found = measure(progress)
    file = keep(found, app.workspace.root if app.workspace_path.exists() else weights_dir())
    if app.json:
        app.print_json({"processor": found.processor, "facts": dict(found.facts), "figures": dict(found.figures),
                        "proposals": dict(found.proposals), "file": str(file)})  # fmt: skip
        return EXIT_PASSED
    for what, told in lines(found):
        app.console.print(f"{what:<13} {safe_text(told)}", markup=False, highlight=False, soft_wrap=True)
    app.console.print(f"kept in {safe_text(str(file))}", style="dim", markup=False, soft_wrap=True)
    return EXIT_PASSED


Row = tuple[str, State, str, str]
_STYLE = {"ok": "green", "absent": "yellow", "broken": "red"}


def _print(app: App, found: Sequence[Row]) -> None:
    """Print a line for each thing, and one for its next step; no path or command in them is broken in two."""
    from rich.text import Text

    width = max(len(what) for what, *_ in found)
    for what, state, what_found, step in found:
        line = Text.assemble((f"{state:<6}", _STYLE[state]), f"  {safe_text(what):<{width}}  {safe_text(what_found)}")
        app.console.print(line, soft_wrap=True)
        if step:
            app.console.print(Text(f"{'':<{width + 10}}next: {safe_text(step)}", style="dim"), soft_wrap=True)


def _look(app: App, *, deep: bool) -> Iterator[Row]:
    yield ("python", "ok", f"{platform.python_version()} at {sys.executable}", "")
    for name, module, extra in _PACKAGES:
        yield _package(name, module, extra)
    yield _device()
    yield from _weights()
    yield from _plugins(app)
    yield from _workspace(app, deep=deep)


def _package(name: str, module: str, extra: str | None) -> Row:
    try:
        found = version(name)
    except PackageNotFoundError:
        package = f"'harness[{extra}]'" if extra else "harness"
        return (name, "absent" if extra else "broken", "not installed", f"pip install {package}")
    if find_spec(module) is None:
        return (name, "broken", f"{found}, but it cannot be imported", f"pip install --force-reinstall {name}")
    return (name, "ok", found, "")


def _device() -> Row:
    import psutil

    memory = psutil.virtual_memory()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    host = f"cpu with {cores} cores, {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    try:
        import torch
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
        return ("devices", "broken", f"torch cannot be imported: {error}", "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return ("devices", "ok", f"{names}; {host}", "")
    if torch.backends.mps.is_available():
        return ("devices", "ok", f"Apple GPU (mps); {host}", "")
    return ("devices", "ok", host, "")


def _weights() -> Iterator[Row]:
    from harness.api.weights import catalog, is_present, weights_dir

    for name in catalog():
        here = is_present(name)
        step = "" if here else f"harness models pull {name}"
        yield (f"weights {name}", "ok" if here else "absent", str(weights_dir() / name) if here else "not here", step)


def _plugins(app: App) -> Iterator[Row]:
    from harness.api.workspace import load_plugins

    plugins = load_plugins((*app.config.plugins, *app.plugin_options))
    registered = sum(len(registry) for registry in vars(plugins.registries).values())
    yield ("plugins", "ok", f"{len(plugins.infos)} plugins register {registered} names", "")
    for broken in plugins.broken:
        yield (f"plugin {broken.name}", "broken", broken.reason, f"mend it, or use -p no:{broken.name}")


def _workspace(app: App, *, deep: bool) -> Iterator[Row]:
    path = app.workspace_path
    if not path.exists():
        yield ("workspace", "absent", str(path), "harness init")
        return
    free = shutil.disk_usage(path).free / 2**30
    try:
        entries = app.workspace.ledger.verify().entries
        wrong = app.session.job("problems")(deep=deep)
    except HarnessError as error:
        yield ("workspace", "broken", str(error), "harness ledger verify")
        return
    for problem in wrong:
        yield ("workspace", "broken", problem, "harness ledger verify")
    if not wrong:
        yield ("workspace", "ok", f"{path}: {entries} ledger entries, {free:.1f} GiB free", "")
    yield from _touched(app.session)


def _touched(session: Session) -> Iterator[Row]:
    """Name what adapters that overwrite the shared base may have touched."""
    from harness.api.workspace import live

    try:
        found, now = session.touched(), live(session.workspace)
    except HarnessError as error:
        yield ("adapters", "broken", str(error), "harness ledger verify")
        return
    for identity, why in found.adapters.items():
        yield (f"adapter {identity}", "broken", why, "do not use it; train the adapter again")
    for number in found.promotions:
        current = now is not None and now.promotion == number
        step = "harness rollback" if current else f"do not go back to it with harness rollback --to {number}"
        yield (f"promotion {number}", "broken", "rests on runs that such an adapter may have touched", step)
    if found.runs:
        said = f"such an adapter may have touched: {', '.join(found.runs)}"
        yield ("runs", "broken", said, "run them again: nothing that was cached then is believed")
    if found.unknown:
        said = f"cannot be checked, being gone or unreadable: {', '.join(found.unknown)}"
        yield ("adapters of runs", "absent", said, "run again what rests on them")
