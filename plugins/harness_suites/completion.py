"""`harness completion`: click's own, for three shells."""

from __future__ import annotations

import click

from harness.api.commands import EXIT_PASSED

_EPILOG = """\b
Examples:
  eval "$(harness completion bash)"  (for this shell; in ~/.bashrc for all)
  eval "$(harness completion zsh)"
  harness completion fish > ~/.config/fish/completions/harness.fish"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print what makes a shell complete commands and options."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    # The source is filled in without `source()`, which asks the version of a bash that need not be here.
    chosen = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    made = chosen(ctx.find_root().command, {}, "harness", "_HARNESS_COMPLETE")
    click.echo(made.source_template % made.source_vars())
    return EXIT_PASSED
