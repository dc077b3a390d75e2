"""`harness export`: a model for other programs."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from harness.api import Candidate, InputError, asking_no_hub, base_hash, materialise
from harness.api.commands import EXIT_PASSED, App, common_options
from harness_stages.exporting.needed import FORMATS, check_numbers, require_format

_EPILOG = """\b
Examples:
  harness export hf smollm2-135m ./smollm2
      (the catalog's base as a transformers folder)
  harness export hf promoted ./model
      (what is live, its adapter merged into its base)
  harness export gguf ./my-adapter ./model --numbers q8_0
      (for llama.cpp and what builds on it)
  harness export onnx 3f9c2a7b ./model --numbers int8  (for onnxruntime)

Each is read again and compared with the original by log-probability. GGUF is written for Llama-shaped models."""


@click.command(epilog=_EPILOG)
@click.argument("format", type=click.Choice(sorted(FORMATS)))
@click.argument("reference", metavar="ADAPTER|BASE")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--model", metavar="REF", help="The adapter's base.  [default: the one that its record names]")
@click.option("--numbers", metavar="FORMAT", help="Number format of the weights; the first of the format's own.")
@common_options
def export(app: App, format: str, reference: str, folder: Path, model: str | None, numbers: str | None) -> int:  # noqa: A002
    """Write a base, or an adapter merged into its base, as hf, gguf or onnx into a new folder."""
    from harness_stages.exporting.written import load_whole, write

    chosen = check_numbers(format, numbers)
    require_format(format, needed_by=f"harness export {format}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is there already, and not empty", file=folder, hint="name a new folder")
    app.require_plugins()
    candidate = _candidate(app, reference, model)
    base = materialise(candidate.model, app.session.context)
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with app.progress() as progress, asking_no_hub():
        task = progress.start(f"{format} of {candidate.label}", 3, unit="steps")
        try:
            whole = load_whole(base, [Path(adapter.path) for adapter in candidate.adapters])
            task.advance(note="writing")
            written = write(whole, format, chosen, partial)
            task.advance(note="in place")
            if folder.is_dir():
                folder.rmdir()
            partial.rename(folder)
            task.advance()
        finally:
            task.finish()
            shutil.rmtree(partial, ignore_errors=True)
    figures = written.figures
    if app.json:
        app.print_json({"candidate": candidate.label, "format": format, "numbers": chosen, "folder": str(folder),
                        "figures": figures})  # fmt: skip
        return EXIT_PASSED
    app.console.print(f"{folder}: {candidate.label} as {format} in {chosen}, {figures['bytes'] / 1e6:.1f} MB",
                      markup=False, soft_wrap=True)  # fmt: skip
    app.console.print(
        f"read again: log-probabilities differ by {figures['mean_difference']:.2g} nats a token in the mean, "
        f"{figures['largest_difference']:.2g} at most; "
        f"the likeliest token is the same in {figures['same_best']:.1%} of {figures['compared_tokens']:.0f} places, "
        f"perplexity {figures['perplexity']:.4g} → "
        f"{figures['perplexity_read_again']:.4g}, {figures['tokens_per_second_read_again']:.0f} tokens a second "
        f"(original {figures['tokens_per_second']:.0f})", markup=False, soft_wrap=True, style="dim",
    )  # fmt: skip
    return EXIT_PASSED


def _candidate(app: App, reference: str, model: str | None) -> Candidate:
    """Return what a reference means: a base where it is one, else an adapter on its own base."""
    from harness.api.artifacts import read_artifact, resolve_adapters
    from harness.api.workspace import promoted, resolve_base

    path = Path(reference).expanduser()
    if not (path / "adapter_config.json").is_file():
        try:
            spec = resolve_base(reference, app.plugins.registries)
        except InputError:
            pass  # then it is an adapter's id, or its error says what there is
        else:
            if spec.scheme != "hf":
                raise InputError(f"a {spec.scheme}: model has no weights here", hint="name a folder or a catalog name")
            if model is not None:
                raise InputError(f"{reference} is a base itself", key="--model", hint="leave out --model")
            return Candidate(model=spec)
    workspace = app.workspace if app.workspace_path.is_dir() else None
    now = promoted(workspace) if reference == "promoted" and workspace is not None else None
    if now is not None and model is None:
        if now.model.scheme != "hf":
            raise InputError(f"what is promoted is {now.label}, whose weights are not here")
        return now
    found = resolve_adapters([reference], workspace)
    if not found:
        raise InputError(
            "nothing is promoted yet: what counts as promoted is the bare base",
            hint=f"name the base itself, {app.config.model}, or an adapter of: harness list adapters",
        )  # fmt: skip
    record = read_artifact(Path(found[0].path))
    own = model or (record.base if record is not None and record.base else app.config.model)
    base = resolve_base(own, app.plugins.registries)
    trained_on = "" if record is None else record.inputs.get("base", "")
    if trained_on and base_hash(base, app.session.context) != trained_on:
        raise InputError(f"the adapter {found[0].id} was trained on another base than {own}",
                         hint="name its own base: --model REF")  # fmt: skip
    return Candidate(model=base, adapters=found)
