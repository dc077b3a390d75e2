"""The items that a rater goes through, what was said of them so far, and where that is kept."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from harness.api import InputError, LabelSet, StrictModel, parse_json, read_lines, sha256_text
from harness_review.drawing import Population, Wanted, draw, shown
from harness_review.kept import keep_label_sample, keep_label_set, label_samples, label_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import HumanLabel, LabelSample
    from harness.api.workspace import Workspace

_WORDS: Mapping[str, HumanLabel] = {
    "yes": "yes", "follows": "yes", "1": "yes", "no": "no", "breaks": "no", "0": "no", "skip": "skip",
}  # fmt: skip


class _Row(StrictModel):
    """A row of labels made elsewhere. What the sheet itself says is passed over."""

    review: Annotated[str, Field(min_length=1)]
    label: Literal["yes", "no", "follows", "breaks", "skip", 0, 1, ""] = ""
    rater: str = ""
    question: str = ""
    conversation: list[dict[str, str]] = Field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One reply that a rater looks at."""

    key: str
    """Names it without saying whose reply it is."""
    arm: int
    sample: str
    turns: tuple[tuple[str, str], ...]


@dataclass(kw_only=True)
class Review:
    """The drawn samples of one run, or of two that are mixed, and what one rater says of them."""

    workspace: Workspace
    samples: tuple[LabelSample, ...]
    items: tuple[Item, ...]
    rater: str
    said: dict[str, HumanLabel] = field(default_factory=dict)
    """By key."""

    def keep(self) -> None:
        """Keep what the rater has said, where that is more or other than what is kept."""
        for arm, sample in enumerate(self.samples):
            labels = {
                item.sample: self.said[item.key] for item in self.items if item.arm == arm and item.key in self.said
            }
            kept = label_sets(self.workspace, sample.id).get(self.rater)
            if labels and labels != (dict(kept.labels) if kept else {}):
                number = kept.number + 1 if kept else 1
                keep_label_set(
                    self.workspace, LabelSet(sample=sample.id, rater=self.rater, number=number, labels=labels)
                )


def begin(workspace: Workspace, populations: tuple[Population, ...], wanted: Wanted, rater: str) -> Review:
    """Draw, or take up what was drawn from these replies before.

    Raises:
        InputError: where other than was drawn is wanted: who could draw again could do so until a gate passes.
    """
    samples = drawn_before(workspace, populations, wanted)
    samples = samples or tuple(keep_label_sample(workspace, one) for one in draw(populations, wanted))
    items = [
        Item(
            key=sha256_text(f"{sample.id} {drawn.id}")[:12], arm=arm, sample=drawn.id,
            turns=tuple(shown(populations[arm].records[drawn.id])),
        )
        for arm, sample in enumerate(samples)
        for drawn in sample.drawn
    ]  # fmt: skip
    if len(samples) > 1:
        random.Random(samples[0].id).shuffle(items)  # noqa: S311 - an order that can be repeated
    review = Review(workspace=workspace, samples=samples, items=tuple(items), rater=rater)
    for arm, sample in enumerate(samples):
        kept = label_sets(workspace, sample.id).get(rater)
        own = kept.labels if kept else {}
        review.said |= {item.key: own[item.sample] for item in items if item.arm == arm and item.sample in own}
    return review


def drawn_before(workspace: Workspace, populations: tuple[Population, ...], wanted: Wanted) -> tuple[LabelSample, ...]:
    """Return what was drawn from the same replies before; nothing where nothing was.

    Raises:
        InputError: where it is not what is wanted now.
    """
    found = []
    for one in populations:
        known = label_samples(workspace, one.metric.name, one.digest)
        found += [replace(known[0], run=one.run.record.id)] if known else []
    if not found:
        return ()
    first = found[0]
    drawn = {one.id for one in first.drawn}
    if len(found) < len(populations) or any({one.id for one in other.drawn} != drawn for other in found):
        raise InputError(
            f"{first.metric} was drawn already for one of the runs, and not together with the other",
            hint="draw both together, before one is labelled: run the suite on more samples, and label those runs",
        )
    asked = {"sample": wanted.sample, "by": wanted.by, "seed": wanted.seed}
    has = {"sample": len(first.drawn), "by": first.by, "seed": first.seed}
    other = [name for name, value in asked.items() if value is not None and value != has[name]]
    if other:
        raise InputError(
            f"{len(first.drawn)} of these replies were drawn already, {first.by}, with seed {first.seed}, and other "
            f"draws of the same replies would be choices among answers",
            hint=f"leave out --{' and --'.join(other)}, or run the suite on more samples and label that run",
        )
    return tuple(found)


def import_labels(review: Review, path: Path, rater: str | None) -> dict[str, dict[str, HumanLabel]]:
    """Read labels made elsewhere: JSON Lines of `review`, the key of a drawn reply, and `label`; by rater.

    Raises:
        InputError: naming file, line and key, for what is no such row, is not drawn here, or is said twice.
    """
    keys = {item.key for item in review.items}
    found: dict[str, dict[str, HumanLabel]] = {}
    for number, line in read_lines(path, what="file of labels"):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate(parse_json(line, path, number))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"this is no label ({first['msg']})", file=path, line=number, key=key or None,
                hint='a row is {"review": "KEY", "label": "follows"}, or "breaks", "yes", "no", "skip"',
            ) from error  # fmt: skip
        if row.label == "":
            continue
        name, label = row.rater or rater or "import", _WORDS[str(row.label)]
        if row.review not in keys:
            raise InputError(
                f"{row.review!r} is not among the {len(keys)} replies drawn here", file=path, line=number, key="review",
                hint="write the sheet anew with --sheet FILE, and label that",
            )  # fmt: skip
        own = found.setdefault(name, {})
        if own.get(row.review, label) != label:
            raise InputError(
                f"{row.review} has two labels by {name}", file=path, line=number, key="label", hint="keep one"
            )
        own[row.review] = label
    if not found:
        raise InputError("holds no labels", file=path, hint="fill in `label` of its rows")
    return found


def with_rater(review: Review, rater: str, said: Mapping[str, HumanLabel]) -> Review:
    """Return the review of another rater, with what was kept of theirs and what they say now."""
    kept: dict[str, HumanLabel] = {}
    for arm, sample in enumerate(review.samples):
        own = label_sets(review.workspace, sample.id).get(rater)
        if own:
            kept |= {i.key: own.labels[i.sample] for i in review.items if i.arm == arm and i.sample in own.labels}
    return Review(
        workspace=review.workspace, samples=review.samples, items=review.items, rater=rater, said={**kept, **said}
    )


def waiting(items: Sequence[Item], said: Mapping[str, HumanLabel]) -> list[int]:
    """Return the positions of what the rater has not looked at."""
    return [at for at, item in enumerate(items) if item.key not in said]
