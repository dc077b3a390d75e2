"""Whether replies follow instructions that code can verify: the `constraints` of a sample's metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.api import Completion, StrictModel
from harness_metrics.constraints import read_constraints
from harness_metrics.replies import TextMetric, generate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import Decoding, Findings, Metric, Request, Row, Sample, Unscored


class InstructionOptions(StrictModel):
    """Options of instructions."""

    ifeval: bool = False
    """Whether IFEval's other scores are measured too: loose, and over all instructions instead of replies."""


_WORD = re.compile(r"\w+")


def is_echo(reply: str, prompt: str) -> bool:
    """Tell whether a reply is its prompt: the same words in the same order, whatever stands between them.

    A prompt holds the words that it asks for, so that giving it back would satisfy many constraints by chance.
    """
    words = _WORD.findall(reply.casefold())
    return bool(words) and words == _WORD.findall(prompt.casefold())


class _Instruction(TextMetric):
    loose = False
    echoes = False
    """Whether the prompt given back may satisfy what it asks for, as IFEval has it."""
    direction = "higher"
    bounds = (0.0, 1.0)
    unit = "share"

    def requests(self, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
        """Ask for the completion where the sample has constraints.

        Raises:
            InputError: naming the sample, for a constraint that cannot be read.
        """
        return generate(sample, ask) if read_constraints(sample) else ()

    def not_for(self, sample: Sample) -> str:
        """Say where there are none."""
        return "" if read_constraints(sample) else "the sample has no constraints"

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the row; a missing reply is Unscored."""
        echo = not self.echoes and is_echo(reply.text, sample.prompt)
        met = [
            not echo and constraint.satisfied(reply.text, loose=self.loose) for constraint in read_constraints(sample)
        ]
        return self.counted(met)

    def counted(self, met: Sequence[bool]) -> Row:
        """Return the sample's row."""
        return (self.score(met), 1.0)

    def score(self, met: Sequence[bool]) -> float:
        """Return the sample's value in [0, 1], of at least one constraint."""
        raise NotImplementedError


class InstructionStrict(_Instruction):
    """Row: (1 where the reply satisfies every constraint, 1)."""

    name = "instruction_strict"
    kind = "proportion"
    about = (
        "Share of replies that satisfy every constraint of their sample; an empty reply satisfies none, nor does the "
        "prompt given back"
    )

    def score(self, met: Sequence[bool]) -> float:
        """Return 1 where all are met."""
        return 1.0 if all(met) else 0.0


class InstructionShare(_Instruction):
    """Row: (share of the sample's constraints that the reply satisfies, 1)."""

    name = "instruction_share"
    kind = "mean"
    about = (
        "Mean over samples of the share of constraints that the reply satisfies; an empty reply satisfies none, nor "
        "does the prompt given back"
    )

    def score(self, met: Sequence[bool]) -> float:
        """Return the share that is met."""
        return sum(met) / len(met)


class InstructionLoose(InstructionStrict):
    """Row: (1 where the reply satisfies every constraint in its loose reading, 1)."""

    name = "instruction_loose"
    loose = True
    about = (
        "Share of replies that satisfy every constraint, each with or without the reply's first line, last line and "
        "asterisks (IFEval's loose accuracy)"
    )


class InstructionLevelStrict(_Instruction):
    """Row: (constraints that the reply satisfies, constraints of the sample)."""

    name = "instruction_level_strict"
    kind = "ratio"
    about = "Share of all constraints that are satisfied, whatever sample they stand in (IFEval, instruction level)"

    def counted(self, met: Sequence[bool]) -> Row:
        """Count the constraints."""
        return (float(sum(met)), float(len(met)))


class InstructionLevelLoose(InstructionLevelStrict):
    """Row: (constraints that the reply satisfies in its loose reading, constraints of the sample)."""

    name = "instruction_level_loose"
    loose = True
    about = "instruction_level_strict, each with or without the reply's first line, last line and asterisks"


def make(options: InstructionOptions) -> Sequence[Metric]:
    """Return `instruction_strict` and `instruction_share`, and IFEval's other three where they are asked for."""
    more = [InstructionLoose(), InstructionLevelStrict(), InstructionLevelLoose()] if options.ifeval else []
    made: list[_Instruction] = [InstructionStrict(), InstructionShare(), *more]
    for metric in made:
        metric.echoes = options.ifeval
    return made
