"""The `constitutional` stage: prompts → replies → critiques by sampled principles → revisions that critics admit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import Field

from harness.api import (
    BrokenRunError,
    Completion,
    Decoding,
    InputError,
    Stage,
    StageInput,
    StageOutput,
    StrictModel,
    Unscored,
    service,
    stage_options,
    to_plain,
)
from harness_revision.promptfiles import Prompt, drawn, find_prompts, given, prompt_files, read_all
from harness_revision.revising import HowToRevise, broken, respond, revise, score
from harness_revision.sentences import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.api import Document, Principle, Response, StageModels
    from harness_revision.revising import History


class Signs(Protocol):
    """What was measured so far, and whether it is beyond a limit."""

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Take what was measured at a step."""

    def breach(self) -> str:
        """Say which limit the last evaluation point is beyond; empty where none."""

    def figures(self) -> dict[str, float]:
        """Return what was measured first and last."""

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Return what changed, step by step."""


label_of: Callable[[str, str], str] = service("reply label")
make_signs: Callable[[StopIf], Signs] = service("collapse signs")
measure_texts: Callable[[Sequence[str], Sequence[int]], dict[str, float]] = service("text measures")


class StopIf(StrictModel):
    """What ends revising; docs/training.md says how each is measured."""

    length: Annotated[float, Field(gt=1)] | None = None
    """Largest ratio of the mean answer's length to that at first, either way."""
    distinct: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Smallest ratio of the share of distinct pairs of words to that at first."""
    repetition: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest share of an answer's runs of four words that stood in it before."""


class ConstitutionalOptions(StrictModel):
    """What a recipe may say under `constitutional`; docs/revision.md has the table."""

    prompts: Annotated[list[str], Field(min_length=1)]
    """Files of prompts: `own:red-team.jsonl`, or paths relative to the recipe."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most harmful prompts, drawn by the seed."""
    harmless_limit: Annotated[int, Field(ge=1)] | None = None
    """Most harmless ones."""
    rounds: Annotated[int, Field(ge=1, le=10)] = 2
    max_new_tokens: Annotated[int, Field(ge=8, le=2048)] = 96
    """Of a reply, and of a revision."""
    exemplars: Annotated[int, Field(ge=0, le=6)] = 3
    """Solved examples for a reviser that was not trained to revise."""
    least_words: Annotated[int, Field(ge=1)] = 5
    """A reply with fewer is not kept."""
    revise_all: bool = False
    """Revise each reply to a harmful prompt by a principle drawn by weight, whatever the critics say of it first."""
    keep_benign: bool = True
    """Keep the policy's own replies to harmless prompts, so that it learns to go on helping."""
    judge_benign: bool = False
    """Keep of these only what keeps every principle that applies, by the critics; otherwise nobody judges them."""
    stop_if: StopIf = StopIf()
    """What ends revising, so that the versions of the round before are taken; of the first round, the stage."""


class ConstitutionalStage(Stage):
    """Writes a dataset of conversations whose replies keep every principle that applies, as its critics find.

    That a reply breaks no principle that it kept before its revision follows. Whether it lost something that no
    principle is about is not looked at.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter"}
    writes: ClassVar[tuple[str, ...]] = ("dataset", "revisions")
    roles: ClassVar[tuple[str, ...]] = ("reviser", "judge")

    def check(self, inputs: StageInput) -> None:
        """Read options and prompts, and see that there is a constitution to judge by."""
        _plan(inputs)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files of prompts."""
        options, document = _options(inputs)
        return prompt_files(inputs, document, options.prompts)

    def run(self, inputs: StageInput) -> StageOutput:
        """Ask, criticise, revise, and write what is kept.

        Raises:
            BrokenRunError: where nothing is kept, and says why.
        """
        options, prompts = _plan(inputs)
        models, constitution = given(inputs)
        principles = constitution.principles
        how = HowToRevise(
            rounds=options.rounds, sampled=True, exemplars=options.exemplars, seed=inputs.seed,
            max_new_tokens=options.max_new_tokens, always=options.revise_all,
        )  # fmt: skip
        decoding = Decoding(max_new_tokens=options.max_new_tokens, seed=inputs.seed)
        replies = respond([prompt.sample for prompt in prompts], models, decoding)
        harmful = [reply for prompt, reply in zip(prompts, replies, strict=True) if prompt.harmful]
        benign = [reply for prompt, reply in zip(prompts, replies, strict=True) if not prompt.harmful]
        signs = make_signs(options.stop_if)
        histories = revise(harmful, principles, models, how, watch=_watching(signs))
        rows, why = [], Counter[str]()
        for history in histories:
            dropped = _unfit(history, options)
            why[dropped or "kept"] += 1
            if not dropped:
                rows.append(_row(history, history.last.principle))
        kept_harmful = len(rows)
        if harmful and not kept_harmful:
            told = "; ".join(f"{count} {reason}" for reason, count in why.most_common())
            raise BrokenRunError(f"no revision was kept ({told}); name another reviser or judge, or more prompts")
        if options.keep_benign:
            kept = _kept(benign, principles, models) if options.judge_benign else benign
            if options.judge_benign:
                why["harmless, broke a principle or unscored"] = len(benign) - len(kept)
            own, left_out = own_rows(kept, least_words=options.least_words)
            rows, why = [*rows, *own], why + left_out
        dataset, revisions = inputs.output / "dataset.jsonl", inputs.output / "revisions.jsonl"
        dataset.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        revisions.write_text("".join(f"{as_line(history)}\n" for history in histories), encoding="utf-8")
        figures = {
            "prompts": len(prompts), "harmful": len(harmful), "kept_revisions": kept_harmful,
            "kept_own": len(rows) - kept_harmful,
            **{f"dropped, {reason}": count for reason, count in why.items() if reason != "kept" and count},
            **signs.figures(),
        }  # fmt: skip
        stopped = signs.breach()
        return StageOutput(
            dataset=dataset, others={"revisions": revisions}, curves=signs.curves(),
            figures={name: float(value) for name, value in figures.items()},
            note=f"stop_if ended revising, and the round before was taken: {stopped}" if stopped else "",
        )  # fmt: skip


def _watching(signs: Signs) -> Callable[[int, Sequence[str]], str]:
    """Return what looks at all replies as they stand after a round; the first look, at round 0, is before any."""

    def watch(number: int, replies: Sequence[str]) -> str:
        signs.note(number, measure_texts(replies, [len(reply.split()) for reply in replies]))
        why = signs.breach()
        if why and number == 1:
            raise BrokenRunError(f"stop_if ends the stage in its first round: {why}; nothing was kept")
        return why

    return watch


def _kept(replies: Sequence[Response], principles: Sequence[Principle], models: StageModels) -> list[Response]:
    """Return the replies that keep every principle that applies, as critics find."""
    judged = zip(replies, score(replies, principles, models), strict=True)
    return [
        reply for reply, scores in judged
        if not broken(scores, principles) and not any(isinstance(one, Unscored) for one in scores.values())
    ]  # fmt: skip


def own_rows(replies: Sequence[Response], *, least_words: int) -> tuple[list[dict[str, object]], Counter[str]]:
    """Return the model's own replies to harmless prompts as rows, and how many were dropped for which reason.

    A row whose reply was cut by its length says so (`finish`), so that no end is learned. A reply that declines, as a
    whole or in its first sentences, or that is incoherent is dropped, by its wording: to learn from it would teach to
    decline what is harmless.
    """
    rows: list[dict[str, object]] = []
    why = Counter[str]()
    for reply in replies:
        if not isinstance(reply.completion, Completion):
            continue
        text = reply.completion.text.strip()
        labels = [label_of(reply.sample.prompt, one) for one in (text, opening(text))]
        if "refused" in labels or labels[0] == "incoherent":
            why["harmless, refused or incoherent"] += 1
        elif len(text.split()) >= least_words:
            row: dict[str, object] = {
                "messages": [*to_plain(reply.sample.messages), _said(text)],
                "source": "own reply",
            }
            rows.append(row | ({"finish": "length"} if reply.completion.finish == "length" else {}))
    return rows, why


def as_line(history: History) -> str:
    """Return a history as one line of JSON."""
    return json.dumps(to_plain(history), ensure_ascii=False)


def _unfit(history: History, options: ConstitutionalOptions) -> str:
    """Return why a revision is not learned from; empty where it is."""
    if history.status != "passed":
        return {"failed": "not resolved", "unscored": "unscored", "silent": "no revision"}[history.status]
    if len(history.reply.split()) < options.least_words:
        return "too short"
    return ""


def _row(history: History, principle: str | None) -> dict[str, object]:
    turns = to_plain(history.sample.messages)
    source = "revision" if history.revised else "own reply"
    return {"messages": [*turns, _said(history.reply)], "source": source, "principle": principle or ""}


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _options(inputs: StageInput) -> tuple[ConstitutionalOptions, Document]:
    return stage_options(inputs, ConstitutionalOptions, stage="constitutional")


def _plan(inputs: StageInput) -> tuple[ConstitutionalOptions, tuple[Prompt, ...]]:
    options, document = _options(inputs)

    def error_at(*keys: str) -> dict[str, object]:
        error = document.error("", (*inputs.place, *keys))
        return {"file": error.file, "line": error.line, "key": error.key}

    if inputs.constitution is None:
        raise InputError(
            "the stage constitutional revises by a constitution, and the recipe names none", file=inputs.recipe_path,
            key="constitution", hint="add constitution: NAME",
        )  # fmt: skip
    prompts = read_all(find_prompts(inputs, document, options.prompts))
    return options, drawn(prompts, (options.limit, options.harmless_limit), inputs.seed)
