"""What harness checks of what plugins give, for tests of plugins."""

from harness.cli.main import cli as cli
from harness.engine.core import ModelCore as ModelCore
from harness.engine.programs import guarded as guarded
from harness.engine.programs import run as run
from harness.evaluation.check_metrics import check_metrics as check_metrics
from harness.evaluation.panel import make_critic as make_critic
from harness.evaluation.samples import check_sample as check_sample
from harness.plugin_code import check_findings as check_findings
from harness.plugin_code import check_requests as check_requests
from harness.plugin_code import check_score as check_score
from harness.plugin_code import plugin_code as plugin_code
from harness.session.opened import keep_libraries_offline as keep_libraries_offline

__all__ = [name for name in globals() if name[0] != "_"]
