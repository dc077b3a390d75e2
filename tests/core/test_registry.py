"""Registries: one owner per name, the nearest name in errors, closed after registration."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError, InputError
from harness.registry import Registry


def test_a_duplicate_names_both_owners():
    registry: Registry[int] = Registry("metric")
    registry.registrar("mine")("bleu", 1)
    with pytest.raises(InputError, match=r"'bleu' is registered by both mine and yours.*-p no:yours"):
        registry.registrar("yours")("bleu", 2)
    assert registry.get("bleu") == 1


def test_an_unknown_name_gets_the_nearest_one():
    registry: Registry[int] = Registry("metric")
    registry.registrar("mine")("perplexity", 1)
    with pytest.raises(InputError, match=r"no metric is called 'perplexty'; did you mean 'perplexity'\?"):
        registry.get("perplexty")


def test_an_empty_registry_says_so():
    with pytest.raises(InputError, match="none are registered"):
        Registry("stage").get("sft")


def test_a_frozen_registry_takes_no_more():
    registry: Registry[int] = Registry("metric")
    register = registry.registrar("late")
    registry.freeze()
    with pytest.raises(HarnessError, match="late registers the metric 'x' after registration has ended"):
        register("x", 1)


def test_entries_come_in_the_order_of_their_names():
    registry: Registry[int] = Registry("metric")
    for name in ("c", "a", "b"):
        registry.registrar("mine")(name, 0, about=f"about {name}")
    assert [(entry.name, entry.about) for entry in registry] == [("a", "about a"), ("b", "about b"), ("c", "about c")]
    assert len(registry) == 3
    assert "a" in registry
    assert "z" not in registry
