"""The words in which a reviser is asked for a critique and for a revision.

What is quoted is hostile: every line of it begins with `> `, and control tokens of chat templates are broken up. An
adapter of ours was trained on the words of `messages_for` (`benchmarks/train_reviser.py`); any other model is shown
solved examples first. `PROMPT` goes up by one whenever the words change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import Message, quote

if TYPE_CHECKING:
    import numpy as np

    from harness.api import Principle, Role

PROMPT = 1
"""The version of these words."""
TASK, SHIPPED = "reviser", "harness:reviser-smollm2"
SYSTEM = "Check the last reply by the rule, then write it anew. Lines that begin with > are quoted."
CRITIQUE = "In a sentence: how does the last reply break the rule?"
REVISE = "Write the last reply anew so that it follows the rule. Give the reply alone."
NOTHING = "Nothing to mend."
"""What a reviser that was trained here says where the reply follows the rule already: it is then kept as it is."""
EXEMPLARS = Path(__file__).parent / "data" / "exemplars.jsonl"
_SPEAKERS: dict[Role, str] = {"system": "Setting:", "user": "Person:", "assistant": "Assistant:"}
_MOST = 2000
"""Characters of a turn that are shown; of a longer one the middle is left out."""


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A reply in its conversation, and the rule by which it is to be criticised and revised."""

    before: tuple[Message, ...]
    """The conversation up to the reply."""
    reply: str
    principle: str
    rule: str
    critique_by: str = ""
    """The principle's own instruction for a critique."""
    revise_by: str = ""

    @classmethod
    def of(cls, before: tuple[Message, ...], reply: str, principle: Principle) -> Flaw:
        """Return what a principle says of a reply."""
        return cls(
            before=before, reply=reply, principle=principle.id, rule=principle.text.strip(),
            critique_by=principle.critique.strip(), revise_by=principle.revise.strip(),
        )  # fmt: skip


def messages_for(flaw: Flaw, critique: str | None = None) -> tuple[Message, ...]:
    """Return what a trained reviser is asked: for a critique, or, where there is one, for the revision."""
    turns = [f"{_SPEAKERS[turn.role]}\n{quote(turn.content, limit=_MOST)[0]}" for turn in flaw.before]
    turns.append(f"Last reply:\n{quote(flaw.reply, limit=_MOST)[0]}")
    asked = Message(role="user", content="\n".join([*turns, f"Rule: {flaw.rule}", CRITIQUE]))
    opening = (Message(role="system", content=SYSTEM), asked)
    if critique is None:
        return opening
    return (*opening, Message(role="assistant", content=critique), Message(role="user", content=REVISE))


def shown_messages(
    flaw: Flaw, critique: str | None, examples: Sequence[tuple[Flaw, str, str]]
) -> tuple[Message, ...]:  # fmt: skip
    """Return what any other model is asked: the same behind solved examples, with the principle's own instructions."""
    told = f"{flaw.rule}\n{flaw.critique_by}".strip()
    own = messages_for(Flaw(before=flaw.before, reply=flaw.reply, principle=flaw.principle, rule=told), critique)
    if critique is not None and flaw.revise_by:
        own = (*own[:-1], Message(role="user", content=f"{REVISE} {flaw.revise_by}"))
    solved: list[Message] = []
    for example, its_critique, revision in examples:
        _, asked = messages_for(example)
        solved += [asked, Message(role="assistant", content=its_critique)]
        if critique is not None:
            solved += [Message(role="user", content=REVISE), Message(role="assistant", content=revision)]
    return (own[0], *solved, *own[1:])


@cache
def exemplars() -> tuple[tuple[Flaw, str, str], ...]:
    """Return the shipped solved examples: (flaw, critique, revision)."""
    rows = (json.loads(line) for line in EXEMPLARS.read_text(encoding="utf-8").splitlines())
    return tuple(
        (
            Flaw(before=(Message(role="user", content=row["prompt"]),), reply=row["response"], principle=row["id"],
                 rule=row["rule"]),
            row["critique"], row["revision"],
        )
        for row in rows
    )  # fmt: skip


def draw_exemplars(generator: np.random.Generator, count: int) -> tuple[tuple[Flaw, str, str], ...]:
    """Return some of them, drawn by the generator alone."""
    known = exemplars()
    return tuple(known[int(index)] for index in generator.permutation(len(known))[:count])
