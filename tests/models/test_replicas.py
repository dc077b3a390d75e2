"""One base on several devices: here twice on a CPU, which shows all but the devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.errors import InputError
from harness.references import resolve_model
from harness.types import Candidate, Completion, Generate, LogLikelihood, LogProb, Reply, Request
from harness_models.hf import device as device_module
from harness_models.hf.device import placement
from harness_models.hf.model import HfModel
from harness_models.hf.replicas import Replicas, divided, hf_model
from harness_stages.devices import choose_device
from tests.models.conftest import adapter_of, ask, greedy, make, spec_of, user


def requests(count: int = 9) -> list[Request]:
    asked: list[Request] = []
    for number in range(count):
        asked.append(Generate(messages=user(f"Tell me of {number} ships"), decoding=greedy(6)))
        asked.append(LogLikelihood(messages=user("Is the sea wide?"), continuation=f"Yes, {number} times"))
    return asked


def test_two_replicas_answer_what_one_does(tiny_base: Path, surroundings: RunContext) -> None:
    one, candidate = make(tiny_base, surroundings)
    two = hf_model(spec_of(tiny_base, device="cpu,cpu"), surroundings)
    assert isinstance(two, Replicas)
    for expected, found in zip(ask(one, candidate, requests()), ask(two, candidate, requests()), strict=True):
        if isinstance(expected, LogProb):
            assert isinstance(found, LogProb)
            assert found.logprob == pytest.approx(expected.logprob, abs=1e-4)
        else:
            assert isinstance(expected, Completion)
            assert isinstance(found, Completion)
            assert found.text == expected.text
    assert two.fingerprint(candidate) == one.fingerprint(candidate)
    assert two.facts()["replicas"] == "cpu, cpu"
    assert two.facts()["device"] == "cpu"
    assert all(model._loaded is not None for model in two.models)


def test_replicas_take_adapters_and_prove_their_bases(
    tiny_base: Path, tiny_adapter: Path, surroundings: RunContext
) -> None:
    one, bare = make(tiny_base, surroundings)
    candidate = Candidate(model=bare.model, adapters=(adapter_of(tiny_adapter),))
    two = hf_model(spec_of(tiny_base, device="cpu, cpu"), surroundings)
    asked = requests(3)[1::2]
    for expected, found in zip(ask(one, candidate, asked), ask(two, candidate, asked), strict=True):
        assert isinstance(expected, LogProb)
        assert isinstance(found, LogProb)
        assert found.logprob == pytest.approx(expected.logprob, abs=1e-4)
    two.check_base()
    two.close()
    assert two.facts()["replicas"] == "cpu, cpu"


def test_an_error_of_one_replica_ends_the_other(
    tiny_base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Replicas(spec_of(tiny_base, device="cpu,cpu"), surroundings)
    given: list[int] = []

    def broken(candidate: Candidate, requests: Sequence[Request], *rest: Any, **options: Any) -> None:
        if requests:
            raise InputError("this device is not there")

    monkeypatch.setattr(two.models[1], "answer", broken)
    candidate = Candidate(model=two.spec)
    with pytest.raises(InputError, match="this device is not there"):
        two.answer(candidate, requests(), lambda index, reply: given.append(index))
    assert len(given) == len(set(given)) <= len(requests())


def test_what_a_caller_raises_comes_out(tiny_base: Path, surroundings: RunContext) -> None:
    two = Replicas(spec_of(tiny_base, device="cpu,cpu"), surroundings)

    def deliver(index: int, reply: Reply) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        two.answer(Candidate(model=two.spec), requests(), deliver)


def test_streams_take_turns(tiny_base: Path, surroundings: RunContext) -> None:
    two = Replicas(spec_of(tiny_base, device="cpu,cpu"), surroundings)
    asked = Generate(messages=user("Tell me of ships"), decoding=greedy(4))
    texts = ["".join(event.text for event in two.stream(Candidate(model=two.spec), asked)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert all(model._loaded is not None for model in two.models)
    two.close()


@pytest.mark.parametrize("device", ["cuda:0,cpu", "auto,auto", "cpu,", "cpu,tpu"])
def test_devices_of_two_kinds_are_refused(device: str, tiny_base: Path) -> None:
    with pytest.raises(InputError, match=r"does not name devices of one kind|there is no device"):
        resolve_model(str(tiny_base), device=device)


def test_gpus_of_several_generations_use_one_number_format(monkeypatch: pytest.MonkeyPatch, tiny_base: Path) -> None:
    monkeypatch.setattr(device_module, "_cuda_capability", lambda number=0: (7, 9)[number])
    for devices, dtypes in (("cuda:0,cuda:1", ["float32"] * 2), ("cuda:1,cuda:1", ["bfloat16"] * 2)):
        spec = replace(spec_of(tiny_base), device=devices)
        made = Replicas(replace(spec, dtype="auto"), RunContext(offline=True, weights=tiny_base))
        assert [placement(model.spec).dtype for model in made.models] == dtypes


def test_training_refuses_several_devices() -> None:
    with pytest.raises(InputError, match="training runs on one device"):
        choose_device("cpu,cpu")


def test_one_device_needs_no_replicas(tiny_base: Path, surroundings: RunContext) -> None:
    assert isinstance(hf_model(spec_of(tiny_base), surroundings), HfModel)


@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 6))
def test_runs_of_requests_are_a_partition_of_about_equal_work(sizes: list[int], parts: int) -> None:
    asked = [LogLikelihood(messages=user("a" * size), continuation="b") for size in sizes]
    runs = divided(asked, parts)
    assert len(runs) == parts
    assert [index for first, last in runs for index in range(first, last)] == list(range(len(asked)))
    work = [sum(1 + len(str(request)) for request in asked[first:last]) for first, last in runs]
    largest = max((1 + len(str(request)) for request in asked), default=0)
    assert max(work) <= sum(work) / parts + largest
