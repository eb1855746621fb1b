"""BERT encoders: MiniLM, BGE, and the first E5 and GTE. Devlin et al. 2018."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from embed_worker.config_values import LAYERS_MAX, SIZE_MAX, fraction, only, pad_token, whole_number
from embed_worker.errors import BadModel
from embed_worker.models.family import Fallback
from embed_worker.ops import EncoderLayer, LayerNorm, Linear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embed_worker.ops import Ops

# Activations stay far below 65,504: float16 was off by 4.8e-4 at most over 60 texts.
HALF_IS_SAFE = True
TAKES_QUANTISED = False

# What a vector does not need: a buffer of position numbers, and heads for other purposes.
_UNUSED = ("embeddings.position_ids", "pooler.", "cls.")


@dataclass(frozen=True)
class BertConfig:
    """Sizes of one model."""

    dimensions: int
    layers: int
    heads: int
    inner_dimensions: int
    vocabulary_rows: int
    positions: int
    token_types: int
    norm_eps: float
    pad_id: int
    first_position: int = 0
    """Row of the position table for the first token."""

    @property
    def tokens_max(self) -> int:
        """Longest text that the position table can hold."""
        return self.positions - self.first_position


def read_config(config: Mapping[str, Any]) -> BertConfig:
    """Sizes from config.json. Raises BadModel on one that is missing, absurd, or of another architecture."""
    only(config, "hidden_act", "gelu")
    only(config, "position_embedding_type", "absolute")
    dimensions, heads = whole_number(config, "hidden_size", SIZE_MAX), whole_number(config, "num_attention_heads", 256)
    if dimensions % heads:
        raise BadModel(f"config: hidden_size {dimensions} is no multiple of num_attention_heads {heads}")
    vocabulary_rows = whole_number(config, "vocab_size", SIZE_MAX)
    return BertConfig(
        dimensions=dimensions,
        layers=whole_number(config, "num_hidden_layers", LAYERS_MAX),
        heads=heads,
        inner_dimensions=whole_number(config, "intermediate_size", SIZE_MAX),
        vocabulary_rows=vocabulary_rows,
        positions=whole_number(config, "max_position_embeddings", 1_000_000),
        token_types=whole_number(config, "type_vocab_size", 1_000),
        norm_eps=fraction(config, "layer_norm_eps", 1e-12),
        pad_id=pad_token(config, 0, vocabulary_rows),
    )


def fallback(settings: Mapping[str, Any]) -> Fallback:  # noqa: ARG001 - nothing in config.json says more
    """What to do where files are missing: most of the family averages."""
    return Fallback(pooling="mean")


def weight_name(stored: str) -> str | None:
    """Our name of a tensor in a checkpoint; None for one that is not needed."""
    name = stored.removeprefix("bert.")
    return None if name.startswith(_UNUSED) else name


def weight_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that a checkpoint must hold, with its shape."""
    dim, inner = config.dimensions, config.inner_dimensions
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocabulary_rows, dim),
        "embeddings.position_embeddings.weight": (config.positions, dim),
        "embeddings.token_type_embeddings.weight": (config.token_types, dim),
        "embeddings.LayerNorm.weight": (dim,),
        "embeddings.LayerNorm.bias": (dim,),
    }
    linears = {
        "attention.self.query": (dim, dim),
        "attention.self.key": (dim, dim),
        "attention.self.value": (dim, dim),
        "attention.output.dense": (dim, dim),
        "intermediate.dense": (inner, dim),
        "output.dense": (dim, inner),
    }
    for index in range(config.layers):
        for name, shape in linears.items():
            shapes[f"encoder.layer.{index}.{name}.weight"] = shape
            shapes[f"encoder.layer.{index}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{index}.{name}.weight"] = (dim,)
            shapes[f"encoder.layer.{index}.{name}.bias"] = (dim,)
    return shapes


class Bert:
    """A BERT encoder with its weights."""

    def __init__(self, config: BertConfig, weights: Mapping[str, mx.array], ops: Ops) -> None:
        self._words = weights["embeddings.word_embeddings.weight"]
        # Every token of a single text has type 0, so its row belongs to the positions.
        types = weights["embeddings.token_type_embeddings.weight"]
        self._positions = weights["embeddings.position_embeddings.weight"] + types[0]
        self._norm = LayerNorm(weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"])
        self._eps = config.norm_eps
        layers = [_layer(weights, f"encoder.layer.{index}.") for index in range(config.layers)]
        self._encoder = ops.encoder(layers, config.heads, config.norm_eps)
        self.pass_cost = self._encoder.pass_cost
        mx.eval(self._words, self._positions)

    def __call__(self, ids: mx.array, inside: mx.array | None) -> mx.array:
        """Hidden states of the last layer: int32 (batch, tokens), bool (batch, tokens) → (batch, tokens, dim)."""
        embedded = self._words[ids] + self._places(ids)
        normed = mx.fast.layer_norm(embedded, self._norm.weight, self._norm.bias, self._eps)
        return self._encoder(normed, inside)

    def _places(self, ids: mx.array) -> mx.array:
        """What is added for the place of each token: int32 (batch, tokens) → broadcast to (batch, tokens, dim)."""
        return self._positions[: ids.shape[1]]


def build(config: BertConfig, weights: Mapping[str, mx.array], ops: Ops) -> Bert:
    """Make the model of these weights for a device."""
    return Bert(config, weights, ops)


def _layer(weights: Mapping[str, mx.array], prefix: str) -> EncoderLayer:
    def linear(name: str) -> Linear:
        return Linear(weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"])

    def norm(name: str) -> LayerNorm:
        return LayerNorm(weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"])

    return EncoderLayer(
        query=linear("attention.self.query"),
        key=linear("attention.self.key"),
        value=linear("attention.self.value"),
        attention_out=linear("attention.output.dense"),
        attention_norm=norm("attention.output.LayerNorm"),
        up=linear("intermediate.dense"),
        down=linear("output.dense"),
        output_norm=norm("output.LayerNorm"),
    )
