"""The samples of a run that is being made: on disk as they come, under a name that nobody takes for a run.

The folder stands beside the runs under a temporary name. It is renamed into place when the run is whole (see
`harness.store.runs.finish_run`); what a killed process leaves of it is swept with all other leftovers.

Its columns of text are made without pandas: `pyarrow.array` imports it to ask whether it knows what it is given, which
takes as long as all the rest of writing a run.
"""

from __future__ import annotations

import math
import os
import shutil
from array import array
from contextlib import ExitStack, suppress
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, Self

from harness.errors import BrokenRunError, InputError
from harness.serial import to_json
from harness.store.atomic import explained, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from harness.store.workspace import Workspace
    from harness.types import SampleRecord

SAMPLES_FILE = "samples.parquet"
BATCH = 256
"""Records per row group: a few MB even where answers are long."""


class SampleWriter:
    """Writes sample records to a Parquet file, a row group at a time. A context manager: what is not put in place goes.

    Args:
        workspace: in which the caller is `working`, or whose lock it holds, so that nobody sweeps the folder away.

    Raises:
        BrokenRunError: when the disk is full or the place may not be written.
    """

    def __init__(self, workspace: Workspace) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.count = 0
        """Records written so far."""
        self._place = workspace.runs
        self._pending: list[SampleRecord] = []
        self._schema = pa.schema(
            [
                ("id", pa.string()), ("content_hash", pa.string()), ("question_hash", pa.string()),
                ("tags", pa.list_(pa.string())), ("cluster", pa.string()), ("prompt", pa.string()),
                ("text", pa.string()), ("record", pa.string()),
            ]
        )  # fmt: skip
        with explained(self._place), ExitStack() as undo:
            self.folder = temporary_folder(self._place)
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            # The descriptor is opened here, for the mode and so that the file system's refusals arrive as OSErrors.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._stream = os.fdopen(os.open(self._path, flags, 0o600), "wb")
            undo.callback(self._stream.close)
            self._writer = pq.ParquetWriter(self._stream, self._schema, compression="zstd")
            undo.pop_all()

    @property
    def _path(self) -> Path:
        return self.folder / SAMPLES_FILE

    def write(self, records: Iterable[SampleRecord]) -> None:
        """Write records behind those that are there; less than a row group waits for more.

        Raises:
            BrokenRunError: when the disk is full, or a row holds NaN or an infinity.
            InputError: when a text holds half a surrogate pair.
        """
        iterator = iter(records)
        while batch := list(islice(iterator, BATCH - len(self._pending))):
            self._pending += batch
            if len(self._pending) == BATCH:
                self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        rows = [_columns(record) for record in self._pending]
        makers = {"tags": texts_column}
        columns = [makers.get(name, text_column)([row[name] for row in rows]) for name in self._schema.names]
        with explained(self._place):
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self.count += len(self._pending)
        self._pending = []

    def close(self) -> Path:
        """Write what waits, and return the finished file.

        Raises:
            BrokenRunError: as `write`.
            InputError: as `write`.
        """
        if self._pending:
            self._flush()
        with explained(self._place):
            self._writer.close()
            self._stream.close()
        return self._path

    def discard(self) -> None:
        """Take away what is not in place; a run that is stays."""
        import pyarrow as pa

        for part in (self._writer, self._stream):
            with suppress(OSError, pa.ArrowException):  # a full disk refuses the end of the file too
                part.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing that is not in place."""
        self.discard()


def _columns(record: SampleRecord) -> dict[str, Any]:
    sample = record.sample
    for name, row in record.rows.items():
        if isinstance(row, tuple) and not all(math.isfinite(number) for number in row):
            raise BrokenRunError(f"sample {sample.id!r}: the metric {name} gave {row}, which is not finite")
    (content_hash, question_hash), prompt, text = sample.hashes, sample.prompt, record.text
    columns = {
        "id": sample.id, "content_hash": content_hash, "question_hash": question_hash,
        "tags": list(sample.tags), "cluster": sample.cluster, "prompt": prompt, "text": text,
    }  # fmt: skip
    try:
        for value in (sample.id, prompt, text or "", *sample.tags, sample.cluster or ""):
            value.encode()
        return {**columns, "record": to_json(record)}
    except ValueError as error:  # UnicodeEncodeError, and pydantic's own for the same cause
        raise InputError(
            f"sample {sample.id!r} cannot be stored as UTF-8 text ({str(error).splitlines()[0]})",
            hint="remove half surrogate pairs such as \\ud800 from the data",
        ) from error


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
