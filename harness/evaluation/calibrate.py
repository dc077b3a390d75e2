"""Counts how often critics are right about a principle, on replies that people labelled, and keeps the counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from harness import __version__
from harness.adherence import combine_verdicts
from harness.errors import InputError
from harness.evaluation.calibrated import FILE, KIND, labeller_of
from harness.evaluation.panel import make_panel
from harness.hashing import sha256_file
from harness.reading.files import parse_json, read_lines
from harness.reading.strict import StrictModel
from harness.serial import to_json
from harness.store.artifacts import keep_artifact
from harness.types import Artifact, Completion, CriticCalibration, Message, Response, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from harness.contracts import RunContext
    from harness.evaluation.panel import Panel
    from harness.evaluation.roles import Asking
    from harness.plugins import Registries
    from harness.store.workspace import Workspace
    from harness.types import Principle

_LABELS = {0: False, "breaks": False, 1: True, "follows": True}
_ROW = '{"prompt": "…", "response": "…", "label": "follows"}'


class _Turn(StrictModel):
    role: Literal["system", "user", "assistant"]
    content: str


class _Row(StrictModel):
    """Other keys, such as `id`, are passed over."""

    prompt: str | None = None
    messages: Annotated[list[_Turn], Field(min_length=1)] | None = None
    response: str
    label: Literal[0, 1, "follows", "breaks"]


@dataclass(frozen=True, kw_only=True)
class LabelledReply:
    """A reply in its conversation, and whether people say that it follows the principle."""

    messages: tuple[Message, ...]
    response: str
    follows: bool


def read_labelled(path: Path) -> tuple[LabelledReply, ...]:
    """Read JSON Lines of `prompt` or `messages`, `response`, and `label`: 1 or `follows`, 0 or `breaks`.

    What stands there several times with one label counts once.

    Raises:
        InputError: naming file, line and key, for what is no such row, two labels of one reply, and one label for all.
    """
    found: dict[tuple[tuple[Message, ...], str], tuple[bool, int]] = {}
    for number, line in read_lines(path, what="file of labelled replies"):
        if not line.strip():
            continue
        row = _row(parse_json(line, path, number), path, number)
        turns = row.messages or [_Turn(role="user", content=row.prompt or "")]
        key = (tuple(Message(role=turn.role, content=turn.content) for turn in turns), row.response)
        follows = _LABELS[row.label]
        before = found.setdefault(key, (follows, number))
        if before[0] is not follows:
            raise InputError(
                f"this reply is labelled otherwise on line {before[1]}", file=path, line=number, key="label",
                hint="keep the right one of both",
            )  # fmt: skip
    rows = tuple(LabelledReply(messages=turns, response=said, follows=it[0]) for (turns, said), it in found.items())
    labels = {row.follows for row in rows}
    if len(labels) < 2:
        what = "holds no rows" if not rows else f"every reply {'follows' if True in labels else 'breaks'} the principle"
        raise InputError(
            f"{what}, and critics are counted on replies that follow it and on others that break it", file=path,
            hint="add rows with the other label, best 30 or more of each",
        )  # fmt: skip
    return rows


def _row(value: object, path: Path, line: int) -> _Row:
    if not isinstance(value, dict):
        raise InputError("is no JSON object", file=path, line=line, hint=f"write one object a line: {_ROW}")
    known = {key: value[key] for key in _Row.model_fields if key in value}
    try:
        row = _Row.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        cause = f"the key {key!r} is missing" if first["type"] == "missing" else f"{key}: {first['msg'].lower()}"
        raise InputError(cause, file=path, line=line, key=key, hint=f"write {_ROW}") from error
    if (row.prompt is None) is (row.messages is None) or isinstance(row.label, bool):
        raise InputError("needs either prompt or messages, and a label", file=path, line=line, hint=f"write {_ROW}")
    return row


def calibrate(
    principle: Principle, data: Path, registries: Registries, surroundings: RunContext,
    asking: Callable[[Panel], Asking],
) -> CriticCalibration:  # fmt: skip
    """Judge labelled replies by a principle's critics together, and count how often they are right.

    Args:
        principle: with the critics to count.
        data: as `read_labelled` takes it.
        registries: what is registered.
        surroundings: where classifiers run.
        asking: gives what asks the roles of a panel.

    Raises:
        InputError: for data that are not what they should be, an unknown critic, or weights that are not here.
    """
    rows = read_labelled(data)
    panel = make_panel([principle], registries, surroundings)
    try:
        asked = asking(panel)
        fingerprints = panel.fingerprints(asked)
        verdicts = panel.verdicts([_response(principle, *one) for one in enumerate(rows)], asked)
    finally:
        panel.close()
    scores = [combine_verdicts(principle, given) for given in verdicts]
    known = [score if isinstance(score, float) else None for score in scores]
    right = [score is not None and (score >= principle.threshold) is row.follows
             for score, row in zip(known, rows, strict=True)]  # fmt: skip

    def rate(*, follows: bool) -> tuple[int, int]:
        own = [good for good, row in zip(right, rows, strict=True) if row.follows is follows]
        return sum(own), len(own)

    def of(*, follows: bool) -> list[float | None]:
        return [score for score, row in zip(known, rows, strict=True) if row.follows is follows]

    return CriticCalibration(
        principle=principle.id, critics=principle.critics, labeller=labeller_of(principle, fingerprints),
        fingerprints=fingerprints, roles={role: asked.roles.candidate(role).label for role in panel.roles},
        data=sha256_file(data), sensitivity=rate(follows=False), specificity=rate(follows=True),
        unscored=known.count(None), auc=auc(of(follows=True), of(follows=False)), threshold=principle.threshold,
    )  # fmt: skip


def auc(benign: Sequence[float | None], failing: Sequence[float | None]) -> float | None:
    """Return the share of (benign, failing) pairs in which the benign one scores higher, ties counting half.

    Unscored examples are left out; None where one side has nothing left.
    """
    above = [score for score in benign if score is not None]
    below = [score for score in failing if score is not None]
    if not above or not below:
        return None
    wins = sum((high > low) + 0.5 * (high == low) for high in above for low in below)
    return wins / (len(above) * len(below))


def _response(principle: Principle, index: int, row: LabelledReply) -> Response:
    # The tags make sure that the principle applies, whatever it asks for.
    sample = Sample(id=f"{principle.id}-{index}", messages=row.messages, tags=principle.applies_to.any_tag)
    said = Completion(text=row.response, prompt_tokens=None, completion_tokens=None, finish="stop")
    return Response(sample=sample, completion=said)


def keep_calibration(workspace: Workspace, found: CriticCalibration) -> CriticCalibration:
    """Keep a calibration as an artifact, and return it with its id and time."""
    options: dict[str, Any] = {"principle": found.principle, "critics": list(found.critics), "roles": dict(found.roles)}
    inputs = {"data": found.data, **{f"critic {name}": sha256 for name, sha256 in found.fingerprints.items()}}
    kept = keep_artifact(
        workspace,
        Artifact(
            kind=KIND, stage="critic calibrate", inputs=inputs, options=options, versions={"harness": __version__}
        ),
        {FILE: (to_json(found, indent=2) + "\n").encode()},
    )
    return replace(found, id=kept.id, created=kept.created)
