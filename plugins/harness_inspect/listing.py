"""`harness list`: everything that is registered, by kind."""

from __future__ import annotations

from typing import Any

import click

from harness.api.commands import EXIT_PASSED, App, common_options

KINDS = (
    "models", "suites", "constitutions", "principles", "critics", "verifiers", "tools", "classifiers", "metrics",
    "stages", "sources", "recipes", "policies", "plugins",
)  # fmt: skip

_EPILOG = """\b
Examples:
  harness list
  harness list suites
  harness list principles -p ./my_plugins --json"""


@click.command(name="list", epilog=_EPILOG)
@click.argument("kind", required=False, type=click.Choice(KINDS), metavar="[KIND]")
@common_options
def list_(app: App, kind: str | None) -> int:
    """List what is registered, all of it or one kind.

    KIND is models, suites, constitutions, principles, critics, verifiers, tools, classifiers, metrics, stages, sources,
    recipes, policies or plugins.
    """
    found = {name: _rows(app, name) for name in ((kind,) if kind else KINDS)}
    if app.json:
        app.print_json(found)
        return EXIT_PASSED
    from harness.api.commands import plain_table

    for name, rows in found.items():
        if not rows:
            app.console.print(f"no {name} are registered", style="dim")
            continue
        columns = list(rows[0])
        app.console.print(plain_table(columns, [[str(row[c]) for c in columns] for row in rows], title=name))
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
    if kind == "policies":
        own = [
            {"name": name, "about": policy.about, "plugin": "harness.yaml"}
            for name, policy in app.config.policies.items()
        ]
        return own + _registered(app, kind)
    return _registered(app, kind)


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
