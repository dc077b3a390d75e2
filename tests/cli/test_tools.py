"""Conversations with tools: declared, called as text, answered by fixtures or a plugin's function."""

from __future__ import annotations

import contextlib
import json

import pytest

from harness.evaluation.tools import Toolbox, argument_problem, declared, is_response, read_calls
from harness.reading.conversation import ConversationSection, ToolSection
from harness.registry import Registry
from harness.store.runs import read_samples
from harness.store.workspace import Workspace
from harness.types import Completion, Message, Sample
from harness_metrics.tool_calls import ToolCallMatch, ToolCallOptions

SUITE = """\
id: orders
samples: {source: jsonl, path: orders.jsonl}
ask: {max_new_tokens: 40}
conversation:
  tools:
    - name: find_order
      parameters: {type: object, properties: {id: {type: string}}, required: [id]}
      ANSWERED
  max_calls: 3
measure: [tool_calls, answer_match]
"""
RESULTS = 'results: [{arguments: {id: "7"}, result: sent}, {result: unknown}]'
CALLER = '''
import json
import re

from harness import hookimpl
from harness.types import Completion
from harness_models.echo import EchoModel


class Caller(EchoModel):
    """Calls the tool that its system prompt declares, and repeats what comes back."""

    def answer(self, candidate, requests, deliver):
        for index, request in enumerate(requests):
            first, last = request.messages[0], request.messages[-1]
            assert first.role == "system" and '"name": "find_order"' in first.content, first
            number = re.search(r"order (\\w+)", last.content)
            if "for ever" in request.messages[1].content:
                text = '<tool_call>{"name": "find_order", "arguments": {"id": "7"}}</tool_call>'
            elif number:
                text = "<tool_call>" + json.dumps({"name": "find_order", "arguments": {"id": number[1]}}) + "</tool_call>"
            else:
                text = "It says " + last.content
            deliver(index, Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop"))


def find_order(arguments, sample):
    return {"id": arguments["id"], "asked by": sample.id}


@hookimpl
def register_models(register):
    register("caller", Caller, about="Calls a tool.")


@hookimpl
def register_tools(register):
    register("find_order", find_order, about="Finds an order.")
'''


@pytest.fixture
def orders(cli):
    def call(name):
        return [{"name": "find_order", "arguments": {"id": name}}]

    rows = [
        {"id": "right", "prompt": "Where is order 7?", "target": "sent", "metadata": {"calls": call("7")}},
        {"id": "other", "prompt": "Where is order 8?", "target": "unknown", "metadata": {"calls": call("7")}},
        {"id": "own", "prompt": "Where is order 9?", "target": "lost",
         "metadata": {"calls": call("9"), "tool_results": {"find_order": [{"arguments": {"id": "9"}, "result": "lost"}]}}},
        {"id": "ever", "prompt": "Ask for ever about order 7", "target": "sent", "metadata": {"calls": call("7")}},
    ]  # fmt: skip
    cli.write("orders.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    cli.write("orders.yaml", SUITE.replace("ANSWERED", RESULTS))
    cli.write("caller.py", CALLER)
    return cli


def rows_of(cli, *more):
    code, found = cli.json("run", "orders.yaml", "-p", "caller.py", "--model", "caller:", "--no-gates", *more)
    assert code == 0, cli.err
    code, shown = cli.json("samples", found["runs"][0]["run"]["id"], "--metric", "tool_call_match", "-p", "caller.py")
    assert code == 0, cli.err
    run = found["runs"][0]["run"]
    with contextlib.closing(Workspace.open(cli.folder / ".harness")) as workspace:
        last = {record.sample.id: record.replies[-1][1].text for record in read_samples(workspace, run["id"])}
    return run, {
        name: {**row, "reply": last[name]}
        for name, row in {sample["sample"]: sample for sample in shown["samples"]}.items()
    }


def test_calls_are_answered_and_metrics_see_the_whole_conversation(orders):
    run, rows = rows_of(orders)
    values = {one["metric"]: one["value"] for one in run["estimates"]}
    assert values == {"tool_call_match": 0.5, "answer_match": 0.75}
    assert {name: row["score"] for name, row in rows.items()} == {"right": 1, "other": 0, "own": 1, "ever": 0}
    assert rows["own"]["reply"] == 'It says <tool_response>"lost"</tool_response>'
    assert rows["ever"]["reply"].startswith("<tool_call>"), "after max_calls the call stands as the last reply"
    again, _ = rows_of(orders)
    assert again["model_calls"] == 0


def test_a_candidates_system_prompt_stands_before_the_tools(orders):
    orders.write("caller.py", CALLER.replace("assert first.role", 'assert first.content.startswith("Be kind.")\n            assert first.role'))  # fmt: skip
    _, rows = rows_of(orders, "--system", "Be kind.")
    assert rows["right"]["score"] == 1


def test_a_plugins_function_answers(orders):
    orders.write("orders.yaml", SUITE.replace("ANSWERED", "function: find_order"))
    run, rows = rows_of(orders)
    assert rows["right"]["reply"] == 'It says <tool_response>{"id": "7", "asked by": "right"}</tool_response>'
    orders.write("caller.py", CALLER.replace('"asked by": sample.id', '"by": sample.id'))
    changed, _ = rows_of(orders)
    assert changed["suite_fingerprint"] != run["suite_fingerprint"], "the function's code decides results"


def test_a_function_that_gives_no_json_is_the_plugins_mistake(orders):
    orders.write("orders.yaml", SUITE.replace("ANSWERED", "function: find_order"))
    orders.write("caller.py", CALLER.replace('{"id": arguments["id"], "asked by": sample.id}', "{1, 2}"))
    assert orders("run", "orders.yaml", "-p", "caller.py", "--model", "caller:", "--no-gates") == 3
    assert "the tool 'find_order' on the sample" in orders.err
    assert "return a JSON value" in orders.err


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ("function: find_odrer", "no tool is called 'find_odrer'; did you mean 'find_order'?"),
        ("function: find_order\n      results: [{result: 1}]", "give either `results` or a `function`"),
        ("strict: true", "unknown key"),
    ],
)
def test_what_is_no_tool_is_refused_before_anything_runs(orders, answered, said):
    orders.write("orders.yaml", SUITE.replace("ANSWERED", answered))
    assert orders("run", "orders.yaml", "-p", "caller.py", "--model", "caller:") == 2
    assert said in orders.err


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{type: string}", "say type: object"), ("{type: object, properties: 3}", "no JSON schema"),
        ("{type: object, $ref: 'http://example.com/x'}", "into this schema alone"),
    ],
)  # fmt: skip
def test_a_schema_that_is_none_is_refused(orders, schema, said):
    text = SUITE.replace("{type: object, properties: {id: {type: string}}, required: [id]}", schema)
    orders.write("orders.yaml", text.replace("ANSWERED", RESULTS))
    assert orders("run", "orders.yaml", "-p", "caller.py", "--model", "caller:") == 2
    assert said in orders.err


def test_calls_are_read_and_wrong_ones_are_answered_with_an_error():
    section = ConversationSection.model_validate_json(
        json.dumps({"tools": [{"name": "add", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}},
                    "required": ["n"]}, "results": [{"arguments": {"n": 1}, "result": 2}]}]})
    )  # fmt: skip
    box, sample = Toolbox.of(section, Registry("tool")), Sample(id="s", messages=(Message(role="user", content="?"),))
    assert box.respond("no call", sample) is None
    asked = {
        '{"name": "add", "arguments": {"n": 1}}': "<tool_response>2</tool_response>",
        '{"name": "add", "arguments": {"n": 5}}': "nothing is known of these arguments",
        '{"name": "add", "arguments": {"n": "x"}}': "the arguments do not fit: n 'x' is not of type 'integer'",
        '{"name": "add"}': "'n' is a required property",
        '{"name": "sub", "arguments": {}}': "there is no function sub; there is add",
        "{oops": "the call is no JSON object", '{"arguments": {}}': "the call names no function",
        '{"name": "add", "arguments": 3}': "the arguments are no JSON object",
    }  # fmt: skip
    for call, answer in asked.items():
        assert answer in box.respond(f"Well. <tool_call>{call}</tool_call>", sample), call
    both = box.respond("<tool_call>{}</tool_call><tool_call>{}", sample)
    assert both.count("<tool_response>") == 2
    assert [call.name for call in read_calls('<tool_call>{"name": "a"}</tool_call> <tool_call>{"name": "b"}')] == [
        "a",
        "b",
    ]
    assert is_response(Message(role="user", content=both))
    system = declared(section.tools, Sample(id="s", messages=(Message(role="system", content="Be brief."),))).messages[
        0
    ]
    assert system.content.startswith("Be brief.\n\n# Tools\n")


@pytest.mark.parametrize("target", ["#/$defs/missing", "#missing", "#/properties/id/3"])
def test_a_reference_that_leads_nowhere_is_refused(target):
    schema = {"type": "object", "properties": {"id": {"$ref": target}}}
    with pytest.raises(ValueError, match="leads nowhere in this schema"):
        ToolSection(name="find", parameters=schema)


def test_a_reference_that_leads_somewhere_is_followed():
    schema = {
        "type": "object",
        "properties": {"id": {"$ref": "#/$defs/a~1b%20c"}},
        "$defs": {"a/b c": {"type": "string"}},
    }
    tool = ToolSection(name="find", parameters=schema)
    assert argument_problem(tool, {"id": "7"}) == ""
    assert "id" in argument_problem(tool, {"id": 7})


def test_arguments_that_are_nested_too_deep_are_an_answer_and_no_crash():
    tool = ToolSection(name="find", parameters={"type": "object", "additionalProperties": {"$ref": "#"}})
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"a": deep}
    assert argument_problem(tool, deep) == "the arguments are nested too deep"


def test_in_any_order_a_call_with_any_arguments_leaves_the_others_theirs():
    metric = ToolCallMatch(ToolCallOptions(order=False))
    expected = [{"name": "find"}, {"name": "find", "arguments": {"id": 1}}]
    asked = Sample(
        id="s", messages=(Message(role="user", content="?"),), metadata={"calls": expected}
    )  # fmt: skip
    calls = "".join(
        f'<tool_call>{{"name": "find", "arguments": {{"id": {number}}}}}</tool_call>' for number in (1, 2)
    )  # fmt: skip
    reply = Completion(text=calls, prompt_tokens=1, completion_tokens=1, finish="stop")
    assert metric.observe(asked, (reply,), {}, ()) == (1.0, 1.0)
