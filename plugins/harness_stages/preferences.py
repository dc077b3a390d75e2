"""Preference pairs: a prompt, the answer that is preferred and the one that is not; also HH-RLHF's own files.

{"prompt": "…" or [{"role": "user", "content": "…"}], "chosen": "…", "rejected": "…", "confidence": 2.3,
 "principle": "honesty"}
{"prompt": "…", "chosen": "…", "rejected": "…", "rejected_finish": "length"}: an answer that its length cut, so that no
 end is learned behind it; `chosen_finish` likewise
{"chosen": "\\n\\nHuman: …\\n\\nAssistant: …", "rejected": "\\n\\nHuman: …\\n\\nAssistant: …"}
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harness.api import InputError, Message, Role
from harness_stages.reading import Rows, gather, kind_of
from harness_stages.rows import read_field, read_turns

_KEYS = ("prompt", "chosen", "rejected", "confidence", "principle", "chosen_finish", "rejected_finish")
_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_SPEAKERS: Mapping[str, Role] = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One preference."""

    prompt: tuple[Message, ...]
    """Ends with a user turn."""
    chosen: str
    rejected: str
    confidence: float | None
    """How sure whoever chose was, such as the log-odds of the choice; larger is surer. None where it is not told."""
    principle: str
    """By which principle it was chosen; empty where it is not told."""
    line: int
    source: str = ""
    """What the row says of where its answers come from, such as `sample`."""
    chosen_cut: bool = False
    """Whether the chosen answer was cut by its length (`chosen_finish: length`), so that nothing ends it."""
    rejected_cut: bool = False


def read_pairs(path: Path, *, most_bad: float = 0.0) -> Rows[Pair]:
    """Read a file of preference pairs, or HH-RLHF's conversations as they are published; `.gz` is unpacked.

    Raises:
        InputError: naming file, line and key.
    """

    def parse(value: object, line: int) -> Pair:
        if not isinstance(value, dict):
            raise InputError(f"a pair must be a JSON object, this is {kind_of(value)}", file=path, line=line)
        _check_keys(value, path, line)
        pair = _pair(value, path, line) if "prompt" in value else _transcripts(value, path, line)
        if pair.chosen.strip() == pair.rejected.strip():
            raise InputError("chosen and rejected are the same", file=path, line=line, hint="leave the row out")
        return pair

    return gather(path, parse, most_bad=most_bad, what="preference pairs")


def _check_keys(row: Mapping[str, Any], path: Path, line: int) -> None:
    for key in row:
        missing = [name for name in _KEYS if name not in row]
        close = [] if key in _KEYS else get_close_matches(key, missing, n=1, cutoff=0.75)
        if close:
            raise InputError("unknown key", file=path, line=line, key=key, hint=f"did you mean {close[0]!r}?")
    for key in ("chosen", "rejected"):
        if key not in row:
            raise InputError(f"the key {key!r} is missing", file=path, line=line,
                             hint="a pair has prompt, chosen and rejected")  # fmt: skip


def _pair(row: Mapping[str, Any], path: Path, line: int) -> Pair:
    given = row["prompt"]
    if isinstance(given, list):
        prompt = read_turns(given, "prompt", path, line)
    else:
        prompt = [Message(role="user", content=read_field(row, "prompt", path, line))]
    if prompt[-1].role != "user":
        raise InputError(f"ends with the {prompt[-1].role}'s turn", file=path, line=line, key="prompt",
                         hint="end it with the user's")  # fmt: skip
    answers = [_answer(row, key, path, line) for key in ("chosen", "rejected")]
    confidence, principle = row.get("confidence"), row.get("principle")
    if confidence is not None and (isinstance(confidence, bool) or not isinstance(confidence, int | float)):
        raise InputError(f"must be a number, this is {kind_of(confidence)}", file=path, line=line, key="confidence")
    if principle is not None and not isinstance(principle, str):
        raise InputError(f"must be text, this is {kind_of(principle)}", file=path, line=line, key="principle")
    return Pair(
        prompt=tuple(prompt), chosen=answers[0], rejected=answers[1],
        confidence=None if confidence is None else float(confidence), principle=principle or "", line=line,
        source=str(row.get("source", "")), chosen_cut=row.get("chosen_finish") == "length",
        rejected_cut=row.get("rejected_finish") == "length",
    )  # fmt: skip


def _answer(row: Mapping[str, Any], key: str, path: Path, line: int) -> str:
    """Return an answer: text, or the one assistant's message that other tools write."""
    if not isinstance(row[key], list):
        return read_field(row, key, path, line)
    turns = read_turns(row[key], key, path, line)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise InputError("must be one message of the assistant", file=path, line=line, key=key,
                         hint="put the turns before it under prompt")  # fmt: skip
    return turns[0].content


def _transcripts(row: Mapping[str, Any], path: Path, line: int) -> Pair:
    chosen, rejected = (_transcript(row, key, path, line) for key in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise InputError(
            "the two conversations part before their last answer", file=path, line=line, key="rejected",
            hint="leave the row out, or cut both where they part",
        )  # fmt: skip
    return Pair(prompt=chosen[:-1], chosen=chosen[-1].content, rejected=rejected[-1].content, confidence=None,
                principle="", line=line)  # fmt: skip


def _transcript(row: Mapping[str, Any], key: str, path: Path, line: int) -> tuple[Message, ...]:
    before, *rest = _TURN.split(read_field(row, key, path, line))
    turns = tuple(
        Message(role=_SPEAKERS[who], content=text.strip()) for who, text in zip(rest[::2], rest[1::2], strict=True)
    )
    if before.strip() or len(turns) < 2:
        raise InputError("the key 'prompt' is missing, and this is no conversation of Human: and Assistant: turns",
                         file=path, line=line, key=key, hint="add the prompt")  # fmt: skip
    if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise InputError("Human and Assistant do not take turns, the Assistant last", file=path, line=line, key=key,
                         hint="leave the row out")  # fmt: skip
    empty = next((turn for turn in turns if not turn.content), None)
    if empty is not None:
        raise InputError(f"a turn of the {empty.role} is empty", file=path, line=line, key=key,
                         hint="leave the row out")  # fmt: skip
    return turns


def held_out(pairs: Sequence[Pair], share: float, seed: int) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Part pairs into those to learn from and those to validate on; pairs with one prompt stay together.

    Args:
        pairs: of a file.
        share: of the distinct prompts that is held out; at least one prompt where it is above 0 and there are two.
        seed: of the draw.
    """
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
    count = min(len(prompts) - 1, max(1, round(share * len(prompts)))) if share else 0
    held = set(random.Random(seed).sample(prompts, count))  # noqa: S311 - a draw, not a secret
    return tuple(pair for pair in pairs if pair.prompt not in held), tuple(
        pair for pair in pairs if pair.prompt in held
    )
