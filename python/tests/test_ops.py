from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np
import pytest

from embed_worker.errors import BadArguments
from embed_worker.ops import EncoderLayer, LayerNorm, Linear, choose_ops
from embed_worker.ops.cpu import CpuEncoder, CpuOps
from embed_worker.ops.in_place import (
    GELU_SCALE,
    Exponential,
    exponentiate_in_place,
    gelu_in_place,
    scaled_gelu,
    views_are_writable,
)
from embed_worker.ops.metal import MetalOps, gelu

if TYPE_CHECKING:
    from collections.abc import Sequence

EXP2 = Exponential(np.exp2, math.log2(math.e))
EXP = Exponential(np.exp, 1.0)


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
@pytest.mark.parametrize("exponential", [EXP2, EXP, None], ids=["exp2", "exp", "mlx"])
def test_the_cpu_computes_what_the_plain_layers_do(
    dim: int, inner: int, heads: int, lengths: list[int], exponential: Exponential | None
) -> None:
    layers, hidden = random_layers(dim, inner), random_hidden(len(lengths), max(lengths), dim)
    inside = mx.arange(max(lengths))[None] < mx.array(lengths)[:, None] if len(set(lengths)) > 1 else None
    plain = MetalOps().encoder(layers, heads, 1e-12)(hidden, inside)
    compare(CpuEncoder(layers, heads, 1e-12, exponential)(hidden, inside), plain, lengths)


@pytest.mark.parametrize("lengths", [[12, 5], [60, 33]], ids=str)
def test_what_stands_in_padded_places_changes_nothing(lengths: list[int]) -> None:
    layers, hidden = random_layers(64, 128), random_hidden(2, max(lengths), 64)
    inside = mx.arange(max(lengths))[None] < mx.array(lengths)[:, None]
    encoder = CpuOps().encoder(layers, 4, 1e-12)
    once = encoder(hidden, inside)
    other = encoder(mx.where(inside[..., None], hidden, 50 * hidden + 3), inside)
    compare(once, other, lengths)


@pytest.mark.parametrize("exponential", [EXP2, EXP], ids=["exp2", "exp"])
@pytest.mark.parametrize("size", [1.0, 50.0, 500.0, 1e30])
def test_scores_of_any_size_give_the_softmax(exponential: Exponential, size: float) -> None:
    natural = np.random.default_rng(1).normal(size=(2, 3, 9, 9)) * size
    inside = np.arange(9)[None] < np.array([[9], [4]])
    # The largest score of all stands in a padded place, where it must not count.
    natural[1, :, :, 7] = 3 * size
    scores = mx.array((natural * exponential.log_e).astype(np.float32))
    mx.eval(scores)
    exponentiate_in_place(scores, mx.array(inside), exponential)
    weights = np.array(scores, dtype=np.float64) * inside[:, None, None]
    masked = np.where(inside[:, None, None], natural, -np.inf)
    expected = np.exp(masked - masked.max(-1, keepdims=True))
    np.testing.assert_allclose(
        weights / weights.sum(-1, keepdims=True), expected / expected.sum(-1, keepdims=True), atol=1e-4
    )


def exact_gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


@pytest.mark.parametrize("form", ["numpy", "mlx", "plain"])
def test_gelu_is_exact_to_a_millionth(form: str) -> None:
    x = np.linspace(-12, 12, 200_001).reshape(3, -1)
    u = mx.array((GELU_SCALE * x).astype(np.float32))
    mx.eval(u)
    if form == "numpy":
        gelu_in_place(u)
    y = gelu(mx.array(x.astype(np.float32))) if form == "plain" else u if form == "numpy" else scaled_gelu(u)
    scale = 1 if form == "plain" else 2 * GELU_SCALE
    assert np.abs(np.array(y, dtype=np.float64) / scale - exact_gelu(x)).max() < 1e-6


def test_gelu_of_the_largest_numbers_is_the_number_or_zero() -> None:
    u = mx.array([1e30, -1e30, 1e4, -1e4, 0.0])
    mx.eval(u)
    gelu_in_place(u)
    np.testing.assert_allclose(np.array(u), [2e30, 0, 2e4, 0, 0])


def test_gelu_hands_on_what_is_not_a_number() -> None:
    u = mx.array([math.nan, 1.0])
    mx.eval(u)
    gelu_in_place(u)
    assert np.isnan(np.array(u)).tolist() == [True, False]


def test_numpy_writes_to_the_memory_of_mlx_here() -> None:
    assert views_are_writable()


def test_without_writable_views_the_cpu_falls_back_to_mlx_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embed_worker.ops.cpu.views_are_writable", lambda: False)
    monkeypatch.setattr("embed_worker.ops.cpu.gelu_in_place", lambda _: pytest.fail("numpy was used"))
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
