"""Whether a conversation called the tools that it should have called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.api import Completion, InputError, NotApplicable, StrictModel, read_calls
from harness_metrics.replies import TextMetric, completion

if TYPE_CHECKING:
    from harness.api import Decoding, Findings, Reply, Request, Row, Sample, ToolCall, Unscored, Verdict


class ToolCallOptions(StrictModel):
    """Options of `tool_calls`."""

    order: bool = True
    """Whether the calls must come in the order of `metadata.calls`."""
    extra: bool = False
    """Whether other calls may stand between them."""


class ToolCallMatch(TextMetric):
    """Row: (1 where the whole conversation's calls are those that the sample expects, 1)."""

    name = "tool_call_match"
    kind = "proportion"
    direction = "higher"
    bounds = (0.0, 1.0)
    unit = "share"

    def __init__(self, options: ToolCallOptions) -> None:
        self._options = options
        how = (", in order" if options.order else ", in any order") + (", others between them" if options.extra else "")
        self.about = f"Share of conversations whose calls of tools are those that the sample expects{how}"

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask for the reply that opens the conversation, where calls are expected or ruled out."""
        return super().requests(sample, ask) if "calls" in sample.metadata else ()

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the row; a call that cannot be read is one that nobody expects."""
        if "calls" not in sample.metadata:
            return NotApplicable(reason="the sample says nothing of calls (metadata.calls)")
        last = completion(replies)
        if not isinstance(last, Completion):
            return last
        said = [turn.content for turn in sample.messages if turn.role == "assistant"]
        made = [call for text in (*said, last.text) for call in read_calls(text)]
        return (float(self._match(_expected(sample), made)), 1.0)

    def _match(self, expected: list[Mapping[str, Any]], made: list[ToolCall]) -> bool:
        left = list(made)
        if not self._options.order:  # whoever takes any arguments comes last, and leaves the others theirs
            expected = sorted(expected, key=lambda one: one.get("arguments") is None)
        for one in expected:
            found = [place for place, call in enumerate(left) if _is(one, call)]
            if not found or (self._options.order and not self._options.extra and found[0]):
                return False
            left = left[found[0] + 1 :] if self._options.order else [*left[: found[0]], *left[found[0] + 1 :]]
        return self._options.extra or not left


def _is(expected: Mapping[str, Any], call: ToolCall) -> bool:
    if call.problem or call.name != expected["name"]:
        return False
    return expected.get("arguments") is None or expected["arguments"] == call.arguments


def _expected(sample: Sample) -> list[Mapping[str, Any]]:
    given = sample.metadata["calls"]
    if not isinstance(given, list) or not all(
        isinstance(one, Mapping) and isinstance(one.get("name"), str) for one in given
    ):
        raise InputError(
            f"sample {sample.id!r}: metadata.calls is not a list of {{name, arguments}}", hint="write [] for no call"
        )
    return given
