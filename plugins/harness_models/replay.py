"""The `replay` model: stored transcripts, judged without a model.

    {"prompt": "…", "response": "…"}
    {"messages": [{"role": "user", "content": "…"}], "response": "…"}

A line with `messages` answers exactly that conversation; a line with `prompt` answers any conversation whose last user
turn is that text. Where several lines answer the same thing, they are its draws, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness.api import (
    Candidate,
    Completion,
    Generate,
    InputError,
    Message,
    Model,
    NoReply,
    Reply,
    Request,
    memoised_sha256,
    nearest,
    parse_json,
    read_lines,
    sha256_json,
)

if TYPE_CHECKING:
    from harness.api import ModelSpec, RunContext

_KEYS = frozenset({"prompt", "messages", "response", "id", "metadata"})


class ReplayModel(Model):
    """Answers from a file."""

    supports: ClassVar[frozenset[str]] = frozenset({"generate"})

    def __init__(self, spec: ModelSpec, context: RunContext) -> None:
        super().__init__(spec, context)
        self._responses: dict[str, list[str]] | None = None

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return the hash of the file."""
        self._refuse_adapters(candidate)
        return {
            "base": memoised_sha256(Path(self.spec.name), store=self.context.weights),
            "adapters": "",
            "dtype": "none",
            "backend": "replay 1",
            "template": candidate.template,
        }

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:
        """Answer from the file; a conversation that is not in it gets a NoReply.

        Raises:
            InputError: naming file and line, where the file is not what it should be.
        """
        self._refuse_adapters(candidate)
        if self._responses is None:
            self._responses = read_transcripts(Path(self.spec.name))
        for index, request in enumerate(requests):
            deliver(index, self._reply(request, self._responses))

    def facts(self) -> Mapping[str, str]:
        """Say that nothing was computed."""
        return {"device": "none", "dtype": "none", "backend": "replay 1"}

    def _refuse_adapters(self, candidate: Candidate) -> None:
        if candidate.adapters:
            raise InputError(
                f"{self.spec.reference} replays stored answers and cannot use the adapter"
                f" {candidate.adapters[0].reference}",
                hint="leave out --adapter",
            )

    def _reply(self, request: Request, responses: Mapping[str, Sequence[str]]) -> Reply:
        if not isinstance(request, Generate):
            return NoReply(reason="stored transcripts hold no probabilities")
        found = responses.get(_conversation_key(request.messages)) or responses.get(_prompt_key(request.messages))
        if not found:
            return NoReply(reason=f"{Path(self.spec.name).name} has no response to this prompt")
        if request.draw >= len(found):
            return NoReply(reason=f"{Path(self.spec.name).name} has {len(found)} responses to this prompt, not more")
        text = found[request.draw]
        return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")


def read_transcripts(path: Path) -> dict[str, list[str]]:
    """Read a file of transcripts: responses by the key of what they answer.

    Raises:
        InputError: naming file, line and key.
    """
    responses: dict[str, list[str]] = {}
    for number, line in read_lines(path, what="file of transcripts"):
        if line.strip():
            key, response = _read_line(path, number, line)
            responses.setdefault(key, []).append(response)
    if not responses:
        raise InputError("holds no transcripts", file=path, hint='give one {"prompt": …, "response": …} a line')
    return responses


def _read_line(path: Path, number: int, line: str) -> tuple[str, str]:
    def wrong(cause: str, key: str | None = None, hint: str | None = None) -> InputError:
        return InputError(cause, file=path, line=number, key=key, hint=hint)

    row = parse_json(line, path, number)
    if not isinstance(row, dict):
        raise wrong("is not a JSON object")
    for key in row:
        if key not in _KEYS:
            close = nearest(key, _KEYS)
            raise wrong(
                "unknown key", key, f"did you mean {close!r}?" if close else "known: prompt, messages, response"
            )
    response = row.get("response")
    if not isinstance(response, str):
        raise wrong("must be a text", "response")
    if ("prompt" in row) == ("messages" in row):
        raise wrong("needs either `prompt` or `messages`")
    if "prompt" in row:
        if not isinstance(row["prompt"], str):
            raise wrong("must be a text", "prompt")
        return sha256_json(["prompt", row["prompt"]]), response
    turns = row["messages"]
    if not isinstance(turns, list) or not turns or not all(_is_turn(turn) for turn in turns):
        raise wrong('must be a list of {"role": "system|user|assistant", "content": TEXT}', "messages")
    return sha256_json(["messages", [[turn["role"], turn["content"]] for turn in turns]]), response


def _is_turn(turn: object) -> bool:
    return (
        isinstance(turn, dict)
        and set(turn) == {"role", "content"}
        and turn["role"] in ("system", "user", "assistant")
        and isinstance(turn["content"], str)
    )


def _conversation_key(messages: Sequence[Message]) -> str:
    return sha256_json(["messages", [[message.role, message.content] for message in messages]])


def _prompt_key(messages: Sequence[Message]) -> str:
    last = next((message.content for message in reversed(messages) if message.role == "user"), "")
    return sha256_json(["prompt", last])
