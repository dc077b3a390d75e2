"""Loads a base once, and offers the two halves of its forward pass: hidden states, and logits where they are needed."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.weights import materialise, tensor_shapes
from harness_models.hf.device import Placement, placement

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from harness.contracts import Surroundings
    from harness.types import ModelSpec

_PROBE = 12
"""Tokens in the probes that find out how a base may be run."""


@dataclass(kw_only=True)
class Loaded:
    """A base in memory. Adapters are put into `model` in place, so the halves below always use the active ones."""

    model: Any
    """The transformers model with its language-model head."""
    tokenizer: Any
    place: Placement
    window: int
    """Most tokens of one sequence."""
    end_ids: frozenset[int]
    """Tokens that end the model's turn."""
    start_id: int | None
    """Token that may stand before a text: the beginning of sequence, else the end of text."""
    split: bool = True
    """Whether the head is applied apart from the body (else `hidden` gives logits at every position)."""
    shares: bool = True
    """Whether sequences may share a cached prefix and branches may share a sequence through a mask."""

    def hidden(
        self,
        ids: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        cache: Any = None,  # noqa: ANN401 - a transformers cache
    ) -> torch.Tensor:
        """Run the body: ids (B, L) to hidden states (B, L, H). `mask` is 2D (padding) or 4D (additive)."""
        body = self.model.base_model if self.split else self.model
        given = {"attention_mask": mask, "position_ids": positions, "past_key_values": cache}
        out = body(
            input_ids=ids,
            use_cache=cache is not None,
            **{key: value for key, value in given.items() if value is not None},
        )
        result: torch.Tensor = out.last_hidden_state if self.split else out.logits
        return result

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Turn hidden states (..., H) into float32 logits (..., V)."""
        result: torch.Tensor = self.model.get_output_embeddings()(hidden) if self.split else hidden
        return result.float()

    def new_cache(self) -> Any:  # noqa: ANN401 - a transformers cache
        """Return an empty cache that fits the architecture."""
        from transformers import DynamicCache

        return DynamicCache(config=self.model.config)

    def tensor(self, rows: Any) -> torch.Tensor:  # noqa: ANN401 - nested lists of integers
        """Put token ids on the model's device."""
        import torch

        return torch.tensor(rows, dtype=torch.long, device=self.model.device)


def load(spec: ModelSpec, surroundings: Surroundings) -> Loaded:
    """Load base and tokenizer.

    Raises:
        InputError: when the weights are absent or damaged, or the device is not there.
    """
    # Read when torch is first imported. Threads that spin while they wait make a machine that does other things too
    # several times slower than threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    folder = materialise(spec, surroundings)
    for file in sorted(folder.glob("*.safetensors")):
        tensor_shapes(file)  # a damaged file is named before anything is loaded
    import torch

    _quieten()
    place = placement(spec)
    _check_device(place, spec)
    loaded = _load_from(folder, spec, place)
    with torch.inference_mode():
        _probe(loaded)
    return loaded


def _load_from(folder: Path, spec: ModelSpec, place: Placement) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=getattr(torch, place.dtype), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"the model {spec.reference} cannot be loaded ({_first_line(error)})",
            file=folder,
            hint="check that the folder holds a causal language model with its tokenizer",
        ) from error
    model = model.to(place.device).eval()
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        place=place,
        window=_window(model, tokenizer),
        end_ids=_end_ids(model, tokenizer),
        start_id=tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id,
    )


def _window(model: Any, tokenizer: Any) -> int:  # noqa: ANN401
    config = model.config.get_text_config()
    for value in (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length):
        if isinstance(value, int) and 0 < value < 10**9:
            return value
    return 2048


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:  # noqa: ANN401
    given = model.generation_config.eos_token_id
    listed = given if isinstance(given, list) else [given]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)


def _check_device(place: Placement, spec: ModelSpec) -> None:
    import torch

    kind = place.device.partition(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[kind]
    number = place.device.partition(":")[2]
    if not there or (number and int(number) >= torch.cuda.device_count()):
        raise InputError(
            f"{spec.reference} is to run on {place.device}, which is not available here",
            hint="choose another with --device, such as cpu",
        )


def _quieten() -> None:
    """The libraries' own bars and advice would fight with ours."""
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("peft").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="peft")
    # peft asks transformers for a name that the latter is about to drop; nobody here can act on it.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


# ---------------------------------------------------------------- probes


def _probe(loaded: Loaded) -> None:
    """Find out by trying, not by a list of names, which shortcuts this architecture allows.

    A head may do more than multiply (soft caps, scales): then body and head are not taken apart. Attention may be
    limited to a window, or not be attention at all: then no prefix and no sequence is shared.
    """

    ids = loaded.tensor(
        [[(7 * index + 3) % loaded.model.config.get_text_config().vocab_size for index in range(_PROBE)]]
    )
    whole = loaded.model(input_ids=ids, use_cache=False).logits.float()
    try:
        close = _alike(loaded.logits(loaded.hidden(ids)), whole, loaded)
    except (AttributeError, TypeError, RuntimeError):
        close = False
    loaded.split = close
    loaded.shares = _full_attention(loaded) and _branches_agree(loaded, ids, whole)


def _alike(found: torch.Tensor, expected: torch.Tensor, loaded: Loaded) -> bool:
    """Tell whether two sets of logits differ by rounding alone: a wrong mask or head is off by far more."""
    if found.shape != expected.shape:
        return False
    spread = (expected - expected.mean()).norm()
    return bool((found - expected).norm() <= spread * (1e-3 if loaded.place.dtype == "float32" else 0.1))


def _full_attention(loaded: Loaded) -> bool:
    config = loaded.model.config.get_text_config()
    layers = getattr(config, "layer_types", None)
    if layers is not None:
        return all(layer == "full_attention" for layer in layers)
    return getattr(config, "sliding_window", None) is None


def _branches_agree(loaded: Loaded, ids: torch.Tensor, whole: torch.Tensor) -> bool:
    """Compare a cached prefix with two masked branches after it against the plain pass."""
    import torch

    head, tail = ids[:, : _PROBE // 2], ids[:, _PROBE // 2 :]
    half = _PROBE // 2
    try:
        cache = loaded.new_cache()
        loaded.hidden(head, cache=cache)
        blocked = torch.finfo(loaded.model.dtype).min
        mask = torch.full((1, 1, 2 * half, half + 2 * half), blocked, dtype=loaded.model.dtype, device=ids.device)
        mask[..., :half] = 0
        causal = torch.triu(torch.full((half, half), blocked, dtype=loaded.model.dtype, device=ids.device), diagonal=1)
        mask[..., :half, half : 2 * half] = causal
        mask[..., half:, 2 * half :] = causal
        positions = torch.arange(half, 2 * half, device=ids.device).repeat(2)[None]
        both = loaded.hidden(torch.cat([tail, tail], dim=1), mask=mask, positions=positions, cache=cache)
    except (AttributeError, TypeError, RuntimeError, ValueError):
        return False
    logits = loaded.logits(both)
    expected = whole[:, half:]
    return all(_alike(part, expected, loaded) for part in (logits[:, :half], logits[:, half:]))
