"""How far the layers of an architecture look back: everything, or a sliding window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ROPES_BY_LENGTH = frozenset({"dynamic", "longrope"})
_FULL, _SLIDING = "full_attention", "sliding_attention"
_KNOWN = frozenset(
    {"sliding_window", "use_sliding_window", "max_window_layers", "sliding_window_pattern", "_sliding_window_pattern"}
)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What masks of our own must say to an architecture."""

    window: int | None = None
    """Tokens that a token sees, itself included, where all layers are alike; None is all before it."""
    windows: Mapping[str, int | None] = field(default_factory=dict)
    """The same by type of layer, where they differ."""

    @property
    def by_layer(self) -> bool:
        """Whether the model wants a mask for each type of layer."""
        return bool(self.windows)

    @property
    def windowed(self) -> bool:
        """Whether a layer may not see all before it."""
        return any(window is not None for window in (self.window, *self.windows.values()))


def reach_of(config: Any) -> Reach | None:  # noqa: ANN401 - a transformers configuration
    """Read it from a configuration; None where a layer does something that no mask of ours can say."""
    others = {key for key, value in vars(config).items() if value and ("window" in key or "chunk" in key)} - _KNOWN
    if others:  # such as GPT-Neo's: it hides what lies beyond its window by itself, out of reach of a short probe
        return None
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    if not kinds - {_FULL}:
        # Without layer types a window holds for all layers; beside layer types that are all full it holds for none.
        return Reach(window=None if kinds else window)
    if kinds - {_FULL, _SLIDING} or window is None:
        return None
    return Reach(windows={kind: window if kind == _SLIDING else None for kind in sorted(kinds)})


def rotates_by_length(config: Any) -> bool:  # noqa: ANN401 - a transformers configuration
    """Tell whether the rotary embedding depends on the longest sequence of a pass, so that others change a row's."""
    given = getattr(config, "rope_parameters", None) or {}
    ropes = [given, *(value for value in given.values() if isinstance(value, dict))]
    return any(rope.get("rope_type") in _ROPES_BY_LENGTH for rope in ropes)
