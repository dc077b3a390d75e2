"""Gates are tested with the tables that the statistics are tested with."""

from tests.stats.conftest import events, make_table, plain

__all__ = ["events", "make_table", "plain"]
