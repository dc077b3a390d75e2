"""Two bases of one decision: side by side where memory allows, else one after the other, with the same replies."""

from __future__ import annotations

import pytest

from harness.contracts import RunContext
from harness.evaluation.pool import ModelPool
from harness.plugins import load_plugins
from harness.progress import NoProgress
from harness.types import Candidate, Decoding, Generate, Message, ModelSpec
from tests import tiny

ASKED = [Generate(messages=(Message(role="user", content="the quick brown fox"),), decoding=Decoding(max_new_tokens=4))]


@pytest.fixture(scope="module")
def two(tiny_base, tmp_path_factory):
    other = tiny.save_llama(tmp_path_factory.mktemp("other") / "other", seed=5)
    return [
        Candidate(model=ModelSpec(reference=str(folder), scheme="hf", name=str(folder), dtype="float32", device="cpu"))
        for folder in (tiny_base, other)
    ]


@pytest.mark.parametrize("room", [True, False])
def test_a_base_makes_room_for_another_where_memory_is_short(two, room, monkeypatch, tmp_path):
    if not room:
        monkeypatch.setattr("harness_models.hf.model.free_bytes", lambda device: 1)
    context = RunContext(weights=tmp_path, seed=0, offline=True)
    with ModelPool(load_plugins(installed=False).registries, context, None, NoProgress()) as pool:
        cores = [pool.core(who.model) for who in two]

        def texts():
            return [core.answer(who, ASKED, label="")[0].text for core, who in zip(cores, two, strict=True)]

        def loaded():
            return [core.model._loaded is not None for core in cores]

        first = texts()
        assert loaded() == [room, True]
        assert texts() == first
        assert first[0] != first[1]
        # What was closed still says how it ran.
        assert [core.model.facts()["dtype"] for core in cores] == ["float32", "float32"]
        assert cores[0].answer(two[0], ASKED, label="")[0].text == first[0]
        assert loaded() == [True, room]
