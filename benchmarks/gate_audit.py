"""Makes docs/gate-audit.md: the gate's own test, replayed and with real adapters.

    python benchmarks/gate_audit.py            the document again, from what was recorded
    python benchmarks/gate_audit.py replay     replays the rows that ship with harness, and records it; minutes
    python benchmarks/gate_audit.py policies   the policies alone, in place of theirs; `labels`: few labels of people
    python benchmarks/gate_audit.py others DIR the policy strict on the runs of the workspace DIR: other adapters
    python benchmarks/gate_audit.py full DIR   trains and decides the adapters, in the workspace DIR; under an hour

What was recorded lies in docs/gate-audit/, as `harness gate audit --json` printed it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from sections import machine, versions

from harness.serial import from_json
from harness_audit.audit import Audit
from harness_audit.full import FullAudit
from harness_audit.tables import FULL_HEADER, full_rows, header, rows, summary

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT = DOCS / "gate-audit.md"
RECORDED = DOCS / "gate-audit"
LATER = {
    "policies": ("--policy", "demo", "--policy", "microgpt", "--policy", "strict"), "labels": ("--gate", "few labels"),
    "fresh": ("--policy", "fresh"), "adversaries": ("--gate", "adversaries"),
}  # fmt: skip
"""What can be recorded alone, and then stands in place of what the whole replay holds of it."""
PACKAGES = ("numpy", "scipy", "torch", "transformers", "peft", "trl")


def record(name: str, *arguments: str) -> None:
    """Run the audit and keep what it printed, with the machine it ran on."""
    command = [sys.executable, "-m", "harness.cli.main", "gate", "audit", "--json", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise SystemExit(done.returncode)
    keep(name, done.stdout)


def keep(name: str, printed: str) -> None:
    """Keep what an audit on this machine printed."""
    found = {"machine": machine(), "versions": versions(*PACKAGES), "audit": json.loads(printed)}
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def recorded(name: str) -> dict[str, Any] | None:
    """Return what was recorded, or None."""
    path = RECORDED / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def markdown(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    cells = [head, (":---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)


def replayed() -> str:
    """Return the tables of the replay."""
    found = recorded("replay")
    if found is None:
        return "Not recorded yet."
    audit = from_json(Audit, json.dumps(found["audit"]).encode(), file=RECORDED / "replay.json")
    parts = [
        f"Made on {found['machine']}, with {found['versions']}; seed {audit.setup.seed}, {audit.seconds:.0f} s.",
    ]
    later = {name: again for name in LATER if (again := recorded(name)) is not None}
    groups, left_out = audit.by_group(), dict(audit.left_out)
    for name, again in later.items():
        newer = from_json(Audit, json.dumps(again["audit"]).encode(), file=RECORDED / f"{name}.json")
        groups |= newer.by_group()
        left_out |= newer.left_out
        audit = replace(audit, seconds=audit.seconds + newer.seconds)
    audit = replace(audit, results=tuple(one for results in groups.values() for one in results))
    parts += [summary(audit).capitalize() + "."]
    for group, results in groups.items():
        parts += [f"### {group}", markdown(header(), rows(results))]
    left = {policy: gates for policy, gates in left_out.items() if gates}
    if left:
        parts += ["Not replayed, since the recorded rows do not hold them:"]
        parts += ["\n".join(f"- {policy}: {', '.join(gates)}" for policy, gates in left.items())]
    return "\n\n".join(parts)


def full() -> str:
    """Return the table of the real adapters."""
    found = recorded("full")
    if found is None:
        return "Not recorded yet."
    audit = from_json(FullAudit, json.dumps(found["audit"]).encode(), file=RECORDED / "full.json")
    parts = [
        f"Made on {found['machine']}, with {found['versions']}.",
        markdown(FULL_HEADER, full_rows(audit.outcomes)),
        "What each gate said:",
    ]
    for outcome in audit.outcomes:
        said = "\n".join(f"- {gate.suite}: {gate.sentence}" for gate in outcome.gates)
        parts += [f"**{outcome.adapter}**, policy {outcome.policy}, level {outcome.level:.4f}", said]
    return "\n\n".join(parts)


def others() -> str:
    """Return the table of a policy on rows of adapters that its margins were not chosen on."""
    found = recorded("others")
    if found is None:
        return "Not recorded yet."
    audit = from_json(Audit, json.dumps(found["audit"]).encode(), file=RECORDED / "others.json")
    lines = [line for results in audit.by_group().values() for line in rows(results)]
    return "\n\n".join([f"Made on {found['machine']}, with {found['versions']}.", markdown(header(), lines)])


def write() -> None:
    """Put all between their marks."""
    text = DOCUMENT.read_text("utf-8")
    for name, made in (("replay", replayed()), ("others", others()), ("full", full())):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)
    DOCUMENT.write_text(text, "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["replay"]:
        record("replay", "--recorded")
    elif sys.argv[1:2] and sys.argv[1] in LATER:
        record(sys.argv[1], "--recorded", *LATER[sys.argv[1]], *sys.argv[2:])
    elif sys.argv[1:2] == ["others"]:
        record("others", "--policy", "strict", "--workspace", *sys.argv[2:])
    elif sys.argv[1:2] == ["full"]:
        record("full", "--full", "--folder", sys.argv[2])
    write()
