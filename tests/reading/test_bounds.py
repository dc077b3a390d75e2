"""Whatever stands in a file, reading it ends soon, within memory, with a value or one sentence."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import SourceInput
from harness.errors import InputError
from harness.reading import files
from harness.reading.strict import read_document
from harness.reading.suite import read_suite
from harness.types import Message
from harness_sources.rows import read_json, read_jsonl, read_parquet

SECONDS = 5
"""Much more than reading takes, and much less than what these files took."""
FUZZ = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def refused(path: Path, read, *words: str) -> InputError:
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        read(path)
    assert time.process_time() - began < SECONDS
    for word in (path.name, *words):
        assert word in str(caught.value)
    return caught.value


def samples(path: Path, read=read_jsonl, **options):
    return list(read(SourceInput(path=path, options=options)))


def written(tmp_path: Path, text: str, name: str = "x.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: &a {x: 1}\n"
        + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        f"a: &a {'x' * 900_000}\nb: [{', '.join(['*a'] * 1000)}]\n",
        "a: &a [*a]\n",
    ],
)  # fmt: skip
def test_aliases_cannot_multiply_a_file(tmp_path, text):
    refused(written(tmp_path, text), read_document, "aliases")


def test_a_few_aliases_are_fine(tmp_path):
    document = read_document(written(tmp_path, "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n"))
    assert document.value == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_a_large_file_and_deep_nesting_are_refused(tmp_path):
    refused(written(tmp_path, "a: " + "x" * 20_000_000), read_document, "larger than the 1 MiB")
    for text in ("[" * 300_000, "{a: " * 200_000, "- " * 300_000, "- " * 200 + "x"):
        refused(written(tmp_path, text), read_document)


def test_what_is_just_within_the_limit_is_read_soon(tmp_path):
    for text in ("a: " + "x" * 1_000_000, "a: [" + "1, " * 90_000 + "1]", "a: |\n" + "  line\n" * 90_000):
        began = time.process_time()
        read_document(written(tmp_path, text))
        assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "number", ["1" * 400, "1" * 5000, "1.0e+999", ".inf", "'nan'", "'1e999'", "'" + "1" * 400 + "'"]
)
def test_a_gates_limit_is_a_number_that_a_computer_can_hold(tmp_path, number):
    text = f"id: s\nsamples: {{path: x}}\nmeasure: [exact_match]\ngates:\n  - {{metric: a, max: {number}}}\n"
    error = refused(written(tmp_path, text), read_suite)
    assert error.line == 5


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    path = written(tmp_path, '{"prompt": "a"}\n{"prompt": "a", "target": "b", "target": "c"}\n', "x.jsonl")
    assert refused(path, samples, "'target' stands twice").line == 2
    refused(written(tmp_path, '[{"prompt": "a", "prompt": "b"}]', "x.json"), lambda p: samples(p, read_json), "twice")


def test_a_record_with_a_key_twice_is_refused(tmp_path):
    from harness.serial import from_json

    with pytest.raises(InputError, match=r"run\.json: not a readable Message \(the key 'role' stands twice\)"):
        from_json(Message, '{"role": "user", "content": "x", "role": "assistant"}', file=tmp_path / "run.json")


def test_a_line_without_end_is_refused_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_LINE", 1000)
    path = written(tmp_path, '{"prompt": "a"}\n' + "x" * 2000, "x.jsonl")
    assert refused(path, samples, "longer than").line == 2
    assert len(samples(written(tmp_path, '{"prompt": "a"}\r\n\n{"prompt": "b"}', "y.jsonl"))) == 2


@pytest.mark.slow
def test_a_line_of_a_gigabyte_takes_little_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "x.jsonl"
    with path.open("wb") as stream:
        stream.truncate(2**30)
    tracemalloc.start()
    try:
        refused(path, samples, "x.jsonl:1: the line is longer than 16 MiB")
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [float("nan"), b"\xff", [float("inf")], {"a": b"x"}])
def test_metadata_of_parquet_that_no_record_holds_is_refused(tmp_path, value):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"q": ["a", "b"], "m": [None, value]}), path)
    error = refused(path, lambda p: samples(p, read_parquet, columns={"prompt": "q"}, metadata=["m"]), "metadata.m")
    assert error.line == 2


@pytest.mark.parametrize(
    "row", ['{"prompt": "a", "choices": ["x", "y"], "answer": "%s"}', '{"prompt": "a", "choices": ["x"], "answer": %s}']
)
def test_an_answer_of_5000_digits_is_refused(tmp_path, row):
    refused(written(tmp_path, row % ("1" * 5000), "x.jsonl"), samples, "x.jsonl:1")


def test_a_reply_of_5000_digits_is_no_number():
    from harness_metrics.numbers import final_number

    assert final_number("7, or " + "1" * 5000) == 7
    assert final_number(f"#### {'1' * 5000}/{'2' * 5000}") is None


# ---------------------------------------------------------------- anything at all


def survives(read, path: Path) -> None:
    began = time.process_time()
    try:
        read(path)
    except InputError as error:
        assert len(str(error)) < 2000
    assert time.process_time() - began < SECONDS


@pytest.mark.slow
@FUZZ
@given(st.binary(max_size=300) | st.text(alphabet="&*abc:-[]{}<>|\"'\n %!1.e?#,~\t", max_size=300))
def test_any_yaml_is_read_or_refused(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    survives(read_document, path)
    survives(read_suite, path)


@pytest.mark.slow
@FUZZ
@given(st.sampled_from("&[{-?%*'\"|>!#:, "), st.sampled_from(["", "a", " ", "\n", "a: ", "\n  "]))
def test_a_file_of_one_thing_over_and_over_is_read_or_refused_soon(tmp_path, mark, between):
    survives(read_document, written(tmp_path, (mark + between) * (1_000_000 // (1 + len(between)))))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
FIELDS = ("id", "prompt", "messages", "target", "choices", "answer", "tags", "cluster", "metadata")


@pytest.mark.slow
@FUZZ
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5) | VALUES, max_size=4))
def test_any_json_lines_are_read_or_refused(tmp_path, rows):
    from harness.hashing import canonical_json
    from harness.serial import to_plain

    text = "\n".join(map(json.dumps, rows))

    def whole(path: Path) -> None:
        for sample in samples(path):
            canonical_json(to_plain(sample))

    survives(whole, written(tmp_path, text, "x.jsonl"))


@pytest.mark.slow
@FUZZ
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789.eE-ntf\\u d\n', max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused_as_json_lines(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    survives(samples, path)


@pytest.mark.slow
@FUZZ
@given(
    st.lists(st.binary(max_size=4), min_size=1, max_size=3)
    | st.lists(st.floats(), min_size=1, max_size=3)
    | st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-9, max_value=9), min_size=1)
    | st.lists(st.datetimes(), min_size=1, max_size=3)
    | st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(), min_size=1), min_size=1, max_size=3)
)
def test_any_parquet_metadata_is_read_or_refused(tmp_path, values):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from harness.hashing import canonical_json
    from harness.serial import to_plain

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"q": ["a"] * len(values), "m": values}), path)

    def whole(path: Path) -> None:
        for sample in samples(path, read_parquet, columns={"prompt": "q", "target": "m"}, metadata=["m"]):
            canonical_json(to_plain(sample))
        for sample in samples(path, read_parquet, columns={"prompt": "q"}, metadata=["m"]):
            canonical_json(to_plain(sample))

    survives(whole, path)
