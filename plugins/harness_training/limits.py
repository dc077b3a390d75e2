"""What a person spares the machine while it trains: minutes, memory, a share of its processors, battery, heat."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.api import InputError, unknown_name

_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_KEYS = ("minutes", "memory", "cpu", "battery", "temperature")
_EXAMPLE = "write it as minutes=30,memory=6GiB,cpu=50%,battery,temperature=85"
_COOLER = 5.0
"""Degrees by which it must have cooled before work goes on."""
_LOOK = 5.0
"""Seconds between two looks while paused."""


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """What is spared; None does not limit."""

    minutes: float | None = None
    """Of training in this invocation; then it stops, and the same command goes on."""
    memory: float | None = None
    """Resident bytes of this process beyond which it stops."""
    cpu: float | None = None
    """Share in (0, 1] of all processors, on average over a step."""
    battery: bool = False
    """Pause while there is no mains power."""
    temperature: float | None = None
    """Degrees Celsius from which on it pauses."""


def parse_limits(text: str) -> LimitOptions:
    """Read limits as a command line gives them, such as `minutes=30,memory=6GiB,cpu=50%,battery,temperature=85`.

    Raises:
        InputError: naming what is wrong and how to write it.
    """
    found: dict[str, float | bool] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in _KEYS:
            error = unknown_name("limit", key, _KEYS)
            raise InputError(error.cause, key="--limits", hint=error.hint or _EXAMPLE)
        if key == "battery":
            if value not in {"", "pause"}:
                raise InputError(f"battery takes no value but pause, this is {value!r}", key="--limits", hint=_EXAMPLE)
            found[key] = True
            continue
        number = _number(key, value)
        if number <= 0 or (key == "cpu" and number > 1):
            raise InputError(f"{key}={value} is out of range", key="--limits", hint=_EXAMPLE)
        found[key] = number
    return LimitOptions(**found)  # type: ignore[arg-type]


def _number(key: str, value: str) -> float:
    matched = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([A-Za-z%]*)", value)
    if matched:
        amount, unit = float(matched[1]), matched[2].lower()
        if key == "cpu" and unit == "%":
            return amount / 100
        if key == "memory" and unit in _UNITS:
            return amount * _UNITS[unit]
        if not unit:
            return amount
    raise InputError(f"{key}={value} is no number", key="--limits", hint=_EXAMPLE)


def _memory() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss)


def _cpu_seconds() -> float:
    import psutil

    used = psutil.Process().cpu_times()
    return float(used.user + used.system)


def _on_battery() -> bool | None:
    """Tell whether the machine runs on its battery; None where it has none."""
    import psutil

    state = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return None if state is None or state.power_plugged is None else not state.power_plugged


def _temperature() -> float | None:
    """Return the hottest sensor's degrees Celsius; None where none can be read."""
    import psutil

    read = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return max((one.current for some in read.values() for one in some if one.current), default=None)


@dataclass(frozen=True, kw_only=True)
class Sensors:
    """How the machine is looked at."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    memory: Callable[[], float] = _memory
    cpu_seconds: Callable[[], float] = _cpu_seconds
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    on_battery: Callable[[], bool | None] = _on_battery
    temperature: Callable[[], float | None] = _temperature


class Limits:
    """Keeps a training within limits, and says so whenever it acts.

    Args:
        options: the limits.
        say: takes sentences for a person.
        sensors: how the machine is looked at.
    """

    def __init__(self, options: LimitOptions, say: Callable[[str], None], sensors: Sensors | None = None) -> None:
        self._options, self._say, self._sensors = options, say, sensors or Sensors()
        self._began = self._sensors.clock()
        self._step: tuple[float, float] | None = None
        self._waited: dict[str, float] = {}
        if options.battery and self._sensors.on_battery() is None:
            say("this machine tells of no battery, so that the limit battery does nothing")
        if options.temperature is not None and self._sensors.temperature() is None:
            say("no temperature can be read here, so that the limit temperature does nothing")

    @property
    def waited(self) -> Mapping[str, float]:
        """Seconds of waiting, by limit."""
        return dict(self._waited)

    def note(self) -> str:
        """Say for how long work waited; empty where it did not."""
        told = ", ".join(f"{seconds:.0f} s for {name}" for name, seconds in self._waited.items())
        return f"limits made the training wait {told}" if told else ""

    def wait(self) -> str:
        """Return once work may go on, with an empty text; or with the reason to stop."""
        options, sensors = self._options, self._sensors
        if options.minutes is not None and sensors.clock() - self._began >= 60 * options.minutes:
            return f"the limit of {options.minutes:g} minutes is reached"
        if options.memory is not None and sensors.memory() > options.memory:
            return f"memory is beyond the limit of {options.memory / 2**30:.2f} GiB"
        if options.battery:
            self._pause("battery", lambda: bool(sensors.on_battery()), "there is no mains power")
        if options.temperature is not None:
            self._cool(options.temperature)
        if options.cpu is not None:
            self._slow(options.cpu)
        return ""

    def _cool(self, most: float) -> None:
        degrees = self._sensors.temperature()
        if degrees is not None and degrees >= most:
            self._pause("temperature", lambda: (self._sensors.temperature() or 0.0) > most - _COOLER,
                        f"the machine is at {degrees:.0f} °C")  # fmt: skip

    def _pause(self, name: str, still: Callable[[], bool], why: str) -> None:
        if not still():
            return
        self._say(f"training pauses: {why}")
        began = self._sensors.clock()
        while still():
            self._sensors.sleep(_LOOK)
        self._waited[name] = self._waited.get(name, 0.0) + self._sensors.clock() - began
        self._say("training goes on")

    def _slow(self, share: float) -> None:
        """Sleep until the processors' mean use since the last step is within the share."""
        now, used = self._sensors.clock(), self._sensors.cpu_seconds()
        if self._step is not None:
            wall, busy = now - self._step[0], used - self._step[1]
            rest = busy / (share * self._sensors.cores) - wall
            if rest > 0:
                if "cpu" not in self._waited:
                    self._say(f"training is slowed down to {share:.0%} of the processors")
                self._sensors.sleep(rest)
                self._waited["cpu"] = self._waited.get("cpu", 0.0) + rest
        self._step = (self._sensors.clock(), self._sensors.cpu_seconds())
