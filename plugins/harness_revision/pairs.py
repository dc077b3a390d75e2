"""The `pairs` stage: preference pairs that need no critic, of revisions written by hand and the model's own replies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

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
    service,
    sha256_text,
    stage_options,
    to_plain,
)
from harness_revision.promptfiles import drawn, find_prompts, prompt_files, read_all
from harness_revision.revising import respond
from harness_revision.sentences import opening

if TYPE_CHECKING:
    from harness.api import Document, Response
    from harness_revision.promptfiles import Prompt

TWIN = "-twin"
"""How a harmless twin's id ends; what stands before it is the id of the harmful prompt."""
label_of: Callable[[str, str], str] = service("reply label")


class PairsOptions(StrictModel):
    """What a recipe may say under `pairs`; docs/revision.md has the table."""

    prompts: Annotated[list[str], Field(min_length=1)]
    """Files of prompts; a harmful one has a `completion`, a reply written by hand."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most harmful prompts, drawn by the seed."""
    harmless_limit: Annotated[int, Field(ge=1)] | None = None
    """Most harmless ones."""
    max_new_tokens: Annotated[int, Field(ge=8, le=2048)] = 32
    """Of the model's own greedy reply: how it opens tells whether it declines."""
    least_words: Annotated[int, Field(ge=1)] = 5
    """A shorter own reply makes no pair."""


@dataclass(frozen=True, kw_only=True)
class Own:
    """What the model itself says to a prompt."""

    text: str
    cut: bool
    """Whether its length ended it."""
    label: str
    """`complied`, `refused` or `incoherent`, by the wording of the whole or of its first sentences."""


class PairsStage(Stage):
    """Writes pairs that teach to decline what would do harm, and to go on helping with what only sounds like it.

    Of a harmful prompt the reply written by hand is chosen, and the model's own is rejected. Of a harmless one its own
    reply is chosen, and the reply that declines its harmful twin is rejected; one without a twin gets any of these
    replies, by the seed.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter"}
    writes: ClassVar[tuple[str, ...]] = ("preferences",)

    def check(self, inputs: StageInput) -> None:
        """Read options and prompts, and see that some harmful prompt has a reply written by hand."""
        _plan(inputs)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files of prompts."""
        options, document = _options(inputs)
        return prompt_files(inputs, document, options.prompts)

    def run(self, inputs: StageInput) -> StageOutput:
        """Ask the model for its own replies, and write the pairs.

        Raises:
            BrokenRunError: where no own reply makes a pair.
        """
        options, prompts = _plan(inputs)
        if inputs.models is None:
            raise InputError("the stage asks the model", file=inputs.recipe_path, hint="run it by harness train")
        decoding = Decoding(max_new_tokens=options.max_new_tokens)
        replies = respond([prompt.sample for prompt in prompts], inputs.models, decoding)
        rows, why = pair_rows(prompts, [own_of(reply) for reply in replies], options.least_words, inputs.seed)
        if not rows:
            told = "; ".join(f"{count} {reason}" for reason, count in why.most_common())
            raise BrokenRunError(f"no pair was made ({told}); give more prompts, or another model")
        path = inputs.output / "preferences.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        figures = {"prompts": len(prompts), "pairs": len(rows)} | {f"dropped, {one}": n for one, n in why.items()}
        return StageOutput(others={"preferences": path}, figures={name: float(n) for name, n in figures.items()})


def own_of(reply: Response) -> Own | None:
    """Return what the model said; None where it said nothing."""
    if not isinstance(reply.completion, Completion) or not reply.completion.text.strip():
        return None
    text = reply.completion.text.strip()
    labels = [label_of(reply.sample.prompt, one) for one in (text, opening(text))]
    label = "refused" if "refused" in labels else labels[0]
    return Own(text=text, cut=reply.completion.finish == "length", label=label)


def pair_rows(
    prompts: Sequence[Prompt], replies: Sequence[Own | None], least_words: int, seed: int
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return pairs as `dpo` reads them, and how many prompts gave none for which reason.

    Args:
        prompts: harmful ones with and without a reply written by hand, and harmless ones.
        replies: the model's own, in that order.
        least_words: of an own reply.
        seed: draws for harmless prompts that are nobody's twin.
    """
    written = {prompt.sample.id: prompt.completion for prompt in prompts if prompt.harmful and prompt.completion}
    texts = [written[name] for name in sorted(written)]
    rows: list[dict[str, Any]] = []
    why = Counter[str]()
    for prompt, own in zip(prompts, replies, strict=True):
        name = prompt.sample.id
        if prompt.harmful and name not in written:
            why["harmful, nothing written by hand"] += 1
        elif own is None or own.label == "incoherent" or len(own.text.split()) < least_words:
            why["own reply too short or incoherent"] += 1
        elif own.label == "refused":
            why["harmful, declined already" if prompt.harmful else "harmless, declined"] += 1
        else:
            turns = to_plain(prompt.sample.messages)
            finish = {"finish": "length"} if own.cut else {}
            if prompt.harmful:
                row = {"chosen": written[name], "rejected": own.text, "source": "written"}
                rows.append({"prompt": turns, **row, **{f"rejected_{key}": one for key, one in finish.items()}})
            else:
                drawn_one = texts[int(sha256_text(f"{seed} {name}")[:12], 16) % len(texts)]
                row = {"chosen": own.text, "rejected": written.get(name.removesuffix(TWIN), drawn_one),
                       "source": "own reply"}  # fmt: skip
                rows.append({"prompt": turns, **row, **{f"chosen_{key}": one for key, one in finish.items()}})
    return rows, why


def _options(inputs: StageInput) -> tuple[PairsOptions, Document]:
    return stage_options(inputs, PairsOptions, stage="pairs")


def _plan(inputs: StageInput) -> tuple[PairsOptions, tuple[Prompt, ...]]:
    options, document = _options(inputs)
    files = find_prompts(inputs, document, options.prompts)
    prompts = drawn(
        read_all(files),
        (options.limit, options.harmless_limit), inputs.seed,
    )  # fmt: skip
    if not any(prompt.harmful and prompt.completion for prompt in prompts):
        raise document.error(
            "none of these harmful prompts has a reply written by hand", (*inputs.place, "prompts"),
            hint='add "completion": "…" to its row, or name own:revisions-3.jsonl',
        )  # fmt: skip
    return options, prompts
