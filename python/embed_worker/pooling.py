"""From hidden states of tokens to one vector per text, always in float32."""

from __future__ import annotations

from typing import Literal, get_args

import mlx.core as mx

Pooling = Literal["mean", "cls", "last_token"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def pool(hidden: mx.array, lengths: mx.array, pooling: Pooling) -> mx.array:
    """Reduce right-padded tokens to one vector: (batch, tokens, dim) and (batch,) int32 → (batch, dim), float32."""
    if pooling == "cls":
        return hidden[:, 0].astype(mx.float32)
    if pooling == "last_token":
        return hidden[mx.arange(hidden.shape[0]), lengths - 1].astype(mx.float32)
    return mean_pool(hidden, lengths)


def mean_pool(hidden: mx.array, lengths: mx.array) -> mx.array:
    """Average the first `lengths` tokens, special ones counted: (batch, tokens, dim), (batch,) → (batch, dim), float32.

    Sums in float32, since float16 overflows past 65,504. As in Sentence-BERT (Reimers and Gurevych 2019), section 3.
    """
    inside = mx.arange(hidden.shape[1])[None] < lengths[:, None]
    weights = inside.astype(mx.float32) / lengths[:, None].astype(mx.float32)
    return (weights[:, None] @ hidden.astype(mx.float32)).squeeze(1)


def normalise(vectors: mx.array) -> mx.array:
    """Scale each row to length 1: (batch, dim) → (batch, dim), float32; a zero row stays zero."""
    lengths = mx.sqrt(mx.sum(mx.square(vectors), axis=-1, keepdims=True))
    return vectors / mx.maximum(lengths, 1e-12)
