from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embed_worker.embedder import Embedder

if TYPE_CHECKING:
    from tests.support import Golden

# The requirement is 1e-5 against the reference; 4e-7 is what float32 gives.
PARITY = 1e-6


def embed(embedder: Embedder, texts: list[str]) -> np.ndarray:
    vectors = embedder.embed(embedder.tokenise(texts), normalize=True)
    assert vectors.failed_rows == []
    return vectors.data


def test_minilm_equals_the_reference_one_text_at_a_time(minilm: Embedder, golden: Golden) -> None:
    vectors = np.concatenate([embed(minilm, [text]) for text in golden.texts])
    assert np.abs(vectors - golden.vectors).max() <= PARITY


@pytest.mark.parametrize("seed", range(2))
def test_minilm_equals_the_reference_in_mixed_batches_of_32(minilm: Embedder, golden: Golden, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(golden.texts))
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        vectors = embed(minilm, [golden.texts[row] for row in rows])
        assert np.abs(vectors - golden.vectors[rows]).max() <= PARITY


@pytest.mark.parametrize("micro_batch_tokens", [1, 64, 20_000])
def test_the_budget_of_a_pass_changes_no_vector(minilm: Embedder, golden: Golden, micro_batch_tokens: int) -> None:
    texts = golden.texts[:60:3]
    other = Embedder(minilm.loaded, micro_batch_tokens)
    assert np.abs(embed(other, texts) - golden.vectors[:60:3]).max() <= PARITY


def test_texts_past_256_tokens_are_cut_as_in_the_reference(minilm: Embedder, golden: Golden) -> None:
    tokens = minilm.tokenise(golden.texts)
    assert len(tokens.truncated_rows) >= 10
    assert all(golden.token_counts[row] == 256 for row in tokens.truncated_rows)
    rows = tokens.truncated_rows
    assert np.abs(embed(minilm, [golden.texts[row] for row in rows]) - golden.vectors[rows]).max() <= PARITY


def test_a_word_repeated_past_the_limit_keeps_parity_where_powers_would_overflow(minilm: Embedder) -> None:
    text = "word " * 400
    assert np.abs(embed(minilm, [text, text])[0] - embed(minilm, [text])[0]).max() <= PARITY
