"""Arrow columns of text, made without pandas.

`pyarrow.array` imports pandas to ask it whether it knows what it is given, which takes as long as all the rest of
writing a run.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


def text_column(values: Sequence[str | None]) -> pa.Array:
    """Return a column of strings, null where there is None.

    Raises:
        UnicodeEncodeError: when a text holds half a surrogate pair.
    """
    import pyarrow as pa

    encoded = [(value or "").encode() for value in values]
    known = bytearray(-(-len(values) // 8))
    for place, value in enumerate(values):
        if value is not None:
            known[place // 8] |= 1 << place % 8
    buffers = [pa.py_buffer(known), _offsets([len(text) for text in encoded]), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def texts_column(values: Sequence[Sequence[str]]) -> pa.Array:
    """Return a column of lists of strings.

    Raises:
        UnicodeEncodeError: when a text holds half a surrogate pair.
    """
    import pyarrow as pa

    children = [text_column([text for texts in values for text in texts])]
    buffers = [None, _offsets([len(texts) for texts in values])]
    return pa.Array.from_buffers(pa.list_(pa.string()), len(values), buffers, children=children)


def _offsets(lengths: Sequence[int]) -> pa.Buffer:
    import pyarrow as pa

    return pa.py_buffer(array("i", accumulate(lengths, initial=0)))
