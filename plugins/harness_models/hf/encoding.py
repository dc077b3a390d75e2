"""From requests to rows of token ids: what is forwarded for them, or why it cannot be. No weights are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.api import Generate, LogLikelihood, NoReply, RollingLogLikelihood, TemplateRefusalError
from harness_models.hf.chat import Prompt
from harness_models.hf.generation import Ask
from harness_models.hf.planning import Branches, common
from harness_models.hf.rolling import windows

if TYPE_CHECKING:
    from harness.api import Message, Request
    from harness_models.hf.chat import Renderer

Refuse = Callable[[int, NoReply], None]
_UNKNOWN = NoReply(reason="the tokenizer gives a token that the model does not have")


class Encodes(Protocol):
    """What encoding needs to know of a base."""

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401 - a transformers tokenizer
        """The base's own."""
        ...

    @property
    def window(self) -> int:
        """Most tokens of one sequence."""
        ...

    @property
    def start_id(self) -> int | None:
        """Token that may stand before a text."""
        ...

    @property
    def vocabulary(self) -> int | None:
        """Tokens that the model has, where its tokenizer has more."""
        ...


def continuations(
    base: Encodes, renderer: Renderer, requests: Sequence[Request], refuse: Refuse
) -> tuple[list[Branches], list[list[list[int]]]]:
    """Return a row for each distinct context, and for each of its continuations the requests that ask for it.

    Args:
        base: what encodes.
        renderer: of the candidate's chat template.
        requests: those that are no `LogLikelihood` are passed over.
        refuse: takes the index of a request without a row, and why.
    """
    rendered: dict[tuple[Message, ...], Prompt] = {}  # a question's choices stand behind one context
    prompts: list[tuple[int, Prompt, Prompt]] = []
    for index, request in enumerate(requests):
        if not isinstance(request, LogLikelihood):
            continue
        try:
            if request.messages not in rendered:
                rendered[request.messages] = renderer.render(request.messages)
        except TemplateRefusalError as error:
            refuse(index, NoReply(reason=str(error)))
            continue
        prompt = rendered[request.messages]
        prompts.append((index, prompt, renderer.continuation(prompt, request.continuation)))
    distinct = list(dict.fromkeys(prompt for _, prompt, _ in prompts))
    contexts = dict(zip(distinct, renderer.encode(distinct), strict=True))
    wholes = renderer.encode([whole for _, _, whole in prompts])
    shared: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
    for (index, prompt, _), whole in zip(prompts, wholes, strict=True):
        before, after = split_continuation(contexts[prompt], whole, base.start_id)
        if not after or not before:
            refuse(index, NoReply(reason="the continuation has no tokens" if before else "nothing stands before"))
        elif len(before) + len(after) > base.window:
            refuse(index, _too_long(len(before) + len(after), base.window))
        elif _unknown(whole, base.vocabulary):
            refuse(index, _UNKNOWN)
        else:
            shared.setdefault(before, {}).setdefault(after, []).append(index)
    rows = [Branches(context=context, continuations=tuple(found)) for context, found in shared.items()]
    return rows, [list(found.values()) for found in shared.values()]


def texts(base: Encodes, requests: Sequence[Request], refuse: Refuse) -> tuple[list[Branches], list[int]]:
    """Return the windows of each `RollingLogLikelihood`, and the index of the request of each window."""
    rows: list[Branches] = []
    homes: list[int] = []
    for index, request in enumerate(requests):
        if not isinstance(request, RollingLogLikelihood):
            continue
        ids = base.tokenizer(request.text, add_special_tokens=False)["input_ids"]
        found = windows(ids, base.start_id, base.window, request.stride)
        if not found:
            refuse(index, NoReply(reason="the text has no tokens to score"))
        elif _unknown(ids, base.vocabulary):
            refuse(index, _UNKNOWN)
            continue
        rows += found
        homes += [index] * len(found)
    return rows, homes


def asks(base: Encodes, renderer: Renderer, requests: Sequence[Request], refuse: Refuse) -> tuple[list[Ask], list[int]]:
    """Return what to continue for each `Generate`, and the request's index."""
    prompts: list[tuple[int, Generate, Prompt]] = []
    for index, request in enumerate(requests):
        if not isinstance(request, Generate):
            continue
        try:
            prompts.append((index, request, renderer.render(request.messages)))
        except TemplateRefusalError as error:
            refuse(index, NoReply(reason=str(error)))
    found: list[Ask] = []
    homes: list[int] = []
    encoded = renderer.encode([prompt for _, _, prompt in prompts])
    for (index, request, _), given in zip(prompts, encoded, strict=True):
        ids = given or ([] if base.start_id is None else [base.start_id])
        room = min(request.decoding.max_new_tokens, base.window - len(ids))
        if not ids or room < 1:
            refuse(index, _too_long(len(ids) + 1, base.window) if ids else NoReply(reason="nothing to continue"))
            continue
        if _unknown(ids, base.vocabulary):
            refuse(index, _UNKNOWN)
            continue
        found.append(Ask(prompt=tuple(ids), decoding=request.decoding, room=room, draw=request.draw))
        homes.append(index)
    return found, homes


def split_continuation(
    context: Sequence[int], whole: Sequence[int], start: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split the tokens of context and continuation encoded together, where the context's own tokens end.

    Where the last token of the context grows into the continuation, the split is before that token, so that what is
    scored is exactly what stands there. An empty context becomes `start`.
    """
    same = common(tuple(context), tuple(whole))
    if same == 0:
        return (() if start is None else (start,)), tuple(whole)
    return tuple(whole[:same]), tuple(whole[same:])


def _unknown(ids: Sequence[int], vocabulary: int | None) -> bool:
    return vocabulary is not None and max(ids) >= vocabulary


def _too_long(tokens: int, window: int) -> NoReply:
    return NoReply(reason=f"the request needs {tokens} tokens, and the model's window has {window}")
