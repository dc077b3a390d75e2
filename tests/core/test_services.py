"""Services: what plugins offer each other by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.api import service
from harness.errors import InputError
from harness.plugins import load_plugins

OFFERS = """
from harness import hookimpl

@hookimpl
def register_services(register):
    register("{name}", lambda text, *, times=1: text * times, about="Repeats a text")
"""


def test_a_service_of_a_plugin_is_called_with_all_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "repeating.py").write_text(OFFERS.format(name="repeat for tests"), encoding="utf-8")
    repeat = service("repeat for tests")
    with pytest.raises(InputError, match="no service is called 'repeat for tests'"):
        repeat("ab")
    loaded = load_plugins([str(tmp_path / "repeating.py")], installed=False)
    assert "repeat for tests" in loaded.registries.services
    assert repeat("ab", times=2) == "abab"


def test_a_bundled_service_needs_no_plugins_loaded() -> None:
    measured = service("text measures")(["a b a b"], [4])
    assert measured["length"] == 4.0


def test_a_misspelt_service_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'training rows'"):
        service("training row")(Path("x"))


def test_two_owners_of_one_service_are_refused(tmp_path: Path) -> None:
    (tmp_path / "second.py").write_text(OFFERS.format(name="training rows"), encoding="utf-8")
    (broken,) = load_plugins([str(tmp_path / "second.py")], installed=False).broken
    assert "registered by both harness_stages and" in broken.reason


def test_every_bundled_service_is_there() -> None:
    """What is offered by name exists: each is imported, and is called with what does not fit."""
    for entry in load_plugins(installed=False).registries.services:
        with pytest.raises(TypeError):
            entry.value(**{"no such argument": 1})
