"""What a plugin's command builds on: the options that commands share, tables, and exit codes."""

from harness.cli.context import (
    MOST_SEED,
    App,
    FiniteRange,
    WholeRange,
    candidate_options,
    common_options,
    gathered,
    precision_check_option,
    remote_options,
    role_option,
    seed_option,
)
from harness.cli.outputs import Checked, Outputs, output_options
from harness.commands import SECTIONS, Commands
from harness.errors import EXIT_BROKEN, EXIT_GATE, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PASSED
from harness.session.drawing import line, run_parts
from harness.store.outputs import Output
from harness.tables import (
    checks_table,
    counted,
    estimates_table,
    headline,
    headline_lines,
    named_table,
    plain_table,
    status_text,
)
from harness.terminal import safe_text, word_changes

__all__ = [
    "EXIT_BROKEN",
    "EXIT_GATE",
    "EXIT_INPUT",
    "EXIT_INTERRUPTED",
    "EXIT_PASSED",
    "MOST_SEED",
    "SECTIONS",
    "App",
    "Checked",
    "Commands",
    "FiniteRange",
    "Output",
    "Outputs",
    "WholeRange",
    "candidate_options",
    "checks_table",
    "common_options",
    "counted",
    "estimates_table",
    "gathered",
    "headline",
    "headline_lines",
    "line",
    "named_table",
    "output_options",
    "plain_table",
    "precision_check_option",
    "remote_options",
    "role_option",
    "run_parts",
    "safe_text",
    "seed_option",
    "status_text",
    "word_changes",
]
