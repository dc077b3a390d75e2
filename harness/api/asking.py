"""Asking models by roles, and judging what they said: for plugins whose programs run outside a suite's pass."""

from harness.engine.programs import batches, guarded, run, run_all, together
from harness.evaluation.panel import Panel, PanelOptions, make_critic, make_panel
from harness.evaluation.pool import ModelPool
from harness.evaluation.roles import Asking, in_order, resolve_roles
from harness.evaluation.shared import learned_from
from harness.store.cache import Cache

__all__ = [
    "Asking",
    "Cache",
    "ModelPool",
    "Panel",
    "PanelOptions",
    "batches",
    "guarded",
    "in_order",
    "learned_from",
    "make_critic",
    "make_panel",
    "resolve_roles",
    "run",
    "run_all",
    "together",
]
