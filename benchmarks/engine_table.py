"""Keeps what benchmarks/engine.py measured, one record for each workload, and writes the table from all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sections import machine, table, versions, write_section

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "engine.json"
_HEAD = [
    "workload", "n", "harness", "lm-eval", "ratio", "memory", "lm-eval's", "share", "agreement", "batch (searched)",
    "measured",
]  # fmt: skip


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """Return under what conditions a workload was measured."""
    return {
        "model": options.model, "dtype": options.dtype, "device": options.device, "threads": options.threads,
        "load": options.load, "date": datetime.now(UTC).date().isoformat(), "machine": machine(),
        "versions": versions("torch", "transformers"),
        "peer versions": versions("lm_eval", "torch", "transformers", python=options.peer),
    }  # fmt: skip


def merge(records: Sequence[dict[str, Any]]) -> None:
    """Put records into the file, each in the place of an earlier one of its workload, and write the table anew."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    by_name = {_key(one): one for one in [*kept, *records]}
    RESULTS.write_text(json.dumps(list(by_name.values()), indent=1) + "\n", encoding="utf-8")
    write_section("engine", text(list(by_name.values())))


def _key(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["workload"], one["device"], one["dtype"]


def text(records: Sequence[dict[str, Any]]) -> str:
    """Return the table with what it rests on, or nothing where there are no records."""
    if not records:
        return ""
    told = sorted({f"{one['machine']}; {one['versions']}; the peer: {one['peer versions']}" for one in records})
    return "\n\n".join(
        [
            table(_HEAD, [_row(one) for one in records]),
            "Processor seconds (user and system) of whole processes, medians of so many pairs in turn as the last"
            f" column says, both sides bound to the same cores with as many threads. {'. '.join(told)}."
            " The batch size is the peer's fastest of those searched, on all items or the part that is said; n.m.: it"
            " ran out of memory.",
        ]
    )


def _row(one: dict[str, Any]) -> list[str]:
    ours, peer = one["ours"], one["peer"]
    searched = ", ".join(f"{batch}: {'n.m.' if cpu is None else f'{cpu:.0f} s'}" for batch, cpu in one["sweep"].items())
    searched = searched or "given"
    part = "" if one["part"] == 1 or not one["sweep"] else f" on 1/{one['part']}"
    number = "" if one["dtype"] == "float32" else f" ({one['dtype']})"
    runs = f"{len(ours['runs'])} {'pair' if len(ours['runs']) == 1 else 'pairs'}"
    return [
        one["workload"] + number, str(one["n"]), f"{ours['cpu']:.1f} s", f"{peer['cpu']:.1f} s",
        f"**{peer['cpu'] / ours['cpu']:.1f}**", f"{ours['memory'] / 1e9:.2f} GB", f"{peer['memory'] / 1e9:.2f} GB",
        f"{100 * ours['memory'] / peer['memory']:.0f} %", one["agreement"], f"{one['batch']} ({searched}{part})",
        f"{one['date']}, {runs}, {one['threads']} {'thread' if one['threads'] == 1 else 'threads'}, {one['load']}",
    ]  # fmt: skip
