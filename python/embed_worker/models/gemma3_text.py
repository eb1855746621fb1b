"""Gemma 3 encoders that embed: EmbeddingGemma, attending both ways, mostly within a window. Vera et al. 2025."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from embed_worker.config_values import (
    LAYERS_MAX,
    SIZE_MAX,
    fraction,
    full_layers,
    only,
    pad_token,
    positive,
    rope_theta,
    shared_head_sizes,
    whole_number,
)
from embed_worker.errors import BadModel
from embed_worker.models.family import Fallback
from embed_worker.ops.attention import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from embed_worker.ops import Ops
    from embed_worker.ops.attention import Attention, Block
    from embed_worker.ops.quantised import Weight

# Its card says that float16 overflows.
HALF_IS_SAFE = False
TAKES_QUANTISED = True

# The head that generates, and the dense layers that a conversion keeps here (see dense.py).
_UNUSED = ("lm_head.", "dense.")


@dataclass(frozen=True)
class Gemma3Config:
    """Sizes of one model."""

    dimensions: int
    full_layers: tuple[bool, ...]
    """For each layer, whether it attends to all tokens rather than to a window."""
    window: int
    """Places that a token sees in such a layer, either way."""
    heads: int
    shared_heads: int
    """Heads of key and value; each serves heads / shared_heads of the query."""
    head: int
    scale: float
    inner_dimensions: int
    vocabulary_rows: int
    tokens_max: int
    norm_eps: float
    full_theta: float
    window_theta: float
    pad_id: int


def read_config(config: Mapping[str, Any]) -> Gemma3Config:
    """Sizes from config.json. Raises BadModel on one that is missing, absurd, or of another architecture."""
    if config.get("use_bidirectional_attention") is not True:
        raise BadModel("config: a gemma3_text without use_bidirectional_attention generates; it does not embed")
    only(config, "hidden_activation", "gelu_pytorch_tanh")
    only(config, "attention_bias", value=False)
    only(config, "attn_logit_softcapping", value=None)
    heads, shared_heads, head = shared_head_sizes(config)
    pattern = "_sliding_window_pattern" if "_sliding_window_pattern" in config else "sliding_window_pattern"
    every = whole_number({pattern: 6, **config}, pattern, LAYERS_MAX)
    layers = whole_number(config, "num_hidden_layers", LAYERS_MAX)
    vocabulary_rows = whole_number(config, "vocab_size", SIZE_MAX)
    return Gemma3Config(
        dimensions=whole_number(config, "hidden_size", SIZE_MAX),
        full_layers=full_layers(config, layers, lambda index: (index + 1) % every == 0),
        # The file counts both ways together.
        window=whole_number(config, "sliding_window", 1_000_000) // 2,
        heads=heads,
        shared_heads=shared_heads,
        head=head,
        scale=positive(config, "query_pre_attn_scalar") ** -0.5,
        inner_dimensions=whole_number(config, "intermediate_size", SIZE_MAX),
        vocabulary_rows=vocabulary_rows,
        tokens_max=whole_number(config, "max_position_embeddings", 1_000_000),
        norm_eps=fraction(config, "rms_norm_eps", 1e-6),
        full_theta=rope_theta(config, "rope_theta", 1_000_000.0, "full_attention"),
        window_theta=rope_theta(config, "rope_local_base_freq", 10_000.0, "sliding_attention"),
        pad_id=pad_token(config, 0, vocabulary_rows),
    )


def fallback(settings: Mapping[str, Any]) -> Fallback:  # noqa: ARG001 - nothing in config.json says more
    """What to do where files are missing: as EmbeddingGemma does."""
    return Fallback(
        pooling="mean",
        prompts={"query": "task: search result | query: ", "document": "title: none | text: "},
        dense_layers=2,
    )


def weight_name(stored: str) -> str | None:
    """Our name of a tensor in a checkpoint; None for one that is not needed."""
    name = stored.removeprefix("model.")
    return None if name.startswith(_UNUSED) else name


def weight_shapes(config: Gemma3Config) -> dict[str, tuple[int, ...]]:
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
        "pre_feedforward_layernorm": (dim,),
        "mlp.gate_proj": (inner, dim),
        "mlp.up_proj": (inner, dim),
        "mlp.down_proj": (dim, inner),
        "post_feedforward_layernorm": (dim,),
    }
    for index in range(len(config.full_layers)):
        shapes |= {f"layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


@dataclass(frozen=True, eq=False)
class _Kind:
    """What layers of one reach have in common."""

    config: Gemma3Config
    ops: Ops
    rotary: Callable[[mx.array], mx.array]
    attention: Attention


class Gemma3:
    """A Gemma 3 encoder with its weights."""

    def __init__(self, config: Gemma3Config, weights: Mapping[str, Weight], ops: Ops) -> None:
        def kind(theta: float, reach: Reach) -> _Kind:
            attention = ops.attention(config.heads, config.scale, reach)
            return _Kind(config, ops, ops.rotary(theta, config.head), attention)

        full, windowed = kind(config.full_theta, Reach()), kind(config.window_theta, Reach(window=config.window))
        self._words = ops.table(weights["embed_tokens.weight"])
        self._layers = [
            _Layer(full if is_full else windowed, weights, f"layers.{index}.")
            for index, is_full in enumerate(config.full_layers)
        ]
        self._kinds = (full, windowed)
        self._norm = _norm_weight(weights["norm.weight"])
        self._eps = config.norm_eps
        self._embedding_scale = math.sqrt(config.dimensions)

    def __call__(self, ids: mx.array, inside: mx.array | None) -> mx.array:
        """Hidden states of the last layer: int32 (batch, tokens), bool (batch, tokens) → (batch, tokens, dim)."""
        blocks = {kind: kind.attention.plan(*ids.shape, inside) for kind in self._kinds}
        hidden = self._words(ids) * self._embedding_scale
        for layer in self._layers:
            hidden = layer(hidden, blocks[layer.kind])
        return mx.fast.rms_norm(hidden, self._norm, self._eps)


class _Layer:
    """Attention and a gated feed-forward; both normalised before and after, and added to what went in."""

    def __init__(self, kind: _Kind, weights: Mapping[str, Weight], prefix: str) -> None:
        def linear(name: str) -> Callable[[mx.array], mx.array]:
            return kind.ops.linear(weights[f"{prefix}{name}_proj.weight"])

        def norm(name: str) -> mx.array:
            return _norm_weight(weights[f"{prefix}{name}norm.weight"])

        self.kind = kind
        self._query, self._key, self._value = (linear(f"self_attn.{name}") for name in "qkv")
        self._query_norm, self._key_norm = norm("self_attn.q_"), norm("self_attn.k_")
        self._out = linear("self_attn.o")
        self._gate, self._up, self._down = linear("mlp.gate"), linear("mlp.up"), linear("mlp.down")
        self._before_attention, self._after_attention = norm("input_layer"), norm("post_attention_layer")
        self._before_feed, self._after_feed = norm("pre_feedforward_layer"), norm("post_feedforward_layer")

    def __call__(self, hidden: mx.array, blocks: Sequence[Block]) -> mx.array:
        """Run the layer: (batch, tokens, dim) → the same."""
        attended = self._attend(self._norm(hidden, self._before_attention), blocks)
        hidden = hidden + self._norm(attended, self._after_attention)
        x = self._norm(hidden, self._before_feed)
        fed = self._down(self.kind.ops.gelu_tanh(self._gate(x)) * self._up(x))
        return hidden + self._norm(fed, self._after_feed)

    def _attend(self, x: mx.array, blocks: Sequence[Block]) -> mx.array:
        batch, tokens, _ = x.shape

        def heads(product: mx.array) -> mx.array:
            return product.reshape(batch, tokens, -1, self.kind.config.head)

        query = self._norm(heads(self._query(x)), self._query_norm)
        key = self._norm(heads(self._key(x)), self._key_norm)
        query, key, value = (part.transpose(0, 2, 1, 3) for part in (query, key, heads(self._value(x))))
        attended = self.kind.attention(self.kind.rotary(query), self.kind.rotary(key), value, blocks)
        return self._out(attended.transpose(0, 2, 1, 3).reshape(batch, tokens, -1))

    def _norm(self, x: mx.array, weight: mx.array) -> mx.array:
        return mx.fast.rms_norm(x, weight, self.kind.config.norm_eps)


def build(config: Gemma3Config, weights: Mapping[str, Weight], ops: Ops) -> Gemma3:
    """Make the model of these weights for a device."""
    return Gemma3(config, weights, ops)


def _norm_weight(stored: mx.array) -> mx.array:
    """Gemma stores the weights of its norms less 1."""
    return 1 + stored
