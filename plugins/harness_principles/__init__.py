"""Bundled plugin: principles."""
