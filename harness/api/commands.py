"""What a plugin's command builds on: the options that commands share, tables, and exit codes."""

from harness.cli.context import MOST_SEED as MOST_SEED
from harness.cli.context import App as App
from harness.cli.context import FiniteRange as FiniteRange
from harness.cli.context import WholeRange as WholeRange
from harness.cli.context import candidate_options as candidate_options
from harness.cli.context import common_options as common_options
from harness.cli.context import gathered as gathered
from harness.cli.context import precision_check_option as precision_check_option
from harness.cli.context import remote_options as remote_options
from harness.cli.context import role_option as role_option
from harness.cli.context import seed_option as seed_option
from harness.cli.outputs import Checked as Checked
from harness.cli.outputs import Outputs as Outputs
from harness.cli.outputs import output_options as output_options
from harness.commands import SECTIONS as SECTIONS
from harness.commands import Commands as Commands
from harness.errors import EXIT_BROKEN as EXIT_BROKEN
from harness.errors import EXIT_GATE as EXIT_GATE
from harness.errors import EXIT_INPUT as EXIT_INPUT
from harness.errors import EXIT_INTERRUPTED as EXIT_INTERRUPTED
from harness.errors import EXIT_PASSED as EXIT_PASSED
from harness.session.drawing import line as line
from harness.session.drawing import run_parts as run_parts
from harness.store.outputs import Output as Output
from harness.tables import checks_table as checks_table
from harness.tables import confidence_of as confidence_of
from harness.tables import counted as counted
from harness.tables import describe_gate as describe_gate
from harness.tables import estimates_table as estimates_table
from harness.tables import headline as headline
from harness.tables import headline_lines as headline_lines
from harness.tables import interval as interval
from harness.tables import named_table as named_table
from harness.tables import one_confidence as one_confidence
from harness.tables import plain_table as plain_table
from harness.tables import reason as reason
from harness.tables import status_text as status_text
from harness.terminal import safe_text as safe_text
from harness.terminal import word_changes as word_changes

__all__ = [name for name in globals() if name[0] != "_"]
