"""Asking models by roles, and judging what they said: for plugins whose programs run outside a suite's pass."""

from harness.engine.core import CHARACTERS as CHARACTERS
from harness.engine.core import efforts as efforts
from harness.engine.core import length as length
from harness.engine.programs import Batch as Batch
from harness.engine.programs import Live as Live
from harness.engine.programs import guarded as guarded
from harness.engine.programs import run_all as run_all
from harness.engine.programs import together as together
from harness.engine.replies import reply_key as reply_key
from harness.evaluation.arm import Identity as Identity
from harness.evaluation.arm import identify as identify
from harness.evaluation.arm import through as through
from harness.evaluation.measure import Columns as Columns
from harness.evaluation.panel import Panel as Panel
from harness.evaluation.panel import PanelOptions as PanelOptions
from harness.evaluation.panel import make_critic as make_critic
from harness.evaluation.panel import make_panel as make_panel
from harness.evaluation.panel import roles_of as roles_of
from harness.evaluation.pool import ModelPool as ModelPool
from harness.evaluation.pool import base_name as base_name
from harness.evaluation.respond import Interview as Interview
from harness.evaluation.roles import Asking as Asking
from harness.evaluation.roles import Roles as Roles
from harness.evaluation.roles import in_order as in_order
from harness.evaluation.roles import resolve_roles as resolve_roles
from harness.evaluation.shaping import undrawn as undrawn
from harness.evaluation.shared import learned_from as learned_from
from harness.store.cache import Cache as Cache

__all__ = [name for name in globals() if name[0] != "_"]
