"""Many requests to one server: how many at once, what a busy server changes for all of them, and how it all ends."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness.errors import BrokenRunError
from harness.references import resolve_model
from harness.types import Candidate, Completion, Generate, Request
from harness_models.remote.limits import Limits, wait_after
from harness_models.remote.model import OpenAIModel
from harness_models.remote.pace import Pace
from harness_models.remote.side_by_side import SideBySide
from tests.models.conftest import ask, greedy, reasons, user
from tests.models.serving import Answer, Server, said

QUICK = Limits(first_wait=0.02, longest_wait=0.1, connect=2)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def remote(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = []

    def make(*, concurrency: int = 8, limits: Limits = QUICK) -> tuple[OpenAIModel, Candidate]:
        monkeypatch.setattr(OpenAIModel, "limits", limits)
        spec = resolve_model(f"openai:tiny@{server.url}", schemes=["openai"])
        made.append(OpenAIModel(spec, RunContext(weights=Path("unused"), concurrency=concurrency)))
        return made[-1], Candidate(model=spec)

    yield make
    for model in made:
        model.close()


def generates(count: int) -> list[Request]:
    return [Generate(messages=user(f"prompt {number}"), decoding=greedy(8)) for number in range(count)]


def slowly(body: dict[str, Any]) -> Answer:
    time.sleep(0.05)
    return said("done")


@pytest.mark.parametrize("concurrency", [1, 3, 12])
def test_as_many_go_at_once_as_was_asked_for(server: Server, remote: Any, concurrency: int) -> None:
    server.answer = slowly
    model, candidate = remote(concurrency=concurrency)
    ask(model, candidate, generates(max(4, 3 * concurrency)))
    assert min(concurrency, 3) <= server.most_busy <= concurrency
    assert len(server.bodies) == max(4, 3 * concurrency)


def test_latency_is_hidden_behind_latency(server: Server, remote: Any) -> None:
    server.answer = slowly
    model, candidate = remote(concurrency=16)
    ask(model, candidate, generates(160))
    assert server.most_busy > 8  # of 16; benchmarks/remote.py measures how near the time comes to the best


def test_requests_are_taken_up_one_by_one_as_room_becomes_free(server: Server, remote: Any) -> None:
    taken: list[int] = []
    side = SideBySide()

    def jobs() -> Iterator[Any]:
        for number in range(1000):
            taken.append(number)

            async def job(number: int = number) -> int:
                await asyncio.sleep(0.001)
                return number

            yield job

    found = side.each(jobs(), 4)
    first = [next(found) for _ in range(20)]
    found.close()
    side.close()
    assert len(set(first)) == 20
    assert len(taken) < 1000


def test_connections_are_kept_from_call_to_call(server: Server, remote: Any) -> None:
    model, candidate = remote(concurrency=1)
    for number in range(3):
        ask(model, candidate, generates(number + 1))
    assert server.connections == 1


def test_one_busy_answer_makes_everybody_wait(server: Server, remote: Any) -> None:
    times: list[float] = []
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> Answer:
        with lock:
            times.append(time.monotonic())
            first = len(times) == 5
        if first:
            return 429, {"Retry-After": "0.19"}, {}
        time.sleep(0.01)
        return said("ok")

    server.answer = answer
    model, candidate = remote(concurrency=4)
    replies = ask(model, candidate, generates(40))
    assert all(isinstance(reply, Completion) for reply in replies)
    put_off = times[4]
    within = [moment for moment in times[5:] if moment < put_off + 0.18]
    assert len(within) <= 4  # those that were on their way already
    assert len(times) == 41


def test_a_storm_of_busy_answers_lowers_the_rate_and_loses_nothing(server: Server, remote: Any) -> None:
    """The server takes three at once and puts off the others: a client of sixteen settles near what it takes."""
    lock = threading.Lock()
    inside = refused = 0

    def answer(body: dict[str, Any]) -> Answer:
        nonlocal inside, refused
        with lock:
            inside += 1
            too_many = inside > 3
            refused += too_many
        time.sleep(0.01)
        with lock:
            inside -= 1
        return (429, {}, {"error": "slow down"}) if too_many else said("ok")

    server.answer = answer
    model, candidate = remote(concurrency=16, limits=Limits(first_wait=0.02, longest_wait=0.1, put_off=50))
    replies = ask(model, candidate, generates(150))
    assert all(isinstance(reply, Completion) for reply in replies)
    assert refused < 150  # at a rate that nothing lowers, four of five attempts are refused


def test_a_server_that_puts_off_everything_ends_the_run(server: Server, remote: Any) -> None:
    server.answer = lambda body: (429, {}, {"error": "quota exceeded"})
    model, candidate = remote(concurrency=4, limits=Limits(first_wait=0.001, longest_wait=0.005))
    with pytest.raises(BrokenRunError, match=r"answers no more: the server answered 429 \(quota exceeded\)"):
        ask(model, candidate, generates(100))
    assert len(server.bodies) < 60


def test_a_request_that_alone_is_put_off_is_given_up_alone(server: Server, remote: Any) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if body["messages"][0]["content"] == "prompt 3":
            return 429, {}, {"error": "this prompt is larger than your quota"}
        return said("ok")

    server.answer = answer
    model, candidate = remote(concurrency=2, limits=Limits(first_wait=0.001, longest_wait=0.005))
    replies = ask(model, candidate, generates(12))
    assert [index for index, reply in enumerate(replies) if not isinstance(reply, Completion)] == [3]
    assert "larger than your quota" in reasons(replies)[0]


def test_replies_before_the_server_goes_away_are_delivered(server: Server, remote: Any) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return said("ok") if len(server.bodies) <= 20 else (503, {}, {"error": "shutting down"})

    server.answer = answer
    model, candidate = remote(concurrency=4, limits=Limits(first_wait=0.001, longest_wait=0.005))
    got: list[int] = []
    with pytest.raises(BrokenRunError, match="shutting down"):
        model.answer(candidate, generates(200), lambda index, reply: got.append(index))
    assert len(got) >= 20


def test_it_works_inside_a_running_event_loop(server: Server, remote: Any) -> None:
    model, candidate = remote()

    async def notebook() -> None:
        assert len(ask(model, candidate, generates(5))) == 5

    asyncio.run(notebook())


def test_a_fault_while_delivering_calls_off_the_rest(server: Server, remote: Any) -> None:
    server.answer = slowly
    model, candidate = remote(concurrency=2)

    def full(index: int, reply: object) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        model.answer(candidate, generates(100), full)
    time.sleep(0.1)
    assert len(server.bodies) < 10


def test_ctrl_c_ends_quickly_and_keeps_what_arrived(server: Server) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if len(server.bodies) > 6:
            time.sleep(120)
        return said("ok")

    server.answer = answer
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.contracts import RunContext\n"
        "from harness.references import resolve_model\n"
        "from harness.types import Candidate, Decoding, Generate, Message\n"
        "from harness_models.remote.model import OpenAIModel\n"
        f"spec = resolve_model('openai:tiny@{server.url}', schemes=['openai'])\n"
        "model = OpenAIModel(spec, RunContext(weights=Path('.')))\n"
        "asked = [Generate(messages=(Message(role='user', content=str(n)),), decoding=Decoding()) for n in range(40)]\n"
        "model.answer(Candidate(model=spec), asked, lambda index, reply: print(index, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert len({int(line) for line in lines}) == 6
    assert "KeyboardInterrupt" in errors


def test_waits_double_have_jitter_and_an_end() -> None:
    limits = Limits(first_wait=1.0, longest_wait=60.0)
    assert [wait_after(failures, limits, 1.0) for failures in (1, 2, 3, 6, 7, 8, 5000)] == [1, 2, 4, 32, 60, 60, 60]
    assert [wait_after(failures, limits, 0.0) for failures in (1, 2, 8)] == [0.5, 1.0, 30.0]


def test_the_pace_halves_once_for_a_crowd_and_grows_back() -> None:
    async def check() -> None:
        pace = Pace(8, Limits(first_wait=0.01))
        crowd = []
        for _ in range(8):
            async with pace.turn() as began:
                crowd.append(began)
        assert pace.slow(crowd[0])
        assert not any(pace.slow(began) for began in crowd[1:])
        inside = most = 0

        async def visit() -> None:
            nonlocal inside, most
            async with pace.turn():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.002)
                inside -= 1

        await asyncio.gather(*[visit() for _ in range(30)])
        assert most == 4
        for _ in range(40):
            pace.answered()
        await asyncio.gather(*[visit() for _ in range(30)])
        assert most == 8

    asyncio.run(check())
