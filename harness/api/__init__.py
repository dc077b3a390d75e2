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

from harness.adherence import combine_verdicts as combine_verdicts
from harness.contracts import Classifier as Classifier
from harness.contracts import Critic as Critic
from harness.contracts import CriticKit as CriticKit
from harness.contracts import Metric as Metric
from harness.contracts import MetricFactory as MetricFactory
from harness.contracts import Model as Model
from harness.contracts import Progress as Progress
from harness.contracts import ProgressTask as ProgressTask
from harness.contracts import RunContext as RunContext
from harness.contracts import Source as Source
from harness.contracts import SourceInput as SourceInput
from harness.contracts import Stage as Stage
from harness.contracts import Surroundings as Surroundings
from harness.contracts import Tool as Tool
from harness.contracts import Verifier as Verifier
from harness.errors import AlreadyPromotedError as AlreadyPromotedError
from harness.errors import BaseChangedError as BaseChangedError
from harness.errors import BrokenRunError as BrokenRunError
from harness.errors import ContractError as ContractError
from harness.errors import HarnessError as HarnessError
from harness.errors import InputError as InputError
from harness.errors import MissingDependencyError as MissingDependencyError
from harness.errors import MissingSplitError as MissingSplitError
from harness.errors import TemplateRefusalError as TemplateRefusalError
from harness.errors import nearest as nearest
from harness.errors import unknown_id as unknown_id
from harness.errors import unknown_name as unknown_name
from harness.evaluation.tools import is_response as is_response
from harness.evaluation.tools import read_calls as read_calls
from harness.hashing import canonical_json as canonical_json
from harness.hashing import open_regular as open_regular
from harness.hashing import sha256_file as sha256_file
from harness.hashing import sha256_json as sha256_json
from harness.hashing import sha256_text as sha256_text
from harness.paths import data_dir as data_dir
from harness.plugin_code import PluginError as PluginError
from harness.progress import NoProgress as NoProgress
from harness.progress import default_progress as default_progress
from harness.quoting import quote as quote
from harness.reading.files import MOST_WHOLE as MOST_WHOLE
from harness.reading.files import opened as opened
from harness.reading.files import parse_json as parse_json
from harness.reading.files import read_bytes as read_bytes
from harness.reading.files import read_lines as read_lines
from harness.reading.files import read_text as read_text
from harness.reading.options import read_options as read_options
from harness.reading.recipe import resolve_path as resolve_path
from harness.reading.recipe import stage_options as stage_options
from harness.reading.strict import Document as Document
from harness.reading.strict import StrictModel as StrictModel
from harness.reading.strict import dotted as dotted
from harness.reading.strict import read_document as read_document
from harness.reading.strict import validate as validate
from harness.references import resolve_model as resolve_model
from harness.registry import late as late
from harness.reporting import ReportSection as ReportSection
from harness.reporting import Table as Table
from harness.serial import from_json as from_json
from harness.serial import to_json as to_json
from harness.serial import to_plain as to_plain
from harness.services import service as service
from harness.session import CandidateOptions as CandidateOptions
from harness.session import RunOptions as RunOptions
from harness.session import Session as Session
from harness.session import SessionOptions as SessionOptions
from harness.session import open_session as open_session
from harness.session.results import RunResult as RunResult
from harness.session.results import Shown as Shown
from harness.session.results import frame as frame
from harness.threads import FreeCores as FreeCores
from harness.threads import let_threads_doze as let_threads_doze
from harness.threads import processor_name as processor_name
from harness.threads import use_threads as use_threads
from harness.types import *  # noqa: F403 - all of them; `harness.types` lists their names
from harness.weights import base_hash as base_hash
from harness.weights import materialise as materialise
from harness.weights import memoised_sha256 as memoised_sha256
from harness.weights import tensor_shapes as tensor_shapes
from harness.weights import weights_hash as weights_hash
from harness.weights import weights_path as weights_path
from harness.weights.bases import asking_no_hub as asking_no_hub
from harness.weights.bases import base_shapes_folder as base_shapes_folder
from harness.weights.embedding import MINILM as MINILM
from harness.weights.embedding import Embedder as Embedder
from harness.weights.header import trained_on as trained_on
from harness.weights.identity import adapter_id as adapter_id
from harness.weights.lora import CONFIG_FILE as CONFIG_FILE
from harness.weights.lora import WEIGHTS_FILE as WEIGHTS_FILE
from harness.weights.lora import UnexplainedTensorError as UnexplainedTensorError
from harness.weights.lora import base_shapes as base_shapes
from harness.weights.lora import check_lora as check_lora
from harness.weights.lora import misfit as misfit
from harness.weights.lora import read_adapter_config as read_adapter_config
from harness.weights.windows import cut_windows as cut_windows
from harness.weights.windows import encodable as encodable

__all__ = [name for name in globals() if name[0] != "_"]
