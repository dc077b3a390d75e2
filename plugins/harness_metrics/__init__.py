"""Bundled plugin: metrics."""
