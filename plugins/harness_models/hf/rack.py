"""The adapters of one loaded base: which are held, which are active, and which are taken off for want of memory."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import CONFIG_FILE, WEIGHTS_FILE, BrokenRunError, InputError, adapter_id, open_regular
from harness.api.weights import read_vocabulary, write_plain
from harness_models.hf.checking import check_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from harness.api import AdapterSpec, ModelSpec
    from harness_models.hf.loading import Loaded

_SHARE = 0.5
"""Held adapters may take this share of the memory that the base takes."""
_ALWAYS = 4
"""So many may be held whatever they take: a comparison goes back and forth between its arms."""


@contextmanager
def _private_copy(adapter: AdapterSpec) -> Iterator[Path]:
    """Yield a copy that nobody else writes to and that is what the id says: what is checked is what is loaded.

    Raises:
        BrokenRunError: where the adapter is no longer what its id says.
    """
    with tempfile.TemporaryDirectory(prefix="harness-adapter-") as name:
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            try:
                with open_regular(Path(adapter.path) / file) as read, (Path(name) / file).open("wb") as write:
                    shutil.copyfileobj(read, write, 1 << 20)
            except OSError as error:
                raise InputError(f"cannot be read ({error.strerror})", file=Path(adapter.path) / file) from error
        if adapter_id(Path(name), fresh=True) != adapter.id:
            raise BrokenRunError(
                f"{adapter.path}: the adapter {adapter.reference} was changed after it was identified; nothing was"
                " asked of it: run again, and write nothing there meanwhile"
            )
        if read_vocabulary(Path(name)) is not None:
            write_plain(Path(name))  # the base has its tokens already, see `harness_models.hf.model`
        yield Path(name)


class Rack(ABC):
    """The adapters of one loaded base. Those least recently used are taken off where they would take too much memory.

    Args:
        loaded: the base.
        spec: the base's reference, for messages.
        shapes: of the base's tensors, by the names that adapters go by.
    """

    def __init__(self, loaded: Loaded, spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._loaded = loaded
        self._spec = spec
        self._shapes = shapes
        self._room = _SHARE * sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
        self._held: dict[str, int] = {}
        """Bytes by id, the most recently used last."""
        self._active: tuple[str, ...] | None = ()

    @property
    def held(self) -> tuple[str, ...]:
        """Ids of the adapters in memory, the most recently used last."""
        return tuple(self._held)

    def activate(self, adapters: Sequence[AdapterSpec]) -> None:
        """Make exactly these adapters active, added up in this order; none gives the bare base.

        Raises:
            InputError: when an adapter is damaged or does not fit the base.
        """
        wanted = tuple(adapter.id for adapter in adapters)
        for adapter in adapters:
            if adapter.id in self._held:
                self._held[adapter.id] = self._held.pop(adapter.id)
            else:
                self._add(adapter)
        self._take_off(wanted)
        if wanted != self._active:
            self._switch(wanted)
            self._active = wanted
        self._loaded.active = wanted

    def hold(self, adapters: Sequence[AdapterSpec]) -> None:
        """Hold all of these at once, active or not.

        Raises:
            InputError: when an adapter is damaged or does not fit the base.
        """
        for adapter in adapters:
            if adapter.id not in self._held:
                self._add(adapter)
        self._take_off([adapter.id for adapter in adapters])

    @abstractmethod
    def mixable(self, ids: Sequence[str]) -> bool:
        """Tell whether these adapters, which are held, are pairs beside linear layers and nothing else."""

    @contextmanager
    def mixed(self, places: Mapping[str, Sequence[int]]) -> Iterator[None]:
        """Run passes with these adapters apart."""
        with self.apart(places):
            self._loaded.mixed = True
            try:
                yield
            finally:
                self._loaded.mixed = False
                self._loaded.adapted += 1

    @abstractmethod
    def apart(self, places: Mapping[str, Sequence[int]]) -> AbstractContextManager[None]:
        """Let each of these adapters, which are held and mixable, act on its own rows of a batch and on no other.

        Args:
            places: rows by id of the adapter.
        """

    @abstractmethod
    def _put_on(self, adapter: AdapterSpec, folder: Path) -> None:
        """Read an adapter that was checked from a copy that nobody else writes to; raises as `activate`."""

    @abstractmethod
    def _switch(self, wanted: tuple[str, ...]) -> None:
        """Make exactly these active."""

    @abstractmethod
    def _drop(self, name: str) -> None:
        """Forget an adapter."""

    def _add(self, adapter: AdapterSpec) -> None:
        check_adapter(adapter, self._spec, self._shapes)
        self._active = None  # peft leaves the new one active or not by its own rules: it is set anew
        self._loaded.adapted += 1
        with _private_copy(adapter) as folder:
            self._put_on(adapter, folder)
            self._held[adapter.id] = (folder / WEIGHTS_FILE).stat().st_size

    def _take_off(self, wanted: Sequence[str]) -> None:
        for name in [name for name in self._held if name not in wanted]:
            if len(self._held) <= _ALWAYS or sum(self._held.values()) <= self._room:
                return
            self._active = None  # peft may make another one active in its place
            self._loaded.adapted += 1
            del self._held[name]
            self._drop(name)
