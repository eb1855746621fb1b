"""ModernBERT encoders: GTE and Granite on ModernBERT, attending mostly within a window. Warner et al. 2024."""

from __future__ import annotations

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
    rope_theta,
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

# Whether activations stay below 65,504 was not measured.
HALF_IS_SAFE = False
TAKES_QUANTISED = True

# Heads for other purposes.
_UNUSED = ("head.", "decoder.", "classifier.")


@dataclass(frozen=True)
class ModernBertConfig:
    """Sizes of one model."""

    dimensions: int
    full_layers: tuple[bool, ...]
    """For each layer, whether it attends to all tokens rather than to a window."""
    window: int
    """Places that a token sees in such a layer, either way."""
    heads: int
    inner_dimensions: int
    vocabulary_rows: int
    tokens_max: int
    norm_eps: float
    full_theta: float
    window_theta: float
    pad_id: int

    @property
    def head(self) -> int:
        """Numbers of one head."""
        return self.dimensions // self.heads


def read_config(config: Mapping[str, Any]) -> ModernBertConfig:
    """Sizes from config.json. Raises BadModel on one that is missing, absurd, or of another architecture."""
    only(config, "hidden_activation", "gelu")
    for key in ("attention_bias", "mlp_bias", "norm_bias"):
        only(config, key, value=False)
    dimensions, heads = whole_number(config, "hidden_size", SIZE_MAX), whole_number(config, "num_attention_heads", 256)
    if dimensions % (2 * heads):
        raise BadModel(f"config: hidden_size {dimensions} is no even multiple of num_attention_heads {heads}")
    every = whole_number({"global_attn_every_n_layers": 3, **config}, "global_attn_every_n_layers", LAYERS_MAX)
    layers = whole_number(config, "num_hidden_layers", LAYERS_MAX)
    vocabulary_rows = whole_number(config, "vocab_size", SIZE_MAX)
    return ModernBertConfig(
        dimensions=dimensions,
        full_layers=full_layers(config, layers, lambda index: index % every == 0),
        # The file counts both ways together.
        window=whole_number(config, "local_attention", 1_000_000) // 2,
        heads=heads,
        inner_dimensions=whole_number(config, "intermediate_size", SIZE_MAX),
        vocabulary_rows=vocabulary_rows,
        tokens_max=whole_number(config, "max_position_embeddings", 1_000_000),
        norm_eps=fraction(config, "norm_eps", 1e-5),
        full_theta=rope_theta(config, "global_rope_theta", 160_000.0, "full_attention"),
        window_theta=rope_theta(config, "local_rope_theta", 10_000.0, "sliding_attention"),
        pad_id=pad_token(config, 0, vocabulary_rows),
    )


def fallback(settings: Mapping[str, Any]) -> Fallback:
    """What to do where files are missing: as config.json says of classification."""
    return Fallback(pooling="mean" if settings.get("classifier_pooling") == "mean" else "cls")


def weight_name(stored: str) -> str | None:
    """Our name of a tensor in a checkpoint; None for one that is not needed."""
    name = stored.removeprefix("model.")
    return None if name.startswith(_UNUSED) else name


def weight_shapes(config: ModernBertConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that a checkpoint must hold, with its shape."""
    dim, inner = config.dimensions, config.inner_dimensions
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.tok_embeddings.weight": (config.vocabulary_rows, dim),
        "embeddings.norm.weight": (dim,),
        "final_norm.weight": (dim,),
    }
    layer = {
        "attn.Wqkv": (3 * dim, dim),
        "attn.Wo": (dim, dim),
        "mlp_norm": (dim,),
        "mlp.Wi": (2 * inner, dim),
        "mlp.Wo": (dim, inner),
    }
    for index in range(len(config.full_layers)):
        shapes |= {f"layers.{index}.{name}.weight": shape for name, shape in layer.items()}
        if index > 0:  # the embedding's norm serves the first layer
            shapes[f"layers.{index}.attn_norm.weight"] = (dim,)
    return shapes


@dataclass(frozen=True, eq=False)
class _Kind:
    """What layers of one reach have in common."""

    config: ModernBertConfig
    ops: Ops
    rotary: Callable[[mx.array], mx.array]
    attention: Attention


class ModernBert:
    """A ModernBERT encoder with its weights."""

    def __init__(self, config: ModernBertConfig, weights: Mapping[str, Weight], ops: Ops) -> None:
        def kind(theta: float, reach: Reach) -> _Kind:
            attention = ops.attention(config.heads, config.head**-0.5, reach)
            return _Kind(config, ops, ops.rotary(theta, config.head), attention)

        full, windowed = kind(config.full_theta, Reach()), kind(config.window_theta, Reach(window=config.window))
        self._words = ops.table(weights["embeddings.tok_embeddings.weight"])
        self._layers = [
            _Layer(full if is_full else windowed, weights, f"layers.{index}.")
            for index, is_full in enumerate(config.full_layers)
        ]
        self._kinds = (full, windowed)
        self._word_norm, self._last_norm = weights["embeddings.norm.weight"], weights["final_norm.weight"]
        self._eps = config.norm_eps

    def __call__(self, ids: mx.array, inside: mx.array | None) -> mx.array:
        """Hidden states of the last layer: int32 (batch, tokens), bool (batch, tokens) → (batch, tokens, dim)."""
        blocks = {kind: kind.attention.plan(*ids.shape, inside) for kind in self._kinds}
        hidden = mx.fast.layer_norm(self._words(ids), self._word_norm, None, self._eps)
        for layer in self._layers:
            hidden = layer(hidden, blocks[layer.kind])
        return mx.fast.layer_norm(hidden, self._last_norm, None, self._eps)


class _Layer:
    """Attention and a gated feed-forward, each on normalised input and added to it."""

    def __init__(self, kind: _Kind, weights: Mapping[str, Weight], prefix: str) -> None:
        def linear(name: str) -> Callable[[mx.array], mx.array]:
            return kind.ops.linear(weights[f"{prefix}{name}.weight"])

        self.kind = kind
        self._query_key_value, self._out = linear("attn.Wqkv"), linear("attn.Wo")
        self._gate_up, self._down = linear("mlp.Wi"), linear("mlp.Wo")
        self._attention_norm = weights.get(f"{prefix}attn_norm.weight")
        self._feed_norm = weights[f"{prefix}mlp_norm.weight"]

    def __call__(self, hidden: mx.array, blocks: Sequence[Block]) -> mx.array:
        """Run the layer: (batch, tokens, dim) → the same."""
        x = hidden if self._attention_norm is None else self._norm(hidden, self._attention_norm)
        hidden = hidden + self._attend(x, blocks)
        gate, up = mx.split(self._gate_up(self._norm(hidden, self._feed_norm)), 2, axis=-1)
        return hidden + self._down(self.kind.ops.gelu(gate) * up)

    def _attend(self, x: mx.array, blocks: Sequence[Block]) -> mx.array:
        batch, tokens, dim = x.shape
        heads = self._query_key_value(x).reshape(batch, tokens, 3, -1, self.kind.config.head)
        query, key, value = heads.transpose(2, 0, 3, 1, 4)
        attended = self.kind.attention(self.kind.rotary(query), self.kind.rotary(key), value, blocks)
        return self._out(attended.transpose(0, 2, 1, 3).reshape(batch, tokens, dim))

    def _norm(self, x: mx.array, weight: mx.array) -> mx.array:
        return mx.fast.layer_norm(x, weight, None, self.kind.config.norm_eps)


def build(config: ModernBertConfig, weights: Mapping[str, Weight], ops: Ops) -> ModernBert:
    """Make the model of these weights for a device."""
    return ModernBert(config, weights, ops)
