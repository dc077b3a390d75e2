"""How many threads are taken: what others leave, and no more than the model makes worthwhile."""

from __future__ import annotations

import pytest
import torch

from harness import threads


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cores", "unused", "free"),
    [
        (2, 2.0, 2),
        (2, 1.0, 1),  # one busy process
        (4, 3.1, 3),
        (4, 0.1, 1),  # somebody has to wait
        (2, 2.7, 2),  # clocks that do not agree
    ],
)
def test_it_takes_what_others_leave(monkeypatch, cores, unused, free):
    samples = iter([(0.0, 100.0), (10.0, 100.0 + 10 * unused)])
    monkeypatch.setattr(threads, "_use", lambda: next(samples))
    monkeypatch.setattr(threads, "_cores", lambda: list(range(cores)))
    assert threads.FreeCores().count() == free


def test_what_this_process_uses_itself_counts_as_free():
    import time

    began, unused = threads._use()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    ended, unused_now = threads._use()
    assert unused_now - unused >= 0.3
    assert unused_now - unused <= (ended - began) * len(threads._cores()) * 1.1 + 0.1


@pytest.mark.parametrize(
    ("most", "seconds", "chosen"),
    [
        (4, {1: 4.0, 2: 2.0, 4: 1.0}, 4),
        (4, {1: 4.0, 2: 2.0, 4: 1.9}, 2),  # four cores that are two
        (4, {1: 1.0, 2: 1.0, 4: 3.0}, 1),  # too small to share, or beside others
        (3, {1: 3.0, 3: 1.0}, 3),
        (1, {1: 1.0}, 1),
    ],
)
def test_it_takes_no_more_than_make_it_faster(monkeypatch, most, seconds, chosen):
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_timed", lambda *_: seconds[torch.get_num_threads()])
    assert threads._quickest(64, most) == chosen
    assert torch.get_num_threads() == before


def test_looking_draws_no_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    threads._quickest(64, 2)
    assert torch.equal(torch.rand(1), expected)


def test_the_environment_has_the_last_word(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads.FreeCores().threads(64) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert threads.FreeCores().threads(64) >= 1
