"""Bundled plugin: sources."""
