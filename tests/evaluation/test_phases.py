"""One bar for each phase over all windows, counted in samples."""

from __future__ import annotations

import pytest

from harness.evaluation.phases import Phase


class Bars:
    """Keeps what was drawn."""

    def __init__(self):
        self.made = []

    def start(self, description, total, *, unit="it"):
        bar = Bar(description, total, unit)
        self.made.append(bar)
        return bar


class Bar:
    def __init__(self, description, total, unit):
        self.description, self.total, self.unit = description, total, unit
        self.done, self.seen, self.notes, self.finished = 0, [], [], False

    def advance(self, steps=1, *, note=""):
        assert steps >= 0
        self.done += steps
        self.seen.append(self.done)
        self.notes.append(note)

    def finish(self):
        self.finished = True


def test_a_bar_goes_on_over_the_parts_of_a_phase():
    bars = Bars()
    with Phase(bars, 30) as phase:
        with phase.part(10):
            task = phase.start("answers", 4, unit="requests")
            for _ in range(4):
                task.advance(note="9 tokens/s")
            task.finish()
        with phase.part(10):
            pass  # all of it was known
        with phase.part(10):
            task = phase.start("answers", 20)
            task.advance(5)
            task.finish()
    (bar,) = bars.made
    assert (bar.description, bar.total, bar.unit) == ("answers", 30, "samples")
    assert bar.seen == [2, 5, 7, 10, 20, 22, 30]
    assert bar.notes[0] == "9 tokens/s"
    assert bar.finished


def test_what_asks_nothing_shows_nothing():
    bars = Bars()
    with Phase(bars, 30) as phase, phase.part(30):
        pass
    assert bars.made == []


def test_several_classifiers_have_a_bar_each():
    bars = Bars()
    with Phase(bars, 4) as phase:
        for _ in range(2):
            with phase.part(2):
                for name in ("a", "b"):
                    phase.start(name, 1).advance()
    assert [(bar.description, bar.done) for bar in bars.made] == [("a", 4), ("b", 4)]


def test_an_error_closes_the_bar_where_it_stands():
    bars = Bars()

    def interrupted():
        with Phase(bars, 10) as phase, phase.part(10):
            phase.start("answers", 10).advance(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert bars.made[0].done == 3
    assert bars.made[0].finished
