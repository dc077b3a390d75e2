"""What a kind of gate is made of: its base, the records that it is asked with, and how checks write numbers."""

from harness.evaluation.number_formats import PrecisionChecker as PrecisionChecker
from harness.gates.by_evidence import Finding as Finding
from harness.gates.by_evidence import check_differences as check_differences
from harness.gates.by_evidence import check_value as check_value
from harness.gates.kind import Arms as Arms
from harness.gates.kind import Correction as Correction
from harness.gates.kind import Drawn as Drawn
from harness.gates.kind import GateKind as GateKind
from harness.gates.kind import Outlook as Outlook
from harness.gates.kind import Problem as Problem
from harness.gates.kind import Region as Region
from harness.gates.kind import Scatter as Scatter
from harness.gates.kind import Section as Section
from harness.gates.kind import Write as Write
from harness.gates.kinds import correction_of as correction_of
from harness.gates.numbers import amount as amount
from harness.gates.numbers import bounds_text as bounds_text
from harness.gates.numbers import change as change
from harness.gates.numbers import limit_text as limit_text
from harness.gates.numbers import points_text as points_text

__all__ = [name for name in globals() if name[0] != "_"]
