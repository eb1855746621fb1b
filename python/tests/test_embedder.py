from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np
import pytest

from embed_worker.embedder import Embedder

if TYPE_CHECKING:
    from embed_worker.tokenise import Tokens

TEXTS = ["hello world", "a much longer sentence with many more words in it", "short"]


def with_hidden(minilm: Embedder, value: float, token: int) -> Embedder:
    """A model whose hidden states are 1, and `value` all over a text that holds the token."""

    def model(ids: mx.array, inside: mx.array | None) -> mx.array:  # noqa: ARG001
        marked = mx.any(ids == token, axis=1)[:, None, None]
        return mx.broadcast_to(mx.where(marked, value, 1.0), (*ids.shape, minilm.loaded.dimensions))

    return Embedder(replace(minilm.loaded, model=model), 512)


def last_id(tokens: Tokens, row: int) -> int:
    return int(tokens.ids[row][-2])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0])
@pytest.mark.parametrize("normalize", [True, False])
def test_w29_w30_a_row_that_is_no_vector_fails_alone_and_is_sent_as_zeros(
    minilm: Embedder,
    value: float,
    normalize: bool,  # noqa: FBT001
) -> None:
    tokens = minilm.tokenise(TEXTS)
    vectors = with_hidden(minilm, value, last_id(tokens, 1)).embed(tokens, normalize=normalize)
    assert vectors.failed_rows == [1]
    assert not vectors.data[1].any()
    assert vectors.data[[0, 2]].all()


def test_rows_come_back_in_the_order_of_the_texts(minilm: Embedder) -> None:
    together = minilm.embed(minilm.tokenise(TEXTS), normalize=True).data
    for row, text in enumerate(TEXTS):
        alone = minilm.embed(minilm.tokenise([text]), normalize=True).data[0]
        assert np.abs(together[row] - alone).max() < 1e-6


def test_without_normalisation_the_direction_is_the_same(minilm: Embedder) -> None:
    tokens = minilm.tokenise(TEXTS)
    raw = minilm.embed(tokens, normalize=False).data
    unit = minilm.embed(tokens, normalize=True).data
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 0.01).all()
    np.testing.assert_allclose(raw / lengths, unit, atol=1e-6)


def test_the_default_pooling_is_the_model_s_own_and_is_named(minilm: Embedder) -> None:
    tokens = minilm.tokenise(TEXTS)
    default = minilm.embed(tokens, normalize=True)
    assert default.pooling == "mean"
    assert np.array_equal(default.data, minilm.embed(tokens, "mean", normalize=True).data)
    first = minilm.embed(tokens, "cls", normalize=True)
    assert first.pooling == "cls"
    assert np.abs(first.data - default.data).max() > 0.01


def test_no_texts_give_no_rows(minilm: Embedder) -> None:
    assert minilm.embed(minilm.tokenise([]), normalize=True).data.shape == (0, 384)
