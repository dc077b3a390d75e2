"""Whether a LoRA adapter holds only what its own configuration explains, told from two files without torch.

The base is shared between adapters, and peft copies any tensor of an adapter's file to whatever in the model has its
name: `model.norm.weight` would change the base for everybody. So each tensor must be a part of a pair on a module that
`target_modules` names, or of a copy that `modules_to_save` declares and peft keeps apart.
Names and shapes as in peft 0.21: `tuners/lora/layer.py`, `tuners/tuners_utils.py` (check_target_module_exists),
`utils/other.py` (get_pattern_key, ModulesToSaveWrapper).
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.reading.files import decoded, parse_json, read_regular
from harness.weights.header import tensor_shapes
from harness.weights.patterns import bounded, matches
from harness.weights.vocabulary import FIELD, HEAD_ROWS, ROWS, unexplained_rows, vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.weights.vocabulary import Vocabulary

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"

_PREFIX = "base_model.model."
_PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A\.weight|lora_B\.(?:weight|bias)|lora_embedding_[AB]"
    r"|lora_magnitude_vector)"
)
_INNER = re.compile(r"lora_.*|base_layer|original_module|modules_to_save|token_adapter|parametrizations")
"""Names of modules that peft makes: a tensor may not reach into what it put around the base."""
_PATTERN_KEY, _LAYER = r"(.*\.)?({})$", r"(?:^|.*?\.){}\.(?P<index>\d+)\."
_TAKEN_FROM_THE_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")
_NOT_ON_A_SHARED_BASE = (
    "alora_invocation_tokens", "arrow_config", "ensure_weight_tying", "kasa_config", "layer_replication",
    "megatron_config", "monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
    "velora_config",
)  # fmt: skip
"""Fields of adapter_config.json by which peft rebuilds or reparametrises the base, acts by the whole input, or (rows
for single tokens) puts a wrapper around the embedding that no adapter without such rows can be loaded beside."""
_AGAIN = "copy or train the adapter again"
_MOST_CONFIG = 16 * 2**20
"""Bytes."""
_MOST_SECONDS = 20.0
"""For all names and patterns of one adapter together; honest ones take milliseconds."""
_MOST_WIDE = 16
_TEXT, _NUMBER, _SWITCH = (str,), (int, float), (bool,)
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "r": ((int,), "a whole number"), "lora_alpha": (_NUMBER, "a number"), "lora_dropout": (_NUMBER, "a number"),
    "rank_pattern": ((dict,), "an object of whole numbers"), "alpha_pattern": ((dict,), "an object of numbers"),
    "target_modules": ((str, list), "a text or a list of texts"),
    "exclude_modules": ((str, list), "a text or a list of texts"), "modules_to_save": ((list,), "a list of texts"),
    "layers_pattern": ((str, list), "a text or a list of texts"),
    "layers_to_transform": ((int, list), "a whole number or a list of them"),
    "use_rslora": (_SWITCH, "true or false"), "use_dora": (_SWITCH, "true or false"),
    "lora_bias": (_SWITCH, "true or false"), "fan_in_fan_out": (_SWITCH, "true or false"),
    "init_lora_weights": ((bool, str), "true, false or a text"), "bias": (_TEXT, "a text"),
    "task_type": (_TEXT, "a text"), "base_model_name_or_path": (_TEXT, "a text"),
}  # fmt: skip
_INSIDE: Mapping[str, tuple[type, ...]] = {
    "rank_pattern": (int,), "alpha_pattern": _NUMBER, "target_modules": _TEXT, "exclude_modules": _TEXT,
    "modules_to_save": _TEXT, "layers_pattern": _TEXT, "layers_to_transform": (int,),
}  # fmt: skip


class UnexplainedTensorError(InputError):
    """An adapter's file holds a tensor that its own configuration does not explain."""


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """Return an adapter's configuration.

    Raises:
        InputError: when the folder is no adapter or its configuration is malformed.
    """
    path = folder / CONFIG_FILE
    if not folder.is_dir():
        raise InputError("no such adapter folder", file=folder, hint="check the path")
    if not path.exists():
        inside = folder / "adapter"
        hint = f"did you mean {inside}?" if (inside / CONFIG_FILE).is_file() else "name the folder that peft saved"
        raise InputError(f"the folder is no adapter: it has no {CONFIG_FILE}", file=path, hint=hint)
    config = parse_json(decoded(read_regular(path, what="configuration", most=_MOST_CONFIG), path), path)
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise InputError("is no peft configuration: it has no peft_type", file=path, hint=_AGAIN)
    return config


def check_lora(folder: Path) -> dict[str, tuple[int, ...]]:
    """Check that the adapter is LoRA, leaves the base as it is, and explains every tensor; return shapes by name.

    Rows for tokens of its own (`harness.weights.vocabulary`) are checked, and not among what is returned.

    Raises:
        UnexplainedTensorError: naming file, tensor and why.
        InputError: when a file is absent or damaged, or the configuration asks for what changes the base itself.
    """
    config = read_adapter_config(folder)
    file = folder / CONFIG_FILE
    if config["peft_type"] != "LORA":
        raise InputError(
            f"the adapter is of type {config['peft_type']!r}", file=file, hint="only LoRA adapters can be used"
        )
    _refuse_what_outlasts(config, file)
    _check_types(config, file)
    _check_patterns(config, file)
    shapes = tensor_shapes(folder / WEIGHTS_FILE)
    vocabulary = vocabulary_of(config, file)
    until = time.thread_time() + _MOST_SECONDS
    for name, shape in shapes.items():
        try:
            rows = name in {ROWS, HEAD_ROWS}
            why = unexplained_rows(vocabulary, name, shape) if rows else _unexplained(config, name, shape)
            if time.thread_time() > until:
                raise ValueError("matching its patterns with the names of its tensors takes too long")  # noqa: TRY301
        except (re.error, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"cannot be understood ({str(error)[:200]})", file=file, hint=_AGAIN) from error
        if why:
            raise UnexplainedTensorError(
                f"the tensor {name[:200]!r} is not explained by the adapter's own configuration ({why}): such a"
                " tensor may overwrite the base that all adapters share", file=folder / WEIGHTS_FILE,
                hint="remove the tensor (peft's save_pretrained with save_embedding_layers=False leaves out those of"
                f" the base), declare it in {CONFIG_FILE}, or train the adapter again",
            )  # fmt: skip
    if vocabulary is not None and ROWS not in shapes:
        raise InputError(f"holds no rows for the tokens of {FIELD}", file=folder / WEIGHTS_FILE, hint=_AGAIN)
    return {name: shape for name, shape in shapes.items() if name not in {ROWS, HEAD_ROWS}}


def pair_scale(config: Mapping[str, Any], module: str) -> float | None:
    """Return what the pair that a checked configuration puts on a module is multiplied by; None where it puts none.

    α / r, or with `use_rslora` α / √r (Kalajdzievski 2023), each as the patterns have it for the module.
    """
    if not _targeted(config, module):
        return None
    rank, alphas = _rank(config, module), config.get("alpha_pattern") or {}
    alpha = next(
        (value for key, value in alphas.items() if matches(_PATTERN_KEY.format(key), module)),
        config.get("lora_alpha", 8),
    )
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """Return the tokens that an adapter brings; None where it brings none. Raises as `read_adapter_config`."""
    return vocabulary_of(read_adapter_config(folder), folder / CONFIG_FILE)


def misfit(shapes: Mapping[str, tuple[int, ...]], base: Mapping[str, tuple[int, ...]]) -> str:
    """Say why a checked adapter does not fit a base; empty where it does.

    Args:
        shapes: of its tensors, as `check_lora` returns them.
        base: shapes by name of the base's tensors.
    """
    for name, shape in shapes.items():
        match = _PART.fullmatch(name.removeprefix(_PREFIX))
        if match is None:
            module, _, rest = name.removeprefix(_PREFIX).rpartition(".")
            wanted = _tensor_of(module, rest, base)
            if wanted is None:
                return f"the base has no {module}.{rest}"
            if wanted != shape:
                return f"{module}.{rest} is {_times(wanted)} there, not {_times(shape)}"
            continue
        module, part = match["module"], match["part"]
        weight = _tensor_of(module, "weight", base)
        if weight is None:
            return f"the base has no {module}"
        width = -1 if part in {"lora_A.weight", "lora_embedding_A"} else 0
        if len(weight) == 2 and shape[width] not in weight:
            return f"{module} is {_times(weight)} there, not {shape[width]} wide"
    return ""


def base_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes by name of the tensors in a base's folder."""
    return {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in tensor_shapes(file).items()}


def _refuse_what_outlasts(config: Mapping[str, Any], file: Path) -> None:
    """Refuse adapters that change the base itself when they are put on it: the base alone would answer otherwise."""
    if config.get("bias") not in (None, "none"):
        raise InputError(
            "the adapter changes biases of the base, which stay changed when it is off",
            file=file, key="bias", hint="train it with bias: none",
        )  # fmt: skip
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_TAKEN_FROM_THE_BASE):
        raise InputError(
            f"an adapter that began as {start!r} takes its part out of the base's weights, which stay changed when it"
            " is off",
            file=file, key="init_lora_weights",
            hint="save it as plain LoRA: peft's save_pretrained has path_initial_model_for_weight_conversion",
        )  # fmt: skip
    # Empty ones count as well: peft acts wherever most of these are not null.
    off = {"ensure_weight_tying", "use_qalora"}
    other = next((key for key in _NOT_ON_A_SHARED_BASE if config.get(key) is not None
                  and not (key in off and config[key] is False)), None)  # fmt: skip
    if other is not None:
        raise InputError(
            "the adapter changes how the base itself runs, so that it cannot share one with others",
            file=file, key=other, hint="train it as plain LoRA, or merge it and give the merged model",
        )  # fmt: skip


def _check_types(config: Mapping[str, Any], file: Path) -> None:
    for key, (kinds, what) in _TYPES.items():
        value = config.get(key)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if value is not None and not (_is(value, kinds) and all(_is(one, _INSIDE.get(key, ())) for one in inner)):
            raise InputError(f"is {str(value)[:80]!r} and must be {what}", file=file, key=key, hint=_AGAIN)


def _is(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _check_patterns(config: Mapping[str, Any], file: Path) -> None:
    """Compile every pattern that peft would match, whether or not a tensor here asks for it."""
    wide = 0
    for key, pattern in _patterns(config):
        try:
            wide += len(re.findall(r"[*+{]", bounded(pattern).pattern)) > 2
        except (re.error, ValueError, OverflowError, RecursionError) as error:
            raise InputError(f"cannot be understood ({str(error)[:200]})", file=file, key=key, hint=_AGAIN) from error
        if wide > _MOST_WIDE:
            raise InputError(f"has more than {_MOST_WIDE} patterns of several wildcards", file=file, key=key,
                             hint="name the modules in full")  # fmt: skip


def _patterns(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield field and pattern, as peft puts them together."""
    for key in ("target_modules", "exclude_modules"):
        if isinstance(config.get(key), str) and config[key] != "all-linear":
            yield key, config[key]
    for key in ("rank_pattern", "alpha_pattern"):
        yield from ((key, _PATTERN_KEY.format(pattern)) for pattern in config.get(key) or {})
    yield from (("layers_pattern", _LAYER.format(pattern)) for pattern in _layer_patterns(config))


def _layer_patterns(config: Mapping[str, Any]) -> Iterable[str]:
    patterns = config.get("layers_pattern") or [r"[^.]*"]
    return [patterns] if isinstance(patterns, str) else patterns


def _unexplained(config: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> str:
    """Return why the configuration does not explain the tensor; empty where it does."""
    if not name.startswith(_PREFIX):
        return f"its name does not begin with {_PREFIX}"
    rest = name.removeprefix(_PREFIX)
    match = _PART.fullmatch(rest)
    module, part = (rest.rpartition(".")[0], "") if match is None else (match["module"], match["part"])
    inner = next((step for step in module.split(".") if _INNER.fullmatch(step)), None)
    if inner is not None:
        return f"{inner} is what peft itself puts around the base"
    if match is None:
        saved = any(_ends(prefix, _names(config, "modules_to_save")) for prefix in _prefixes(module))
        return "" if saved else "it is no part of a LoRA pair, and modules_to_save does not name its module"
    if not _targeted(config, module):
        return f"target_modules does not name {module}"
    if part in {"lora_B.bias", "lora_magnitude_vector"}:
        wanted = "lora_bias" if part == "lora_B.bias" else "use_dora"
        return "it is one number" if not shape else "" if config.get(wanted) else f"{wanted} is off"
    rank = _rank(config, module)
    ranked = shape[0 if part in {"lora_A.weight", "lora_embedding_A"} else 1] if len(shape) >= 2 else None
    return "" if ranked == rank else f"it is {_times(shape)}, and the rank is {rank}"


def _targeted(config: Mapping[str, Any], module: str) -> bool:
    """Tell whether a pair belongs on a module, as peft tells it."""
    excluded = config.get("exclude_modules")
    if excluded and (matches(excluded, module, whole=True) if isinstance(excluded, str) else _named(module, excluded)):
        return False
    if any(re.match(rf"(^|.*\.){re.escape(name)}($|\..*)", module) for name in _names(config, "modules_to_save")):
        return False
    targets = config.get("target_modules")
    if isinstance(targets, str):
        return targets == "all-linear" or matches(targets, module, whole=True) is not None
    if not _named(module, _names(config, "target_modules")):
        return False
    layers = config.get("layers_to_transform")
    if layers is None or layers == []:
        return True
    found = None
    for pattern in _layer_patterns(config):
        found = found or matches(_LAYER.format(pattern), module)
    return found is not None and int(found["index"]) in ([layers] if isinstance(layers, int) else layers)


def _named(module: str, names: list[str]) -> bool:
    return any(module == name or module.endswith(f".{name}") for name in names)


def _ends(module: str, names: list[str]) -> bool:
    """Tell whether `modules_to_save` means a module: peft asks for the end of its name alone."""
    return any(module.endswith(name) for name in names)


def _names(config: Mapping[str, Any], key: str) -> list[str]:
    names = config.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{key} is no list of names")
    return names


def _rank(config: Mapping[str, Any], module: str) -> int:
    for pattern, rank in (config.get("rank_pattern") or {}).items():
        if matches(_PATTERN_KEY.format(pattern), module):
            return int(rank)
    return int(config.get("r", 8))


def _prefixes(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _tensor_of(module: str, tensor: str, base: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    """Find a module's tensor; some checkpoints leave out the leading name of the body, or tie the head."""
    name = f"{module}.{tensor}"
    for known in (name, name.partition(".")[2]):
        if known in base:
            return base[known]
    if module in ("lm_head", "embed_out") and tensor == "weight":
        return next((shape for key, shape in base.items() if key.endswith(("embed_tokens.weight", "wte.weight"))), None)
    return None


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
