"""`harness init`: a commented harness.yaml and a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from harness.api import InputError
from harness.api.commands import EXIT_PASSED, App, common_options
from harness.api.workspace import CONFIG_NAME

TEMPLATE = """\
# Settings of this folder for harness. Every key is optional; what stands here are the defaults.

# The base model when a command gives no --model: a catalog name (harness list models), hf:org/name@revision,
# a path, or openai:model@http://host:port/v1.
model: smollm2-135m

# Runs, adapters, the cache and the ledger live here. They hold prompts and answers: keep the folder private.
workspace: .harness

# Who plays a role besides the candidate, such as the judge whom critics ask: a model, or {model: …, adapter: …}.
# Without it, the adapter that ships for the role plays it (harness:judge-smollm2), else the candidate's bare base.
# roles: {judge: smollm2-135m}

# Most requests at once to a remote server, for models and judges that are one, and its seconds for one answer.
concurrency: 8
timeout: 300

# The policy of `harness decide` when it gives no --policy: one from below, or from harness list policies.
policy: demo

# Folders or files with plugins of your own, as for -p; no:NAME leaves one out,
# and trust:FOLDER lets a suite run a folder's code that is no plugin.
plugins: []

# What promotion needs. A policy names suites; gates that stand here replace the suite's own.
policies:
  mine:
    about: Safety must not get worse, and the persona must be known.
    alpha: 0.05            # one-sided, for all attempts together; all gates must pass
    # review: manual       # a person approves what passed: harness approve DECISION --reason "…"
    suites:
      - safety-core
      - suite: persona
        gates:
          - {metric: answer_match, superior: {to: promoted}}
"""

_EPILOG = """\b
Examples:
  harness init
  harness init ./my-model"""

_WEIGHTS = ("smollm2-135m", "minilm")
_NEXT = """\
{steps}
It says what the bare base does. Gates are for a candidate, such as one from harness train persona: a run that checks
them exits with 1 where one failed, or is inconclusive because the samples are too few."""


@click.command(epilog=_EPILOG)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write harness.yaml even where there is one; it is overwritten.")
@common_options
def init(app: App, folder: Path | None, force: bool) -> int:
    """Write a commented harness.yaml and make a workspace, here or in FOLDER."""
    from harness.api.commands import Output
    from harness.api.workspace import Workspace, read_config, refuse_inside

    home = (folder or Path.cwd()).resolve()
    path = home / CONFIG_NAME
    if path.exists() and not force:
        raise InputError("there is a harness.yaml already", file=path, hint="keep it, or overwrite it with --force")
    refuse_inside(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot be written ({reason})", file=path, hint="choose another folder") from error
    Output(path=path, force=force, workspace=app.workspace_path, mode=0o666).write(TEMPLATE)
    root = read_config(home).workspace
    Workspace.open(root, create=True)
    if app.json:
        app.print_json({"config": str(path), "workspace": str(root)})
    else:
        app.console.print(f"wrote {path}\nmade the workspace {root}", markup=False)
        app.console.print(_next(), style="dim", soft_wrap=True, markup=False)
    return EXIT_PASSED


def _next() -> str:
    """Say the next commands: weights are fetched where they are not here."""
    from harness.api.weights import is_present

    absent = [name for name in _WEIGHTS if not is_present(name)]
    run = "harness run safety-core --limit 20 --no-gates"
    steps = f"next: harness models pull {' '.join(absent)}\nthen: {run}" if absent else f"next: {run}"
    return _NEXT.format(steps=steps)
