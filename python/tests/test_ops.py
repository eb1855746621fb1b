from __future__ import annotations

import importlib.util
import math
from dataclasses import fields
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np
import pytest

from embed_worker.errors import BadArguments
from embed_worker.ops import EncoderLayer, LayerNorm, Linear, choose_ops
from embed_worker.ops.cpu import CpuEncoder, CpuOps
from embed_worker.ops.fold import Affine
from embed_worker.ops.in_place import (
    GELU_SCALE,
    Exponential,
    NumpyElementwise,
    gelu_in_place,
    scaled_gelu,
    views_are_writable,
)
from embed_worker.ops.metal import MetalOps, gelu
from embed_worker.ops.self_attention import SCORES_MAX, Run, SelfAttention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.ops.in_place import Elementwise

NEEDS_NUMBA = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="the extra `fast` is not installed")
EXP2 = Exponential(np.exp2, math.log2(math.e))
EXP = Exponential(np.exp, 1.0)
KINDS = ("exp2", "exp", pytest.param("fast", marks=NEEDS_NUMBA))


def make(kind: str, dim: int) -> Elementwise:
    if kind == "fast":
        from embed_worker.ops.fast import NumbaElementwise  # noqa: PLC0415

        return NumbaElementwise(dim, 1e-12, EXP2)
    return NumpyElementwise(dim, 1e-12, EXP2 if kind == "exp2" else EXP)


def random_layers(dim: int, inner: int, count: int = 2) -> list[EncoderLayer]:
    source = np.random.default_rng(5)

    def linear(rows: int, columns: int) -> Linear:
        weight = source.normal(size=(rows, columns)) / math.sqrt(columns)
        return Linear(*(mx.array(values.astype(np.float32)) for values in (weight, source.normal(size=rows))))

    def norm() -> LayerNorm:
        return LayerNorm(*(mx.array(source.normal(size=dim).astype(np.float32)) for _ in range(2)))

    shapes = {"attention_norm": None, "output_norm": None, "up": (inner, dim), "down": (dim, inner)}
    made = [
        {
            field.name: norm() if field.name.endswith("norm") else linear(*shapes.get(field.name, (dim, dim)))
            for field in fields(EncoderLayer)
        }
        for _ in range(count)
    ]
    return [EncoderLayer(**parts) for parts in made]


def random_hidden(batch: int, tokens: int, dim: int) -> mx.array:
    return mx.array(np.random.default_rng(6).normal(size=(batch, tokens, dim)).astype(np.float32))


def compare(left: mx.array, right: mx.array, lengths: Sequence[int]) -> None:
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(np.array(left[row, :length]), np.array(right[row, :length]), atol=2e-5)


# 384 and 1536 are MiniLM's sizes; 48 and 100 cannot be cut into blocks.
@pytest.mark.parametrize(("dim", "inner", "heads"), [(384, 1536, 12), (64, 128, 4), (48, 100, 4)])
@pytest.mark.parametrize("lengths", [[1], [5], [20], [21], [32], [33], [6, 2, 4], [40, 3], [64] * 8], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_cpu_computes_what_the_plain_layers_do(
    dim: int, inner: int, heads: int, lengths: list[int], kind: str
) -> None:
    layers, hidden = random_layers(dim, inner), random_hidden(len(lengths), max(lengths), dim)
    inside = mx.arange(max(lengths))[None] < mx.array(lengths)[:, None] if len(set(lengths)) > 1 else None
    plain = MetalOps().encoder(layers, heads, 1e-12)(hidden, inside)
    compare(CpuEncoder(layers, heads, make(kind, dim))(hidden, inside), plain, lengths)


@pytest.mark.parametrize("lengths", [[12, 5], [60, 33]], ids=str)
def test_what_stands_in_padded_places_changes_nothing(lengths: list[int]) -> None:
    layers, hidden = random_layers(64, 128), random_hidden(2, max(lengths), 64)
    inside = mx.arange(max(lengths))[None] < mx.array(lengths)[:, None]
    encoder = CpuOps().encoder(layers, 4, 1e-12)
    once = encoder(hidden, inside)
    other = encoder(mx.where(inside[..., None], hidden, 50 * hidden + 3), inside)
    compare(once, other, lengths)


def attend(kind: str, parts: Sequence[np.ndarray], runs: Sequence[Run]) -> np.ndarray:
    elementwise = make(kind, 8)
    query = (parts[0] * elementwise.log_e).astype(np.float32)
    SelfAttention(elementwise).in_place(query, parts[1], parts[2], runs)
    return query


def softmax_attention(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    scores = query.astype(np.float64) @ key.swapaxes(-1, -2).astype(np.float64)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ value


def random_heads(heads: int, rows: int, size: float = 1) -> list[np.ndarray]:
    source = np.random.default_rng(1)
    return [(source.normal(size=(heads, rows, 8)) * scale).astype(np.float32) for scale in (size, 1, 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1.0, 50.0, 500.0, 1e30])
def test_scores_of_any_size_give_the_softmax(kind: str, size: float) -> None:
    parts = random_heads(3, 18, size)
    expected = [softmax_attention(*(part[:, rows] for part in parts)) for rows in (slice(9), slice(9, 18))]
    np.testing.assert_allclose(attend(kind, parts, [Run(0, 2, 9)]), np.concatenate(expected, axis=1), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_each_text_attends_to_itself_alone(kind: str) -> None:
    parts = random_heads(3, 20)
    lengths = ((0, 4), (4, 8), (8, 20))
    expected = [softmax_attention(*(part[:, start:end] for part in parts)) for start, end in lengths]
    attended = attend(kind, parts, [Run(0, 2, 4), Run(8, 1, 12)])
    np.testing.assert_allclose(attended, np.concatenate(expected, axis=1), atol=1e-5)


def test_a_long_text_is_attended_to_in_pieces() -> None:
    tokens = 700
    assert tokens**2 > 2 * SCORES_MAX
    parts = random_heads(2, tokens)
    np.testing.assert_allclose(attend("exp2", parts, [Run(0, 1, tokens)]), softmax_attention(*parts), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_number_comes_out_of_attention(kind: str) -> None:
    parts = random_heads(1, 6)
    parts[1][0, 2, 3] = math.nan
    assert np.isnan(attend(kind, parts, [Run(0, 2, 3)])[0]).all(axis=1).tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_residual_is_added_and_normed(kind: str) -> None:
    source = np.random.default_rng(4)
    n, product = source.normal(size=(2, 5, 48)).astype(np.float32)
    weight, bias = source.normal(size=(2, 48)).astype(np.float32)
    x = (product + n * weight + bias).astype(np.float64)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    fresh = mx.array(product) @ mx.eye(48)
    made = make(kind, 48).standardise(fresh, mx.array(n), Affine(mx.array(weight), mx.array(bias)))
    np.testing.assert_allclose(np.array(made), expected, atol=1e-5)


def exact_gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def gelu_of(kind: str, u: np.ndarray) -> np.ndarray:
    product = mx.array(u.reshape(1, 1, -1).astype(np.float32))
    mx.eval(product)
    return np.array(make(kind, 8).gelu(product, mx.zeros(product.shape)), dtype=np.float64).reshape(u.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_gelu_is_exact_to_a_millionth(kind: str) -> None:
    x = np.linspace(-12, 12, 200_001)
    assert np.abs(gelu_of(kind, GELU_SCALE * x) / (2 * GELU_SCALE) - exact_gelu(x)).max() < 1e-6


def test_gelu_by_mlx_alone_is_exact_to_a_millionth() -> None:
    x = np.linspace(-12, 12, 200_001)
    u = mx.array((GELU_SCALE * x).astype(np.float32))
    assert np.abs(np.array(scaled_gelu(u), dtype=np.float64) / (2 * GELU_SCALE) - exact_gelu(x)).max() < 1e-6
    assert np.abs(np.array(gelu(mx.array(x.astype(np.float32))), dtype=np.float64) - exact_gelu(x)).max() < 1e-6


def test_gelu_adds_the_bias_of_each_column_first() -> None:
    product, bias = np.random.default_rng(3).normal(size=(3, 70, 64)), np.random.default_rng(2).normal(size=(3, 1, 64))
    changed, added = product.astype(np.float32), (product + bias).astype(np.float32)
    gelu_in_place(changed, bias.astype(np.float32))
    gelu_in_place(added, np.zeros_like(bias, dtype=np.float32))
    np.testing.assert_allclose(changed, added, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gelu_of_the_largest_numbers_is_the_number_or_zero(kind: str) -> None:
    np.testing.assert_allclose(gelu_of(kind, np.array([1e30, -1e30, 1e4, -1e4, 0.0])), [2e30, 0, 2e4, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_gelu_hands_on_what_is_not_a_number(kind: str) -> None:
    assert np.isnan(gelu_of(kind, np.array([math.nan, 1.0]))).tolist() == [True, False]


def test_numpy_writes_to_the_memory_of_mlx_here() -> None:
    assert views_are_writable()


def test_without_writable_views_the_cpu_falls_back_to_mlx_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embed_worker.ops.cpu.views_are_writable", lambda: False)
    monkeypatch.setattr("embed_worker.ops.cpu.NumpyElementwise", lambda *_: pytest.fail("numpy was used"))
    layers, hidden = random_layers(64, 128), random_hidden(1, 50, 64)
    plain = MetalOps().encoder(layers, 4, 1e-12)(hidden, None)
    compare(CpuOps().encoder(layers, 4, 1e-12)(hidden, None), plain, [50])


def test_the_cpu_computes_in_float32_and_the_gpu_in_float16_where_that_is_safe() -> None:
    assert CpuOps().dtype(half_is_safe=True) == mx.float32
    assert MetalOps().dtype(half_is_safe=True) == mx.float16
    assert MetalOps().dtype(half_is_safe=False) == mx.float32


@pytest.mark.skipif(mx.metal.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadArguments, match="no GPU"):
        choose_ops("gpu")
