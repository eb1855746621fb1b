"""Elementwise work of the CPU, done by numpy in the memory of MLX arrays.

Only the fresh output of a matrix product may be changed, after mx.eval: a slice, a reshape or a broadcast may share its
memory with other arrays.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import mlx.core as mx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from embed_worker.ops.fold import Affine

# gelu(x) = ((x + |x|) - |x| erfc(|x| / sqrt 2)) / 2, and erfc(a / sqrt 2) = q(a)^-32 with q a minimax polynomial of
# degree 5: 6.6e-7 off at most in float32, and right at both ends by itself (a power that overflows divides to 0).
# Two factors save passes: with u = GELU_SCALE x the polynomial is monic, and the result stays 2 GELU_SCALE times too
# large; the weights before and after take them. The constant term must be exactly 1, since the power amplifies its
# rounding 32 times. 512 x 1536: 20 ms by mx.erf, 1.9 ms by MLX operations, 0.9 ms here.
GELU_SCALE = 0.11471496608461988
GELU_POLYNOMIAL = (-0.4621351361274719, 0.9211218953132629, 0.7795380353927612, 0.2173517346382141, 1.0)
_GELU_SQUARINGS = 5
# Between these a row's sum of base^score lost nothing: no score overflowed, and none that matters fell below the
# smallest number. No bound on the scores can be proved from the weights, and a real text (one word, 256 times) went
# past them.
SUMS_SAFE = (2.0**-60, 2.0**100)

# Elements changed at a time: two temporaries of 192 KB stay in the second-level cache.
_GELU_BLOCK = 48 * 1024


@dataclass(frozen=True)
class Exponential:
    """An exponential of numpy, and log(e) in its base: base^(log_e x) = e^x."""

    function: np.ufunc
    log_e: float


class Elementwise(Protocol):
    """What happens between the matrix products of a layer."""

    log_e: float
    """log(e) in the base of `exponentiate`."""

    def __init__(self, dim: int, eps: float, exponential: Exponential) -> None:
        """For rows of `dim` numbers, and `eps` in the norms; `exponential` is numpy's better one."""

    def exponentiate(self, scores: np.ndarray) -> np.ndarray:
        """Change scores into base^score, and give the sums over the last axis, which stays as 1: contiguous, float32.

        A sum beyond SUMS_SAFE means that a score was too large or too small, and that all of this means nothing.
        """

    def gelu(self, product: mx.array, bias: mx.array) -> mx.array:
        """GELU of a product and its bias, in the memory of the product: from GELU_SCALE x to 2 GELU_SCALE times GELU.

        (blocks, rows, columns) and (blocks, 1, columns); `product` is the fresh output of a matrix product.
        """

    def standardise(self, product: mx.array, n: mx.array, residual: Affine) -> mx.array:
        """Change x = product + n * weight + bias into (x - mean) / deviation of each row: (rows, dim).

        `product` is the fresh output of a matrix product, and its memory may hold the result.
        """


class NumpyElementwise:
    """By numpy and MLX, which are always there."""

    def __init__(self, dim: int, eps: float, exponential: Exponential) -> None:
        self.log_e = exponential.log_e
        self._exponential = exponential.function
        self._average = mx.full((dim, 1), 1 / dim)
        self._eps = mx.array(eps)
        mx.eval(self._average, self._eps)

    def exponentiate(self, scores: np.ndarray) -> np.ndarray:
        """As Elementwise says. Sums as a product with a column: 0.1 ms of 8 texts of 58 tokens, numpy's own 0.6."""
        self._exponential(scores, out=scores)
        columns = scores.shape[-1]
        sums = scores.reshape(-1, columns) @ np.ones(columns, dtype=np.float32)
        return sums.reshape(*scores.shape[:-1], 1)

    def gelu(self, product: mx.array, bias: mx.array) -> mx.array:
        """As Elementwise says."""
        mx.eval(product)
        gelu_in_place(np.asarray(product), np.asarray(bias))
        return product

    def standardise(self, product: mx.array, n: mx.array, residual: Affine) -> mx.array:
        """As Elementwise says. Averages as products with a column: 0.08 ms of 512 rows, mx.fast.layer_norm 0.36."""
        x = product + (n * residual.weight + residual.bias)
        centred = x - x @ self._average
        return centred * mx.rsqrt(mx.addmm(self._eps, mx.square(centred), self._average))


def views_are_writable() -> bool:
    """Whether numpy changes an MLX array without a copy, and MLX sees it: true for MLX 0.32 on the CPU."""
    probe = mx.ones((4, 4)) @ mx.ones((4, 4))
    mx.eval(probe)
    try:
        np.asarray(probe)[1, 2] = 7
    except (ValueError, TypeError, BufferError):
        return False
    return float(mx.sum(probe)) == 4 * 15 + 7


def fastest_exponential() -> Exponential:
    """exp2 or exp, whichever numpy has vector code for on this processor."""
    candidates = (Exponential(np.exp2, math.log2(math.e)), Exponential(np.exp, 1.0))
    return min(candidates, key=lambda candidate: _seconds(candidate.function))


def gelu_in_place(product: np.ndarray, bias: np.ndarray) -> None:
    """Change GELU_SCALE x less its bias into 2 GELU_SCALE gelu(x): (blocks, rows, columns), (blocks, 1, columns)."""
    blocks, rows, columns = product.shape
    step = max(1, _GELU_BLOCK // (blocks * columns))
    temporaries = np.empty((2, blocks, min(step, rows), columns), dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, rows, step):
            u = product[:, start : start + step]
            a, q = temporaries[:, :, : u.shape[1]]
            np.add(u, bias, out=u)
            np.abs(u, out=a)
            np.add(a, GELU_POLYNOMIAL[0], out=q)
            for coefficient in GELU_POLYNOMIAL[1:]:
                np.multiply(q, a, out=q)
                np.add(q, coefficient, out=q)
            for _ in range(_GELU_SQUARINGS):
                np.square(q, out=q)
            np.add(u, a, out=u)
            np.divide(a, q, out=q)
            np.subtract(u, q, out=u)


def scaled_gelu(scaled: mx.array) -> mx.array:
    """Do the same by MLX operations, for where numpy cannot change MLX's memory."""
    a = mx.abs(scaled)
    q = a + GELU_POLYNOMIAL[0]
    for coefficient in GELU_POLYNOMIAL[1:]:
        q = q * a + coefficient
    for _ in range(_GELU_SQUARINGS):
        q = mx.square(q)
    return (scaled + a) - a / q


def _seconds(function: Callable[..., np.ndarray]) -> float:
    """Time of one run over 64 K numbers, the best of 5."""
    numbers = np.linspace(-20, 20, 65_536, dtype=np.float32)
    times = []
    for _ in range(5):
        start_s = time.perf_counter()
        function(numbers)
        times.append(time.perf_counter() - start_s)
    return min(times)
