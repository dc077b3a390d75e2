"""Multiple choice by the letter that a model writes: for servers that give no log-probabilities."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.api import (
    Completion,
    Generate,
    Message,
    Metric,
    NoReply,
    NotApplicable,
    StrictModel,
    Unscored,
    ask,
    sha256_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import Decoding, Findings, Program, Replies, Reply, Request, Row, Sample, Verdict

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LISTED = re.compile(r"^([A-Z])[.)] +(.+)$", re.MULTILINE)
_AGAIN = "That names none of the answers. Write one letter alone: "


class LetterOptions(StrictModel):
    """Options of `letter_accuracy`."""

    shuffle: bool = True
    """Draw the order of the answers for each question, so that a model that likes one letter gains nothing."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of that order."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often to ask again where no letter can be read."""


class LetterAccuracy(Metric):
    """Row: (1 where the reply names the right answer's letter, 1); Unscored where it names none after all retries."""

    name = "letter_accuracy"
    kind = "proportion"
    direction = "higher"
    bounds = (0.0, 1.0)
    unit = "share"

    def __init__(self, options: LetterOptions) -> None:
        self._options = options
        order = f", in an order drawn with seed {options.seed}" if options.shuffle else ""
        self.about = f"Share of questions whose reply names the letter of the right answer{order}"

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Return the first question; nothing where the right answer is not known."""
        return (Generate(messages=self.question(sample)[0], decoding=ask),) if _asks(sample) else ()

    def gather(self, sample: Sample, decoding: Decoding) -> Program[Replies]:
        """Ask for a letter; again, with what was said, where the reply has none."""
        if not _asks(sample):
            return ()
        messages, order = self.question(sample)
        replies: Replies = ()
        for _ in range(self._options.retries + 1):
            replies = yield ask("policy", Generate(messages=messages, decoding=decoding))
            (reply,) = replies
            if not isinstance(reply, Completion) or read_letter(reply.text, [self._text(sample, n) for n in order]):
                return replies
            again = f"{_AGAIN}{', '.join(_LETTERS[: len(order)])}."
            said = (Message(role="assistant", content=reply.text), Message(role="user", content=again))
            messages = (*messages, *said)
        return replies

    def question(self, sample: Sample) -> tuple[tuple[Message, ...], list[int]]:
        """Return what is asked, and which choice stands at each letter."""
        order = list(range(len(sample.choices)))
        if self._options.shuffle:
            random.Random(sha256_text(f"letters\n{self._options.seed}\n{sample.id}")).shuffle(order)  # noqa: S311
        last = sample.messages[-1]
        listed = "\n".join(f"{_LETTERS[at]}. {self._text(sample, choice)}" for at, choice in enumerate(order))
        stem = last.content
        if self._own_list(sample) is not None:  # its authors list the answers in the question, as MMLU does
            stem = stem[: next(_LISTED.finditer(stem)).start()].rstrip()
        content = f"{stem}\n{listed}\nAnswer with the letter alone."
        return (*sample.messages[:-1], replace(last, content=content)), order

    @staticmethod
    def _own_list(sample: Sample) -> dict[str, str] | None:
        """Return the answers that the question itself lists, where the choices are their letters alone."""
        if any(choice != _LETTERS[n] for n, choice in enumerate(sample.choices)):
            return None
        found = {match[1]: match[2].strip() for match in _LISTED.finditer(sample.messages[-1].content)}
        return found if list(found) == list(sample.choices) else None

    def _text(self, sample: Sample, choice: int) -> str:
        own = self._own_list(sample)
        return sample.choices[choice] if own is None else own[sample.choices[choice]]

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the row of the last reply."""
        if not replies:
            return NotApplicable(reason="not a multiple-choice question with a known answer")
        reply = replies[-1]
        if not isinstance(reply, Completion):
            return Unscored(reason=f"no reply: {reply.reason if isinstance(reply, NoReply) else reply.type}")
        _, order = self.question(sample)
        letter = read_letter(reply.text, [self._text(sample, choice) for choice in order])
        if letter is None:
            return Unscored(reason="the reply names none of the answers' letters")
        return (float(order[_LETTERS.index(letter)] == sample.answer), 1.0)


def _asks(sample: Sample) -> bool:
    return (
        sample.answer is not None and 2 <= len(sample.choices) <= len(_LETTERS) and bool(sample.messages)
        and sample.messages[-1].role == "user"
    )  # fmt: skip


def read_letter(text: str, answers: Sequence[str]) -> str | None:
    """Return the letter that a reply names, or None where it names none or several.

    Read, in this order: a letter alone (`B`, `b`), or before a bracket, stop, colon or comma at the beginning (`(B)`,
    `B. Rome`); where several letters are listed there, the one that the reply ends on (`so D`); what stands behind
    "answer is" or "answer:"; a letter in brackets; an answer's whole text.
    """
    letters = _LETTERS[: len(answers)]
    bare = text.strip().strip("*_`\"' ")
    bare = bare.upper() if len(bare) == 1 else bare
    first = re.match(rf"\(?([{letters}])(?:[).:,\]]|\s*$)", bare)
    listed = re.match(rf"[{letters}](?:\s*,\s*(?:and |or )?|\s+(?:and|or)\s+)[{letters}]\b", bare)
    if first and not listed:
        return first[1]
    last = re.search(rf"\b(?:so|therefore|thus|hence|leaves|is)\s*,?\s*(?:it is\s+)?\(?([{letters}])\)?[.!]?$", bare)
    if listed:  # several letters at the beginning name none of them
        return last[1] if last else None
    named = re.findall(rf"answer(?:\s+is)?\s*:?\s*[*(\"']*([{letters}])\b", bare, re.IGNORECASE)
    named = [letter for letter in named if letter in letters]
    for found in (named, re.findall(rf"\(([{letters}])\)", bare)):
        if found:
            return found[0] if len(set(found)) == 1 else None
    plain = bare.rstrip(".").casefold()
    texts = [answer.strip().rstrip(".").casefold() for answer in answers]
    same = [letter for letter, answer in zip(letters, texts, strict=True) if answer == plain]
    return same[0] if len(same) == 1 else None
