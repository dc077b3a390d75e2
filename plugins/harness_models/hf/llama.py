"""The Llama architecture in plain torch, for bases on a CPU: nothing but torch is imported for it.

It computes what transformers' `LlamaForCausalLM` computes, with fewer passes over memory: one product for queries, keys
and values, one for the two halves of the feed-forward layer, few passes for norms and rotations, and attention that
takes grouped heads as they are. `tests/models/test_llama.py` compares the two. Whatever a configuration says beyond
that is left to transformers, see `reads`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from harness_models.hf.apart import attend
from harness_models.hf.tensors import Tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness_models.hf.caches import Layers
    from harness_models.hf.layout import Mask, States

_ARCHITECTURE = "LlamaForCausalLM"
_NEEDED = (
    "hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
    "rms_norm_eps", "vocab_size",
)  # fmt: skip

Added = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What an adapter adds to a product, in place: takes what was multiplied and the product, returns the product."""
_BETWEEN = (
    "self_attn", "mlp", "mlp.act_fn", "input_layernorm", "post_attention_layernorm",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where a linear layer that adapters know by its name is computed: as some rows of a product."""

    layer: int
    product: str
    """The attribute of the layer."""
    outputs: int
    """Rows of the product's weight."""
    first: int
    """Of these rows."""
    rows: int
    inputs: int


def reads(folder: Path) -> SimpleNamespace | None:
    """Return the configuration of a base in a folder; None where it asks for what only transformers computes."""
    try:
        given = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    rope = given.get("rope_parameters") or {"rope_theta": given.get("rope_theta"), **(given.get("rope_scaling") or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    plain = (
        given.get("architectures") == [_ARCHITECTURE]
        and given.get("model_type") == "llama"
        and given.get("hidden_act", "silu") == "silu"
        and kind == "default"
        and set(rope) <= {"rope_type", "type", "rope_theta"}
        and isinstance(rope.get("rope_theta"), int | float)
        and given.get("pretraining_tp", 1) == 1
        and not {"quantization_config", "auto_map", "sliding_window", "layer_types"} & given.keys()
        and all(isinstance(given.get(name), int | float) for name in _NEEDED)
    )
    if not plain:
        return None
    heads = given["num_attention_heads"]
    config = SimpleNamespace(
        **{name: given[name] for name in _NEEDED},
        num_key_value_heads=given.get("num_key_value_heads") or heads,
        head_dim=given.get("head_dim") or given["hidden_size"] // heads,
        attention_bias=bool(given.get("attention_bias")),
        mlp_bias=bool(given.get("mlp_bias")),
        tie_word_embeddings=bool(given.get("tie_word_embeddings", False)),
        rope_theta=float(rope["rope_theta"]),
        eos_token_id=given.get("eos_token_id"),
        _attn_implementation="sdpa",
    )
    config.get_text_config = lambda: config
    return config


class Llama(nn.Module):
    """A decoder of the Llama architecture with its head, in inference only.

    Args:
        config: what `reads` returned.
        folder: with the weights, as safetensors.
        dtype: of all weights.

    Raises:
        KeyError: where a tensor is absent.
        ValueError: where one has another shape.
    """

    def __init__(self, config: SimpleNamespace, folder: Path, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = config
        self.dtype = dtype
        self.device = torch.device("cpu")
        width, size = config.hidden_size, config.head_dim
        tensors = Tensors(folder, dtype)
        self.embed_tokens = _Embeddings(tensors.one("model.embed_tokens.weight", (config.vocab_size, width)))
        layers = [_Layer(config, tensors, index) for index in range(config.num_hidden_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = _Norm(tensors.one("model.norm.weight", (width,)), config.rms_norm_eps)
        tied = config.tie_word_embeddings or "lm_head.weight" not in tensors
        head = self.embed_tokens.weight if tied else tensors.one("lm_head.weight", (config.vocab_size, width))
        self.lm_head = _linear(head)
        frequencies = 1.0 / (config.rope_theta ** (torch.arange(0, size, 2, dtype=torch.float) / size))
        self.frequencies = nn.Buffer(frequencies, persistent=False)
        self.parts: dict[str, Part] = {name: part for layer in layers for name, part in layer.parts.items()}
        """By the name that the linear layer has in transformers."""
        places = [f"model.layers.{index}" for index in range(len(self.layers))]
        inner = [f"{place}.{name}" for place in places for name in _BETWEEN]
        self.others = (
            "lm_head", "model", "model.embed_tokens", "model.norm", "model.rotary_emb", "model.layers", *places, *inner,
        )  # fmt: skip
        """The names of all other modules there, beside which no pair can stand here."""
        self.requires_grad_(requires_grad=False)
        self.eval()

    def forward(
        self,
        ids: torch.Tensor,
        mask: Mask | None = None,
        positions: torch.Tensor | None = None,
        cache: Layers | None = None,
        at: States | None = None,
    ) -> torch.Tensor:
        """Run the body: ids (B, L) to hidden states behind the head's norm, (B, L, H) or the (N, H) asked for.

        Args:
            ids: tokens.
            mask: additive, (B or 1, 1, L, P + L), or (B or 1, 1, L, L) behind a prefix that is attended to apart; None
                is causal attention behind what the cache holds.
            positions: (B or 1, L); None continues what the cache holds.
            cache: with `update(keys, values, layer)` and `get_seq_length()`, or None.
            at: which states are needed; the last layer is computed for these alone, but for keys and values.
        """
        before = 0 if cache is None else cache.get_seq_length()
        if positions is None:
            positions = torch.arange(before, before + ids.shape[1])[None]
        angles = positions[..., None].float() * self.frequencies
        cos, sin = (part.to(self.dtype)[:, :, None] for part in (angles.cos(), angles.sin()))
        turn = (torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1))
        if mask is None and before and ids.shape[1] > 1 and not (cache is not None and cache.apart):
            mask = torch.ones(ids.shape[1], before + ids.shape[1], dtype=torch.bool).tril(before)
            mask = torch.zeros(mask.shape, dtype=self.dtype).masked_fill_(~mask, torch.finfo(self.dtype).min)
        hidden: torch.Tensor = self.embed_tokens(ids)
        for layer in self.layers:
            hidden = layer(hidden, turn, mask, cache, at if layer is self.layers[-1] else None)
        result: torch.Tensor = self.norm(hidden)
        return result if at is None else result[:, 0]

    def add(self, added: Sequence[Mapping[str, Added]] | None) -> None:
        """Let these be added to the products of each layer, by its attribute, until another call; None adds nothing."""
        for index, layer in enumerate(self.layers):
            vars(layer)["added"] = {} if added is None else added[index]

    def get_input_embeddings(self) -> _Embeddings:
        """Return the embeddings, as transformers calls it."""
        return self.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        """Return the head, as transformers calls it."""
        return self.lm_head


class _Norm(nn.Module):
    def __init__(self, weight: torch.Tensor, least: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.least = least

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if hidden.dtype in {torch.float32, torch.float64}:  # torch's own rms_norm takes five passes over memory
            length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
            scale = length.square_().div_(hidden.shape[-1]).add_(self.least).rsqrt_()
            return torch.mul(hidden, self.weight).mul_(scale)
        wide = hidden.float()  # in the order in which transformers rounds
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.least)
        return self.weight * wide.to(hidden.dtype)


class _Layer(nn.Module):
    def __init__(self, config: SimpleNamespace, tensors: Tensors, index: int) -> None:
        super().__init__()
        self.index = index
        self.heads, self.key_heads, self.size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        width, wide, least = config.hidden_size, config.intermediate_size, config.rms_norm_eps
        inner, outer = self.heads * self.size, self.key_heads * self.size
        place = f"model.layers.{index}"

        self.parts: dict[str, Part] = {}
        self.added: Mapping[str, Added] = {}

        def linear(product: str, names: dict[str, int], inputs: int, bias: bool) -> nn.Linear:
            first = 0
            for name, rows in names.items():
                self.parts[f"{place}.{name}"] = Part(
                    layer=index, product=product, outputs=sum(names.values()), first=first, rows=rows, inputs=inputs
                )
                first += rows
            weight = tensors.joined([(f"{place}.{name}.weight", (rows, inputs)) for name, rows in names.items()])
            added = [(f"{place}.{name}.bias", (rows,)) for name, rows in names.items()] if bias else []
            return _linear(weight, tensors.joined(added) if added else None)

        attention, feed = "self_attn", "mlp"
        halves = {f"{attention}.q_proj": inner, f"{attention}.k_proj": outer, f"{attention}.v_proj": outer}
        self.attended = linear("attended", halves, width, config.attention_bias)
        self.joined = linear("joined", {f"{attention}.o_proj": width}, inner, config.attention_bias)
        both = {f"{feed}.gate_proj": wide, f"{feed}.up_proj": wide}
        self.widened = linear("widened", both, width, config.mlp_bias)
        self.narrowed = linear("narrowed", {f"{feed}.down_proj": width}, wide, config.mlp_bias)
        self.before = _Norm(tensors.one(f"{place}.input_layernorm.weight", (width,)), least)
        self.between = _Norm(tensors.one(f"{place}.post_attention_layernorm.weight", (width,)), least)

    def forward(
        self,
        hidden: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        mask: Mask | None,
        cache: Layers | None,
        at: States | None = None,
    ) -> torch.Tensor:
        """Return the states behind the layer, (B, L, H), or (N, 1, H) of those asked for."""
        rows, length, _ = hidden.shape
        states = self._product("attended", self.before(hidden)).view(rows, length, -1, self.size)
        both = _turned(states[:, :, : self.heads + self.key_heads], *turn)
        query = both[:, :, : self.heads].transpose(1, 2)
        keys = both[:, :, self.heads :].transpose(1, 2)
        values = states[:, :, self.heads + self.key_heads :].transpose(1, 2)
        if cache is not None:
            keys, values = cache.update(keys, values, self.index)
        found = _attend(query, keys, values, mask).transpose(1, 2)
        if at is not None:
            found, hidden = found[at][:, None], hidden[at][:, None]
        hidden = self._product("joined", found.flatten(2)).add_(hidden)
        gate, up = self._product("widened", self.between(hidden)).chunk(2, dim=-1)
        # In place: what is new is as large as the widest state, and its pages cost more than the numbers in them.
        return self._product("narrowed", functional.silu(gate, inplace=True).mul_(up)).add_(hidden)

    def _product(self, name: str, given: torch.Tensor) -> torch.Tensor:
        """Multiply by the weights of an attribute, and add what active adapters add."""
        result: torch.Tensor = getattr(self, name)(given)
        added = self.added.get(name)
        return result if added is None else added(given, result)


def _turned(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate (B, L, heads, D) by angles (B or 1, L, 1, D), the sines of the first half negative."""
    half = states.shape[-1] // 2
    result = states * cos
    result[..., :half].addcmul_(states[..., half:], sin[..., :half])
    result[..., half:].addcmul_(states[..., :half], sin[..., half:])
    return result


def _attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: Mask | None) -> torch.Tensor:
    """Attend, (B, heads, L, D) over (B, key heads, P + L, D)."""
    assert mask is None or isinstance(mask, torch.Tensor)  # noqa: S101 - all layers look as far
    if hasattr(keys, "before"):
        return attend(query, keys, values, mask, keys.before)
    if not hasattr(keys, "shelves"):
        return functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, is_causal=mask is None and query.shape[2] > 1, enable_gqa=True
        )
    # One new token of each row: the heads of a group stand as if they were tokens.
    rows, heads, _, size = query.shape
    grouped = query.view(rows, keys.shape[1], -1, size)
    result = torch.empty_like(grouped)
    for slots, held, value in keys.shelves:
        seen = None if mask is None else mask[slots, :, :, : held.shape[2]]
        result[slots] = functional.scaled_dot_product_attention(grouped[slots], held, value, attn_mask=seen)
    return result.view(rows, heads, 1, size)


class _Embeddings(nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids, self.weight)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    """Return a linear layer around weights that are there, without making any up first."""
    layer = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(layer)
    layer.out_features, layer.in_features = weight.shape
    layer.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight, requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)  # type: ignore[assignment] # may be
    return layer
