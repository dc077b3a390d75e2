"""Bundled plugin: classifiers."""
