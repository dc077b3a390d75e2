"""Asking models by roles, and judging what they said: for plugins whose programs run outside a suite's pass."""

from harness.engine.core import CHARACTERS, efforts, length
from harness.engine.programs import Batch, Live, batches, guarded, run, run_all, together
from harness.engine.replies import reply_key
from harness.evaluation.arm import Identity, identify, through
from harness.evaluation.measure import Columns
from harness.evaluation.panel import Panel, PanelOptions, make_critic, make_panel
from harness.evaluation.pool import ModelPool, base_name
from harness.evaluation.respond import Interview
from harness.evaluation.roles import Asking, Roles, in_order, resolve_roles
from harness.evaluation.shaping import undrawn
from harness.evaluation.shared import learned_from
from harness.store.cache import Cache

__all__ = [
    "CHARACTERS",
    "Asking",
    "Batch",
    "Cache",
    "Columns",
    "Identity",
    "Interview",
    "Live",
    "ModelPool",
    "Panel",
    "PanelOptions",
    "Roles",
    "base_name",
    "batches",
    "efforts",
    "guarded",
    "identify",
    "in_order",
    "learned_from",
    "length",
    "make_critic",
    "make_panel",
    "reply_key",
    "resolve_roles",
    "run",
    "run_all",
    "through",
    "together",
    "undrawn",
]
