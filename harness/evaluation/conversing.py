"""How a conversation goes on after a reply: a tool answers, a script says the next turn, or a simulated user does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.evaluation.tools import is_response, of_a_person, read_calls
from harness.types import Completion, Generate, Message, NoReply, Program, Reply, Request, ask

if TYPE_CHECKING:
    from harness.evaluation.tools import Toolbox
    from harness.reading.conversation import ConversationSection
    from harness.types import Role, Sample

GoOn = Callable[[Generate, int], Program["str | NoReply | None"]]
"""From a request that ends with a reply of the candidate, and how many there were, to what the user says next; None
ends the conversation."""
_BEGIN = "(The conversation begins.)"


def going_on(
    sample: Sample, opening: tuple[Message, ...], section: ConversationSection | None, tools: Toolbox | None
) -> GoOn | None:  # fmt: skip
    """Return how a sample's conversation goes on; None where one reply ends it.

    Args:
        sample: whose own turns come before the suite's.
        opening: what a request holds that opens the conversation.
        section: of the suite.
        tools: what the candidate may call.
    """
    said = _said(sample, section)
    if tools is None:
        return said

    def with_tools(request: Generate, replies: int) -> Program[str | NoReply | None]:
        called = sum(is_response(turn) for turn in request.messages[len(opening) :])
        answer = tools.respond(request.messages[-1].content, sample)
        if answer is not None:
            return answer if called < tools.max_calls else None
        return None if said is None else (yield from said(request, replies - called))

    return with_tools


def _said(sample: Sample, section: ConversationSection | None) -> GoOn | None:
    """Return what a person says, by script or simulated; None for nothing."""
    turns = sample.turns or (() if section is None else section.turns)
    if turns:

        def scripted(_: Generate, replies: int) -> Program[str | NoReply | None]:
            yield from ()
            return turns[replies - 1] if replies <= len(turns) else None

        return scripted
    if section is None or section.user is None or section.max_turns is None:
        return None
    instruction, most = section.user, section.max_turns

    def simulated(request: Generate, replies: int) -> Program[str | NoReply | None]:
        if replies >= most:
            return None
        (reply,) = yield ask("user", _to_the_user(request, instruction))
        if isinstance(reply, Completion):
            return of_a_person(reply.text.strip()) or None
        return reply if isinstance(reply, NoReply) else NoReply(reason=f"a {reply.type} is no text")

    return simulated


def talk(
    role: str, request: Request, opening: tuple[Message, ...], go_on: GoOn
) -> Program[list[tuple[Request, Reply]]]:
    """Ask, and go on where the request opens the sample's conversation; returns every request with its reply."""
    told: list[tuple[Request, Reply]] = []
    opens = role == "policy" and isinstance(request, Generate) and request.messages == opening
    while True:
        (reply,) = yield ask(role, request)
        told.append((request, reply))
        if not opens or not isinstance(request, Generate) or not isinstance(reply, Completion):
            return told
        behind = replace(request, messages=(*request.messages, Message(role="assistant", content=reply.text)))
        more = yield from go_on(behind, len(told))
        if more is None:
            return told
        said = "" if isinstance(more, NoReply) else more
        request = replace(behind, messages=(*behind.messages, Message(role="user", content=said)))
        if isinstance(more, NoReply):
            lost = NoReply(reason=f"the simulated user gave no reply: {more.reason}")
            return [*told, (request, lost)]


def _to_the_user(request: Generate, instruction: str) -> Generate:
    """Return the conversation as the simulated user sees it: what they said is their own turn, and the rest is not.

    Calls of tools and their answers are between the candidate and the tools.
    """
    seen: dict[Role, Role] = {"user": "assistant", "assistant": "user"}
    turns = [
        replace(turn, role=seen[turn.role])
        for turn in request.messages
        if turn.role in seen and not is_response(turn) and not (turn.role == "assistant" and read_calls(turn.content))
    ]
    begin = (Message(role="system", content=instruction), Message(role="user", content=_BEGIN))
    return replace(request, messages=(*begin, *turns))
