"""`harness ledger`: verify the chain, and export it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.api.commands import EXIT_BROKEN, EXIT_PASSED, App, common_options

_VERIFY = """\b
Examples:
  harness ledger verify
  harness ledger verify --head 9f2c1a7be0d34c55
  harness ledger verify --deep

Besides the chain, runs, decisions and what is promoted are compared with it, in both directions.
A head is printed with every promotion. Keep some outside this machine: a chain that was cut short or computed anew
does not hold them. A chain proves nothing against an owner who rebuilds it and changes every kept head too.
Exit codes: 0 all is whole, 3 it is not."""
_EXPORT = """\b
Examples:
  harness ledger export > ledger.jsonl
  harness ledger export -o ledger.jsonl"""

_MARKS = ('{"number": 1, "created": ', '{"entries": 0, "head": ')
"""How an export begins: with the first row, or of an empty ledger with the last line."""


@click.group(epilog=_VERIFY.partition("\n\n")[0])
def ledger() -> None:
    """Verify and export the ledger."""


@ledger.command(epilog=_VERIFY)
@click.option("--head", metavar="HASH", help="A head that was printed once, or at least its first 8 digits.")
@click.option("--deep", is_flag=True, help="Hash every file of every run, adapter and dataset.")
@common_options
def verify(app: App, head: str | None, deep: bool) -> int:
    """Check every row's number, link and hash, and that the workspace's files are what the rows say of them."""
    found = app.workspace.ledger.verify(head)
    wrong = app.session.job("problems")(deep=deep)
    if app.json:
        app.print_json({"whole": not wrong, "entries": found.entries, "head": found.head, "problems": wrong})
    else:
        app.console.print(f"the ledger is whole: {found.entries} entries, head {found.head}", soft_wrap=True)
        if head is not None:
            app.console.print(f"it holds the head {head}", markup=False)
        app.complain(wrong)
    return EXIT_BROKEN if wrong else EXIT_PASSED


@ledger.command(epilog=_EXPORT)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here, not to the screen.")
@click.option("--force", is_flag=True, help="Replace a file that this command did not write.")
@common_options
def export(app: App, output: Path | None, force: bool) -> int:
    """Write the ledger as JSON Lines: one row each, and a last line with the number of rows and the head."""
    import json

    from harness.api import to_plain
    from harness.api.commands import Output

    file = None if output is None else Output(path=output, marks=_MARKS, force=force, workspace=app.workspace.root)
    if file is not None:
        file.check()
    found = app.workspace.ledger.verify()
    rows = [to_plain(entry) for entry in app.workspace.ledger.entries()][: found.entries]
    lines = [json.dumps(row, ensure_ascii=True) for row in rows]
    lines.append(json.dumps({"entries": found.entries, "head": found.head}))
    text = "\n".join(lines) + "\n"
    if file is None:
        sys.stdout.write(text)
        return EXIT_PASSED
    file.write(text)
    if app.json:
        app.print_json({"file": str(output), "entries": found.entries, "head": found.head})
    else:
        app.console.print(f"{output}: {found.entries} entries, head {found.head}", markup=False, soft_wrap=True)
    return EXIT_PASSED
