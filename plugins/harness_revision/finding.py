"""What a person wants revised, and by which principles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api import Decoding, InputError, Message, Sample, parse_json, read_lines, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.api import Principle, Response
    from harness.api.commands import App

Pair = tuple[Sample, str | None]
"""A conversation, and the reply to it; None where the model is to be asked."""
_ROW = '{"prompt": "…", "response": "…"}'


def wanted_principles(app: App, constitution: str, only: Sequence[str]) -> tuple[Principle, ...]:
    """Return the principles of a constitution, or those of them that are named.

    Raises:
        InputError: for names that nothing answers to.
    """
    from harness.api.workspace import Constitutions

    app.require_plugins()
    rules = Constitutions(app.plugins.registries, app.session.options.folder).record(constitution)
    known = [one.id for one in rules.principles]
    for name in only:
        if name not in known:
            raise unknown_name(f"principle in {rules.id}", name, known, key="--principle")
    return tuple(one for one in rules.principles if not only or one.id in only)


def rows_of(prompt: str | None, response: str | None, data: Path | None) -> list[Pair]:
    """Return what the command line or a file names.

    Raises:
        InputError: where it is nothing, or two things at once, or a row is not what it should be.
    """
    if (prompt is None) is (data is None):
        raise InputError(
            "name one thing to revise: a prompt, --data FILE or --run RUN",
            hint='write harness revise "PROMPT", or --help for examples',
        )  # fmt: skip
    if data is None:
        return [(Sample(id="prompt", messages=(Message(role="user", content=prompt or ""),)), response)]
    if response is not None:
        raise InputError(
            "--response belongs to a prompt, and --data has its own", key="--response", hint="leave it out"
        )
    found = [_row(parse_json(line, data, number), data, number)
             for number, line in read_lines(data, what="file of replies") if line.strip()]  # fmt: skip
    if not found:
        raise InputError("holds no rows", file=data, hint=f"write one object a line: {_ROW}")
    return found


def replies_of_run(app: App, name: str) -> list[Pair]:
    """Return all replies of a stored run in their conversations; a sample's later ones have a number behind its id."""
    return [
        (one.sample if not one.index else replace(one.sample, id=f"{one.sample.id}#{one.index + 1}"),
         one.completion.text)
        for one in responses_of_run(app, name) if one.completion is not None
    ]  # fmt: skip


def responses_of_run(app: App, name: str, *, hidden: bool = False) -> list[Response]:
    """Return all replies of a stored run: every turn of a conversation, and every completion.

    Args:
        app: with the workspace.
        name: of the run.
        hidden: also those to samples that decide, for aggregates: no caller shows them.

    Raises:
        InputError: where it holds none.
    """
    from harness.api.asking import Interview
    from harness.api.workspace import hidden_count, read_all_samples, read_run, read_samples

    run = read_run(app.workspace, name)
    interview = Interview(metrics=(), candidate=run.candidate, decoding=Decoding())
    read = read_all_samples if hidden else read_samples
    found = [
        one
        for record in read(app.workspace, run.id)
        for one in interview.responses(record.sample, dict(record.replies))
        if one.completion is not None
    ]
    if not found and not hidden and hidden_count(app.workspace, run.id):
        raise InputError(
            f"all replies of the run {run.id} are to samples that decide, and are hidden",
            hint="choose a run on open samples: harness run",
        )
    if not found:
        raise InputError(f"the run {run.id} holds no replies", hint="choose one whose suite generates text")
    return found


def _row(row: object, path: Path, line: int) -> Pair:
    if not isinstance(row, dict):
        raise InputError("is no JSON object", file=path, line=line, hint=f"write {_ROW}")
    response = row.get("response")
    if response is not None and not isinstance(response, str):
        raise InputError("must be text", file=path, line=line, key="response", hint=f"write {_ROW}")
    turns = row.get("messages", [{"role": "user", "content": row.get("prompt")}])
    fits = isinstance(turns, list) and turns and all(
        isinstance(turn, dict) and turn.get("role") in {"system", "user", "assistant"}
        and isinstance(turn.get("content"), str) and turn["content"].strip()
        for turn in turns
    )  # fmt: skip
    if not fits:
        raise InputError(
            "needs a prompt, or messages with role and content", file=path, line=line, hint=f"write {_ROW}"
        )
    messages = tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
    tags = tuple(str(tag) for tag in row.get("tags", ()) if isinstance(tag, str))
    return Sample(id=str(row.get("id") or f"line {line}"), messages=messages, tags=tags), response
