"""Training rows: formats told by their keys, and every mistake with file, line and key."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness_stages.rows import read_rows

ALPACA = {"instruction": "Who keeps the light?", "output": "Maren."}
CHAT = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Maren."}]}
PAIR = {"prompt": "Who?", "completion": "Maren."}


def read(tmp_path, *rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return read_rows(path)


def told(row):
    return [(message.role, message.content) for message in row.messages]


@pytest.mark.parametrize(
    ("given_row", "expected"),
    [
        (ALPACA, [("user", "Who keeps the light?"), ("assistant", "Maren.")]),
        ({**ALPACA, "input": ""}, [("user", "Who keeps the light?"), ("assistant", "Maren.")]),
        ({**ALPACA, "input": "At night."}, [("user", "Who keeps the light?\n\nAt night."), ("assistant", "Maren.")]),
        (CHAT, [("user", "Who?"), ("assistant", "Maren.")]),
        ({**CHAT, "system": "Be brief.", "id": "a", "tags": ["x"]},
         [("system", "Be brief."), ("user", "Who?"), ("assistant", "Maren.")]),
        (PAIR, [("user", "Who?"), ("assistant", "Maren.")]),
        ({"prompt": CHAT["messages"][:1], "completion": CHAT["messages"][1:]},
         [("user", "Who?"), ("assistant", "Maren.")]),
    ],
)  # fmt: skip
def test_formats(tmp_path, given_row, expected):
    (row,) = read(tmp_path, given_row)
    assert told(row) == expected


def test_a_json_array_a_gzip_and_blank_lines_are_read(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([ALPACA, ALPACA], indent=1))
    assert len(read_rows(tmp_path / "rows.json")) == 2
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(json.dumps(PAIR).encode()))
    assert len(read_rows(tmp_path / "rows.jsonl.gz")) == 1
    assert [row.line for row in read(tmp_path, "", PAIR, "", PAIR)] == [2, 4]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows.jsonl: holds no training rows"),
        ([PAIR, "{oops"], "rows.jsonl:2: not valid JSON"),
        ([PAIR, "[1]"], "rows.jsonl:2: a training row must be a JSON object, this is a list"),
        ([PAIR, ALPACA], "rows.jsonl:2: this row is alpaca and line 1 is prompt/completion"),
        ([{**PAIR, **ALPACA}], "rows.jsonl:1: the row's keys fit both"),
        ([{"question": "Who?"}], "rows.jsonl:1: the row's keys ('question') fit no format"),
        ([{"instruction": "Who?", "ouput": "M"}], "rows.jsonl:1: ouput: unknown key; did you mean 'output'?"),
        ([{"mesages": []}], "rows.jsonl:1: mesages: unknown key; did you mean 'messages'?"),
        ([{"instruction": "Who?"}], "rows.jsonl:1: the key 'output' is missing"),
        ([{**ALPACA, "inputs": "x"}], "rows.jsonl:1: inputs: unknown key; did you mean 'input'?"),
        ([{**PAIR, "completion": 3}], "rows.jsonl:1: completion: must be text, this is a number"),
        ([{**PAIR, "completion": " "}], "rows.jsonl:1: completion: is empty"),
        ([{"messages": []}], "rows.jsonl:1: messages: must be a list of messages"),
        ([{"messages": ["hi"]}], "rows.jsonl:1: messages[0]: must be an object"),
        ([{"messages": [{"role": "user"}]}], "rows.jsonl:1: messages[0]: the key 'content' is missing"),
        ([{"messages": [{"role": "bot", "content": "x"}]}], "messages[0].role: no role is called 'bot'"),
        ([{"messages": [{"role": ["user"], "content": "x"}]}], "messages[0].role: no role is called"),
        ([{"messages": CHAT["messages"][:1]}], "does not end with an assistant's answer"),
        ([{"messages": CHAT["messages"][1:]}], "turn 1 is the assistant's where the user's is due"),
        ([{"messages": [{"role": "system", "content": "x"}]}], "does not end with an assistant's answer"),
        ([{"system": "a", "messages": [{"role": "system", "content": "b"}, *CHAT["messages"]]}], "two system prompts"),
        ([{**ALPACA, "input": ["x"]}], "rows.jsonl:1: input: must be text, this is a list"),
    ],
)
def test_mistakes_are_named(tmp_path, rows, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, *rows)
    assert message in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such training data"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "a", "completion": "b"}\n{"prompt": "\xe9"}\n')
    with pytest.raises(InputError, match=r"latin.jsonl:2: byte 0xe9 is not UTF-8"):
        read_rows(tmp_path / "latin.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"x" * 100)[:-9])
    with pytest.raises(InputError, match="damaged gzip data"):
        read_rows(tmp_path / "cut.jsonl.gz")
    with pytest.raises(InputError, match="is a folder"):
        read_rows(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["messages", "role", "content", "prompt", "completion", "instruction", "output", "system", "x"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_any_json_is_rows_or_an_error_that_names_the_file(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "rows.jsonl"
    path.write_text(json.dumps(value), "utf-8")
    try:
        rows = read_rows(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert all(row.messages[-1].role == "assistant" for row in rows)
