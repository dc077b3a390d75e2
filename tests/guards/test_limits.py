"""Limits are off by default, act when they should, and say so."""

from __future__ import annotations

import pytest

from harness.errors import BrokenRunError, InputError
from harness_training.limits import LimitOptions, Limits, Sensors, parse_limits


class Machine:
    """A machine whose clock moves when somebody sleeps."""

    def __init__(self):
        self.now, self.cpu, self.used = 0.0, 0.0, 2**30
        self.battery, self.degrees = [], []

    def sleep(self, seconds):
        self.now += seconds

    def sensors(self):
        return Sensors(
            clock=lambda: self.now, sleep=self.sleep, memory=lambda: self.used, cpu_seconds=lambda: self.cpu, cores=4,
            on_battery=lambda: self.battery.pop(0) if self.battery else None,
            temperature=lambda: self.degrees.pop(0) if self.degrees else None,
        )  # fmt: skip


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def said():
    return []


def test_limits_are_read_as_people_write_them():
    assert parse_limits("minutes=30, memory=6GiB,cpu=50%,battery,temperature=85") == LimitOptions(
        minutes=30, memory=6 * 2**30, cpu=0.5, battery=True, temperature=85
    )
    assert parse_limits("cpu=0.25,battery=pause").cpu == 0.25


@pytest.mark.parametrize(("text", "told"), [
    ("minute=3", "did you mean 'minutes'"), ("cpu=150%", "out of range"), ("memory=lots", "is no number"),
    ("minutes=0", "out of range"), ("battery=on", "takes no value"), ("minutes=3GiB", "is no number"),
])  # fmt: skip
def test_what_is_no_limit_is_one_sentence(text, told):
    with pytest.raises(InputError, match=told):
        parse_limits(text)


def test_minutes_and_memory_stop(machine, said):
    limits = Limits(LimitOptions(minutes=1, memory=2**31), said.append, machine.sensors())
    assert limits.wait() == ""
    machine.used = 2**31 + 1
    assert "2.00 GiB" in limits.wait()
    machine.used, machine.now = 0, 60.0
    assert "1 minutes" in limits.wait()


def test_battery_and_heat_pause_and_say_so(machine, said):
    machine.battery = [False, True, True, True, False]
    limits = Limits(LimitOptions(battery=True), said.append, machine.sensors())
    assert limits.wait() == ""
    assert machine.now == 10
    assert said == ["training pauses: there is no mains power", "training goes on"]
    assert limits.note() == "limits made the training wait 10 s for battery"
    machine.degrees = [50, 90, 88, 84, 82, 79]
    hot = Limits(LimitOptions(temperature=85), said.append, machine.sensors())
    assert hot.wait() == ""
    assert "90 °C" in said[2]
    assert not machine.degrees  # it waited until it was five degrees cooler


def test_sensors_that_are_not_there_are_told(machine, said):
    limits = Limits(LimitOptions(battery=True, temperature=80), said.append, machine.sensors())
    assert len(said) == 2
    assert limits.wait() == ""


def test_a_share_of_the_processors_is_kept(machine, said):
    limits = Limits(LimitOptions(cpu=0.25), said.append, machine.sensors())
    limits.wait()
    machine.now, machine.cpu = 1.0, 4.0  # one second on all four
    limits.wait()
    assert machine.now == pytest.approx(4.0)  # 4 processor-seconds in 4 × 4
    assert said == ["training is slowed down to 25% of the processors"]


def test_a_training_that_a_limit_stopped_goes_on(lab, machine, said):
    path = lab.write({"data": "rows.jsonl", "max_steps": 6, "batch_size": 2, "dtype": "float32"})

    class AfterThree:
        calls = 0

        def wait(self):
            self.calls += 1
            return "the limit of 1 minutes is reached" if self.calls == 3 else ""

    with pytest.raises(BrokenRunError, match="after step 3: the limit of 1 minutes is reached; the same command"):
        lab.train(path, limits=AfterThree())
    assert not lab.kept()
    (result,) = lab.train(path)
    assert result.record.figures["resumed_from_step"] == 3
    assert result.record.figures["steps"] == 6
