"""What a plugin's command builds on: the options that commands share, tables, and exit codes."""

from harness.cli.context import (
    MOST_SEED,
    App,
    FiniteRange,
    WholeRange,
    common_options,
    gathered,
    remote_options,
    role_option,
)
from harness.commands import SECTIONS, Commands
from harness.errors import EXIT_BROKEN, EXIT_GATE, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PASSED
from harness.store.outputs import Output
from harness.tables import plain_table
from harness.terminal import safe_text

__all__ = [
    "EXIT_BROKEN",
    "EXIT_GATE",
    "EXIT_INPUT",
    "EXIT_INTERRUPTED",
    "EXIT_PASSED",
    "MOST_SEED",
    "SECTIONS",
    "App",
    "Commands",
    "FiniteRange",
    "Output",
    "WholeRange",
    "common_options",
    "gathered",
    "plain_table",
    "remote_options",
    "role_option",
    "safe_text",
]
