"""Counts the keys and values that generation holds for prompts of mixed lengths, on shelves and in one rectangle.

    python benchmarks/held_tokens.py [--write]

64 prompts of 20 to 1,500 tokens, up to 200 new ones each, drawn with a seed; a random one-layer model says them, since
what is held follows from lengths alone. Bytes are those of SmolLM2-135M in float32: 46,080 a token.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from sections import table, write_section

BYTES = 2 * 30 * 3 * 64 * 4
"""Of a token's keys and values: layers, heads, size, float32."""
_PAGE = 16
"""Columns of a head on one page of 4 KiB: where a row wrote one of them, it takes memory for all."""


def make() -> Any:
    """Return a random model as the engine holds it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from harness_models.hf.device import Placement
    from harness_models.hf.loading import Loaded

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=2_048,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    place = Placement(device="cpu", dtype="float32")
    return Loaded(model=model, tokenizer=None, place=place, window=2_048, end_ids=frozenset(), start_id=None)


def count(*, shelves: bool) -> list[str]:
    """Return the most bytes of slots and of written pages, the most rows, the steps, and the columns a token sees."""
    import torch

    from harness.api import Decoding
    from harness_models.hf.generation import Scheduler
    from harness_models.hf.memory import budget_of
    from harness_models.hf.rows import Ask, rows_of
    from harness_models.hf.slots import Slots

    draw = random.Random(5)
    asks = [
        Ask(prompt=tuple(draw.choices(range(64), k=round(20 * 75 ** draw.random()))), room=draw.randint(20, 200),
            decoding=Decoding(max_new_tokens=200))
        for _ in range(64)
    ]  # fmt: skip
    loaded = make()
    loaded.shelves = shelves
    seen: list[tuple[int, int, int, int]] = []
    step = Slots.step

    def stepping(self: Slots, tokens: Any, lengths: Any) -> Any:
        found = step(self, tokens, lengths)
        attended = sum(end * len(shelf.slots) for shelf, *_, end in self._written)
        written = sum(-(-end // _PAGE) * _PAGE for shelf, *_ in self._written for end in shelf.ends)
        seen.append((self.tokens, written, len(lengths), attended))
        return found

    def decode(ids: Any) -> str:
        return " ".join(map(str, ids))

    Slots.step = stepping  # type: ignore[method-assign] # counted where it happens, for the length of the block
    try:
        with torch.inference_mode():
            Scheduler(loaded, rows_of(asks, decode), budget_of("cpu", 1, 1), decode, lambda *_: None).run()
    finally:
        Slots.step = step  # type: ignore[method-assign] # as it was
    held, used, rows, _ = (max(one) for one in zip(*seen, strict=True))
    attended, tokens = sum(one[3] for one in seen), sum(one[2] for one in seen)
    return [
        f"{held * BYTES / 1e9:.2f} GB", f"{used * BYTES / 1e9:.2f} GB", str(rows), str(len(seen)),
        f"{attended / tokens:,.0f}",
    ]  # fmt: skip


def main() -> None:
    """Count both ways, print the table, and write it where asked."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    given = arguments.parse_args()
    head = ["slots", "most room", "most written", "rows at most", "steps", "columns attended by a new token"]
    text = table(head, [["one rectangle", *count(shelves=False)], ["shelves", *count(shelves=True)]])
    print(text)
    if given.write:
        write_section("held tokens", text)


if __name__ == "__main__":
    main()
