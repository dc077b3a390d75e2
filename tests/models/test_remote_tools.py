"""Tools by a chat server's own interface: JSON schemas go out, `tool_calls` come back as text."""

from __future__ import annotations

import json

import pytest

from harness.evaluation.tools import declared, read_calls
from harness.reading.conversation import ToolSection
from harness.types import Completion, Decoding, Generate, Message, Sample
from tests.models.conftest import make_remote
from tests.models.serving import Server, said

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
TOOL = ToolSection.model_validate(
    {"name": "find_order", "description": "Finds one.", "parameters": SCHEMA, "results": [{"result": "sent"}]},
    strict=False,
)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def conversation(*turns):
    opening = Sample(id="s", messages=(Message(role="user", content="Where is order 7?"),))
    return (*declared([TOOL], opening).messages, *turns)


def asked(server, messages):
    model, candidate = make_remote(server.url, timeout=60)
    found = {}
    request = Generate(messages=messages, decoding=Decoding(max_new_tokens=8))
    try:
        model.answer(candidate, [request], found.__setitem__)
        return found[0], model.facts()
    finally:
        model.close()


def calling(name, arguments, content=None):
    message = {"content": content, "tool_calls": [
        {"id": "x", "type": "function", "function": {"name": name, "arguments": arguments}},
    ]}  # fmt: skip
    return 200, {}, {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {}}


def test_schemas_go_out_and_calls_come_back_as_text(server):
    server.answer = lambda body: calling("find_order", '{"id": "7"}', "Let me look.")
    reply, facts = asked(server, conversation())
    (body,) = server.bodies
    assert body["tools"] == [
        {"type": "function", "function": {"name": "find_order", "description": "Finds one.", "parameters": SCHEMA}}
    ]
    assert body["messages"] == [{"role": "user", "content": "Where is order 7?"}]
    assert isinstance(reply, Completion)
    assert reply.text == 'Let me look.\n<tool_call>{"name": "find_order", "arguments": {"id": "7"}}</tool_call>'
    (call,) = read_calls(reply.text)
    assert (call.name, dict(call.arguments), call.problem) == ("find_order", {"id": "7"}, "")
    assert facts["tools"] == "the server's own"


def test_calls_and_their_results_go_back_in_the_servers_form(server):
    turns = conversation(
        Message(role="assistant", content='Wait.\n<tool_call>{"name": "find_order", "arguments": {"id": "7"}}</tool_call>'),
        Message(role="user", content='<tool_response>"sent"</tool_response>'),
    )  # fmt: skip
    reply, _ = asked(server, turns)
    assert isinstance(reply, Completion)
    call, result = server.bodies[0]["messages"][1:]
    assert call["content"] == "Wait."
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"id": "7"}
    assert result == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": '"sent"'}


def test_a_call_that_nobody_can_read_stays_text_and_hostile_arguments_are_a_problem(server):
    turns = conversation(
        Message(role="assistant", content="<tool_call>not json</tool_call>"),
        Message(role="user", content='<tool_response>{"error": "the call is no JSON object"}</tool_response>'),
    )
    server.answer = lambda body: calling("find_order", "not json either")
    reply, _ = asked(server, turns)
    assert [turn["role"] for turn in server.bodies[0]["messages"]] == ["user", "assistant", "user"]
    assert read_calls(reply.text)[0].problem == "the arguments are no JSON object"


def test_a_server_that_takes_no_tools_is_told_in_the_system_prompt_and_the_run_says_so(server):
    server.answer = lambda body: (400, {}, {"error": "no tools here"}) if "tools" in body else said("ok")
    reply, facts = asked(server, conversation())
    assert reply.text == "ok"
    assert facts["tools"] == "in the system prompt"
    assert "# Tools" in server.bodies[-1]["messages"][0]["content"]


def test_a_conversation_without_tools_goes_as_ever(server):
    _, facts = asked(server, (Message(role="user", content="hi"),))
    assert "tools" not in server.bodies[0]
    assert "tools" not in facts
