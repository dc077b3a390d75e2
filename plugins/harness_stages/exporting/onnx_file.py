"""An ONNX graph from token ids and attention mask to logits, in float32 or with int8 weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError
from harness_stages.exporting.transformers_folder import leave_out_paths

if TYPE_CHECKING:
    from harness_stages.exporting.written import Whole

FILE = "model.onnx"
_MOST_INSIDE = 1_500_000_000
"""Bytes of weights in the graph's own file: its format ends at 2 GB."""


def write(whole: Whole, numbers: str, folder: Path) -> None:
    """Write model.onnx with the tokenizer and config beside it; rows and length of its inputs are free."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:  # noqa: ANN401 - transformers is not typed
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:  # noqa: ANN401
            return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits

    model = whole.model
    before = model.config._attn_implementation  # noqa: SLF001 - its setter is the public one
    model.set_attn_implementation("eager")
    window = int(getattr(model.config, "max_position_embeddings", 0) or 2048)
    free = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("sequence", min=1, max=window)}
    ids = torch.arange(14).reshape(2, 7) % int(model.config.vocab_size)
    try:
        with _quiet():
            program = torch.onnx.export(
                Logits(model).eval(), (ids, torch.ones_like(ids)), dynamo=True, verbose=False,
                input_names=["input_ids", "attention_mask"], output_names=["logits"],
                dynamic_shapes={"input_ids": free, "attention_mask": free},
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        raise InputError(f"torch.onnx cannot export {type(model).__name__}", file=whole.base,
                         hint="export it as hf or gguf") from error  # fmt: skip
    finally:
        model.set_attn_implementation(before)
    if program is None:  # for the type checker: only the older exporter returns none
        raise InputError("torch.onnx returned no program", file=whole.base, hint="export it as hf or gguf")
    _leave_out_traces(program.model)
    size = sum(weight.numel() * 4 for weight in model.parameters())
    plain = folder / (FILE if numbers == "float32" else "float32.onnx")
    program.save(str(plain), external_data=size > _MOST_INSIDE)
    if numbers == "int8":
        _quantise(plain, folder / FILE, large=size > _MOST_INSIDE)
        for leftover in folder.glob("float32.onnx*"):
            leftover.unlink()
    _write_beside(whole, folder)


def _leave_out_traces(model: Any) -> None:  # noqa: ANN401 - onnx_ir is not typed here
    """Take out where in which file of this machine each node was made."""
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None


def _quantise(source: Path, target: Path, *, large: bool) -> None:
    """Hold weights in int8, one scale per row, and quantise activations as they come (dynamic quantisation)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            str(source), str(target), weight_type=QuantType.QInt8, per_channel=True, use_external_data_format=large
        )


def _write_beside(whole: Whole, folder: Path) -> None:
    """Put config and tokenizer beside the graph, without the weights."""
    whole.model.config.save_pretrained(str(folder))
    whole.tokenizer.save_pretrained(str(folder))
    leave_out_paths(folder)


def read(folder: Path) -> Callable[[list[int]], Any]:
    """Return a function from token ids to logits, by onnxruntime on the CPU."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / FILE), options, providers=["CPUExecutionProvider"])

    def forward(ids: list[int]) -> Any:  # noqa: ANN401 - an array
        given = np.array([ids], dtype=np.int64)
        return session.run(None, {"input_ids": given, "attention_mask": np.ones_like(given)})[0][0]

    return forward


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's and the quantiser's advice off the terminal."""
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
