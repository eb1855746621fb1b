from __future__ import annotations

from math import erf, sqrt

import mlx.core as mx
import numpy as np
import pytest

from embed_worker.ops import choose_ops
from embed_worker.ops.attention import Attention, Reach
from embed_worker.ops.metal import MetalOps

BATCH, HEADS, TOKENS, HEAD = 3, 4, 37, 8
LENGTHS = [37, 20, 1]


def by_definition(parts: list[np.ndarray], reach: Reach, lengths: list[int] | None) -> np.ndarray:
    """Attention written out, in float64; two query heads share one of key and value."""
    query, key, value = (part.astype(np.float64) for part in parts)
    key, value = np.repeat(key, 2, axis=1), np.repeat(value, 2, axis=1)
    distance = np.arange(TOKENS)[:, None] - np.arange(TOKENS)
    seen = np.ones((BATCH, 1, TOKENS, TOKENS), dtype=bool)
    if reach.causal:
        seen &= distance >= 0
    if reach.window is not None:
        seen &= np.abs(distance) <= reach.window
    for row, length in enumerate(lengths or []):
        seen[row, ..., length:] = False
    scores = np.where(seen, query @ key.swapaxes(-1, -2) * 0.3, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


@pytest.mark.parametrize("reach", [Reach(), Reach(causal=True), Reach(window=5), Reach(window=16), Reach(window=36)])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("scores_max", [1, 2_000, 1 << 22])
def test_attention_is_what_its_reach_says_however_it_is_cut(
    reach: Reach, lengths: list[int] | None, scores_max: int
) -> None:
    random = np.random.default_rng(0)
    shapes = [(BATCH, HEADS, TOKENS, HEAD), (BATCH, HEADS // 2, TOKENS, HEAD), (BATCH, HEADS // 2, TOKENS, HEAD)]
    parts = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    inside = None if lengths is None else mx.arange(TOKENS)[None] < mx.array(lengths)[:, None]
    attention = Attention(HEADS, 0.3, reach, scores_max)
    query, key, value = map(mx.array, parts)
    attended = np.array(attention(query, key, value, attention.plan(BATCH, TOKENS, inside)))
    assert np.isfinite(attended).all()
    expected = by_definition(parts, reach, lengths)
    for row, length in enumerate(lengths or [TOKENS] * BATCH):
        assert np.abs(attended[row, :, :length] - expected[row, :, :length]).max() <= 1e-6


def test_a_long_text_is_cut_so_that_its_scores_stay_within_the_bound() -> None:
    blocks = Attention(16, 1.0, Reach(), 1 << 22).plan(1, 8192, None)
    assert max(block.queries.stop - block.queries.start for block in blocks) * 16 * 8192 <= 1 << 22


def test_a_window_never_meets_all_keys_of_a_long_text() -> None:
    blocks = Attention(12, 1.0, Reach(window=64), 1 << 22).plan(1, 8192, None)
    assert max(block.keys.stop - block.keys.start for block in blocks) == 6 * 64


@pytest.mark.parametrize("tokens", [1, 600, 1300])
def test_rotary_positions_of_both_devices_are_the_same_rotation(tokens: int) -> None:
    x = mx.random.normal((2, 3, tokens, 16))
    angles = np.arange(tokens)[:, None] * 10_000.0 ** -(np.arange(0, 16, 2) / 16)
    turn, (left, right) = np.exp(1j * angles), np.split(np.array(x), 2, axis=-1)
    expected = (left + 1j * right) * turn
    for ops in (choose_ops("cpu"), MetalOps()):
        turned = np.array(ops.rotary(10_000.0, 16)(x))
        assert np.abs(turned - np.concatenate([expected.real, expected.imag], axis=-1)).max() <= 1e-3


def test_activations_are_their_definitions() -> None:
    ops, x = choose_ops("cpu"), np.linspace(-9, 9, 1001)
    given = mx.array(x.astype(np.float32))
    cubic = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    assert np.abs(np.array(ops.silu(given)) - x / (1 + np.exp(-x))).max() <= 1e-6
    assert np.abs(np.array(ops.gelu_tanh(given)) - x * (1 + np.tanh(cubic)) / 2).max() <= 2e-6
    assert np.abs(np.array(ops.gelu(given)) - np.array([gelu(value) for value in x])).max() <= 2e-6


def gelu(x: float) -> float:
    return x * (1 + erf(x / sqrt(2))) / 2
