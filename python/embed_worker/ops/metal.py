"""Encoder layers in MLX's fused operations: what runs on a GPU, and the plain definition the CPU form is tested by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlx.core as mx

from embed_worker.ops.plain import PlainOps
from embed_worker.ops.quantised import Quantised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embed_worker.ops import Encoder, EncoderLayer, LayerNorm, Linear
    from embed_worker.ops.quantised import Weight

# What a pass costs beside its padded tokens, in tokens. From the size of a GPU, not measured.
PASS_TOKENS = 256


class MetalOps(PlainOps):
    """A GPU through Metal; through CUDA the same operations, not run yet."""

    device = "gpu"
    # A GPU wants large passes. From the size of its matrices, not measured.
    micro_batch_tokens = 16_384
    keeps_quantised = True
    # MLX's fused kernels hold no scores; where it has none for a size of head, this is 512 MB.
    scores_max = 1 << 27

    def dtype(self, *, half_is_safe: bool) -> mx.Dtype:
        """float16 where the family's activations stay in its range, else float32."""
        return mx.float16 if half_is_safe else mx.float32

    def pass_cost(self, texts: int, longest: int) -> float:
        """Padded tokens, and what a pass costs however small it is."""
        return PASS_TOKENS + texts * longest

    def encoder(self, layers: Sequence[EncoderLayer], heads: int, eps: float) -> Encoder:
        """Make layers ready: query, key and value become one product."""
        return FusedEncoder([fuse(layer) for layer in layers], heads, eps)

    def linear(self, weight: Weight) -> Callable[[mx.array], mx.array]:
        """Multiply by the transpose of a weight (out, in): (…, in) → (…, out)."""
        return weight.multiply if isinstance(weight, Quantised) else super().linear(weight)

    def rotary(self, theta: float, head: int) -> Callable[[mx.array], mx.array]:
        """Turn each token by its place, from 0: (batch, heads, tokens, head) → the same."""
        return lambda x: mx.fast.rope(x, head, traditional=False, base=theta, scale=1.0, offset=0)


@dataclass(frozen=True)
class _Layer:
    query_key_value: Linear
    plain: EncoderLayer


class FusedEncoder:
    """Layers by mx.fast."""

    def __init__(self, layers: Sequence[_Layer], heads: int, eps: float) -> None:
        self._layers = layers
        self._heads = heads
        self._eps = eps

    def pass_cost(self, texts: int, longest: int) -> float:
        """The device's: every place is computed."""
        return PASS_TOKENS + texts * longest

    def __call__(self, hidden: mx.array, inside: mx.array | None) -> mx.array:
        """Run all layers: (batch, tokens, dim) → (batch, tokens, dim)."""
        mask = None if inside is None else inside[:, None, None]
        for layer in self._layers:
            hidden = self._norm(hidden + self._attend(hidden, mask, layer), layer.plain.attention_norm)
            fed = _linear(gelu(_linear(hidden, layer.plain.up)), layer.plain.down)
            hidden = self._norm(hidden + fed, layer.plain.output_norm)
        return hidden

    def _attend(self, hidden: mx.array, mask: mx.array | None, layer: _Layer) -> mx.array:
        """Self-attention (Vaswani et al. 2017): (batch, tokens, dim) → the same; mask bool (batch, 1, 1, tokens)."""
        batch, tokens, dim = hidden.shape
        head_dim = dim // self._heads
        heads = _linear(hidden, layer.query_key_value).reshape(batch, tokens, 3, self._heads, head_dim)
        query, key, value = heads.transpose(2, 0, 3, 1, 4)
        attended = mx.fast.scaled_dot_product_attention(query, key, value, scale=1 / math.sqrt(head_dim), mask=mask)
        return _linear(attended.transpose(0, 2, 1, 3).reshape(batch, tokens, dim), layer.plain.attention_out)

    def _norm(self, hidden: mx.array, norm: LayerNorm) -> mx.array:
        return mx.fast.layer_norm(hidden, norm.weight, norm.bias, self._eps)


def gelu(x: mx.array) -> mx.array:
    """Exact GELU (Hendrycks and Gimpel 2016): x times the normal distribution function of x, any shape."""
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


def fuse(layer: EncoderLayer) -> _Layer:
    """Query, key and value of a layer as one product."""
    parts = (layer.query, layer.key, layer.value)
    weight = mx.concatenate([part.weight for part in parts])
    bias = mx.concatenate([part.bias for part in parts])
    mx.eval(weight, bias)
    return _Layer(type(layer.query)(weight, bias), layer)


def _linear(x: mx.array, linear: Linear) -> mx.array:
    return mx.addmm(linear.bias, x, linear.weight.T)
