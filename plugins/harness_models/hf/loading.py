"""Loads a base once, and offers the two halves of its forward pass: hidden states, and logits where they are needed."""

from __future__ import annotations

import gc
import inspect
import json
import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.api import (
    FreeCores,
    InputError,
    asking_no_hub,
    let_threads_doze,
    materialise,
    tensor_shapes,
    use_threads,
)
from harness.api.weights import extend, read_vocabulary
from harness_models.hf.bases import as_identified
from harness_models.hf.device import Placement, placement
from harness_models.hf.probing import probe
from harness_models.hf.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import torch

    from harness.api import ModelSpec, RunContext
    from harness_models.hf.layout import Mask, States


_FROM_DISK: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Where the last is left unsaid, transformers asks at the terminal whether to run code that a folder brings along."""


@dataclass(kw_only=True)
class Loaded:
    """A base in memory. Adapters are put into `model` in place, so the halves below always use the active ones."""

    model: Any
    """The model with its language-model head, of transformers or our own."""
    tokenizer: Any
    place: Placement
    window: int
    """Most tokens of one sequence."""
    end_ids: frozenset[int]
    """Tokens that end the model's turn."""
    start_id: int | None
    """Token that may stand before a text: the beginning of sequence, else the end of text."""
    generates: Literal["slots", "padded", "plain"] | None = None
    """How it generates, see `harness_models.hf.paths`; None until it was asked to."""
    shelves: bool = False
    """Whether rows in slots may stand on shelves of several widths."""
    blocks: bool = False
    """Whether it attends over blocks instead of under dense masks, see `harness_models.hf.blocks`."""
    dense: str = ""
    """Why it does not, where its device is one that does."""
    graphs: bool = False
    """Whether its decoding steps are of fixed shapes and recorded, see `harness_models.hf.graphs`."""
    ungraphed: str = ""
    """Why they are not, where its device is one that records."""
    adapted: int = 0
    """Counts adapters put on and taken off, and passes whose rows had each their own."""
    active: tuple[str, ...] = ()
    """Ids of the adapters that passes go through, but where rows have each their own."""
    mixed: bool = False
    """Whether the rows of a pass have each their own adapters."""
    split: bool = True
    """Whether the head is applied apart from the body (else `hidden` gives logits at every position)."""
    after_head: Callable[[torch.Tensor], torch.Tensor] | None = None
    """What the architecture does to logits after the head, such as a soft cap."""
    plain: str = ""
    """Why sequences may not share a cached prefix, nor branches a sequence through a mask; empty where they may."""
    equal_lengths: bool = False
    """Whether only sequences of equal length may share a pass."""
    reach: Reach = field(default_factory=Reach)
    """How far back the layers look, which masks of our own must say."""
    cache_name: str = "past_key_values"
    """What the architecture calls its cache."""
    threads: int | None = None
    """With how many threads it computes on the CPU."""
    identity: str = ""
    """The base's hash."""
    vocabulary: int | None = None
    """Tokens that the model has, where its tokenizer has more."""
    likeliest: Callable[[torch.Tensor], list[int]] | None = None
    """Tells the likeliest token of each state (B, H) quicker than all logits, where it is lent that."""
    own: bool = False
    """Whether the model is ours in plain torch, which takes adapters that are pairs alone."""

    @property
    def apart(self) -> bool:
        """Whether it attends to a shared prefix apart, so that masks have no columns for it."""
        if not self.own:
            return False
        from harness_models.hf.apart import possible

        return possible()

    def joins(self, *, branching: bool, depth: int) -> bool:
        """Tell whether packs share a pass as one sequence under a mask by blocks: where else a dense one would be made.

        Args:
            branching: whether they have tokens that must not see all before them.
            depth: tokens of the prefix that they stand behind.
        """
        return self.blocks and (branching or depth > 0 or self.reach.windowed)

    def hidden(
        self,
        ids: torch.Tensor,
        *,
        mask: Mask | None = None,
        positions: torch.Tensor | None = None,
        cache: Any = None,  # noqa: ANN401 - a transformers cache
        at: States | None = None,
    ) -> torch.Tensor:
        """Run the body: ids (B, L) to hidden states (B, L, H), or (N, H) where `at` asks for some of them alone.

        `mask` is 2D (padding), 4D (additive) or by blocks.
        """
        if self.own:
            found: torch.Tensor = self.model(ids, mask, positions, cache, at)
            return found
        body = self.model.base_model if self.split else self.model
        given = {"attention_mask": mask, "position_ids": positions, self.cache_name: cache}
        with self._attention(mask):
            out = body(
                input_ids=ids,
                use_cache=cache is not None,
                **{key: value for key, value in given.items() if value is not None},
            )
        result: torch.Tensor = out.last_hidden_state if self.split else out.logits
        return result if at is None else result[at]

    def _attention(self, mask: Mask | None) -> AbstractContextManager[None]:
        """Let the model attend over blocks where a mask is by blocks."""
        if not hasattr(next(iter(mask.values())) if isinstance(mask, Mapping) else mask, "blocks"):
            return nullcontext()
        from harness_models.hf.transformers_caches import OVER_BLOCKS, attention

        return attention(self, OVER_BLOCKS)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Turn hidden states (..., H) into float32 logits (..., V)."""
        result: torch.Tensor = self.model.get_output_embeddings()(hidden) if self.split else hidden
        return (result if self.after_head is None else self.after_head(result)).float()

    def tensor(self, rows: Any) -> torch.Tensor:  # noqa: ANN401 - nested lists of integers
        """Put token ids on the model's device."""
        import torch

        return torch.tensor(rows, dtype=torch.long, device=self.model.device)


def load(
    spec: ModelSpec, context: RunContext, *, identity: str | None = None, vocabulary: Path | None = None,
    bare: bool = False,
) -> Loaded:  # fmt: skip
    """Load base and tokenizer.

    Args:
        spec: the base.
        context: where weights are.
        identity: what the base must be, as its fingerprint said; None where nobody asked.
        vocabulary: folder of an adapter that brings tokens, which the base is then given.
        bare: whether it need not be a model of transformers: no adapter that is more than pairs will be put on it.

    Raises:
        BaseChangedError: when it is another, or was written to meanwhile.
        InputError: when the weights are absent or damaged, or the device is not there.
    """
    let_threads_doze()  # for those who do not come by the command line
    cores = FreeCores()
    with as_identified(spec, context, identity) as (folder, found), _no_garbage_collection():
        for file in sorted(folder.glob("*.safetensors")):
            tensor_shapes(file)  # a damaged file is named before anything is loaded
        import torch

        place = placement(spec)
        _check_device(place, spec)
        loaded = own(folder, place) if bare else None
        if loaded is None:
            _quieten()
            loaded = _load_from(folder, spec, place)
        loaded.identity = found
        tokens = None if vocabulary is None else read_vocabulary(vocabulary)
        if tokens is not None:
            extend(loaded.model, loaded.tokenizer, tokens, folder=vocabulary)
    if place.device == "cpu":
        loaded.threads = cores.threads(loaded.model.get_input_embeddings().weight.shape[1])
        use_threads(loaded.threads)
    if not loaded.own:
        with torch.inference_mode():
            probe(loaded)
    return loaded


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Put off looking for garbage, of which imports leave little: a sixth of the time to load a small model."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _load_from(folder: Path, spec: ModelSpec, place: Placement) -> Loaded:
    import torch

    try:
        with asking_no_hub():
            from transformers import AutoModelForCausalLM

            tokenizer = _tokenizer_from(folder)
            model = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=getattr(torch, place.dtype), use_safetensors=True, **_FROM_DISK
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unloadable(folder, spec, error) from error
    return loaded_of(model.to(place.device).eval(), tokenizer, place)


def own(folder: Path, place: Placement) -> Loaded | None:
    """Load a base into a model of our own with a tokenizer of our own; None where it takes transformers."""
    from harness_models.hf.llama import Llama, reads
    from harness_models.hf.plain_tokenizer import tokenizer_of

    if place.device != "cpu":
        return None
    config, tokenizer = reads(folder), tokenizer_of(folder)
    if config is None or tokenizer is None:
        return None
    import torch

    try:
        model = Llama(config, folder, getattr(torch, place.dtype))
    except (KeyError, ValueError):
        return None  # transformers knows more names, and says what is wrong
    listed = _generation_ends(folder, config.eos_token_id)
    return Loaded(
        model=model, tokenizer=tokenizer, place=place, window=_window(config, tokenizer),
        end_ids=frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None),
        start_id=_start_id(tokenizer), vocabulary=config.vocab_size if len(tokenizer) > config.vocab_size else None,
        own=True,
    )  # fmt: skip


def _generation_ends(folder: Path, otherwise: Any) -> list[int | None]:  # noqa: ANN401 - a number, a list or None
    """Return the tokens that end a text as `generation_config.json` says, else the configuration."""
    file = folder / "generation_config.json"
    found = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else otherwise
    return found if isinstance(found, list) else [found]


def loaded_of(model: Any, tokenizer: Any, place: Placement) -> Loaded:  # noqa: ANN401 - transformers is not typed
    """Return what is known of a model that is in memory; what it may do is found out by `probe`."""
    takes = inspect.signature(model.forward).parameters
    known = int(model.get_input_embeddings().weight.shape[0])
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        place=place,
        window=_window(model.config, tokenizer),
        end_ids=_end_ids(model, tokenizer),
        start_id=_start_id(tokenizer),
        cache_name="cache_params" if "cache_params" in takes else "past_key_values",
        vocabulary=known if len(tokenizer) > known else None,
    )


def _tokenizer_from(folder: Path) -> Any:  # noqa: ANN401 - a transformers tokenizer
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), **_FROM_DISK)


def load_tokenizer(spec: ModelSpec, context: RunContext) -> tuple[Any, int, int | None]:
    """Return a base's tokenizer, its window in tokens, and the token that may stand before a text; loads no weights.

    Raises:
        InputError: when the weights are absent, or there is no tokenizer with them.
    """
    folder = materialise(spec, context)
    _quieten()
    try:
        with asking_no_hub():
            from transformers import AutoConfig

            tokenizer = _tokenizer_from(folder)
            config = AutoConfig.from_pretrained(str(folder), **_FROM_DISK)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unloadable(folder, spec, error) from error
    return tokenizer, _window(config, tokenizer), _start_id(tokenizer)


def _unloadable(folder: Path, spec: ModelSpec, error: Exception) -> InputError:
    return InputError(
        f"the model {spec.reference} cannot be loaded ({_first_line(error)})",
        file=folder,
        hint="check that the folder holds a causal language model with its tokenizer",
    )


def _start_id(tokenizer: Any) -> int | None:  # noqa: ANN401
    start: int | None = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return start


def _window(config: Any, tokenizer: Any) -> int:  # noqa: ANN401
    for value in (getattr(config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length):
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
