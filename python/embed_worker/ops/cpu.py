"""Encoder layers for a CPU: the arithmetic of ops/metal.py, arranged for what MLX is slow at there.

MLX has no vector code for exp, erf and tanh on x86, so GELU and softmax would take 60 % of the time once the matrix
products run in a real BLAS. An evaluated MLX array is memory that numpy can write to without a copy: MLX allocates and
multiplies, numpy changes the products in place (in_place.py). Figures are of all-MiniLM-L6-v2 on one Zen 5 core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from embed_worker.ops.in_place import (
    GELU_SCALE,
    exponentiate_in_place,
    fastest_exponential,
    gelu_in_place,
    scaled_gelu,
    views_are_writable,
)
from embed_worker.ops.plain import PlainOps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.ops import Encoder, EncoderLayer, LayerNorm, Linear
    from embed_worker.ops.in_place import Exponential

# Batches up to this many tokens use _Blocks; from about 40 ordinary products are as fast.
SMALL_ROWS_MAX = 32
# OpenBLAS multiplies up to this many (rows x columns x depth) without packing its operands first.
UNPACKED_PRODUCT_MAX = 1_000_000
UP_BLOCK, DOWN_BLOCK = 64, 32

# What a pass costs beside its tokens, in tokens (0.15 ms each): packing the weights once, and the pairs of attention.
PASS_TOKENS = 16
PAIRS_PER_TOKEN = 2000


class CpuOps(PlainOps):
    """The CPU, in float32."""

    device = "cpu"
    # Larger passes fall out of the cache: 4,386 tokens/s at 512, 4,199 at 1,024, 2,338 at 4,096.
    micro_batch_tokens = 512

    def __init__(self) -> None:
        self._exponential = fastest_exponential() if views_are_writable() else None

    def dtype(self, *, half_is_safe: bool) -> mx.Dtype:  # noqa: ARG002 - MLX multiplies float16 at 3-5 GFLOP/s here
        """float32, whatever the family."""
        return mx.float32

    def pass_cost(self, texts: int, longest: int) -> float:
        """Padded tokens, and packing the weights once."""
        return PASS_TOKENS + texts * longest

    def encoder(self, layers: Sequence[EncoderLayer], heads: int, eps: float) -> Encoder:
        """Make layers ready: transposed, norms folded in, and cut into blocks for small batches."""
        return CpuEncoder(layers, heads, eps, self._exponential)

    def gelu(self, x: mx.array) -> mx.array:
        """Exact GELU, any shape."""
        return scaled_gelu(x * GELU_SCALE) * (0.5 / GELU_SCALE)


@dataclass(frozen=True)
class _Affine:
    """x @ weight + bias: weight (in, out)."""

    weight: mx.array
    bias: mx.array


@dataclass(frozen=True)
class _Blocks:
    """Weights once more, cut so that OpenBLAS need not pack them for the few rows of a small batch.

    A text of 14 tokens spends 4.9 of its 7.2 ms in products that pack 42 MB of weights; in blocks they take 2.9 ms. A
    block per head is also the layout of attention, which saves the copies on both sides of it.
    """

    query_key_value: _Affine
    """(3 heads, dim, head) and (3 heads, 1, head)"""
    attention_out: mx.array
    """(heads, head, dim), summed over heads"""
    up: _Affine
    """(inner / 64, dim, 64) and (inner / 64, 1, 64)"""
    down_columns: mx.array
    """(dim / 32, inner, 32), the faster of the two while its products need no packing"""
    down_rows: mx.array
    """(inner / 64, 64, dim), summed over blocks"""


@dataclass(frozen=True)
class _Layer:
    """A layer that starts from n = (x - mean) / deviation of each token, not from x = n gamma + beta.

    Gamma and beta of the norm before are folded into the products that follow it, and the residual, with the bias of
    the product that is added to it, becomes that product's addend: two passes over memory less a norm.
    """

    attention_residual: _Affine
    """x and the bias of attention_out out of n: weight and bias (dim,)"""
    query_key_value: _Affine
    attention_out: mx.array
    feed_residual: _Affine
    """the same for `down`: weight and bias (dim,)"""
    up: _Affine
    down: mx.array
    blocks: _Blocks | None


@dataclass(frozen=True)
class _Grid:
    """Where the tokens of a pass stand. All but attention runs on the real ones alone, as if there were no padding.

    Moving 512 tokens in and out of the padded form takes 0.08 ms of the 13 ms of a layer.
    """

    batch: int
    tokens: int
    inside: mx.array | None
    """bool (batch, tokens); None when no text is padded, and then so are the other two."""
    real: mx.array | None
    """int32 (rows,): place of each real token among batch x tokens places"""
    spread: mx.array | None
    """int32 (batch x tokens,): row of the token of each place; of the text's last one where only padding is"""


@dataclass(frozen=True)
class _Sizes:
    """What weights are prepared for."""

    heads: int
    head: int
    small_rows_max: int
    """Rows up to which blocks are used; 0: never, no blocks are kept."""
    log_e: float
    """log(e) in the base of the exponential that turns scores into weights."""


class CpuEncoder:
    """Layers by BLAS and numpy; without an exponential by MLX alone, right but slower."""

    def __init__(self, layers: Sequence[EncoderLayer], heads: int, eps: float, exponential: Exponential | None) -> None:
        dim, inner = layers[0].down.weight.shape
        self._heads, self._head, self._exponential = heads, dim // heads, exponential
        self._small_rows_max = _small_rows_max(dim, inner, self._head)
        self._down_columns_rows_max = UNPACKED_PRODUCT_MAX // (inner * DOWN_BLOCK)
        sizes = _Sizes(heads, self._head, self._small_rows_max, exponential.log_e if exponential else 1.0)
        norms = [None, *(layer.output_norm for layer in layers[:-1])]
        self._layers = [_prepare(layer, norm, sizes) for layer, norm in zip(layers, norms, strict=True)]
        self._last_norm = layers[-1].output_norm
        self._average = mx.full((dim, 1), 1 / dim)
        self._eps = mx.array(eps)
        mx.eval(self._average, self._eps)

    def pass_cost(self, texts: int, longest: int) -> float:
        """Padding costs nothing in the products, since it is left out of them; but attention computes it."""
        return PASS_TOKENS + texts * longest**2 / PAIRS_PER_TOKEN

    def __call__(self, hidden: mx.array, inside: mx.array | None) -> mx.array:
        """Run all layers: (batch, tokens, dim) → (batch, tokens, dim), float32."""
        batch, tokens, dim = hidden.shape
        grid = _grid(batch, tokens, inside)
        n = _pick(hidden.reshape(-1, dim), grid.real, axis=0)
        for layer in self._layers:
            if layer.blocks and n.shape[0] <= self._small_rows_max:
                n = self._standardise(self._attend_small(n, layer, layer.blocks, grid))
                n = self._standardise(self._feed_small(n, layer, layer.blocks))
            else:
                n = self._standardise(self._attend(n, layer, grid))
                n = self._standardise(self._feed(n, layer))
        last = n * self._last_norm.weight + self._last_norm.bias
        return _pick(last, grid.spread, axis=0).reshape(hidden.shape)

    def _attend(self, n: mx.array, layer: _Layer, grid: _Grid) -> mx.array:
        """X + attention(x), of any number of rows: (rows, dim) → (rows, dim).

        The sum of a row divides after the product with the values, where there are fewer numbers to divide; padded
        tokens are left out of both sides there, so that the scores need no mask.
        """
        inside = grid.inside
        product = _pick(mx.addmm(layer.query_key_value.bias, n, layer.query_key_value.weight), grid.spread, axis=0)
        heads = product.reshape(grid.batch, grid.tokens, 3, self._heads, self._head).transpose(2, 0, 3, 1, 4)
        query, key, value = heads[0], heads[1], heads[2]
        scores = query @ key.swapaxes(-1, -2)
        if self._exponential is None:
            attended = _softmax(scores, None if inside is None else inside[:, None, None]) @ value
        else:
            mx.eval(scores)
            exponentiate_in_place(scores, inside, self._exponential)
            counts = mx.ones((grid.tokens, 1)) if inside is None else inside.astype(mx.float32)[:, None, :, None]
            attended = (scores @ (value if inside is None else value * counts)) / (scores @ counts)
        attended = _pick(attended.transpose(0, 2, 1, 3).reshape(-1, n.shape[1]), grid.real, axis=0)
        return mx.addmm(_residual(n, layer.attention_residual), attended, layer.attention_out)

    def _feed(self, n: mx.array, layer: _Layer) -> mx.array:
        """X + feed_forward(x), of any number of rows: (rows, dim) → (rows, dim)."""
        inner = self._gelu(mx.addmm(layer.up.bias, n, layer.up.weight))
        return mx.addmm(_residual(n, layer.feed_residual), inner, layer.down)

    def _attend_small(self, n: mx.array, layer: _Layer, blocks: _Blocks, grid: _Grid) -> mx.array:
        """Do the same as _attend for few rows: one product per head."""
        heads = mx.addmm(blocks.query_key_value.bias, n[None], blocks.query_key_value.weight)
        places = _pick(heads, grid.spread, axis=1).reshape(3 * self._heads, grid.batch, grid.tokens, self._head)
        query, key, value = mx.split(places, 3)
        scores = query @ key.swapaxes(-1, -2)
        attended = _softmax(scores, None if grid.inside is None else grid.inside[None, :, None]) @ value
        rows = _pick(attended.reshape(self._heads, -1, self._head), grid.real, axis=1)
        product = rows @ blocks.attention_out
        return _residual(n, layer.attention_residual) + mx.sum(product, axis=0)

    def _feed_small(self, n: mx.array, layer: _Layer, blocks: _Blocks) -> mx.array:
        """Do the same as _feed for few rows."""
        inner = self._gelu(mx.addmm(blocks.up.bias, n[None], blocks.up.weight))
        if n.shape[0] <= self._down_columns_rows_max:
            product = inner.transpose(1, 0, 2).reshape(1, n.shape[0], -1) @ blocks.down_columns
            fed = product.transpose(1, 0, 2).reshape(n.shape)
        else:
            fed = mx.sum(inner @ blocks.down_rows, axis=0)
        return _residual(n, layer.feed_residual) + fed

    def _gelu(self, scaled: mx.array) -> mx.array:
        if self._exponential is None:
            return scaled_gelu(scaled)
        mx.eval(scaled)
        gelu_in_place(scaled)
        return scaled

    def _standardise(self, x: mx.array) -> mx.array:
        """(x - mean) / deviation of each row. Averages as products with a column: 0.14 ms, mx.fast.layer_norm 0.36."""
        centred = x - x @ self._average
        return centred * mx.rsqrt(mx.addmm(self._eps, mx.square(centred), self._average))


def _grid(batch: int, tokens: int, inside: mx.array | None) -> _Grid:
    if inside is None:
        return _Grid(batch, tokens, None, None, None)
    is_real = np.array(inside).reshape(-1)
    real = np.flatnonzero(is_real).astype(np.int32)
    spread = np.cumsum(is_real, dtype=np.int32) - 1
    return _Grid(batch, tokens, inside, mx.array(real), mx.array(spread))


def _pick(x: mx.array, places: mx.array | None, axis: int) -> mx.array:
    return x if places is None else mx.take(x, places, axis=axis)


def _small_rows_max(dim: int, inner: int, head: int) -> int:
    """Rows up to which blocks need no packing; 0 where the sizes cannot be cut into blocks."""
    if dim % DOWN_BLOCK or inner % UP_BLOCK:
        return 0
    return min(SMALL_ROWS_MAX, UNPACKED_PRODUCT_MAX // (dim * max(head, UP_BLOCK)))


def _softmax(scores: mx.array, mask: mx.array | None) -> mx.array:
    """Softmax over the last axis; `mask` is bool and true for the tokens that count. By MLX: slow but short here."""
    return mx.softmax(scores if mask is None else mx.where(mask, scores, -math.inf), axis=-1)


def _residual(n: mx.array, affine: _Affine) -> mx.array:
    return n * affine.weight + affine.bias


def _prepare(layer: EncoderLayer, before: LayerNorm | None, sizes: _Sizes) -> _Layer:
    """Fold in float64, store in float32. `before` is the norm that the layer's input still lacks, if any."""
    dim = layer.attention_out.bias.shape[0]
    identity = (np.ones(dim), np.zeros(dim))
    before_norm = identity if before is None else (_float64(before.weight), _float64(before.bias))
    between_norm = (_float64(layer.attention_norm.weight), _float64(layer.attention_norm.bias))
    score_scale = 1 / math.sqrt(sizes.head)
    query, key, value = (_fold(part, before_norm) for part in (layer.query, layer.key, layer.value))
    up = _fold(layer.up, between_norm, GELU_SCALE)
    down = _float64(layer.down.weight).T / (2 * GELU_SCALE)
    out = _float64(layer.attention_out.weight).T
    blocks = None
    if sizes.small_rows_max:
        weight, bias = _beside((query[0] * score_scale, query[1] * score_scale), key, value)
        blocks = _Blocks(
            query_key_value=_affine(_columns(weight, sizes.head), bias.reshape(-1, 1, sizes.head)),
            attention_out=_float32(out.reshape(sizes.heads, sizes.head, dim)),
            up=_affine(_columns(up[0], UP_BLOCK), up[1].reshape(-1, 1, UP_BLOCK)),
            down_columns=_float32(_columns(down, DOWN_BLOCK)),
            down_rows=_float32(down.reshape(-1, UP_BLOCK, dim)),
        )
    scale = score_scale * sizes.log_e
    return _Layer(
        attention_residual=_affine(before_norm[0], before_norm[1] + _float64(layer.attention_out.bias)),
        query_key_value=_affine(*_beside((query[0] * scale, query[1] * scale), key, value)),
        attention_out=_float32(out),
        feed_residual=_affine(between_norm[0], between_norm[1] + _float64(layer.down.bias)),
        up=_affine(*up),
        down=_float32(down),
        blocks=blocks,
    )


def _fold(linear: Linear, norm: tuple[np.ndarray, np.ndarray], scale: float = 1) -> tuple[np.ndarray, np.ndarray]:
    """`scale` times the product of a norm's output, as a product of n: weight (in, out) and bias (out,), float64."""
    weight = _float64(linear.weight).T
    return norm[0][:, None] * weight * scale, (_float64(linear.bias) + norm[1] @ weight) * scale


def _beside(*parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One product out of several of the same input."""
    return np.concatenate([weight for weight, _ in parts], axis=1), np.concatenate([bias for _, bias in parts])


def _columns(weight: np.ndarray, width: int) -> np.ndarray:
    """Blocks of columns: (in, out) → (out / width, in, width)."""
    return weight.reshape(weight.shape[0], -1, width).transpose(1, 0, 2)


def _float64(array: mx.array) -> np.ndarray:
    return np.array(array, dtype=np.float64)


def _float32(array: np.ndarray) -> mx.array:
    return mx.array(np.ascontiguousarray(array, dtype=np.float32))


def _affine(weight: np.ndarray, bias: np.ndarray) -> _Affine:
    return _Affine(_float32(weight), _float32(bias))
