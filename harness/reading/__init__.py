"""Reads the files that people write: suites, constitutions, recipes, policies and harness.yaml."""
