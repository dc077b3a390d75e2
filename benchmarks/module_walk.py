"""Counts the modules that one sample, one adapter and one decision pass through, from the command line to the disk.

    python benchmarks/module_walk.py            the three counts
    python benchmarks/module_walk.py --list     and every module of each way, in order

What is counted: the calls of functions of `harness.*` (not of plugins, which are counted apart) that *carry* what is
followed, in any thread, in the order in which they begin. A call carries it when the marker that it is known by, such
as the prompt of the one sample, stands in the `repr` of one of the call's arguments: records show their fields, so that
a request, a reply or a window of samples counts, while an object that merely keeps it inside does not. Calls that
follow each other within one module are one visit; what dataclasses write for records (`__init__`, `__eq__`, …) is none.
The figures are

- modules: how many different ones are visited;
- re-entries: visits of a module that was visited before.

The ways: a sample of a suite with one sample, asked of the echo model, with one metric and one gate, until the run
folder is in place (`harness run`); an adapter from its recipe, with a stage that writes a file of two numbers instead
of training, until it is stored (`harness train`); the candidate of a decision, an adapter of which the echo model minds
the id alone, until the decision is kept (`harness decide`). Nothing of it depends on speed or chance.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

MARKER = "zebra7f3a"
SAMPLE_GOALS = (15, 12)
"""Modules and re-entries that a sample should need at most."""
STAGE = """
from harness import Stage, hookimpl
from harness.api import StageOutput

class Nothing(Stage):
    def check(self, inputs):
        pass
    def inputs(self, inputs):
        return {}
    def run(self, inputs):
        from module_walk import write_adapter
        return StageOutput(adapter=write_adapter(inputs.output / "adapter"), dataset=None, figures={})

@hookimpl
def register_stages(register):
    register("nothing", Nothing)
"""


@dataclass
class Way:
    """The visits of one thing that is followed."""

    markers: tuple[str, ...]
    core: list[str] = field(default_factory=list)
    """Modules of harness, in the order of visits."""
    plugins: list[str] = field(default_factory=list)
    inside: bool = False

    def called(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call that carries what is followed; for `sys.setprofile`."""
        module = frame.f_globals.get("__name__", "")
        if event != "call" or self.inside or not module.startswith(("harness.", "harness_")):
            return
        if frame.f_code.co_filename == "<string>":  # what dataclasses write for a record
            return
        visits = self.core if module.startswith("harness.") else self.plugins
        if visits and visits[-1] == module:
            return
        self.inside = True  # what repr calls is no visit
        try:
            if self._carries(frame):
                visits.append(module)
        finally:
            self.inside = False

    def _carries(self, frame: FrameType) -> bool:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
        for name in code.co_varnames[:count]:
            try:
                shown = repr(frame.f_locals.get(name))
            except Exception:  # noqa: BLE001 - an object that is not made yet has no fields to show
                continue
            if any(marker in shown for marker in self.markers):
                return True
        return False

    @property
    def modules(self) -> list[str]:
        """The different modules, in the order of first visits."""
        return list(dict.fromkeys(self.core))


def write_tensors(file: Path, *names: str) -> None:
    """Write a safetensors file of tensors with one number each, without torch."""
    places = {name: [4 * at, 4 * at + 4] for at, name in enumerate(names)}
    header = {name: {"dtype": "F32", "shape": [1, 1], "data_offsets": place} for name, place in places.items()}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + struct.pack("<f", 1.0) * len(names))


def write_adapter(folder: Path) -> Path:
    """Write an adapter of one pair of numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    write_tensors(folder / "adapter_model.safetensors", f"{layer}.lora_A.weight", f"{layer}.lora_B.weight")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1, "target_modules": ["q_proj"]}')
    return folder


def follow(markers: tuple[str, ...], *arguments: str) -> Way:
    """Call the command line, and return the way of what carries the markers.

    Raises:
        RuntimeError: where the command fails, or does not carry it anywhere.
    """
    from harness.cli.main import run

    way = Way(markers=markers)
    threading.setprofile(way.called)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            sys.setprofile(way.called)
            try:
                code = run(list(arguments))
            finally:
                sys.setprofile(None)
    finally:
        threading.setprofile(None)  # type: ignore[arg-type] # None takes it off
    if code not in {0, 1} or not way.core:
        raise RuntimeError(f"harness {' '.join(arguments)} ended with {code}: {said.getvalue()}")
    return way


def ways() -> dict[str, Way]:
    """Follow a sample, an adapter and a decision, each in a folder of its own."""
    found = {}
    for name, walk in (("sample", _sample), ("adapter", _adapter), ("decision", _decision)):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            found[name] = walk(Path(folder))
    return found


def _suite(folder: Path, prompt: str) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"id": "one", "prompt": prompt, "target": prompt}) + "\n")
    (folder / "suite.yaml").write_text(
        "id: walk\nsamples: {source: jsonl, path: rows.jsonl}\nmeasure: [exact_match]\n"
        "gates: [{metric: exact_match, min: 0.01}]\n"
    )


def _sample(folder: Path) -> Way:
    _suite(folder, f"say {MARKER}")
    return follow((MARKER,), "run", "suite.yaml", "--model", "echo:")


def _adapter(folder: Path) -> Way:
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    write_tensors(base / "model.safetensors", "model.layers.0.self_attn.q_proj.weight")
    (folder / "stage.py").write_text(STAGE)
    (folder / "recipe.yaml").write_text(f"id: {MARKER}\nbase: {base}\nstages: [nothing: {{}}]\n")
    sys.path.insert(0, str(Path(__file__).parent))
    options = ("train", "recipe.yaml", "-p", "stage.py")
    follow((MARKER,), *options, "--workspace", "first")  # to learn the adapter's id, which is a hash
    stored = [path.name for path in (folder / "first" / "artifacts" / "adapter").iterdir()]
    return follow((MARKER, *(name[:12] for name in stored)), *options, "--workspace", "second")


def _decision(folder: Path) -> Way:
    _suite(folder, "say one")
    write_adapter(folder / MARKER)
    (folder / "harness.yaml").write_text('model: "echo:"\npolicy: mine\npolicies: {mine: {suites: [suite.yaml]}}\n')
    return follow((MARKER,), "decide", "--adapter", f"./{MARKER}")


def main() -> None:
    """Print the counts."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name, way in ways().items():
        again = len(way.core) - len(way.modules)
        goal = f" (goal: at most {SAMPLE_GOALS[0]} and {SAMPLE_GOALS[1]})" if name == "sample" else ""
        print(f"{name}: {len(way.modules)} modules, {again} re-entries{goal}; plugins: {len(set(way.plugins))}")
        if "--list" in sys.argv:
            for module in way.core:
                print(f"  {module}")


if __name__ == "__main__":
    main()
