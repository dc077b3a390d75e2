"""Columns of text say what they were given, and pandas stays out."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.store.sample_writer import text_column, texts_column

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.none() | _TEXTS, max_size=20))
def test_a_text_column_holds_what_it_was_given(values: list[str | None]) -> None:
    column = text_column(values)
    column.validate(full=True)
    assert column.type == pa.string()
    assert column.to_pylist() == values


@given(st.lists(st.lists(_TEXTS, max_size=4), max_size=20))
def test_a_column_of_lists_holds_what_it_was_given(values: list[list[str]]) -> None:
    column = texts_column(values)
    column.validate(full=True)
    assert column.type == pa.list_(pa.string())
    assert column.to_pylist() == values


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_column(["\ud800"])


def test_pandas_is_not_imported(tmp_path: object) -> None:
    program = (
        "import sys, pyarrow as pa, pyarrow.parquet as pq\n"
        "from harness.store.sample_writer import text_column, texts_column\n"
        "table = pa.Table.from_arrays([text_column(['a', None]), texts_column([['x'], []])], names=['a', 'b'])\n"
        "pq.write_table(table, sys.argv[1])\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    file = f"{tmp_path}/columns.parquet"
    assert subprocess.run([sys.executable, "-c", program, file], check=False).returncode == 0
    assert pq.read_table(file).to_pylist() == [{"a": "a", "b": ["x"]}, {"a": None, "b": []}]
