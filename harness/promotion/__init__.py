"""Decisions on promotion, and what they change: promote and rollback."""
