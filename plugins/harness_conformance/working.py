"""The contracts of what reads, trains, observes and shows, checked: sources, stages, observers, sections, commands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness_conformance.contract import Where, example_run, example_sample, faults, loaded

if TYPE_CHECKING:
    from harness.api import SourceInput, Stage, StageInput


def assert_source(name: str, given: SourceInput, *, plugins: Where = ()) -> None:
    """Check a source: samples whose fields have their types, each id once, and the same ones at every call.

    Args:
        name: as registered.
        given: what a suite would hand it; the file is read twice.
        plugins: as for -p.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for data that the source refuses.
    """
    __tracebackhide__ = True
    from harness.api.checking import check_sample, plugin_code

    read = loaded(plugins).registries.sources.get(name)
    with faults(f"the source {name!r}") as found, plugin_code(f"the source {name!r}", read):
        samples = [check_sample(one, number, name, read) for number, one in enumerate(read(given), start=1)]
        if not samples:
            found.append("it yields nothing")
        if len({sample.id for sample in samples}) < len(samples):
            found.append("two of its samples have the same id")
        if list(read(given)) != samples:
            found.append("it yields other samples, or another order, when it is called again")


def assert_stage(
    name: str, folder: Path, *, plugins: Where = (), options: Mapping[str, Any] | None = None, run: bool = True
) -> None:
    """Check a stage: files that are there, and an output that lies in its folder and says what it is.

    Args:
        name: as registered.
        folder: where the data of the options lies; what the stage writes goes into folders below it.
        plugins: as for -p.
        options: as a recipe gives them.
        run: whether to run it, twice, on no model; False for a stage that needs one.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for options or data that the stage refuses.
    """
    __tracebackhide__ = True
    make = loaded(plugins).registries.stages.get(name)
    with faults(f"the stage {name!r}") as found:
        stage, inputs = make(), _stage_input(folder, "out-1", options or {})
        before = _listed(folder)
        stage.check(inputs)
        files = stage.inputs(inputs)
        found.extend(f"its input {role!r} is no file: {path}" for role, path in files.items() if not path.exists())
        if files != make().inputs(inputs):
            found.append("its inputs are others at each call")
        if _listed(folder) != before:
            found.append("check or inputs write files")
        if run:
            found.extend(_ran(stage, inputs))
            again = _stage_input(folder, "out-2", options or {})
            found.extend(_ran(make(), again))
            if _contents(inputs.output) != _contents(again.output):
                found.append("it writes something else when it runs again with the same seed")


def _stage_input(folder: Path, output: str, options: Mapping[str, Any]) -> StageInput:
    from harness.api import ModelSpec, NoProgress, StageInput

    (folder / output).mkdir()
    return StageInput(
        model=ModelSpec(reference="none", scheme="hf", name="none"), base_path=folder, adapter=None, dataset=None,
        options=options, recipe_path=folder / "recipe.yaml", seed=0, output=folder / output, constitution=None,
        critics={}, generate=None, progress=NoProgress(), offline=True,
    )  # fmt: skip


def _listed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in _listed(folder)}


def _ran(stage: Stage, inputs: StageInput) -> Iterator[str]:
    output = stage.run(inputs)
    written = output.written
    for role, path in written.items():
        if not (path.exists() and path.resolve().is_relative_to(inputs.output.resolve())):
            yield f"its {role} is not in the folder that it was given: {path}"
    if set(written) != set(stage.writes):
        yield f"it wrote {' and '.join(sorted(written)) or 'nothing'}, and writes is {tuple(stage.writes)}"
    for key, value in output.figures.items():
        if not math.isfinite(value):
            yield f"the figure {key!r} is {value!r}; figures are finite numbers"


def assert_observers(name: str, *, plugins: Where = (), folder: Path) -> None:
    """Check a plugin's observers and vetoes: none of them raises, and a veto is None or a reason.

    Args:
        name: of the plugin, as `harness list plugins` shows it.
        plugins: as for -p.
        folder: that stands for a run's.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from harness.api import LedgerEntry, RunSpec, SampleRecord

    found_plugins = loaded(plugins)
    run = example_run()
    hooks: dict[str, dict[str, object]] = {
        "run_started": {"spec": RunSpec(suites=("capitals",), model="echo:")},
        "sample_finished": {
            "record": SampleRecord(sample=example_sample(), replies=(), findings={}, verdicts=(), rows={})
        },
        "run_finished": {"run": run, "folder": folder},
        "promotion_changed": {
            "entry": LedgerEntry(number=1, created="", kind="promotion", body={}, previous="0" * 64, hash="")
        },
        "veto_promotion": {"run": run, "baseline": None},
    }
    with faults(f"the plugin {name!r}") as found:
        for hook, arguments in hooks.items():
            for plugin, answer in found_plugins.collect(hook, **arguments):
                if plugin == name and isinstance(answer, Exception):
                    found.append(f"{hook} raised {type(answer).__name__}: {answer}")
                elif plugin == name and answer is not None and not (hook == "veto_promotion" and _says(answer)):
                    found.append(f"{hook} returned {answer!r}")


def _says(answer: object) -> bool:
    return isinstance(answer, str) and bool(answer.strip())


def assert_report_section(name: str, *, plugins: Where = (), folder: Path) -> None:
    """Check a section of the report: it has a title, and draws a run with streamlit without an exception.

    Args:
        name: as registered.
        plugins: as for -p.
        folder: that stands for the run's.

    Raises:
        ContractError: with everything that does not hold.
        MissingDependencyError: where streamlit is not installed.
    """
    __tracebackhide__ = True
    from harness.api import MissingDependencyError

    try:
        from streamlit.testing.v1 import AppTest
    except ImportError as error:
        raise MissingDependencyError("streamlit", "report", needed_by="assert_report_section") from error
    section = loaded(plugins).registries.report_sections.get(name)
    with faults(f"the report section {name!r}") as found:
        if not _says(section.title):
            found.append("it has no title")

        def script(section, run, folder):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - a script by its text
            section.render(run, folder)

        drawn = AppTest.from_function(script, args=(section, example_run(), folder), default_timeout=30).run()
        found.extend(f"render raised {raised.message}" for raised in drawn.exception)


def assert_command(name: str, *, plugins: Where = ()) -> None:
    """Check a command: its name is free, it stands in the help with a line about it, and it shows its own help.

    Args:
        name: one word, or two for a command below another, such as `gate audit`.
        plugins: as for -p.

    Raises:
        ContractError: with everything that does not hold.
    """
    __tracebackhide__ = True
    from click.testing import CliRunner

    from harness.api.checking import cli

    before = [part for plugin in plugins for part in ("-p", str(plugin))]
    *above, own = name.split()
    with faults(f"the command {name!r}") as found:
        listed = CliRunner().invoke(cli, [*before, *above, "--help"], prog_name="harness")
        found.extend(line for line in listed.stderr.splitlines() if line.startswith("warning:"))
        rows = [line.split() for line in listed.stdout.splitlines() if line.split()[:1] == [own]]
        if not rows:
            found.append(f"`harness {' '.join((*above, '--help'))}` does not list it")
        elif len(rows[0]) == 1:
            found.append("no line says what it is for; give it a docstring")
        shown = CliRunner().invoke(cli, [*before, *above, own, "--help"], prog_name="harness")
        if shown.exit_code != 0:
            found.append(f"--help ends with exit code {shown.exit_code}: {shown.output.strip()}")
