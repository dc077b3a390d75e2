"""What a plugin may import: `harness` and this package, and nothing else of harness.

Here stand the contracts and what they are handed, all records, errors, strict options, hashing, weights, the files that
ship with harness, and the session with its results. Besides, for plugins that

- bring commands: `harness.api.commands`;
- read what is registered and kept, prepare, run, decide and promote: `harness.api.workspace`;
- make adapters, datasets and other artifacts: `harness.api.artifacts`;
- ask models and judge replies outside a suite's pass: `harness.api.asking`;
- plan, check or test gates: `harness.api.stats`; bring a kind of gate: `harness.api.gates`;
- fetch weights: `harness.api.weights`.

Whatever else harness holds may change from one release to the next.
"""

from harness import types as _records
from harness.adherence import combine_verdicts
from harness.contracts import (
    Classifier,
    Critic,
    CriticKit,
    Metric,
    MetricFactory,
    Model,
    Progress,
    ProgressTask,
    RunContext,
    Source,
    SourceInput,
    Stage,
    Surroundings,
    Tool,
    Verifier,
)
from harness.errors import (
    AlreadyPromotedError,
    BaseChangedError,
    BrokenRunError,
    HarnessError,
    InputError,
    MissingDependencyError,
    MissingSplitError,
    TemplateRefusalError,
    nearest,
    unknown_id,
    unknown_name,
)
from harness.evaluation.tools import is_response, read_calls
from harness.hashing import canonical_json, open_regular, sha256_file, sha256_json, sha256_text
from harness.paths import data_dir
from harness.plugin_code import PluginError
from harness.progress import NoProgress
from harness.quoting import quote
from harness.reading.files import MOST_WHOLE, opened, parse_json, read_bytes, read_lines, read_text
from harness.reading.options import read_options
from harness.reading.recipe import resolve_path, stage_options
from harness.reading.strict import Document, StrictModel, dotted, read_document, validate
from harness.references import resolve_model
from harness.registry import late
from harness.reporting import ReportSection, Table
from harness.serial import from_json, to_json, to_plain
from harness.services import service
from harness.session import CandidateOptions, RunOptions, Session, SessionOptions, open_session
from harness.session.results import RunResult, Shown, frame
from harness.threads import FreeCores, let_threads_doze, processor_name, use_threads
from harness.types import *  # noqa: F403 - all of them; `harness.types` lists their names
from harness.weights import (
    as_identified,
    base_hash,
    materialise,
    memoised_sha256,
    tensor_shapes,
    weights_hash,
    weights_path,
)
from harness.weights.embedding import MINILM, Embedder
from harness.weights.header import read_metadata, trained_on
from harness.weights.hub import asking_no_hub
from harness.weights.identity import adapter_id
from harness.weights.lora import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    UnexplainedTensorError,
    base_shapes,
    check_lora,
    misfit,
    read_adapter_config,
)
from harness.weights.materialise import base_shapes_folder
from harness.weights.windows import cut_windows, encodable

__all__ = [
    "CONFIG_FILE",
    "MINILM",
    "MOST_WHOLE",
    "WEIGHTS_FILE",
    "AlreadyPromotedError",
    "BaseChangedError",
    "BrokenRunError",
    "CandidateOptions",
    "Classifier",
    "Critic",
    "CriticKit",
    "Document",
    "Embedder",
    "FreeCores",
    "HarnessError",
    "InputError",
    "Metric",
    "MetricFactory",
    "MissingDependencyError",
    "MissingSplitError",
    "Model",
    "NoProgress",
    "PluginError",
    "Progress",
    "ProgressTask",
    "ReportSection",
    "RunContext",
    "RunOptions",
    "RunResult",
    "Session",
    "SessionOptions",
    "Shown",
    "Source",
    "SourceInput",
    "Stage",
    "StrictModel",
    "Surroundings",
    "Table",
    "TemplateRefusalError",
    "Tool",
    "UnexplainedTensorError",
    "Verifier",
    "adapter_id",
    "as_identified",
    "asking_no_hub",
    "base_hash",
    "base_shapes",
    "base_shapes_folder",
    "canonical_json",
    "check_lora",
    "combine_verdicts",
    "cut_windows",
    "data_dir",
    "dotted",
    "encodable",
    "frame",
    "from_json",
    "is_response",
    "late",
    "let_threads_doze",
    "materialise",
    "memoised_sha256",
    "misfit",
    "nearest",
    "open_regular",
    "open_session",
    "opened",
    "parse_json",
    "processor_name",
    "quote",
    "read_adapter_config",
    "read_bytes",
    "read_calls",
    "read_document",
    "read_lines",
    "read_metadata",
    "read_options",
    "read_text",
    "resolve_model",
    "resolve_path",
    "service",
    "sha256_file",
    "sha256_json",
    "sha256_text",
    "stage_options",
    "tensor_shapes",
    "to_json",
    "to_plain",
    "trained_on",
    "unknown_id",
    "unknown_name",
    "use_threads",
    "validate",
    "weights_hash",
    "weights_path",
]
__all__ += _records.__all__
