"""Self-attention of the CPU, done by numpy in the memory of MLX arrays, text by text.

numpy multiplies views of any stride in its own OpenBLAS, so no head is copied out of the product that it lies in: of 32
texts of 12 tokens MLX's way took 1.15 ms, mostly copies, and this takes 0.25; of 2 texts of 256 tokens 3.7 and 2.3 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embed_worker.ops.in_place import SUMS_SAFE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.ops.in_place import Elementwise

# Scores held at a time: 512 KB stay in the second-level cache, and a long text needs no more than a short one.
# 2 texts of 256 tokens: 3.0 ms with half or with a quarter of it, 4.2 with twice as much.
SCORES_MAX = 128 * 1024


@dataclass(frozen=True)
class Run:
    """Texts of one length that stand one after the other."""

    start: int
    """Row of the first token of the first of them."""
    texts: int
    tokens: int


class SelfAttention:
    """Softmax attention of each text to itself (Vaswani et al. 2017)."""

    def __init__(self, elementwise: Elementwise) -> None:
        self._elementwise = elementwise
        self._scores = np.empty(SCORES_MAX, dtype=np.float32)

    def in_place(self, query: np.ndarray, key: np.ndarray, value: np.ndarray, runs: Sequence[Run]) -> None:
        """Put what each token attends to in place of its query: all (heads, rows, head), of any strides.

        The scale of the scores, and `log_e` of what exponentiates, are in the queries already.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            for run in runs:
                self._attend(*(_texts(part, run) for part in (query, key, value)))

    def _attend(self, query: np.ndarray, key: np.ndarray, value: np.ndarray) -> None:
        """Attend within each text: (heads, texts, tokens, head)."""
        heads, texts, tokens, _ = query.shape
        rows = max(1, min(tokens, SCORES_MAX // tokens))
        texts_step = max(1, min(texts, SCORES_MAX // (rows * tokens)))
        heads_step = max(1, min(heads, SCORES_MAX // (texts_step * rows * tokens)))
        for head in range(0, heads, heads_step):
            for text in range(0, texts, texts_step):
                here = slice(head, head + heads_step), slice(text, text + texts_step)
                for row in range(0, tokens, rows):
                    self._attend_block(query[here][:, :, row : row + rows], key[here], value[here])

    def _attend_block(self, query: np.ndarray, key: np.ndarray, value: np.ndarray) -> None:
        shape = (*query.shape[:3], key.shape[2])
        size = query.size // query.shape[3] * key.shape[2]
        # A text beyond SCORES_MAX tokens has one row of them at least.
        scores = (self._scores if size <= SCORES_MAX else np.empty(size, dtype=np.float32))[:size].reshape(shape)
        np.matmul(query, key.swapaxes(-1, -2), out=scores)
        sums = self._elementwise.exponentiate(scores)
        if not (sums.min() >= SUMS_SAFE[0] and sums.max() <= SUMS_SAFE[1]):
            np.matmul(query, key.swapaxes(-1, -2), out=scores)
            scores -= scores.max(axis=-1, keepdims=True)
            sums = self._elementwise.exponentiate(scores)
        if shape[3] < query.shape[3]:
            # Fewer numbers to divide than after the product.
            scores /= sums
            np.matmul(scores, value, out=query)
        else:
            np.matmul(scores, value, out=query)
            query /= sums


def _texts(part: np.ndarray, run: Run) -> np.ndarray:
    """The rows of a run: (heads, rows, head) → (heads, texts, tokens, head), a view."""
    rows = part[:, run.start : run.start + run.texts * run.tokens]
    return rows.reshape(part.shape[0], run.texts, run.tokens, part.shape[2])
