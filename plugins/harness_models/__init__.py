"""Bundled plugin: models."""
