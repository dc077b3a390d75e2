"""Puts off what transformers imports at its top and neither scoring nor generating needs: two fifths of loading.

While a model is loaded, stand-ins take the places of some modules (compilers, sharded tensors, losses of detection).
What is imported from a stand-in imports the real thing when it is first used, so that nothing is lost, only later.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMES = (
    "torch._dynamo",
    "torch.distributed._composable.fsdp",
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch.nn.attention.flex_attention",
    "transformers.distributed.expert_parallel",
    "transformers.distributed.tensor_parallel",
    "transformers.generation.continuous_batching",
    "transformers.integrations.eager_paged",
    "transformers.integrations.flash_paged",
    "transformers.integrations.sdpa_paged",
    "accelerate",
    "scipy.optimize",
)
"""Each with all that is below it."""
_BASES = frozenset({"ContinuousMixin"})
"""Classes that others derive from: an empty one stands for each, so that models loaded here lack `generate_batch`."""


_MARKS = frozenset({"disable", "assume_constant_result", "allow_in_graph"})
"""Decorators that tell a compiler what to leave out. Nothing compiles the models loaded here."""


def _unmarked(function: Any = None, *args: Any, **more: Any) -> Any:  # noqa: ANN401, ARG001
    return function if function is not None else _unmarked


class _Later(type):
    """The type of what stands for a name of a module that is not imported yet."""

    _home: str
    _name: str

    def _real(cls) -> Any:  # noqa: ANN401
        _take_away()
        return getattr(importlib.import_module(cls._home), cls._name)

    def __call__(cls, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        return cls._real()(*args, **more)

    def __getattr__(cls, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(cls._real(), name)

    def __contains__(cls, item: object) -> bool:
        return item in cls._real()

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._real())

    def __getitem__(cls, key: Any) -> Any:  # noqa: ANN401
        return cls._real()[key]

    def __instancecheck__(cls, instance: object) -> bool:
        home = sys.modules.get(cls._home)  # what nobody imported has no instances
        return home is not None and not isinstance(home, _StandIn) and isinstance(instance, getattr(home, cls._name))

    def __subclasscheck__(cls, other: type) -> bool:
        return other is cls if isinstance(other, _Later) else issubclass(other, cls._real())


class _StandIn(ModuleType):
    """Stands for a module: gives a `_Later` for each name."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _BASES:
            return type(name, (), {})
        if name in _MARKS:
            return _unmarked
        return _Later(name, (), {"_home": self.__name__, "_name": name})


class _Finder:
    """Finds stand-ins for the modules below stand-ins, and makes them."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002 - as importlib calls it
        """Return a specification where a stand-in stands above."""
        above = sys.modules.get(name.rpartition(".")[0])
        return ModuleSpec(name, self, is_package=True) if isinstance(above, _StandIn) else None  # type: ignore[arg-type] # has what is called

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a stand-in has no code."""


def _take_away() -> None:
    for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
        del sys.modules[name]


@contextmanager
def deferred() -> Iterator[None]:
    """Let stand-ins take the places of those modules that are not imported yet."""
    import torch  # noqa: F401 - its own imports take the real ones

    finder = _Finder()
    for name in NAMES:
        if name not in sys.modules:
            spec = ModuleSpec(name, finder, is_package=True)  # type: ignore[arg-type] # has what is called
            module = _StandIn(name)
            module.__spec__, module.__path__ = spec, []
            sys.modules[name] = module
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _take_away()
