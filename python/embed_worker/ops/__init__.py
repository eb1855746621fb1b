"""What devices do differently, behind one interface.

A family that normalises after attending (BERT) hands its whole stack of layers to `encoder`; the others are written in
the single operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import mlx.core as mx

from embed_worker.errors import BadArguments
from embed_worker.extras import load_fast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from embed_worker.ops.attention import Attention, Reach
    from embed_worker.ops.quantised import Weight

# Freed buffers are kept up to this. By default MLX keeps 32 MB on the CPU, too little for the scores of the families
# that attend in MLX's own operations, and on a GPU all there is. all-MiniLM-L6-v2 is as fast on the CPU with 32 MB as
# with 256, and its worker grows to 289 MB with 64 and to 489 with 256 over texts of many lengths.
CACHE_BYTES_MAX = {"cpu": 128 * 1024 * 1024, "gpu": 256 * 1024 * 1024}


@dataclass(frozen=True)
class Linear:
    """y = x @ weight.T + bias, as checkpoints store it: weight (out, in), bias (out,)."""

    weight: mx.array
    bias: mx.array


@dataclass(frozen=True)
class LayerNorm:
    """Weight and bias of a layer normalisation, both (dim,)."""

    weight: mx.array
    bias: mx.array


@dataclass(frozen=True)
class EncoderLayer:
    """One layer of BERT (Devlin et al. 2018): self-attention and feed-forward, each added and then normalised."""

    query: Linear
    key: Linear
    value: Linear
    attention_out: Linear
    attention_norm: LayerNorm
    up: Linear
    down: Linear
    output_norm: LayerNorm


class Encoder(Protocol):
    """A stack of encoder layers, ready to run."""

    def pass_cost(self, texts: int, longest: int) -> float:
        """Cost of a pass over so many texts of at most `longest` tokens; what no way to cut changes may be left out."""

    def __call__(self, hidden: mx.array, inside: mx.array | None) -> mx.array:
        """Run all layers: (batch, tokens, dim) → (batch, tokens, dim).

        `inside` is bool (batch, tokens), true where a text has a token; None when no text is padded. Every text has
        at least one token. What comes out at padded places means nothing.
        """


class Ops(Protocol):
    """One device."""

    device: str
    """"cpu" or "gpu"."""
    micro_batch_tokens: int
    """Padded tokens of one forward pass unless the command line says otherwise."""
    is_fast: bool
    """Whether the extra `fast` is in use."""
    keeps_quantised: bool
    """Whether a quantised matrix stays so in memory; else it becomes dense at load."""

    def pass_cost(self, texts: int, longest: int) -> float:
        """Cost of a pass, as of an Encoder, for models that do not use one."""

    def dtype(self, *, half_is_safe: bool) -> mx.Dtype:
        """The type in which weights are held and layers are computed."""

    def encoder(self, layers: Sequence[EncoderLayer], heads: int, eps: float) -> Encoder:
        """Make layers with exact (erf) GELU ready; `eps` is that of the layer normalisations."""

    def linear(self, weight: Weight) -> Callable[[mx.array], mx.array]:
        """Multiply by the transpose of a weight (out, in): (…, in) → (…, out)."""

    def table(self, weight: Weight) -> Callable[[mx.array], mx.array]:
        """Rows of a table (rows, dim) by number: int32 (…) → (…, dim). Numbers beyond the table are not caught."""

    def rotary(self, theta: float, head: int) -> Callable[[mx.array], mx.array]:
        """Turn each token by its place, from 0: (batch, heads, tokens, head) → the same."""

    def attention(self, heads: int, scale: float, reach: Reach) -> Attention:
        """Softmax attention of so many query heads."""

    def gelu(self, x: mx.array) -> mx.array:
        """Exact (erf) GELU, any shape."""

    def gelu_tanh(self, x: mx.array) -> mx.array:
        """GELU by tanh, any shape."""

    def silu(self, x: mx.array) -> mx.array:
        """SiLU, x times the logistic function of x: any shape."""


def choose_ops(device: str, fast: Path | None = None) -> Ops:
    """Operations for "cpu", "gpu" or "auto" (the GPU where MLX has one), and make it MLX's default device.

    `fast` is the folder of that extra, for the CPU. Raises BadArguments when a GPU is asked for and there is none.
    """
    from embed_worker.ops.cpu import CpuOps  # noqa: PLC0415 - each device's module needs the classes above
    from embed_worker.ops.metal import MetalOps  # noqa: PLC0415

    has_gpu = mx.metal.is_available() or mx.cuda.is_available()
    if device == "gpu" and not has_gpu:
        raise BadArguments("MLX finds no GPU on this machine")
    use_gpu = has_gpu and device != "cpu"
    mx.set_default_device(mx.gpu if use_gpu else mx.cpu)
    ops = MetalOps() if use_gpu else CpuOps(None if fast is None else load_fast(fast))
    mx.set_cache_limit(CACHE_BYTES_MAX[ops.device])
    return ops
