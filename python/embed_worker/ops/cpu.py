"""Encoder layers for a CPU: the arithmetic of ops/metal.py, arranged for what MLX is slow at there.

MLX has no vector code for exp, erf and tanh on x86, and copies every head it multiplies, so GELU and attention would
take 60 % of the time once the matrix products run in a real BLAS. An evaluated MLX array is memory that numpy can write
to without a copy: MLX allocates and multiplies, numpy changes the products in place (in_place.py, self_attention.py).
Figures are of all-MiniLM-L6-v2 on one Zen 5 core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from embed_worker.ops.fold import DOWN_BLOCK, UP_BLOCK, Sizes, prepare
from embed_worker.ops.in_place import (
    GELU_SCALE,
    NumpyElementwise,
    fastest_exponential,
    scaled_gelu,
    views_are_writable,
)
from embed_worker.ops.metal import FusedEncoder, fuse
from embed_worker.ops.plain import PlainOps
from embed_worker.ops.self_attention import Run, SelfAttention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.ops import Encoder, EncoderLayer
    from embed_worker.ops.fold import Blocks, Layer
    from embed_worker.ops.in_place import Elementwise

# Batches up to this many tokens use Blocks; from about 40 ordinary products are as fast.
SMALL_ROWS_MAX = 32
# OpenBLAS multiplies up to this many (rows x columns x depth) without packing its operands first.
UNPACKED_PRODUCT_MAX = 1_000_000

# What a pass costs beside its tokens, in tokens (0.15 ms each): packing the weights once.
PASS_TOKENS = 16


class CpuOps(PlainOps):
    """The CPU, in float32."""

    device = "cpu"
    # Larger passes fall out of the cache: 4,386 tokens/s at 512, 4,199 at 1,024, 2,338 at 4,096.
    micro_batch_tokens = 512

    def __init__(self, compiled: type[Elementwise] | None = None) -> None:
        self._exponential = fastest_exponential() if views_are_writable() else None
        self._compiled = compiled
        self.is_fast = compiled is not None and self._exponential is not None

    def dtype(self, *, half_is_safe: bool) -> mx.Dtype:  # noqa: ARG002 - MLX multiplies float16 at 3-5 GFLOP/s here
        """float32, whatever the family."""
        return mx.float32

    def pass_cost(self, texts: int, longest: int) -> float:
        """Padded tokens, and packing the weights once."""
        return PASS_TOKENS + texts * longest

    def encoder(self, layers: Sequence[EncoderLayer], heads: int, eps: float) -> Encoder:
        """Make layers ready: transposed, norms folded in, and cut into blocks for small batches."""
        if self._exponential is None:
            return FusedEncoder([fuse(layer) for layer in layers], heads, eps)
        dim = layers[0].down.weight.shape[0]
        make = self._compiled or NumpyElementwise
        return CpuEncoder(layers, heads, make(dim, eps, self._exponential))

    def gelu(self, x: mx.array) -> mx.array:
        """Exact GELU, any shape."""
        return scaled_gelu(x * GELU_SCALE) * (0.5 / GELU_SCALE)


@dataclass(frozen=True)
class _Packing:
    """Where the tokens of a pass stand: layers run on the real ones alone, one text after the other.

    Moving 512 tokens in and out of the padded form takes 0.08 ms of the 13 ms of a layer.
    """

    runs: Sequence[Run]
    real: mx.array | None
    """int32 (rows,): place of each real token among batch x tokens places; None when no text is padded"""
    spread: mx.array | None
    """int32 (batch x tokens,): row of the token of each place; of the text's last one where only padding is"""


class CpuEncoder:
    """Layers by MLX's products and, between them, numpy's or other elementwise work."""

    def __init__(self, layers: Sequence[EncoderLayer], heads: int, elementwise: Elementwise) -> None:
        dim, inner = layers[0].down.weight.shape
        self._heads, self._head = heads, dim // heads
        self._elementwise = elementwise
        self._attention = SelfAttention(elementwise)
        self._small_rows_max = _small_rows_max(dim, inner, self._head)
        self._down_columns_rows_max = UNPACKED_PRODUCT_MAX // (inner * DOWN_BLOCK)
        sizes = Sizes(heads, self._head, self._small_rows_max > 0, elementwise.log_e)
        norms = [None, *(layer.output_norm for layer in layers[:-1])]
        self._layers = [prepare(layer, norm, sizes) for layer, norm in zip(layers, norms, strict=True)]
        self._last_norm = layers[-1].output_norm

    def pass_cost(self, texts: int, longest: int) -> float:  # noqa: ARG002 - what stands beside a text is not padded
        """One packing of the weights: padding costs nothing, since it is left out of everything."""
        return PASS_TOKENS

    def __call__(self, hidden: mx.array, inside: mx.array | None) -> mx.array:
        """Run all layers: (batch, tokens, dim) → (batch, tokens, dim), float32."""
        batch, tokens, dim = hidden.shape
        packing = _pack(batch, tokens, inside)
        n = _pick(hidden.reshape(-1, dim), packing.real)
        for layer in self._layers:
            if layer.blocks and n.shape[0] <= self._small_rows_max:
                attended = self._attend_small(n, layer.blocks, packing)
                n = self._elementwise.standardise(attended, n, layer.attention_residual)
                n = self._elementwise.standardise(self._feed_small(n, layer.blocks), n, layer.feed_residual)
            else:
                attended = self._attend(n, layer, packing)
                n = self._elementwise.standardise(attended, n, layer.attention_residual)
                n = self._elementwise.standardise(self._feed(n, layer), n, layer.feed_residual)
        last = n * self._last_norm.weight + self._last_norm.bias
        return _pick(last, packing.spread).reshape(hidden.shape)

    def _attend(self, n: mx.array, layer: Layer, packing: _Packing) -> mx.array:
        """Attention(x) without its biases, of any number of rows: (rows, dim) → (rows, dim)."""
        query, key_value = mx.addmm(layer.query.bias, n, layer.query.weight), n @ layer.key_value
        mx.eval(query, key_value)
        heads = np.asarray(query).reshape(-1, self._heads, self._head).transpose(1, 0, 2)
        shared = np.asarray(key_value).reshape(-1, 2, self._heads, self._head).transpose(1, 2, 0, 3)
        self._attention.in_place(heads, shared[0], shared[1], packing.runs)
        return query @ layer.attention_out

    def _feed(self, n: mx.array, layer: Layer) -> mx.array:
        """Feed_forward(x) without its last bias, of any number of rows: (rows, dim) → (rows, dim)."""
        return self._elementwise.gelu((n @ layer.up.weight)[None], layer.up.bias[None, None])[0] @ layer.down

    def _attend_small(self, n: mx.array, blocks: Blocks, packing: _Packing) -> mx.array:
        """Do the same as _attend for few rows: one product per head."""
        product = mx.addmm(blocks.query_key_value.bias, n[None], blocks.query_key_value.weight)
        mx.eval(product)
        query, key, value = np.split(np.asarray(product), 3)
        self._attention.in_place(query, key, value, packing.runs)
        return mx.sum(product[: self._heads] @ blocks.attention_out, axis=0)

    def _feed_small(self, n: mx.array, blocks: Blocks) -> mx.array:
        """Do the same as _feed for few rows."""
        inner = self._elementwise.gelu(n[None] @ blocks.up.weight, blocks.up.bias)
        if n.shape[0] <= self._down_columns_rows_max:
            product = inner.transpose(1, 0, 2).reshape(1, n.shape[0], -1) @ blocks.down_columns
            return product.transpose(1, 0, 2).reshape(n.shape)
        return mx.sum(inner @ blocks.down_rows, axis=0)


def _pack(batch: int, tokens: int, inside: mx.array | None) -> _Packing:
    if inside is None:
        return _Packing([Run(0, batch, tokens)], None, None)
    is_real = np.array(inside)
    runs: list[Run] = []
    row = 0
    for length in is_real.sum(axis=1).tolist():
        if runs and runs[-1].tokens == length:
            runs[-1] = Run(runs[-1].start, runs[-1].texts + 1, length)
        else:
            runs.append(Run(row, 1, length))
        row += length
    real = np.flatnonzero(is_real).astype(np.int32)
    spread = np.cumsum(is_real, dtype=np.int32) - 1
    return _Packing(runs, mx.array(real), mx.array(spread))


def _pick(x: mx.array, places: mx.array | None) -> mx.array:
    return x if places is None else mx.take(x, places, axis=0)


def _small_rows_max(dim: int, inner: int, head: int) -> int:
    """Rows up to which blocks need no packing; 0 where the sizes cannot be cut into blocks."""
    if dim % DOWN_BLOCK or inner % UP_BLOCK:
        return 0
    return min(SMALL_ROWS_MAX, UNPACKED_PRODUCT_MAX // (dim * max(head, UP_BLOCK)))
