"""The `preferences` stage: several replies to a prompt, and which of two the constitution's critics prefer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.api import (
    BrokenRunError,
    Completion,
    Decoding,
    Generate,
    InputError,
    Response,
    Stage,
    StageInput,
    StageOutput,
    StrictModel,
    ask,
    stage_options,
    to_plain,
)
from harness_revision.promptfiles import drawn, find_prompts, given, prompt_files, read_all
from harness_revision.revising import score

if TYPE_CHECKING:
    from harness.api import Document, Principle, Program, Sample
    from harness_revision.promptfiles import Prompt
    from harness_revision.revising import Score

_CERTAIN = 1e-6
"""Scores are kept this far from 0 and 1, so that their log-odds are finite."""


class PreferencesOptions(StrictModel):
    """What a recipe may say under `preferences`; docs/revision.md has the table."""

    prompts: Annotated[list[str], Field(min_length=1)]
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most harmful prompts, drawn by the seed."""
    harmless_limit: Annotated[int, Field(ge=1)] | None = None
    """Most harmless ones."""
    samples: Annotated[int, Field(ge=2, le=16)] = 2
    """Replies to each prompt."""
    temperature: Annotated[float, Field(gt=0, le=5)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_new_tokens: Annotated[int, Field(ge=8, le=2048)] = 96
    least_confidence: Annotated[float, Field(ge=0)] = 0.5
    """Pairs whose log-odds differ by less are ties, and dropped."""


class PreferencesStage(Stage):
    """Writes pairs of replies, the preferred one first, with the log-odds that decided as confidence.

    A critic judges each reply by itself, so that there is no position to be biased by: a pair has the same verdict in
    both orders. The confidence is the weighted mean over principles of the difference in log-odds.
    """

    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter"}
    writes: ClassVar[tuple[str, ...]] = ("preferences",)
    roles: ClassVar[tuple[str, ...]] = ("judge",)

    def check(self, inputs: StageInput) -> None:
        """Read options and prompts, and see that there is a constitution to judge by."""
        _plan(inputs)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files of prompts."""
        options, document = _options(inputs)
        return prompt_files(inputs, document, options.prompts)

    def run(self, inputs: StageInput) -> StageOutput:
        """Ask for samples, judge them, and write the pairs that are no ties.

        Raises:
            BrokenRunError: where every pair is a tie.
        """
        options, prompts = _plan(inputs)
        models, constitution = given(inputs)
        drawn_replies = models.ask(_replies(prompt.sample, options, inputs.seed) for prompt in prompts)
        flat = [response for replies in drawn_replies for response in replies]
        scores = iter(score(flat, constitution.principles, models))
        rows, ties, unscored = [], 0, 0
        for replies in drawn_replies:
            judged = [(response, next(scores)) for response in replies]
            for (one, its), (other, others) in combinations(judged, 2):
                decided = preferred(its, others, constitution.principles)
                if decided is None:
                    unscored += 1
                    continue
                confidence, principle = decided
                if abs(confidence) < options.least_confidence:
                    ties += 1
                    continue
                chosen, rejected = (one, other) if confidence > 0 else (other, one)
                rows.append(
                    {"prompt": to_plain(one.sample.messages), "chosen": _said(chosen), "rejected": _said(rejected),
                     "confidence": round(abs(confidence), 4), "principle": principle, "source": "sample",
                     **_cut("chosen", chosen), **_cut("rejected", rejected)}
                )  # fmt: skip
        if not rows:
            raise BrokenRunError(
                f"no preference was kept: {ties} ties and {unscored} pairs that nobody could judge; raise temperature"
                " or samples, or lower least_confidence"
            )
        path = inputs.output / "preferences.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        figures = {"prompts": len(prompts), "pairs": len(rows), "ties": ties, "unscored": unscored}
        return StageOutput(others={"preferences": path}, figures={name: float(n) for name, n in figures.items()})


def preferred(
    one: Mapping[str, Score], other: Mapping[str, Score], principles: Sequence[Principle]
) -> tuple[float, str] | None:  # fmt: skip
    """Say which of two replies a constitution prefers.

    Returns:
        The weighted mean over principles of log-odds(one) − log-odds(other), in nats, above 0 where the first is
        preferred, and the principle that added most to it; None where no principle judged both.
    """
    total, weights, parts = 0.0, 0.0, []
    for principle in principles:
        a, b = one.get(principle.id), other.get(principle.id)
        if isinstance(a, float) and isinstance(b, float):
            part = principle.weight * (_log_odds(a) - _log_odds(b))
            parts.append((part, principle.id))
            total, weights = total + part, weights + principle.weight
    if not weights:
        return None
    return total / weights, max(parts, key=lambda part: part[0] if total > 0 else -part[0])[1]


def _log_odds(score: float) -> float:
    kept = min(max(score, _CERTAIN), 1 - _CERTAIN)
    return math.log(kept / (1 - kept))


def _replies(sample: Sample, options: PreferencesOptions, seed: int) -> Program[list[Response]]:
    """Ask for samples of one prompt; equal ones count once."""
    decoding = Decoding(
        max_new_tokens=options.max_new_tokens, temperature=options.temperature, top_p=options.top_p, seed=seed
    )
    requests = [Generate(messages=sample.messages, decoding=decoding, draw=draw) for draw in range(options.samples)]
    replies = yield ask("policy", *requests)
    texts = {reply.text: reply for reply in replies if isinstance(reply, Completion) and reply.text.strip()}
    return [Response(sample=sample, completion=reply, index=index) for index, reply in enumerate(texts.values())]


def _cut(which: str, response: Response) -> dict[str, str]:
    """Say of an answer that its length ended it, so that no end is learned behind it."""
    cut = response.completion is not None and response.completion.finish == "length"
    return {f"{which}_finish": "length"} if cut else {}


def _said(response: Response) -> str:
    return "" if response.completion is None else response.completion.text.strip()


def _options(inputs: StageInput) -> tuple[PreferencesOptions, Document]:
    return stage_options(inputs, PreferencesOptions, stage="preferences")


def _plan(inputs: StageInput) -> tuple[PreferencesOptions, tuple[Prompt, ...]]:
    options, document = _options(inputs)
    if inputs.constitution is None:
        raise InputError(
            "the stage preferences chooses by a constitution, and the recipe names none", file=inputs.recipe_path,
            key="constitution", hint="add constitution: NAME",
        )  # fmt: skip
    prompts = read_all(find_prompts(inputs, document, options.prompts))
    return options, drawn(prompts, (options.limit, options.harmless_limit), inputs.seed)
