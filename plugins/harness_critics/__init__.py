"""Bundled plugin: critics."""
