"""Elementwise work of the CPU, done by numpy in the memory of MLX arrays.

Only the fresh output of a matrix product may be changed, after mx.eval: a slice, a reshape or a broadcast may share its
memory with other arrays.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

# gelu(x) = ((x + |x|) - |x| erfc(|x| / sqrt 2)) / 2, and erfc(a / sqrt 2) = q(a)^-32 with q a minimax polynomial of
# degree 5: 6.6e-7 off at most in float32, and right at both ends by itself (a power that overflows divides to 0).
# Two factors save passes: with u = GELU_SCALE x the polynomial is monic, and the result stays 2 GELU_SCALE times too
# large; the weights before and after take them. The constant term must be exactly 1, since the power amplifies its
# rounding 32 times. 512 x 1536: 20 ms by mx.erf, 1.9 ms by MLX operations, 1.1 ms here.
GELU_SCALE = 0.11471496608461988
_GELU_POLYNOMIAL = (-0.4621351361274719, 0.9211218953132629, 0.7795380353927612, 0.2173517346382141, 1.0)
_GELU_SQUARINGS = 5
# Elements changed at a time: two temporaries of 192 KB stay in the second-level cache.
_GELU_BLOCK = 48 * 1024

# A power of 2 and the sums of a row stay in range up to here without subtracting the row's maximum first. No bound on
# the scores can be proved from the weights, and a real text (one word, 256 times) reached 142: each batch is looked at.
_SAFE_EXPONENT = 100.0


@dataclass(frozen=True)
class Exponential:
    """An exponential of numpy, and log(e) in its base: base^(log_e x) = e^x."""

    function: np.ufunc
    log_e: float


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


def gelu_in_place(scaled: mx.array) -> None:
    """Change GELU_SCALE x into 2 GELU_SCALE gelu(x): evaluated, contiguous, float32, any shape."""
    flat = np.asarray(scaled).reshape(-1)
    temporaries = np.empty((2, min(_GELU_BLOCK, flat.size)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, flat.size, _GELU_BLOCK):
            u = flat[start : start + _GELU_BLOCK]
            a, q = temporaries[:, : u.size]
            np.abs(u, out=a)
            np.add(a, _GELU_POLYNOMIAL[0], out=q)
            for coefficient in _GELU_POLYNOMIAL[1:]:
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
    q = a + _GELU_POLYNOMIAL[0]
    for coefficient in _GELU_POLYNOMIAL[1:]:
        q = q * a + coefficient
    for _ in range(_GELU_SQUARINGS):
        q = mx.square(q)
    return (scaled + a) - a / q


def exponentiate_in_place(scores: mx.array, inside: mx.array | None, exponential: Exponential) -> None:
    """Change scores, in log_e units, into e^(score - c), with one c per row of scores: evaluated, float32.

    `scores` is (batch, heads, tokens, tokens), the last axis the tokens attended to; `inside` bool (batch, tokens).
    What comes out at padded places means nothing, but is finite where the scores are.
    """
    view = np.asarray(scores)
    safe = _SAFE_EXPONENT * math.log(2) * exponential.log_e
    if not (view.max() <= safe and view.min() >= -safe):
        if inside is not None:
            np.copyto(view, -np.inf, where=~np.array(inside)[:, None, None])
        np.subtract(view, view.max(axis=-1, keepdims=True), out=view)
    exponential.function(view, out=view)


def _seconds(function: Callable[..., np.ndarray]) -> float:
    """Time of one run over 64 K numbers, the best of 5."""
    numbers = np.linspace(-20, 20, 65_536, dtype=np.float32)
    times = []
    for _ in range(5):
        start_s = time.perf_counter()
        function(numbers)
        times.append(time.perf_counter() - start_s)
    return min(times)
