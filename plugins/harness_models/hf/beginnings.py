"""What the contexts of one call after another begin with, computed once: a judge's instruction, a suite's examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_models.hf.planning import Branches, Prefix, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness_models.hf.loading import Loaded
    from harness_models.hf.prefix import KeptPrefix

Key = tuple[str, ...]
"""Ids of the adapters: under others the same tokens have other keys and values."""
_SHORTEST = 16
"""A shorter beginning is not worth a pass of its own."""
_MOST = 1_024
"""Tokens kept at most, for each of so many keys:"""
_KEYS = 4


class Beginnings:
    """The beginning that a call shares with the one before it, by the adapters that both were asked of."""

    def __init__(self) -> None:
        self._seen: dict[Key, tuple[int, ...]] = {}
        """Of each key the beginning of the newest context, the most recently used key last."""
        self._kept: dict[Key, tuple[Prefix, KeptPrefix]] = {}

    def find(self, loaded: Loaded, key: Key, rows: Sequence[Branches]) -> tuple[Prefix, KeptPrefix] | None:
        """Return what all these contexts begin with as the call before them did; None where that is not worth it.

        Args:
            loaded: the model, which computes the beginning when it is first used.
            key: ids of its active adapters.
            rows: what is to be scored.
        """
        contexts = [row.context for row in rows]
        if not contexts or loaded.plain:
            return None
        first = min(contexts)
        head = first[: min(common(first, max(contexts)), min(map(len, contexts)) - 1, _MOST)]
        seen = self._seen.pop(key, ())
        self._seen[key] = first[:_MOST]
        for old in list(self._seen)[:-_KEYS]:
            del self._seen[old]
            self._kept.pop(old, None)
        tokens = head[: common(seen, head)]
        if len(tokens) < _SHORTEST:
            return None
        kept = self._kept.get(key)
        same = 0 if kept is None else common(kept[0].tokens, tokens)
        if kept is None or same < min(kept[0].depth, len(tokens)):  # another beginning
            kept = self._new(loaded, tokens[:same] if same >= _SHORTEST else tokens, kept)
        elif len(tokens) < kept[0].depth or len(tokens) - kept[0].depth >= _SHORTEST:
            kept = self._new(loaded, tokens, kept)
        self._kept[key] = kept
        return kept

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()
        self._kept.clear()

    def _new(
        self, loaded: Loaded, tokens: tuple[int, ...], old: tuple[Prefix, KeptPrefix] | None
    ) -> tuple[Prefix, KeptPrefix]:
        """Return so much of the old one as it has of these tokens, with the rest behind it."""
        from harness_models.hf.prefix import KeptPrefix

        prefix = Prefix(parent=None, tokens=tokens, depth=len(tokens))
        same = 0 if old is None else common(old[0].tokens, tokens)
        if old is None or same < _SHORTEST:
            return prefix, KeptPrefix(loaded, tokens, None)
        part = old[1].cut(same)
        return prefix, part if same == len(tokens) else KeptPrefix(loaded, tokens[same:], part)
