"""Counts what scoring would forward: planned tokens over distinct ones, with and without padding. No model is run.

    python benchmarks/planned_tokens.py --data ../shared/data [--write]

Distinct tokens are the nodes of the trie of all requests: no plan can forward fewer. The tokenizer is that of
smollm2-135m, the prompts are plain text, and the budget is that of a CPU with memory enough.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import public_tasks
from sections import table, write_section

from harness.api import LogLikelihood, Message
from harness.contracts import RunContext
from harness.paths import weights_dir
from harness.references import resolve_model
from harness_models.hf.chat import Renderer
from harness_models.hf.encoding import continuations
from harness_models.hf.loading import load_tokenizer
from harness_models.hf.memory import budget_of
from harness_models.hf.planning import plan, separate
from harness_models.hf.scoring import batched


@dataclass(frozen=True, kw_only=True)
class Base:
    """What encoding needs to know of a base."""

    tokenizer: Any
    window: int
    start_id: int | None
    vocabulary: int | None = None


def count(base: Base, items: list[dict[str, Any]]) -> list[str]:
    """Return requests, their tokens, distinct ones, planned and padded ones over these, prefixes and passes."""
    requests = [
        LogLikelihood(messages=(Message(role="user", content=item["context"]),), continuation=choice)
        for item in items
        for choice in item["choices"]
    ]
    refused: list[int] = []
    rows, _ = continuations(base, Renderer(base.tokenizer, "none"), requests, lambda index, _: refused.append(index))
    budget = budget_of("cpu", 1, 1)
    found, alone = plan(rows, pack_tokens=budget.pack, window=base.window), separate(rows)
    distinct = sum(len(path.tokens) - path.shared for path in found.paths)
    batches = [batch for group in found.groups for batch in batched(group.packs, budget)]
    prefixes = [group.prefix for group in found.groups if group.prefix is not None]
    beginnings = sum(len(prefix.tokens) for prefix in prefixes)
    padded = beginnings + sum(len(batch) * max(pack.size for pack in batch) for batch in batches)
    return [
        f"{len(requests) - len(refused):,}", f"{alone.tokens:,}", f"{distinct:,}", f"{found.tokens / distinct:.3f}",
        f"{padded / distinct:.3f}", str(len(prefixes)), str(len(prefixes) + len(batches)),
    ]  # fmt: skip


def main() -> None:
    """Count for every task, print the table, and write it where asked."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True, help="folder with the tasks' files")
    arguments.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    given = arguments.parse_args()
    spec = resolve_model("smollm2-135m", schemes=["hf"], device="cpu")
    tokenizer, window, start = load_tokenizer(spec, RunContext(offline=True, weights=weights_dir()))
    base = Base(tokenizer=tokenizer, window=window, start_id=start)
    lines = [[name, *count(base, public_tasks.items(name, given.data))] for name in public_tasks.TASKS]
    head = ["task", "requests", "tokens", "distinct", "planned / distinct", "with padding", "prefixes", "passes"]
    text = table(head, lines)
    print(text)
    if given.write:
        write_section("planned tokens", text)


if __name__ == "__main__":
    main()
