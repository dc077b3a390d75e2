"""Asks models: one core for both phases, with the cache in front and nothing asked twice."""
