"""Reading the metadata fields that samples carry for metrics. docs/metrics.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import InputError

if TYPE_CHECKING:
    from harness.api import Sample


def texts(sample: Sample, field: str) -> tuple[str, ...]:
    """Return a metadata field that is a list of texts; empty where the sample has none.

    Raises:
        InputError: naming the sample, when it is anything else or holds an empty text.
    """
    value = sample.metadata.get(field, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item.strip() for item in value):
        raise _wrong(sample, field, 'must be a list of texts, such as ["…", "…"]')
    return tuple(value)


def alternatives(sample: Sample, field: str) -> tuple[tuple[str, ...], ...]:
    """Return a metadata field whose items are texts, or lists of texts that may stand for each other.

    Raises:
        InputError: naming the sample, when it is anything else.
    """
    value = sample.metadata.get(field, ())
    if not isinstance(value, list | tuple):
        raise _wrong(sample, field, "must be a list of texts or of lists of texts")
    groups = [(item,) if isinstance(item, str) else item for item in value]
    for group in groups:
        if not isinstance(group, list | tuple) or not group or not all(isinstance(t, str) and t.strip() for t in group):
            raise _wrong(sample, field, "must be a list of texts or of lists of texts")
    return tuple(tuple(group) for group in groups)


def index(sample: Sample, field: str) -> int | None:
    """Return a metadata field that is the 0-based index of a choice; None where the sample has none.

    Raises:
        InputError: naming the sample, when it names no choice.
    """
    value = sample.metadata.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(sample.choices):
        raise _wrong(sample, field, f"must be the 0-based index of one of its {len(sample.choices)} choices")
    return value


def _wrong(sample: Sample, field: str, cause: str) -> InputError:
    return InputError(f"sample {sample.id!r}: {cause}", key=f"metadata.{field}", hint="see docs/metrics.md")
