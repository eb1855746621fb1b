"""Qwen3 decoders that embed: Qwen3-Embedding 0.6B to 8B, full or quantised. Zhang et al. 2025."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from embed_worker.config_values import (
    LAYERS_MAX,
    SIZE_MAX,
    fraction,
    only,
    pad_token,
    rope_theta,
    shared_head_sizes,
    whole_number,
)
from embed_worker.models.family import Fallback
from embed_worker.ops.attention import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from embed_worker.ops import Ops
    from embed_worker.ops.attention import Attention, Block
    from embed_worker.ops.quantised import Weight

# Trained in bfloat16; whether activations stay below 65,504 was not measured.
HALF_IS_SAFE = False
TAKES_QUANTISED = True

# The head that generates.
_UNUSED = ("lm_head.",)


@dataclass(frozen=True)
class Qwen3Config:
    """Sizes of one model."""

    dimensions: int
    layers: int
    heads: int
    shared_heads: int
    """Heads of key and value; each serves heads / shared_heads of the query."""
    head: int
    """Numbers of one head; not dimensions / heads."""
    inner_dimensions: int
    vocabulary_rows: int
    tokens_max: int
    norm_eps: float
    theta: float
    pad_id: int


def read_config(config: Mapping[str, Any]) -> Qwen3Config:
    """Sizes from config.json. Raises BadModel on one that is missing, absurd, or of another architecture."""
    only(config, "hidden_act", "silu")
    only(config, "attention_bias", value=False)
    only(config, "use_sliding_window", value=False)
    heads, shared_heads, head = shared_head_sizes(config)
    vocabulary_rows = whole_number(config, "vocab_size", SIZE_MAX)
    return Qwen3Config(
        dimensions=whole_number(config, "hidden_size", SIZE_MAX),
        layers=whole_number(config, "num_hidden_layers", LAYERS_MAX),
        heads=heads,
        shared_heads=shared_heads,
        head=head,
        inner_dimensions=whole_number(config, "intermediate_size", SIZE_MAX),
        vocabulary_rows=vocabulary_rows,
        tokens_max=whole_number(config, "max_position_embeddings", 1_000_000),
        norm_eps=fraction(config, "rms_norm_eps", 1e-6),
        theta=rope_theta(config, "rope_theta", 10_000.0),
        pad_id=pad_token(config, 0, vocabulary_rows),
    )


def fallback(settings: Mapping[str, Any]) -> Fallback:  # noqa: ARG001 - nothing in config.json says more
    """What to do where files are missing: as the Qwen3-Embedding models do."""
    task = "Given a web search query, retrieve relevant passages that answer the query"
    return Fallback(
        pooling="last_token",
        prompts={"query": f"Instruct: {task}\nQuery:", "document": ""},
        ending="<|endoftext|>",
    )


def weight_name(stored: str) -> str | None:
    """Our name of a tensor in a checkpoint; None for one that is not needed."""
    name = stored.removeprefix("model.")
    return None if name.startswith(_UNUSED) else name


def weight_shapes(config: Qwen3Config) -> dict[str, tuple[int, ...]]:
    """Every tensor that a checkpoint must hold, with its shape."""
    dim, inner, head = config.dimensions, config.inner_dimensions, config.head
    shapes: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (config.vocabulary_rows, dim),
        "norm.weight": (dim,),
    }
    layer = {
        "input_layernorm": (dim,),
        "self_attn.q_proj": (config.heads * head, dim),
        "self_attn.k_proj": (config.shared_heads * head, dim),
        "self_attn.v_proj": (config.shared_heads * head, dim),
        "self_attn.q_norm": (head,),
        "self_attn.k_norm": (head,),
        "self_attn.o_proj": (dim, config.heads * head),
        "post_attention_layernorm": (dim,),
        "mlp.gate_proj": (inner, dim),
        "mlp.up_proj": (inner, dim),
        "mlp.down_proj": (dim, inner),
    }
    for index in range(config.layers):
        shapes |= {f"layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


@dataclass(frozen=True)
class _Shared:
    """What all layers have in common."""

    config: Qwen3Config
    ops: Ops
    rotary: Callable[[mx.array], mx.array]
    attention: Attention


class Qwen3:
    """A Qwen3 decoder with its weights."""

    def __init__(self, config: Qwen3Config, weights: Mapping[str, Weight], ops: Ops) -> None:
        rotary = ops.rotary(config.theta, config.head)
        self._attention = ops.attention(config.heads, config.head**-0.5, Reach(causal=True))
        shared = _Shared(config, ops, rotary, self._attention)
        self._words = ops.table(weights["embed_tokens.weight"])
        self._layers = [_Layer(shared, weights, f"layers.{index}.") for index in range(config.layers)]
        self._norm = weights["norm.weight"]
        self._eps = config.norm_eps

    def __call__(self, ids: mx.array, inside: mx.array | None) -> mx.array:
        """Hidden states of the last layer: int32 (batch, tokens), bool (batch, tokens) → (batch, tokens, dim)."""
        blocks = self._attention.plan(*ids.shape, inside)
        hidden = self._words(ids)
        for layer in self._layers:
            hidden = layer(hidden, blocks)
        return mx.fast.rms_norm(hidden, self._norm, self._eps)


class _Layer:
    """Attention and a gated feed-forward, each on normalised input and added to it."""

    def __init__(self, shared: _Shared, weights: Mapping[str, Weight], prefix: str) -> None:
        def linear(name: str) -> Callable[[mx.array], mx.array]:
            return shared.ops.linear(weights[f"{prefix}{name}_proj.weight"])

        def norm(name: str) -> mx.array:
            return weights[f"{prefix}{name}norm.weight"]

        self._shared = shared
        self._query, self._key, self._value = (linear(f"self_attn.{name}") for name in "qkv")
        self._query_norm, self._key_norm = norm("self_attn.q_"), norm("self_attn.k_")
        self._out = linear("self_attn.o")
        self._attention_norm, self._feed_norm = norm("input_layer"), norm("post_attention_layer")
        self._gate, self._up, self._down = linear("mlp.gate"), linear("mlp.up"), linear("mlp.down")

    def __call__(self, hidden: mx.array, blocks: Sequence[Block]) -> mx.array:
        """Run the layer: (batch, tokens, dim) → the same."""
        eps = self._shared.config.norm_eps
        hidden = hidden + self._attend(mx.fast.rms_norm(hidden, self._attention_norm, eps), blocks)
        x = mx.fast.rms_norm(hidden, self._feed_norm, eps)
        return hidden + self._down(self._shared.ops.silu(self._gate(x)) * self._up(x))

    def _attend(self, x: mx.array, blocks: Sequence[Block]) -> mx.array:
        config, rotary = self._shared.config, self._shared.rotary
        batch, tokens, _ = x.shape

        def heads(product: mx.array) -> mx.array:
            return product.reshape(batch, tokens, -1, config.head)

        query = mx.fast.rms_norm(heads(self._query(x)), self._query_norm, config.norm_eps)
        key = mx.fast.rms_norm(heads(self._key(x)), self._key_norm, config.norm_eps)
        query, key, value = (part.transpose(0, 2, 1, 3) for part in (query, key, heads(self._value(x))))
        attended = self._shared.attention(rotary(query), rotary(key), value, blocks)
        return self._out(attended.transpose(0, 2, 1, 3).reshape(batch, tokens, -1))


def build(config: Qwen3Config, weights: Mapping[str, Weight], ops: Ops) -> Qwen3:
    """Make the model of these weights for a device."""
    return Qwen3(config, weights, ops)
