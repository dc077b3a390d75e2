"""What metrics share that look at one generated reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import Completion, Generate, Metric, NoReply, NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.api import Decoding, Findings, Reply, Request, Row, Sample, Verdict


def asks_for_text(sample: Sample) -> bool:
    """Tell whether a sample is answered with text.

    It has a conversation, and is not a multiple-choice question (choices and no target), which log-likelihoods answer.
    """
    return bool(sample.messages) and (not sample.choices or bool(sample.target))


def generate(sample: Sample, ask: Decoding) -> tuple[Request, ...]:
    """Return the one request for a completion; nothing where the sample is not answered with text."""
    return (Generate(messages=sample.messages, decoding=ask),) if asks_for_text(sample) else ()


def completion(replies: tuple[Reply, ...]) -> Completion | Unscored | NotApplicable:
    """Return the completion; NotApplicable where none was asked for, Unscored where none came."""
    if not replies:
        return NotApplicable(reason="the sample is not answered with text")
    reply = replies[0]
    if isinstance(reply, Completion):
        return reply
    if isinstance(reply, NoReply):
        return Unscored(reason=f"no reply: {reply.reason}")
    return Unscored(reason=f"a {reply.type} came where a completion was asked for")


class TextMetric(Metric):
    """A metric of the one completion of each sample that is answered with text."""

    needs_target = False
    """Whether a sample must have accepted answers to compare with."""

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask for the completion."""
        return generate(sample, ask) if sample.target or not self.needs_target else ()

    def not_for(self, sample: Sample) -> str:
        """Say why the metric does not apply to a sample, whatever the reply; empty where it does."""
        return ""

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the reply's row; Unscored where none came."""
        if reason := self.not_for(sample):
            return NotApplicable(reason=reason)
        reply = completion(replies)
        return self.row(sample, reply, findings) if isinstance(reply, Completion) else reply

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the row of a reply."""
        raise NotImplementedError
