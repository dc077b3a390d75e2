"""Files of prompts for stages: red-team prompts and harmless ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError, Message, Sample, parse_json, read_lines, resolve_path, sha256_text

if TYPE_CHECKING:
    from harness.api import Constitution, Document, StageInput, StageModels

OWN = "own:"
"""How a file that ships with harness is named: `own:red-team.jsonl`."""
SHIPPED = (
    "red-team.jsonl", "revisions-1.jsonl", "revisions-2.jsonl", "revisions-3.jsonl", "revisions-4.jsonl", "twins.jsonl",
    "twins-2.jsonl", "twins-3.jsonl", "ordinary.jsonl", "validation-pairs.jsonl",
)  # fmt: skip
_DATA = tuple(Path(__file__).parents[1] / plugin / "data" for plugin in ("harness_revision", "harness_stages"))
_KEYS = '{"id": "…", "family": "…", "prompt": "…", "harmful": true}'


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, and whether following it would do harm."""

    sample: Sample
    harmful: bool
    completion: str = ""
    """A reply to it that was written by hand; empty where the row has none."""
    line: int = 0
    """Where it stands in its file, from 1."""


def find_prompts(inputs: StageInput, document: Document, names: Sequence[str]) -> list[Path]:
    """Return the files that a recipe names.

    Raises:
        InputError: naming file, line and key, where there is none.
    """
    found = []
    for index, name in enumerate(names):
        place = (*inputs.place, "prompts", index)
        if name.startswith(OWN):
            path = _shipped(name.removeprefix(OWN))
            if path is None:
                known = ", ".join(f"{OWN}{one}" for one in SHIPPED)
                raise document.error(f"no file of prompts ships as {name!r}", place, hint=f"known: {known}")
        else:
            path = resolve_path(name, inputs.recipe_path, line=document.line(place), key="prompts")
        if not path.is_file():
            raise document.error(f"there is no file {path}", place, hint="write it relative to the recipe's folder")
        found.append(inputs.instead.get(path, path))
    return found


def prompt_files(inputs: StageInput, document: Document, names: Sequence[str]) -> dict[str, Path]:
    """Return the files of prompts by role, as a stage's record has them; raises as `find_prompts`."""
    files = find_prompts(inputs, document, names)
    return {"prompts" if not index else f"prompts {index + 1}": file for index, file in enumerate(files)}


def _shipped(name: str) -> Path | None:
    found = (folder / name for folder in _DATA if name in SHIPPED)
    return next((path for path in found if path.is_file()), None)


def read_prompts(path: Path) -> list[Prompt]:
    """Read JSON Lines of prompts.

    A row has `prompt`, or `messages` that end with the user's turn, and `harmful` (default true); rows of suites with
    the tags harmful and benign are taken as such.

    Raises:
        InputError: naming file, line and key, for what is no such row, and for a file without rows.
    """
    found: list[Prompt] = []
    for number, line in read_lines(path, what="file of prompts"):
        if line.strip():
            found.append(_prompt(parse_json(line, path, number), path, number))
    if not found:
        raise InputError("holds no prompts", file=path, hint=f"write one object a line: {_KEYS}")
    return found


def read_all(files: Sequence[Path]) -> list[Prompt]:
    """Read several files; the same prompt may stand in more than one of them.

    Raises:
        InputError: as `read_prompts`, and where one id names two prompts, or two replies to one.
    """
    found: list[Prompt] = []
    named: dict[str, tuple[Path, Prompt]] = {}
    for path in files:
        for prompt in read_prompts(path):
            other, before = named.setdefault(prompt.sample.id, (path, prompt))
            if (before.sample.messages, before.completion) != (prompt.sample.messages, prompt.completion):
                raise InputError(
                    f"the id {prompt.sample.id!r} names another prompt or reply in {other}, line {before.line}",
                    file=path, line=prompt.line, key="id",
                    hint="give each prompt an id of its own; one without takes the file's name and the line's number",
                )  # fmt: skip
            found.append(prompt)
    return found


def drawn(prompts: Sequence[Prompt], limits: tuple[int | None, int | None], seed: int) -> tuple[Prompt, ...]:
    """Return each distinct prompt once, at most so many harmful and so many harmless ones, drawn by the seed."""
    once = {prompt.sample.messages: prompt for prompt in reversed(prompts)}
    kept = [prompt for prompt in prompts if once[prompt.sample.messages] is prompt]
    chosen: set[str] = set()
    for sort, limit in zip((True, False), limits, strict=True):
        own = [prompt for prompt in kept if prompt.harmful is sort]
        order = sorted(own, key=lambda one: sha256_text(f"{seed} {one.sample.id} {one.sample.prompt}"))
        chosen |= {one.sample.content_hash for one in order[:limit]}
    return tuple(prompt for prompt in kept if prompt.sample.content_hash in chosen)


def given(inputs: StageInput) -> tuple[StageModels, Constitution]:
    """Return whom a stage asks, and by what it judges.

    Raises:
        InputError: where the runner gave neither, as in a stage that is tried by itself.
    """
    if inputs.models is None or inputs.constitution is None:
        raise InputError("the stage asks models and judges by a constitution", file=inputs.recipe_path,
                         key="constitution", hint="run it by a recipe that names one")  # fmt: skip
    return inputs.models, inputs.constitution


def _prompt(row: object, path: Path, number: int) -> Prompt:
    if not isinstance(row, dict):
        raise InputError("is no JSON object", file=path, line=number, hint=f"write {_KEYS}")
    harmful = row.get("harmful")
    tags = row.get("tags") or []
    if harmful is None:
        harmful = "benign" not in tags if isinstance(tags, list) else True
    if not isinstance(harmful, bool):
        raise InputError("must be true or false", file=path, line=number, key="harmful", hint=f"write {_KEYS}")
    messages = _turns(row, path, number)
    name = str(row.get("id") or f"{path.stem}-{number}")
    given = tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
    family = (str(row["family"]),) if row.get("family") else ()
    completion = row.get("completion", "")
    if not isinstance(completion, str):
        raise InputError("must be text", file=path, line=number, key="completion", hint="write the reply, or leave it")
    sample = Sample(id=name, messages=messages, tags=(*given, *family))
    return Prompt(sample=sample, harmful=harmful, completion=completion.strip(), line=number)


def _turns(row: dict[str, Any], path: Path, number: int) -> tuple[Message, ...]:
    turns = row.get("messages")
    if turns is None:
        text = row.get("prompt")
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                "needs a prompt, and it is text", file=path, line=number, key="prompt", hint=f"write {_KEYS}"
            )
        return (Message(role="user", content=text),)
    fits = isinstance(turns, list) and all(
        isinstance(turn, dict) and turn.get("role") in {"system", "user", "assistant"}
        and isinstance(turn.get("content"), str)
        for turn in turns
    )  # fmt: skip
    if not fits or not turns or turns[-1]["role"] != "user":
        raise InputError(
            "must be a list of turns that ends with the user's", file=path, line=number, key="messages",
            hint='write [{"role": "user", "content": "…"}]',
        )  # fmt: skip
    return tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
