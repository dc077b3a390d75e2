"""Bundled plugin: stages."""
