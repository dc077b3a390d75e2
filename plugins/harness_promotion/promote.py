"""`harness promote`, `rollback`, `status` and `history`: what is promoted, and how it came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.api import InputError
from harness.api.commands import EXIT_BROKEN, EXIT_GATE, EXIT_PASSED, App, WholeRange, common_options

if TYPE_CHECKING:
    from harness.api import Candidate, LedgerEntry
    from harness.api.workspace import Live, Workspace

_PROMOTE = """\b
Examples:
  harness promote 3f9a1c0b2d4e
  harness promote 3f9a            (the beginning of an id is enough)
  harness decide --adapter ./my-adapter && harness promote latest

Exit codes: 0 promoted, 1 the decision did not pass or a plugin objects, 2 the decision is stale or unknown,
3 a file is not what it was."""
_ROLLBACK = """\b
Examples:
  harness rollback
  harness rollback --from 15
      (leave what is promoted since entry 15, once, however often it is
       said)
  harness rollback --to 12 --reason "too terse for our users"
  harness rollback --to base
  harness rollback --check
      (load it, ask it for stored answers, change nothing)

Exit codes: 0 done, 1 a check found another answer than the stored one, 2 input error, 3 a file is not what it was."""
_STATUS = """\b
Examples:
  harness status
  harness status --json

Exit codes: 0 it is what was promoted, 3 its bytes are not."""
_HISTORY = """\b
Examples:
  harness history
  harness history --decisions
      (decisions, reviews and resets too, refused decisions among them)
  harness history --json"""


@click.command(epilog=_PROMOTE)
@click.argument("decision")
@common_options
def promote(app: App, decision: str) -> int:
    """Promote the candidate of DECISION, after checking every hash again."""
    entry = app.session.promote(decision)
    return _changed(app, app.workspace, entry, "promoted")


@click.command(epilog=_ROLLBACK)
@click.option(
    "--to", metavar="ENTRY", help="A promotion's entry, a decision's id, or `base`.  [default: the one before]"
)
@click.option(
    "--from", "leaves", type=WholeRange(min=1), metavar="ENTRY",
    help="Which entry to leave; after a rollback it must be named to go further back.  [default: the promotion]",
)  # fmt: skip
@click.option("--reason", default="", help="Recorded in the ledger.")
@click.option("--drill", is_flag=True, hidden=True)
@click.option("--check", is_flag=True, help="Change nothing: see whether it still gives its stored answers.")
@click.option(
    "--samples", type=WholeRange(min=1), default=8, show_default=True, help="How many answers a check asks for."
)
@common_options
def rollback(app: App, to: str | None, leaves: int | None, reason: str, drill: bool, check: bool, samples: int) -> int:
    """Go back to what was promoted before; said once more, as after a kill, it changes nothing."""
    from harness.api.workspace import live

    if drill:
        raise InputError("--drill is called --check now", hint="write: harness rollback --check")
    app.require_plugins()
    workspace = app.workspace
    if check:
        return _check(app, to, samples)
    before = live(workspace)
    entry = app.session.rollback(to, leaves=leaves, reason=reason)
    if before is None or entry.number != before.entry.number:
        return _changed(app, workspace, entry, "rolled back to")
    code = _changed(app, workspace, entry, "nothing was changed: rolled back already to")
    if not app.json:
        app.console.print(f"to go further back: harness rollback --from {entry.number}", markup=False)
    return code


def _check(app: App, to: str | None, samples: int) -> int:
    from harness.api import to_plain
    from harness.api.commands import plain_table, safe_text
    from harness_promotion.rollback_check import check_rollback

    with app.progress() as progress:
        found = check_rollback(app.workspace, app.plugins, app.session.context, progress, to=to, samples=samples)
    same = sum(answer.same for answer in found.repeated)
    if app.json:
        answers = [{**to_plain(answer), "same": answer.same} for answer in found.repeated]
        app.print_json({"works": found.works, "target": found.target, "candidate": to_plain(found.candidate),
                        "answers": answers, "notes": list(found.notes)})  # fmt: skip
        return EXIT_PASSED if found.works else EXIT_GATE
    rows = [
        (answer.run, answer.sample, answer.stored.type, "the same" if answer.same else "another")
        for answer in found.repeated
    ]
    app.console.print(plain_table(("run", "sample", "answer", "now"), rows, whole=("run",)))
    for note in found.notes:
        app.console.print(f"note: {safe_text(note)}", style="dim", markup=False)
    word = "would work" if found.works else "would not bring back what was promoted"
    app.console.print(
        f"{same} of {len(found.repeated)} stored answers are reproduced: a rollback to "
        f"{safe_text(_describe(found.candidate if found.target else None))} {word}; nothing was changed", markup=False,
        soft_wrap=True,
    )  # fmt: skip
    return EXIT_PASSED if found.works else EXIT_GATE


def _changed(app: App, workspace: Workspace, entry: LedgerEntry, word: str) -> int:
    from harness.api import to_plain
    from harness.api.commands import safe_text
    from harness.api.workspace import alias_path, live_after

    now = live_after(workspace, entry)
    if app.json:
        app.print_json({"entry": to_plain(entry), "alias": str(alias_path(workspace))})
        return EXIT_PASSED
    app.console.print(f"{word} {safe_text(_live(now))}", markup=False, soft_wrap=True)
    if now.files and entry.kind == "promotion" and now.model is not None:
        app.console.print(
            f"its weights stay in {safe_text(now.model.name)}: keep them as they are, a rollback needs them",
            style="dim", markup=False, soft_wrap=True,
        )  # fmt: skip
    app.console.print(f"entry {entry.number}, head {entry.hash}", style="dim", soft_wrap=True)
    app.console.print(
        f"keep the head elsewhere: `harness ledger verify --head {entry.hash[:16]}` then finds a ledger that was cut "
        "or rebuilt", style="dim", markup=False, soft_wrap=True,
    )  # fmt: skip
    app.console.print(f"other programs may follow {alias_path(workspace)}", style="dim", markup=False, soft_wrap=True)
    return EXIT_PASSED


@click.command(epilog=_STATUS)
@common_options
def status(app: App) -> int:
    """Say what is promoted, since when, and what was decided last; the bytes of what is promoted are checked."""
    from harness.api import to_plain
    from harness.api.commands import safe_text
    from harness.api.workspace import alias_path, live
    from harness_promotion.reconcile import promoted_problems

    workspace = app.workspace
    now = live(workspace)
    newest = workspace.ledger.last("decision")
    wrong = list(promoted_problems(workspace))
    if app.json:
        app.print_json(
            {
                "promoted": None if now is None or now.candidate is None else to_plain(now.candidate),
                "entry": None if now is None else to_plain(now.entry),
                "last_decision": None if newest is None else to_plain(newest),
                "head": workspace.ledger.head(),
                "alias": str(alias_path(workspace)) if now is not None else None,
                "workspace": str(workspace.root),
                "problems": wrong,
            }
        )
        return EXIT_BROKEN if wrong else EXIT_PASSED
    for name, value in _status_rows(workspace, now):
        app.console.print(f"{name:<14} {safe_text(value, one_line=True)}", markup=False, soft_wrap=True)
    app.complain(wrong)
    return EXIT_BROKEN if wrong else EXIT_PASSED


def _status_rows(workspace: Workspace, now: Live | None) -> list[tuple[str, str]]:
    from harness.api.workspace import alias_path

    rows = [("promoted", "nothing yet: the bare base" if now is None else _live(now))]
    if now is not None:
        what = "by a rollback" if now.entry.kind == "rollback" else f"by decision {now.entry.body.get('decision')}"
        rows.append(("since", f"{_when(now.entry)}, entry {now.entry.number}, {what}"))
        rows += [("adapter", spec.path) for spec in (now.candidate.adapters if now.candidate is not None else ())]
        if now.model is not None and now.files:
            rows.append(("model", f"{now.model.name} (sha256 {now.weights or '?'})"))
        rows.append(("alias", str(alias_path(workspace))))
    newest = workspace.ledger.last("decision")
    if newest is not None:
        rows.append(("last decision", f"{newest.body.get('decision')} {newest.body.get('sentence')}"))
    rows.append(("head", workspace.ledger.head()))
    return rows


@click.command(epilog=_HISTORY)
@click.option("--decisions", is_flag=True, help="List decisions, reviews and resets too.")
@common_options
def history(app: App, decisions: bool) -> int:
    """List promotions, those that plugins refused, and rollbacks, the oldest first."""
    from rich.padding import Padding
    from rich.text import Text

    from harness.api import to_plain
    from harness.api.commands import safe_text

    workspace = app.workspace
    more = ("decision", "review", "reset") if decisions else ()
    kinds: tuple[Any, ...] = ("promotion", "refusal", "rollback", *more)
    entries = workspace.ledger.entries(*kinds)
    if app.json:
        app.print_json({"history": [to_plain(entry) for entry in entries], "head": workspace.ledger.head()})
        return EXIT_PASSED
    if not entries:
        app.console.print("nothing was ever promoted: what counts as promoted is the bare base")
        return EXIT_PASSED
    for entry in entries:
        line = f"{entry.number:>4}  {_when(entry)}  {entry.kind:<9}  {entry.hash[:16]}"
        app.console.print(Text(line, style="bold"), soft_wrap=True)
        what = Text(safe_text(_what(workspace, entry), one_line=True))
        app.console.print(Padding(what, (0, 0, 0, 6)))  # whole sentences: below, as wide as the terminal
    return EXIT_PASSED


def _what(workspace: Workspace, entry: LedgerEntry) -> str:
    from harness.api.workspace import live_after

    body = entry.body
    if entry.kind == "decision":
        return f"{body.get('decision')}: {body.get('sentence')}"
    if entry.kind == "review":
        return f"{body.get('decision')} {body.get('word')} by {body.get('by')}: {body.get('reason')}"
    if entry.kind == "reset":
        from harness.api.commands import counted

        after = counted(int(body["attempts"]), "attempt")
        return f"the count of the policy {body.get('policy')}, after {after}: {body.get('reason')}"
    if entry.kind == "refusal":
        from harness.api.commands import safe_text

        said = "; ".join(f"{veto['owner']}: {safe_text(veto['reason'], one_line=True)}" for veto in body["vetoes"])
        return f"decision {body.get('decision')} vetoed by {said}"
    text = _live(live_after(workspace, entry))
    if entry.kind == "promotion":
        return f"{text} (decision {entry.body.get('decision')})"
    reason = entry.body.get("reason")
    return f"back to {text}" + (f": {reason}" if reason else "")


def _live(now: Live) -> str:
    """Return what is live in words, and whether anybody can check its weights."""
    text = _describe(now.candidate)
    if now.candidate is None and now.base is not None:
        text += f" ({now.base.reference})"
    return text + (", served: its weights cannot be verified" if now.verifiable is False else "")


def _describe(candidate: Candidate | None) -> str:
    """Return a candidate in words: as its label, and adapters with the beginning of their ids."""
    if candidate is None:
        return "the bare base"
    parts = [
        candidate.model.reference,
        *(s.id if s.name == s.id else f"{s.name} ({s.id[:8]})" for s in candidate.adapters),
    ]
    return " + ".join([*parts, *candidate.additions])


def _when(entry: LedgerEntry) -> str:
    return entry.created[:19].replace("T", " ") + " UTC"
