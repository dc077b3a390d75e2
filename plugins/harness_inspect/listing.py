"""`harness list`: everything that is registered, by kind."""

from __future__ import annotations

from typing import Any

import click

from harness.api.commands import EXIT_PASSED, App, common_options

KINDS = (
    "models", "adapters", "suites", "constitutions", "principles", "critics", "verifiers", "tools", "classifiers",
    "metrics", "stages", "sources", "recipes", "policies", "plugins",
)  # fmt: skip

_EPILOG = """\b
Examples:
  harness list
  harness list suites
  harness list adapters
  harness list principles -p ./my_plugins --json"""


@click.command(name="list", epilog=_EPILOG)
@click.argument("kind", required=False, type=click.Choice(KINDS), metavar="[KIND]")
@common_options
def list_(app: App, kind: str | None) -> int:
    """List what is registered, all of it or one kind.

    KIND is models, adapters, suites, constitutions, principles, critics, verifiers, tools, classifiers, metrics,
    stages, sources, recipes, policies or plugins.
    """
    found = {name: _rows(app, name) for name in ((kind,) if kind else KINDS)}
    if app.json:
        app.print_json(found)
        return EXIT_PASSED
    from harness.api.commands import named_table, plain_table

    for name, rows in found.items():
        if not rows:
            none = "no adapters are kept here; harness train RECIPE makes one" if name == "adapters" else ""
            app.console.print(none or f"no {name} are registered", style="dim")
            continue
        columns = list(rows[0])
        cells = [[_cell(row[column]) for column in columns] for row in rows]
        app.console.print((named_table if name == "adapters" else plain_table)(columns, cells, title=name))
    return EXIT_PASSED


def _rows(app: App, kind: str) -> list[dict[str, Any]]:
    plugins = app.plugins
    if kind == "plugins":
        rows = [{"name": i.name, "version": i.version, "origin": i.origin, "state": "ok"} for i in plugins.infos]
        return rows + [
            {"name": b.name, "version": "", "origin": "", "state": f"broken: {b.reason}"} for b in plugins.broken
        ]
    if kind == "models":
        return _models(app)
    if kind == "adapters":
        return _adapters(app)
    if kind == "policies":
        own = [
            {"name": name, "about": policy.about, "plugin": "harness.yaml"}
            for name, policy in app.config.policies.items()
        ]
        return own + _registered(app, kind)
    return _registered(app, kind)


def _cell(value: object) -> str:
    return ("yes" if value else "") if isinstance(value, bool) else str(value)


def _adapters(app: App) -> list[dict[str, Any]]:
    """Return the adapters that the workspace keeps, the newest first."""
    from harness.api.artifacts import artifacts
    from harness.api.workspace import list_runs, promoted

    if not app.workspace_path.is_dir():
        return []
    labels = {
        spec.id: spec.name for run in list_runs(app.workspace, problems=[]) for spec in run.candidate.adapters
        if spec.name != spec.id
    }  # fmt: skip
    now = promoted(app.workspace)
    live = {spec.id for spec in now.adapters} if now is not None else set()
    rows = [
        {"id": one.id, "label": labels.get(one.id, ""), "base": one.base, "made": one.created[:16].replace("T", " "),
         "recipe": one.recipe or "from elsewhere", "promoted": one.id in live}
        for one, _ in artifacts(app.workspace, "adapter")
    ]  # fmt: skip
    return sorted(rows, key=lambda row: str(row["made"]), reverse=True)


def _registered(app: App, kind: str) -> list[dict[str, Any]]:
    registry = getattr(app.plugins.registries, kind)
    return [{"name": entry.name, "about": entry.about, "plugin": entry.owner} for entry in registry]


def _models(app: App) -> list[dict[str, Any]]:
    from harness.api.weights import catalog, is_present

    schemes = [
        {"name": f"{entry.name}:", "about": entry.about, "plugin": entry.owner, "here": "scheme"}
        for entry in app.plugins.registries.models
    ]
    weights = [
        {"name": name, "about": entry.about, "plugin": "catalog", "here": "yes" if is_present(name) else "no"}
        for name, entry in catalog().items()
    ]
    return weights + schemes
