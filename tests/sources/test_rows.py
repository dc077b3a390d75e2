"""Rows become samples, in every format alike, and every error names file, line and key."""

from __future__ import annotations

import csv
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import SourceInput
from harness.errors import InputError
from harness.plugins import load_plugins

ROWS = [
    {"id": "a", "prompt": "What is 1+1?", "target": "2", "tags": ["easy"], "cluster": "sums"},
    {"id": "b", "prompt": "Which is red?", "choices": ["sky", "blood"], "answer": 1, "metadata": {"hard": False}},
    {
        "id": "c",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ],
    },
]


def read(path, source=None, **options):
    registry = load_plugins(installed=False).registries.sources
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    name = source or suffixes[-1].lstrip(".")
    return list(registry.get(name)(SourceInput(path=path, options=options)))


def test_jsonl_and_json_give_the_same_samples_plain_and_gzipped(tmp_path):
    plain = tmp_path / "rows.jsonl"
    plain.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    listed = tmp_path / "rows.json"
    listed.write_text(json.dumps(ROWS))
    first = read(plain)
    assert first == read(packed) == read(listed)
    assert [sample.id for sample in first] == ["a", "b", "c"]
    assert first[0].target == ("2",)
    assert first[1].answer == 1
    assert [message.role for message in first[2].messages] == ["user", "assistant", "user"]


def test_csv_and_parquet_through_a_column_mapping(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"q": 'a "quoted", cell', "w0": "x", "w1": "y\nz", "right": "B", "note": "n"}]
    table = tmp_path / "rows.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    columns = {"prompt": "q", "choices": ["w0", "w1"], "answer": "right"}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (one,) = read(table, columns=columns, metadata=["note"], tags=["t"])
    assert one.prompt == 'a "quoted", cell'
    assert one.choices == ("x", "y\nz")
    assert one.answer == 1
    assert one.metadata == {"note": "n"}
    assert one.tags == ("t",)
    (other,) = read(tmp_path / "rows.parquet", columns=columns, metadata=["note"], tags=["t"])
    assert other.content_hash == one.content_hash


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "promt": "x"}', r":2: promt: unknown key; did you mean 'prompt'\?"),
        ('{"id": "a"}', r":2: there is nothing to ask and nothing to measure"),
        ('{"id": "a", "prompt": 3}', r":2: prompt: must be text, not 3"),
        (
            '{"id": "a", "prompt": "x", "messages": [{"role": "user", "content": "y"}]}',
            r":2: prompt and messages exclude each other",
        ),
        ('{"id": "a", "messages": [{"role": "robot", "content": "y"}]}', r":2: messages\[0\]\.role: must be one of"),
        (
            '{"id": "a", "messages": [{"role": "assistant", "content": "y"}]}',
            r":2: messages: the last turn must be the user's",
        ),
        ('{"id": "a", "messages": [{"role": "user"}]}', r":2: messages\[0\]: must be an object with role and content"),
        ('{"id": "a", "prompt": "x", "choices": ["y", "z"], "answer": 2}', r":2: answer: must be 0 to 1"),
        ('{"id": "a", "prompt": "x", "choices": ["y", "z"], "answer": true}', r":2: answer: must be"),
        ('{"id": "a", "prompt": "x", "choices": ["y", "y"], "answer": 0}', r":2: choices: two choices are the same"),
        ('{"id": "a", "prompt": "x", "tags": [1]}', r":2: tags: must be text or a list of texts"),
        ('{"id": "a", "prompt": "x", "metadata": []}', None),
        ('{"id": "a", "prompt": "x", "metadata": [1]}', r":2: metadata: must be an object"),
        ('{"id": true, "prompt": "x"}', r":2: id: must be text"),
        ('{"id": "a", "prompt": NaN}', r":2: not valid JSON"),
        ('{"id": "a", "prompt": "x", "metadata": {"n": 1e999}}', r":2: not valid JSON \(the number 1e999 is too large"),
        ('{"id": "a", "prompt": "\\ud800"}', r":2: half of a surrogate pair"),
        ('["a"]', r":2: expected an object, found a list"),
        ("{", r":2: not valid JSON"),
        ("[" * 100000, r":2: not valid JSON"),
    ],
)
def test_bad_lines(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "ok", "prompt": "x"}\n' + line + "\n")
    if message is None:
        assert len(read(path)) == 2
        return
    with pytest.raises(InputError, match=r"rows\.jsonl" + message):
        read(path)


def test_bad_bytes_damaged_gzip_missing_files_and_folders(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "a", "prompt": "x"}\n\xff\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:2: byte 0xff is not UTF-8"):
        read(path)
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"id": "a", "prompt": "x"}\n')[:-6])
    with pytest.raises(InputError, match="damaged gzip data"):
        read(packed)
    packed.write_bytes(b"not gzip at all")
    with pytest.raises(InputError, match="damaged gzip data"):
        read(packed)
    with pytest.raises(InputError, match=r"gone\.jsonl: no such data file"):
        read(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match="this is a folder"):
        read(tmp_path, source="jsonl")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read(tmp_path / "rows.parquet")


def test_bad_options(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "x"}\n')
    with pytest.raises(InputError, match=r"samples\.colums: unknown option; did you mean 'columns'\?"):
        read(path, colums={})
    with pytest.raises(InputError, match=r"samples\.columns\.promt: unknown sample field; did you mean 'prompt'\?"):
        read(path, columns={"promt": "question"})
    with pytest.raises(
        InputError, match=r":1: samples\.columns\.prompt: there is no column 'questoin'; did you mean 'question'\?"
    ):
        read(path, columns={"prompt": "questoin"})


def test_ragged_csv_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,prompt\na,x\nb,y,z\n")
    with pytest.raises(InputError, match=r"rows\.csv:3: the row has 3 cells, the first has 2"):
        read(path)


def test_the_hub_is_refused_offline_before_anything_is_imported():
    read_hub = load_plugins(installed=False).registries.sources.get("datasets")
    with pytest.raises(InputError, match="--offline opens no socket"):
        list(read_hub(SourceInput(path=None, options={"name": "org/set"}, offline=True)))
    with pytest.raises(InputError, match=r"samples\.name"):
        list(read_hub(SourceInput(path=None, options={})))


@given(st.binary(max_size=300))
def test_no_bytes_escape_as_anything_but_an_input_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    for name in ("rows.jsonl", "rows.json", "rows.csv", "rows.jsonl.gz"):
        path = folder / name
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            assert name in str(error)


def test_fields_that_a_mapping_does_not_name_keep_their_own_names(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"id": "a", "prompt": "p", "reply": "r", "target": "t", "tags": ["x"], "answer": "of another kind"}
    path.write_text(json.dumps(row) + "\n")
    (one,) = read(path, columns={"target": "reply", "answer": None})
    assert (one.id, one.messages[0].content, one.target, one.tags) == ("a", "p", ("r",), ("x",))
    (other,) = read(path, columns={"target": "prompt", "answer": None})
    assert (other.messages, other.target) == ((), ("p",))
    (third,) = read(path, columns={"answer": None}, metadata=["reply"])
    assert (third.target, third.metadata) == (("t",), {"reply": "r"})
    with pytest.raises(InputError, match=r"rows.jsonl:1: answer: must be absent without choices"):
        read(path, columns={"target": "reply"})
