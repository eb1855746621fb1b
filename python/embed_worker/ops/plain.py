"""Operations of the families that normalise before they attend, in MLX's own words: right on every device.

A device overrides what it can do faster.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from embed_worker.ops.attention import Attention
from embed_worker.ops.quantised import Quantised

if TYPE_CHECKING:
    from collections.abc import Callable

    from embed_worker.ops.attention import Reach
    from embed_worker.ops.quantised import Weight

_ROTARY_TOKENS_MIN = 512


class PlainOps:
    """What the devices share."""

    is_fast = False
    keeps_quantised = False
    """Whether a quantised matrix stays so in memory; else it becomes dense at load."""
    scores_max = 1 << 22
    """Scores of attention held at a time: the queries of a long text go in blocks."""

    def linear(self, weight: Weight) -> Callable[[mx.array], mx.array]:
        """Multiply by the transpose of a weight (out, in): (…, in) → (…, out)."""
        dense = weight.dense() if isinstance(weight, Quantised) else weight
        mx.eval(dense)
        return lambda x: x @ dense.T

    def table(self, weight: Weight) -> Callable[[mx.array], mx.array]:
        """Rows of a table (rows, dim) by number: int32 (…) → (…, dim). Numbers beyond the table are not caught."""
        if isinstance(weight, Quantised):
            # A text needs few of the rows, so the table stays quantised everywhere.
            return lambda ids: weight.rows(ids).dense()
        return lambda ids: weight[ids]

    def rotary(self, theta: float, head: int) -> Callable[[mx.array], mx.array]:
        """RoPE (Su et al. 2021): turn each token by its place, from 0: (batch, heads, tokens, head) → the same."""
        return Rotary(theta, head)

    def attention(self, heads: int, scale: float, reach: Reach) -> Attention:
        """Softmax attention of so many query heads."""
        return Attention(heads, scale, reach, self.scores_max)

    def gelu(self, x: mx.array) -> mx.array:
        """Exact GELU (Hendrycks and Gimpel 2016): x times the normal distribution function of x, any shape."""
        return x * (1 + mx.erf(x / math.sqrt(2))) / 2

    def gelu_tanh(self, x: mx.array) -> mx.array:
        """GELU by tanh, with which some models were trained: any shape."""
        return x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))) / 2

    def silu(self, x: mx.array) -> mx.array:
        """SiLU, x times the logistic function of x: any shape."""
        return x * mx.sigmoid(x)


class Rotary:
    """Rotary positions from tables, which all layers with one base share."""

    def __init__(self, theta: float, head: int) -> None:
        self._frequencies = theta ** -(np.arange(0, head, 2, dtype=np.float64) / head)
        self._grow(_ROTARY_TOKENS_MIN)

    def __call__(self, x: mx.array) -> mx.array:
        """Turn each token: (batch, heads, tokens, head) → the same."""
        tokens, half = x.shape[-2], x.shape[-1] // 2
        if tokens > self._cos.shape[0]:
            self._grow(2 * tokens)
        cos, sin = self._cos[:tokens], self._sin[:tokens]
        left, right = x[..., :half], x[..., half:]
        return mx.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)

    def _grow(self, tokens: int) -> None:
        # In float64: at place 8,000 float32 would be off by 5e-4 of a turn's radian.
        angles = np.arange(tokens)[:, None] * self._frequencies
        self._cos = mx.array(np.cos(angles).astype(np.float32))
        self._sin = mx.array(np.sin(angles).astype(np.float32))
        mx.eval(self._cos, self._sin)
