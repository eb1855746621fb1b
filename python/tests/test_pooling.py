from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from embed_worker.pooling import normalise, pool

# Two texts of 3 and 1 tokens, two dimensions; 99 stands where only padding is.
HIDDEN = [[[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]], [[7.0, 8.0], [99.0, 99.0], [99.0, 99.0]]]
LENGTHS = [3, 1]


@pytest.mark.parametrize(
    ("pooling", "vectors"),
    [("mean", [[3, 5], [7, 8]]), ("cls", [[1, 2], [7, 8]]), ("last_token", [[5, 9], [7, 8]])],
)
def test_pooling_never_sees_padding(pooling: str, vectors: list[list[float]]) -> None:
    pooled = pool(mx.array(HIDDEN), mx.array(LENGTHS), pooling)
    np.testing.assert_allclose(np.array(pooled), vectors, rtol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last_token"])
def test_pooling_gives_float32_whatever_the_model_computes_in(pooling: str) -> None:
    hidden = mx.full((1, 4, 2), 60_000, dtype=mx.float16)
    pooled = pool(hidden, mx.array([4]), pooling)
    assert pooled.dtype == mx.float32
    np.testing.assert_allclose(np.array(pooled), [[60_000, 60_000]], rtol=1e-3)


def test_a_normalised_row_has_length_1() -> None:
    np.testing.assert_allclose(np.array(normalise(mx.array([[3.0, 4.0]]))), [[0.6, 0.8]], rtol=1e-6)


def test_a_zero_row_stays_zero() -> None:
    assert np.array(normalise(mx.zeros((1, 3)))).tolist() == [[0, 0, 0]]
