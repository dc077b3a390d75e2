"""`harness approve`, `reject` and `policy reset`: what a person says, with a reason, in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api.commands import EXIT_PASSED, App, common_options

if TYPE_CHECKING:
    from harness_promotion.reviewing import Word

_APPROVE = """\b
Examples:
  harness approve 3f9a1c0b2d4e --reason "read forty answers, none worse"
  harness approve latest --reason "as agreed in the review of Tuesday"

A decision that did not pass cannot be approved. Who approved is what the operating system says, and no proof of it.
Exit codes: 0 recorded, 1 the decision did not pass, 2 input error, 3 the decision is not what the ledger has."""
_REJECT = """\b
Examples:
  harness reject 3f9a1c0b2d4e --reason "it answers in another voice"

The last word about a decision counts: an approval after a rejection lets it through, and the other way round."""
_RESET = """\b
Examples:
  harness policy reset mine \\
      --reason "new data set, nothing of the old one is left"

The next attempt under the policy is checked at the level of a first one. Every reset, its reason and what had been
spent stay in the ledger: a policy that is reset until something passes shows it."""


@click.command(epilog=_APPROVE)
@click.argument("decision")
@click.option("--reason", required=True, help="Recorded in the ledger.")
@common_options
def approve(app: App, decision: str, reason: str) -> int:
    """Approve a DECISION that passed, where its policy asks for a person's word."""
    return _review(app, decision, "approved", reason)


@click.command(epilog=_REJECT)
@click.argument("decision")
@click.option("--reason", required=True, help="Recorded in the ledger.")
@common_options
def reject(app: App, decision: str, reason: str) -> int:
    """Reject a DECISION, so that it cannot be promoted."""
    return _review(app, decision, "rejected", reason)


def _review(app: App, decision: str, word: Word, reason: str) -> int:
    from harness.api import to_plain
    from harness.api.commands import safe_text
    from harness_promotion.reviewing import review

    entry = review(app.workspace, decision, word, reason=reason)
    if app.json:
        app.print_json({"entry": to_plain(entry)})
        return EXIT_PASSED
    name = entry.body["decision"]
    app.console.print(f"decision {name} {word} by {safe_text(entry.body['by'])}", markup=False)
    app.console.print(f"entry {entry.number}, head {entry.hash}", style="dim", soft_wrap=True)
    if word == "approved":
        app.console.print(f"next: harness promote {name}", style="dim")
    return EXIT_PASSED


@click.group(epilog=_RESET.partition("\n\n")[0])
def policy() -> None:
    """Begin the count of a policy's attempts anew."""


@policy.command(epilog=_RESET)
@click.argument("name")
@click.option("--reason", required=True, help="Recorded in the ledger.")
@common_options
def reset(app: App, name: str, reason: str) -> int:
    """Count the attempts under the policy NAME from one again."""
    from harness.api import to_plain
    from harness.api.commands import counted
    from harness.api.workspace import find_policy
    from harness_promotion.attempts import reset as do_reset

    entry = do_reset(app.workspace, find_policy(name, app.config, app.plugins.registries), reason=reason)
    if app.json:
        app.print_json({"entry": to_plain(entry)})
        return EXIT_PASSED
    body = entry.body
    spent = f"{counted(body['attempts'], 'attempt')} had spent {body['spent']:.3g} of its alpha"
    app.console.print(f"policy {name}: {spent}; the next is the first", markup=False)
    app.console.print(f"entry {entry.number}, head {entry.hash}", style="dim", soft_wrap=True)
    return EXIT_PASSED
